//! What an operator and a value mean for a column's type and kind.

use std::ops::Range;

use super::error::{FilterError, quoted};
use super::eval::{Node, Test};
use super::number::{Exact, NumberError, Order, Ranges, exact, float};
use super::parse::{Operator, Parser, Target, hint};
use super::pattern::{Network, Pattern};
use super::scan::Value;
use super::vocabulary::{
    Units, Word, called, has_bits, is_address, is_octal, is_shown_as_text, vocabulary, word,
};
use crate::kinds::{Kind, address};
use crate::schema::DataType;

/// How many words of a kind an error lists.
const LISTED: usize = 20;

/// What a column of whole numbers is compared with.
enum Number {
    Exact(Exact),
    Word(Word),
}

fn is_text(target: &Target<'_>) -> bool {
    matches!(target.data_type, DataType::Text | DataType::Bytes) && !is_one_of_a_kind(target)
}

/// Addresses are equal or not, or in a network: they have no order and are not read as text.
fn is_one_of_a_kind(target: &Target<'_>) -> bool {
    is_address(target.kind) || target.kind == Kind::Mac
}

pub(super) fn is_ordered(target: &Target<'_>) -> bool {
    (target.data_type.is_number() || is_text(target)) && !is_one_of_a_kind(target)
}

/// Whether patterns can be held against the values.
fn is_readable(target: &Target<'_>) -> bool {
    is_text(target) || target.data_type.is_integer() && is_shown_as_text(target.kind)
}

impl<'a> Parser<'a> {
    /// What may follow a column.
    pub(super) fn operators(&self, target: &Target<'a>) -> String {
        let mut all = Vec::new();
        if !matches!(target.data_type, DataType::Struct(_)) {
            all.extend(["==", "!="]);
        }
        if is_ordered(target) {
            all.extend(["<", "<=", ">", ">=", "in"]);
        } else if is_one_of_a_kind(target) {
            all.push("in");
        }
        if is_readable(target) {
            all.extend(["~", "!~", "like", "contains"]);
        } else if target.listed {
            all.push("contains");
        }
        if self.has(target) {
            all.push("has");
        }
        let mut all = format!(
            "after {} ({}) may come {} and `is null`",
            target.name,
            described(target),
            all.join(", ")
        );
        if let DataType::Struct(fields) = target.data_type {
            let fields = fields.iter().map(|(name, _)| name.as_str());
            let fields: Vec<&str> = fields.collect();
            all = format!(
                "fields of {} are {}; of the whole there is `is null`",
                target.name,
                fields.join(", ")
            );
        }
        all
    }

    fn has(&self, target: &Target<'a>) -> bool {
        let scalar = !matches!(target.data_type, DataType::Struct(_));
        (target.listed && scalar) || (target.data_type.is_integer() && has_bits(target.kind))
    }

    /// Whether an operator makes sense for a column.
    pub(super) fn allows(
        &self,
        target: &Target<'a>,
        operator: Operator,
        sign: &Range<usize>,
    ) -> Result<(), FilterError> {
        let scalar = !matches!(target.data_type, DataType::Struct(_));
        let (allowed, needs) = match operator {
            Operator::Compare(Order::Equal) => (scalar, "a value"),
            Operator::Compare(_) => (is_ordered(target), "a number or text"),
            Operator::In => (
                is_ordered(target) || is_one_of_a_kind(target),
                "a number or text",
            ),
            Operator::Match | Operator::Like => (is_readable(target), "text"),
            Operator::Contains => (
                is_readable(target) || (target.listed && scalar),
                "text or a list",
            ),
            Operator::Has => (self.has(target), "flags or a list"),
        };
        if allowed {
            return Ok(());
        }
        let written = self.scanner.text.get(sign.clone()).unwrap_or_default();
        let reason = format!(
            "`{}` needs {needs}, {} is {}",
            written.trim(),
            target.name,
            described(target)
        );
        Err(self
            .scanner
            .error(sign.clone(), reason)
            .help(self.operators(target)))
    }

