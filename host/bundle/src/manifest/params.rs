//! Parameters: values as canonical text.

use super::names::one_of;
use super::{Param, ParamType};
use serde::de::{self, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serializer};
use std::fmt;

/// The longest value of a parameter, in bytes.
pub const MAX_VALUE: usize = 4096;

/// Why a value does not fit a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{param}`: {reason}")]
pub struct ParamError {
    /// The parameter's name.
    pub param: String,
    /// What is wrong with the value.
    pub reason: String,
}

impl Param {
    /// The value in the one form that guests and the eBPF side see: `true` or `false`, integers in decimal without
    /// leading zeros, the shortest decimal that reads back as the same f64, text as it is, a duration as a whole number
    /// with the largest unit that has no fraction: `1500ms`. (A duration's number alone, in nanoseconds, is what
    /// [`Param::for_guest`] gives.)
    ///
    /// Reads `true`, `false`, `1`, `0` for bool and `0x` before hexadecimal integers.
    ///
    /// # Errors
    ///
    /// A value that is not of the parameter's type, or not one of its allowed values.
    pub fn canonical(&self, value: &str) -> Result<String, ParamError> {
        let canonical = self.typed(value)?;
        if !self.values.is_empty() && !self.values.contains(&canonical) {
            let allowed: Vec<&str> = self.values.iter().map(String::as_str).collect();
            return Err(self.error(one_of(value, &allowed)));
        }
        Ok(canonical)
    }

    /// The canonical value by the type alone, whatever values are allowed.
    pub(super) fn typed(&self, value: &str) -> Result<String, ParamError> {
        let shown = || {
            value
                .chars()
                .take(60)
                .flat_map(char::escape_debug)
                .collect::<String>()
        };
        match self.value_type {
            ParamType::Bool => match value {
                "true" | "1" => Ok("true".to_owned()),
                "false" | "0" => Ok("false".to_owned()),
                _ => Err(self.error(format!("expected true or false, found `{}`", shown()))),
            },
            ParamType::I64 => match signed(value) {
                Some(number) => Ok(number.to_string()),
                None => Err(self.error(format!(
                    "expected a whole number from {} to {}, found `{}`",
                    i64::MIN,
                    i64::MAX,
                    shown()
                ))),
            },
            ParamType::U64 => match unsigned(value) {
                Some(number) => Ok(number.to_string()),
                None => Err(self.error(format!(
                    "expected a whole number from 0 to {}, found `{}`",
                    u64::MAX,
                    shown()
                ))),
            },
            ParamType::F64 => match value.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number.to_string()),
                _ => Err(self.error(format!("expected a finite number, found `{}`", shown()))),
            },
            ParamType::Duration => match duration(value) {
                Some(ns) => Ok(spelled(ns)),
                None => Err(self.error(format!("{BAD_DURATION}, found `{}`", shown()))),
            },
            ParamType::Text => {
                if value.contains('\0') {
                    return Err(self.error("a text can't hold the character NUL"));
                }
                if value.len() > MAX_VALUE {
                    return Err(self.error(format!(
                        "{} bytes is too long: at most {MAX_VALUE}",
                        value.len()
                    )));
                }
                Ok(value.to_owned())
            }
        }
    }

    /// A value as the guest gets it: the canonical text, of a duration its nanoseconds in decimal.
    ///
    /// # Errors
    ///
    /// As for [`Param::canonical`].
    pub fn for_guest(&self, value: &str) -> Result<String, ParamError> {
        let canonical = self.canonical(value)?;
        Ok(match self.value_type {
            ParamType::Duration => duration(&canonical).unwrap_or_default().to_string(),
            _ => canonical,
        })
    }

    /// The value that the guest sees when the user sets none, in canonical form: the manifest's default, else
    /// `false`, `0` or the empty text.
    #[must_use]
    pub fn default_value(&self) -> String {
        match (&self.default, self.value_type) {
            (Some(value), _) => value.clone(),
            (None, ParamType::Bool) => "false".to_owned(),
            (None, ParamType::I64 | ParamType::U64 | ParamType::F64) => "0".to_owned(),
            (None, ParamType::Text) => String::new(),
            (None, ParamType::Duration) => "0s".to_owned(),
        }
    }

    /// The name of the `const volatile` variable that takes the value: `variable`, else the parameter's own name with
    /// `_` for `-`.
    #[must_use]
    pub fn variable_name(&self) -> String {
        self.variable
            .clone()
            .unwrap_or_else(|| self.name.replace('-', "_"))
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> ParamError {
        ParamError {
            param: self.name.clone(),
            reason: reason.into(),
        }
    }
}

/// Units of time in nanoseconds, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// What a length of time looks like, to whom wrote something else.
pub(crate) const BAD_DURATION: &str =
    "expected a number with ns, us, ms, s, m or h, as in 500ms or 2s";

/// Nanoseconds of `1.5s`, exactly: None also for a fraction of a nanosecond, and beyond 64 bits.
pub(crate) fn duration(value: &str) -> Option<u64> {
    let end = value.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = value.split_at(end);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = fraction
        .parse::<u128>()
        .ok()?
        .checked_mul((*factor).into())?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(*factor)?;
    let fraction = (fraction % scale == 0).then(|| fraction / scale)?;
    whole.checked_add(u64::try_from(fraction).ok()?)
}

