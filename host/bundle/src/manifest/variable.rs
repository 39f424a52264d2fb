//! Parameters of the eBPF side: text to the bytes of a `const volatile` variable, and back.

use super::params::duration;
use super::{Param, ParamError, ParamType};
use ig_object::Variable;
use ig_object::btf::{Btf, Kind};
use std::fmt;

/// What a variable can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A `bool`.
    Bool,
    /// An integer or enumeration.
    Int { size: usize, signed: bool },
    /// A float or double.
    Float { size: usize },
    /// An array of `char` or other bytes, with the NUL at its end.
    Text { size: usize },
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("a bool"),
            Self::Int { size, signed } => write!(
                f,
                "{} integer of {} bits",
                if *signed { "a signed" } else { "an unsigned" },
                size * 8
            ),
            Self::Float { size } => write!(f, "a floating-point number of {} bits", size * 8),
            Self::Text { size } => write!(f, "an array of {size} bytes"),
        }
    }
}

impl Slot {
    /// Reads a variable's type; the error ends a sentence that begins with the variable.
    pub(super) fn of(btf: &Btf<'_>, variable: &Variable<'_>) -> Result<Self, String> {
        const WRONG: &str = "has a type that no parameter can have: use a bool, an integer, a double or an array of char";
        let size = usize::try_from(variable.size).unwrap_or(usize::MAX);
        let ty = btf
            .resolve(variable.type_id)
            .and_then(|id| btf.get(id))
            .ok_or(WRONG)?;
        let slot = match ty.kind() {
            Kind::Int => match ty.int() {
                Some(int) if int.bool && size == 1 => Some(Self::Bool),
                Some(int) if matches!(size, 1 | 2 | 4 | 8) => Some(Self::Int {
                    size,
                    signed: int.signed,
                }),
                _ => None,
            },
            Kind::Enum | Kind::Enum64 if matches!(size, 1 | 2 | 4 | 8) => Some(Self::Int {
                size,
                signed: ty.flag(),
            }),
            Kind::Float if matches!(size, 4 | 8) => Some(Self::Float { size }),
            Kind::Array => {
                let element = ty
                    .array()
                    .and_then(|array| btf.resolve(array.element))
                    .and_then(|id| btf.get(id));
                let bytes =
                    element.is_some_and(|ty| ty.kind() == Kind::Int && ty.size() == Some(1));
                (bytes && size > 0).then_some(Self::Text { size })
            }
            _ => None,
        };
        slot.ok_or_else(|| WRONG.to_owned())
    }

    /// Whether a parameter of this type can go there.
    pub(super) fn takes(self, value_type: ParamType) -> bool {
        match value_type {
            ParamType::Bool => matches!(self, Self::Bool | Self::Int { .. }),
            ParamType::I64 | ParamType::U64 | ParamType::Duration => {
                matches!(self, Self::Int { .. })
            }
            ParamType::F64 => matches!(self, Self::Float { .. }),
            ParamType::Text => matches!(self, Self::Text { .. }),
        }
    }

    /// The text of a variable's first value; no bytes at all are zeros.
    pub(super) fn value(self, initial: &[u8]) -> String {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(initial) {
            *to = *from;
        }
        let number = u64::from_le_bytes(word);
        match self {
            Self::Bool => if number & 0xff != 0 { "true" } else { "false" }.to_owned(),
            Self::Int {
                size,
                signed: false,
            } => unsigned(number, size).to_string(),
            Self::Int { size, signed: true } => {
                let shift = 64 - 8 * size.clamp(1, 8);
                (number.cast_signed() << shift >> shift).to_string()
            }
            Self::Float { size: 4 } => {
                let [a, b, c, d, ..] = word;
                f32::from_le_bytes([a, b, c, d]).to_string()
            }
            Self::Float { .. } => f64::from_le_bytes(word).to_string(),
            Self::Text { .. } => {
                let text = initial.split(|byte| *byte == 0).next().unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            }
        }
    }
}

fn unsigned(number: u64, size: usize) -> u64 {
    number & (u64::MAX >> (64 - 8 * size.clamp(1, 8)))
}

impl Param {
    /// A value as the bytes of the variable that takes it, as many as the variable has, little endian.
    ///
    /// # Errors
    ///
    /// A value that is not of the parameter's type or not allowed, or that the variable can't hold.
    pub fn to_bytes(
        &self,
        value: &str,
        btf: &Btf<'_>,
        variable: &Variable<'_>,
    ) -> Result<Vec<u8>, ParamError> {
        let canonical = self.canonical(value)?;
        let slot = Slot::of(btf, variable)
            .map_err(|reason| self.error(format!("the variable `{}` {reason}", variable.name)))?;
        let wrong = || {
            self.error(format!(
                "`{canonical}` does not fit the variable `{}`, which is {slot}",
                variable.name
            ))
        };
        match slot {
            Slot::Bool => match canonical.as_str() {
                "true" => Ok(vec![1]),
                "false" => Ok(vec![0]),
                _ => Err(wrong()),
            },
            Slot::Int { size, signed } => {
                let number: i128 = match (self.value_type, canonical.as_str()) {
                    (ParamType::Bool, "true") => 1,
                    (ParamType::Bool, _) => 0,
                    (ParamType::I64 | ParamType::U64, digits) => {
                        digits.parse().map_err(|_| wrong())?
                    }
                    (ParamType::Duration, text) => duration(text).ok_or_else(wrong)?.into(),
                    _ => return Err(wrong()),
                };
                let bits = 8 * size - usize::from(signed);
                let lowest = if signed { -(1_i128 << bits) } else { 0 };
                if !(lowest..1_i128 << bits).contains(&number) {
                    return Err(wrong());
                }
                Ok(number.to_le_bytes().into_iter().take(size).collect())
            }
            Slot::Float { size } => {
                let number: f64 = canonical.parse().map_err(|_| wrong())?;
                // A float takes the nearest value that it has.
                Ok(if size == 4 {
                    (number as f32).to_le_bytes().to_vec()
                } else {
                    number.to_le_bytes().to_vec()
                })
            }
            Slot::Text { size } => {
                if self.value_type != ParamType::Text || canonical.len() >= size {
                    return Err(wrong());
                }
                let mut bytes = canonical.into_bytes();
                bytes.resize(size, 0);
                Ok(bytes)
            }
        }
    }
}