    /// A test with one value.
    pub(super) fn compiled(
        &self,
        target: &Target<'a>,
        operator: Operator,
        value: &Value<'a>,
    ) -> Result<Node, FilterError> {
        if value.is_null() {
            let name = target.name;
            return Err(self
                .scanner
                .error(value.at(), "nothing compares with null")
                .help(format!(
                    "write `{name} is null` or `{name} is not null`; the text is \"null\", in quotes"
                )));
        }
        let pattern = |pattern| match target.data_type {
            DataType::Text | DataType::Bytes => Test::Text(pattern),
            _ => Test::Shown(target.kind, self.words.clone(), pattern),
        };
        let test = match operator {
            Operator::Match => pattern(value.regex(&self.scanner)?),
            Operator::Like => pattern(value.glob(&self.scanner)?),
            Operator::Contains if is_readable(target) => {
                pattern(Pattern::contains(&self.bytes(target, value)?))
            }
            Operator::Has if !target.listed => self.bits(target, value)?,
            Operator::Has | Operator::Contains | Operator::In => {
                self.compare(target, Order::Equal, value)?
            }
            Operator::Compare(order) => self.compare(target, order, value)?,
        };
        Ok(target.leaf(test))
    }

    fn bytes(&self, target: &Target<'a>, value: &Value<'a>) -> Result<Vec<u8>, FilterError> {
        match target.data_type {
            DataType::Bytes => value.bytes(&self.scanner),
            _ => value.text(&self.scanner),
        }
    }