fn spelled(ns: u64) -> String {
    let unit = UNITS.iter().find(|(_, factor)| ns.is_multiple_of(*factor));
    match unit.filter(|_| ns > 0) {
        Some((unit, factor)) => format!("{}{unit}", ns / factor),
        None => "0s".to_owned(),
    }
}

fn unsigned(value: &str) -> Option<u64> {
    match value.strip_prefix("0x") {
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}

fn signed(value: &str) -> Option<i64> {
    match value.strip_prefix('-') {
        // Parsed with its sign, so that the lowest value fits.
        Some(digits) if !digits.starts_with("0x") => value.parse().ok(),
        Some(digits) => unsigned(digits).and_then(|number| 0_i64.checked_sub_unsigned(number)),
        None => unsigned(value).and_then(|number| i64::try_from(number).ok()),
    }
}

/// A parameter's value as it stands in the text: a scalar of any type, kept as text.
pub(crate) struct Scalar(pub String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
                Err(E::custom(
                    "a value is missing here: write \"\" for an empty text",
                ))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

pub(super) mod serde_scalar {
    use super::{Deserialize, Deserializer, Scalar, Serializer};

    pub fn serialize<S: Serializer>(
        value: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        Scalar::deserialize(deserializer).map(|scalar| Some(scalar.0))
    }
}

pub(super) mod serde_scalars {
    use super::{Deserialize, Deserializer, Scalar, SerializeSeq, Serializer};

    pub fn serialize<S: Serializer>(values: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(values.len()))?;
        for value in values {
            list.serialize_element(value)?;
        }
        list.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
        Ok(Vec::<Scalar>::deserialize(deserializer)?
            .into_iter()
            .map(|scalar| scalar.0)
            .collect())
    }
}

pub(crate) fn scalar_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": ["boolean", "number", "string"] })
}

pub(super) fn scalars_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "array", "items": { "type": ["boolean", "number", "string"] } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ParamTarget;

    fn param(value_type: ParamType, values: &[&str]) -> Param {
        Param {
            name: "p".to_owned(),
            description: String::new(),
            value_type,
            default: None,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
            to: ParamTarget::Guest,
            variable: None,
        }
    }

    #[test]
    fn values_have_one_form() {
        let canonical = |ty, value: &str| param(ty, &[]).canonical(value).unwrap();
        assert_eq!(canonical(ParamType::Bool, "1"), "true");
        assert_eq!(canonical(ParamType::I64, "-0x10"), "-16");
        assert_eq!(
            canonical(ParamType::I64, "-9223372036854775808"),
            "-9223372036854775808"
        );
        assert_eq!(canonical(ParamType::U64, "007"), "7");
        assert_eq!(
            canonical(ParamType::U64, "0xffffffffffffffff"),
            "18446744073709551615"
        );
        assert_eq!(canonical(ParamType::F64, "1.50"), "1.5");
        assert_eq!(canonical(ParamType::F64, "1e3"), "1000");
        assert_eq!(canonical(ParamType::Text, " a "), " a ");
        for (value, one) in [
            ("500ms", "500ms"),
            ("1.5s", "1500ms"),
            ("1000us", "1ms"),
            ("120s", "2m"),
            ("0.000000001s", "1ns"),
            ("0ms", "0s"),
            ("1.0h", "1h"),
            ("18446744073709551615ns", "18446744073709551615ns"),
        ] {
            assert_eq!(canonical(ParamType::Duration, value), one);
            assert_eq!(canonical(ParamType::Duration, one), one);
        }
    }

    #[test]
    fn a_guest_gets_a_duration_in_nanoseconds() {
        let guest = |ty, value: &str| param(ty, &[]).for_guest(value).unwrap();
        assert_eq!(guest(ParamType::Duration, "1.5s"), "1500000000");
        assert_eq!(guest(ParamType::Duration, "0s"), "0");
        assert_eq!(guest(ParamType::U64, "007"), "7");
    }

    #[test]
    fn wrong_values_say_what_is_allowed() {
        let error = |ty, values: &[&str], value: &str| {
            param(ty, values).canonical(value).unwrap_err().to_string()
        };
        assert_eq!(
            error(ParamType::Bool, &[], "yes"),
            "parameter `p`: expected true or false, found `yes`"
        );
        assert_eq!(
            error(ParamType::U64, &[], "-1"),
            "parameter `p`: expected a whole number from 0 to 18446744073709551615, found `-1`"
        );
        assert_eq!(
            error(ParamType::F64, &[], "inf"),
            "parameter `p`: expected a finite number, found `inf`"
        );
        for bad in [
            "5",
            "",
            "s",
            "1w",
            "-1s",
            "1 s",
            ".5s",
            "1.s",
            "0.5ns",
            "1e3s",
            "18446744073709551616ns",
        ] {
            assert_eq!(
                error(ParamType::Duration, &[], bad),
                format!(
                    "parameter `p`: expected a number with ns, us, ms, s, m or h, as in 500ms or 2s, found `{bad}`"
                )
            );
        }
        assert_eq!(
            error(ParamType::Text, &[], "a\0"),
            "parameter `p`: a text can't hold the character NUL"
        );
        assert_eq!(
            error(ParamType::Text, &["tcp", "udp"], "tpc"),
            "parameter `p`: `tpc` is not allowed here: one of tcp, udp; did you mean `tcp`?"
        );
        assert_eq!(
            error(ParamType::I64, &["1", "10"], "0x2"),
            "parameter `p`: `0x2` is not allowed here: one of 1, 10"
        );
    }
}