    fn compare(
        &self,
        target: &Target<'a>,
        order: Order,
        value: &Value<'a>,
    ) -> Result<Test, FilterError> {
        if is_address(target.kind)
            && let Some(network) = Network::parse(value.raw).filter(|_| !value.raw.contains('/'))
        {
            return Ok(self.within(target, network));
        }
        match target.data_type {
            DataType::Text | DataType::Bytes => {
                let than = if target.kind == Kind::Mac {
                    value.mac()
                } else {
                    None
                };
                let than = match than {
                    Some(than) => than,
                    None if is_one_of_a_kind(target) && !value.raw.starts_with("0x") => {
                        return Err(self.no_address(target, value));
                    }
                    None => self.bytes(target, value)?,
                };
                Ok(Test::Text(match order {
                    Order::Equal => Pattern::Equal(than),
                    order => Pattern::Order(order, than),
                }))
            }
            DataType::Bool => match value.raw.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(Test::Bool(false, true)),
                "false" | "no" | "0" => Ok(Test::Bool(true, false)),
                _ => {
                    let reason = format!(
                        "{} is neither true nor false, and {} is {}",
                        quoted(value.raw),
                        target.name,
                        described(target)
                    );
                    Err(self.scanner.error(value.at(), reason))
                }
            },
            DataType::F32 | DataType::F64 => {
                Ok(Test::Float(order, vec![self.float(target, value)?]))
            }
            _ if target.kind == Kind::Bool && matches!(value.raw, "true" | "yes") => {
                let (none, all) = ((i128::MIN, -1), (1, i128::MAX));
                Ok(Test::Whole(Ranges::new(vec![none, all])))
            }
            _ if target.kind == Kind::Timestamp => {
                let time = Exact::whole(value.time(&self.scanner)?);
                Ok(Test::Time(Ranges::of(order, time)))
            }
            _ => {
                let number = match self.number(target, value)? {
                    Number::Exact(number) => number,
                    Number::Word(word) => Exact::whole(word.value.into()),
                };
                Ok(Test::Whole(Ranges::of(order, number)))
            }
        }
    }

    /// `in`: any of several values.
    pub(super) fn one_of(
        &self,
        target: &Target<'a>,
        values: &[Value<'a>],
        grouped: bool,
    ) -> Result<Node, FilterError> {
        if let Some(null) = values.iter().find(|value| value.is_null()) {
            return self.compiled(target, Operator::In, null);
        }
        if is_one_of_a_kind(target) {
            let tests = values.iter().map(|value| {
                let network = value.network().filter(|_| is_address(target.kind));
                match network {
                    Some(network) => Ok(target.leaf(self.within(target, network))),
                    None if grouped => {
                        Ok(target.leaf(self.compare(target, Order::Equal, value)?))
                    }
                    None => Err(self.no_address(target, value)),
                }
            });
            return Ok(Node::of(false, tests.collect::<Result<_, _>>()?));
        }
        let network = is_text(target) && values.iter().all(|value| value.network().is_some());
        if !grouped && !network {
            let at = values.first().map_or(0..0, Value::at);
            return Err(self
                .scanner
                .error(at, "`in` without parentheses needs a network")
                .help(if is_text(target) {
                    "as in (a, b) or in 10.0.0.0/8 or in fe80::/10"
                } else {
                    "as in (1, 2)"
                }));
        }
        match target.data_type {
            DataType::Text | DataType::Bytes => {
                let mut networks = Vec::new();
                let mut texts = Vec::new();
                for value in values {
                    // In a list, an address alone is a text.
                    let network = value
                        .network()
                        .filter(|_| !grouped || value.raw.contains('/'));
                    match network {
                        Some(network) => networks.push(network),
                        None => texts.push(self.bytes(target, value)?),
                    }
                }
                let mut tests = Vec::new();
                if !texts.is_empty() {
                    tests.push(target.leaf(Test::Text(Pattern::one_of(texts))));
                }
                if !networks.is_empty() {
                    tests.push(target.leaf(match target.data_type {
                        DataType::Bytes => Test::Networks(networks),
                        _ => Test::Text(Pattern::Networks(networks)),
                    }));
                }
                Ok(Node::of(false, tests))
            }
            DataType::F32 | DataType::F64 => {
                let any = values.iter().map(|value| self.float(target, value));
                let any = any.collect::<Result<Vec<f64>, _>>()?;
                Ok(target.leaf(Test::Float(Order::Equal, any)))
            }
            _ => {
                let mut time = false;
                let mut all = Vec::new();
                for value in values {
                    match self.compare(target, Order::Equal, value)? {
                        Test::Whole(ranges) => all.push(ranges),
                        Test::Time(ranges) => {
                            time = true;
                            all.push(ranges);
                        }
                        _ => {}
                    }
                }
                let all = Ranges::union(all);
                Ok(target.leaf(if time {
                    Test::Time(all)
                } else {
                    Test::Whole(all)
                }))
            }
        }
    }

    /// An address in a network.
    fn within(&self, target: &Target<'a>, network: Network) -> Test {
        if !target.data_type.is_integer() {
            return Test::Networks(vec![network]);
        }
        match network.v4() {
            Some((mask, bits)) => Test::Bits {
                mask: address::to_u32(mask).into(),
                value: address::to_u32(bits).into(),
            },
            // A number holds no address of IPv6.
            None => Test::Whole(Ranges::new(Vec::new())),
        }
    }

    fn no_address(&self, target: &Target<'a>, value: &Value<'a>) -> FilterError {
        let reason = format!(
            "{} is no address, and {} is {}",
            quoted(value.raw),
            target.name,
            described(target)
        );
        let error = self.scanner.error(value.at(), reason);
        error.help(if is_address(target.kind) {
            "as in == 10.0.0.1 or == fe80::1 or in 10.0.0.0/8"
        } else {
            "as in == 00:1a:2b:3c:4d:5e"
        })
    }

    /// `has`: all bits of a value are set.
    fn bits(&self, target: &Target<'a>, value: &Value<'a>) -> Result<Test, FilterError> {
        let word = match self.number(target, value)? {
            Number::Word(word) => word,
            Number::Exact(number) => {
                let bits = number.as_whole().and_then(|bits| u64::try_from(bits).ok());
                let Some(bits) = bits else {
                    let reason = format!("{} is no set of bits", quoted(value.raw));
                    return Err(self.scanner.error(value.at(), reason));
                };
                Word {
                    mask: bits,
                    value: bits,
                }
            }
        };
        Ok(Test::Bits {
            mask: word.mask,
            value: word.value,
        })
    }

    fn float(&self, target: &Target<'a>, value: &Value<'a>) -> Result<f64, FilterError> {
        let units = Units::of(target.kind);
        float(value.raw, units).map_err(|error| self.no_number(target, value, &value.at(), error))
    }

    /// A number, a word of the kind, or several of them joined by `|`.
    fn number(&self, target: &Target<'a>, value: &Value<'a>) -> Result<Number, FilterError> {
        let single = |text: &str, at: &Range<usize>| {
            let octal = is_octal(target.kind);
            match exact(text, Units::of(target.kind), octal) {
                Ok(number) => Ok(Number::Exact(number)),
                Err(error) => match word(target.kind, text, self.words) {
                    Some(word) => Ok(Number::Word(word)),
                    None => Err(self.no_number(target, value, at, error)),
                },
            }
        };
        let whole = value.at();
        if !value.raw.contains('|') || !has_bits(target.kind) {
            return single(value.raw, &whole);
        }
        let mut all = Word { mask: 0, value: 0 };
        let quote = (whole.len() - value.raw.len()) / 2;
        let mut start = whole.start + quote;
        for part in value.raw.split('|') {
            let text = part.trim();
            let from = start + (part.len() - part.trim_start().len());
            let at = from..from + text.len();
            start += part.len() + 1;
            let bits = match single(text, &at)? {
                Number::Word(word) => word,
                Number::Exact(number) => {
                    let bits = number.as_whole().and_then(|bits| u64::try_from(bits).ok());
                    let bits = bits.ok_or_else(|| {
                        let reason = format!("{} is no set of bits", quoted(text));
                        self.scanner.error(at, reason)
                    })?;
                    Word {
                        mask: bits,
                        value: bits,
                    }
                }
            };
            all.mask |= bits.mask;
            all.value |= bits.value;
        }
        Ok(Number::Word(all))
    }

    /// Why a value is no number for this column.
    fn no_number(
        &self,
        target: &Target<'a>,
        value: &Value<'a>,
        at: &Range<usize>,
        error: NumberError,
    ) -> FilterError {
        let text = self.scanner.text.get(at.clone()).unwrap_or(value.raw);
        let text = text.trim_matches(['"', '\'']);
        let name = target.name;
        let units = Units::of(target.kind);
        match (error, called(target.kind)) {
            (NumberError::Large, _) => {
                let reason = "this number is too large, or has too many digits";
                self.scanner.error(at.clone(), reason)
            }
            (NumberError::Unit(unit), _) => {
                let all = units.all().iter().map(|(unit, _)| *unit);
                let reason = format!(
                    "{name} ({}) has no unit {}",
                    described(target),
                    quoted(&unit)
                );
                let error = self.scanner.error(at.clone(), reason);
                let all: Vec<&str> = all.collect();
                error.help(if all.is_empty() {
                    format!("numbers of {name} have no unit")
                } else {
                    format!("units are {}", all.join(", "))
                })
            }
            (NumberError::Other, Some(called)) => {
                let words = vocabulary(target.kind, self.words);
                let hint = hint(text, words.iter().map(String::as_str));
                let reason = format!("no {called} is named {}{hint}", quoted(text));
                let error = self.scanner.error(at.clone(), reason);
                let more = if words.len() > LISTED { ", ..." } else { "" };
                let some: Vec<String> = words.into_iter().take(LISTED).collect();
                error.help(if some.is_empty() {
                    format!("{name} takes a number or the name of a {called}")
                } else {
                    format!("{name} takes a number or a name: {}{more}", some.join(", "))
                })
            }
            (NumberError::Other, None) => {
                let reason = format!(
                    "{} is no number, and {name} is {}",
                    quoted(text),
                    described(target)
                );
                self.scanner.error(at.clone(), reason)
            }
        }
    }
}

/// The type, with the kind when that says more.
pub(super) fn described(target: &Target<'_>) -> String {
    match target.kind {
        Kind::None => target.declared.to_string(),
        kind => format!("{}, {kind}", target.declared),
    }
}
