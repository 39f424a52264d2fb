//! Numbers of a filter: exact, with units, and the whole numbers that a comparison admits.

use super::vocabulary::Units;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(super) fn admits<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// Whole numbers, as ranges that include both ends, in order and apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(i128, i128)>);

impl Ranges {
    pub(super) fn new(mut ranges: Vec<(i128, i128)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut apart: Vec<(i128, i128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match apart.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => apart.push((first, last)),
            }
        }
        Self(apart)
    }

    /// The numbers that stand in this order to `value`.
    pub(super) fn of(order: Order, value: Exact) -> Self {
        let floor = value.numerator.div_euclid(value.denominator);
        let whole = value.numerator.rem_euclid(value.denominator) == 0;
        let ceiling = if whole {
            floor
        } else {
            floor.saturating_add(1)
        };
        Self::new(vec![match order {
            Order::Equal => (ceiling, floor),
            Order::Less => (i128::MIN, ceiling.saturating_sub(1)),
            Order::LessOrEqual => (i128::MIN, floor),
            Order::Greater => (floor.saturating_add(1), i128::MAX),
            Order::GreaterOrEqual => (ceiling, i128::MAX),
        }])
    }

    pub(super) fn one(value: i128) -> Self {
        Self(vec![(value, value)])
    }

    pub(super) fn union(all: impl IntoIterator<Item = Self>) -> Self {
        Self::new(all.into_iter().flat_map(|ranges| ranges.0).collect())
    }

    /// All other numbers.
    pub(super) fn complement(&self) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some(i128::MIN);
        for (first, last) in &self.0 {
            if let Some(from) = from.filter(|from| from < first) {
                gaps.push((from, first - 1));
            }
            from = last.checked_add(1);
        }
        gaps.extend(from.map(|from| (from, i128::MAX)));
        Self(gaps)
    }

    /// The numbers that are in all of them.
    pub(super) fn intersection(all: impl IntoIterator<Item = Self>) -> Self {
        Self::union(all.into_iter().map(|ranges| ranges.complement())).complement()
    }

    /// The parts within `first..=last`, every number moved by `by` before.
    pub(super) fn within(
        &self,
        first: i128,
        last: i128,
        by: i128,
    ) -> impl Iterator<Item = (i128, i128)> {
        let moved = self.0.iter().map(move |(from, to)| {
            let from = from.saturating_add(by).max(first);
            (from, to.saturating_add(by).min(last))
        });
        moved.filter(|(from, to)| from <= to)
    }
}

/// A number as it was written: a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exact {
    numerator: i128,
    /// Positive.
    denominator: i128,
}

impl Exact {
    pub(super) fn whole(value: i128) -> Self {
        Self {
            numerator: value,
            denominator: 1,
        }
    }

    /// The number if it is whole.
    pub(super) fn as_whole(self) -> Option<i128> {
        let whole = self.numerator.rem_euclid(self.denominator) == 0;
        whole.then(|| self.numerator.div_euclid(self.denominator))
    }

    fn plus(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Some(Self {
            numerator: left.checked_add(right)?,
            denominator: self.denominator.checked_mul(other.denominator)?,
        })
    }
}

/// Why a text is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// It is something else: a word, a time, a mistyped number.
    Other,
    /// A number that is followed by a unit which does not exist here.
    Unit(String),
    /// More digits than can be kept exactly.
    Large,
}

/// Digits that are kept exactly; more than any integer column can hold.
const DIGITS: usize = 24;

/// A number for a column of whole numbers: `12`, `-1`, `1_000`, `0x1f`, `0o17`, `0b101`, `1.5ms`,
/// `1e6`, `1m30s`.
pub(super) fn exact(text: &str, units: Units, octal: bool) -> Result<Exact, NumberError> {
    let (negative, digits) = signed(text);
    if let Some(value) = radix(digits, octal) {
        let value = value?;
        return Ok(Exact::whole(if negative { -value } else { value }));
    }
    let mut rest = digits;
    let mut sum: Option<Exact> = None;
    while !rest.is_empty() {
        let number = Decimal::split(rest).ok_or(NumberError::Other)?;
        rest = number.rest;
        let mut value = number.exact()?;
        let (unit, after) = unit(rest);
        if !unit.is_empty() {
            let factor = factor(unit, units)?;
            value.numerator = value
                .numerator
                .checked_mul(factor)
                .ok_or(NumberError::Large)?;
        } else if sum.is_some() {
            return Err(NumberError::Other);
        }
        // `1m30s`; sizes are one number.
        if !after.is_empty() && (units != Units::Time || unit.is_empty()) {
            return Err(NumberError::Other);
        }
        rest = after;
        sum = Some(match sum {
            Some(sum) => sum.plus(value).ok_or(NumberError::Large)?,
            None => value,
        });
    }
    let mut value = sum.ok_or(NumberError::Other)?;
    if negative {
        value.numerator = -value.numerator;
    }
    Ok(value)
}

/// A number for a column of floating point numbers.
pub(super) fn float(text: &str, units: Units) -> Result<f64, NumberError> {
    let (negative, digits) = signed(text);
    let value = if digits == "inf" {
        f64::INFINITY
    } else if let Some(value) = radix(digits, false) {
        value? as f64
    } else {
        let number = Decimal::split(digits).ok_or(NumberError::Other)?;
        let value: f64 = number
            .text
            .replace('_', "")
            .parse()
            .map_err(|_| NumberError::Other)?;
        if number.rest.is_empty() {
            value
        } else {
            value * factor(number.rest, units)? as f64
        }
    };
    Ok(if negative { -value } else { value })
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Numbers that are not decimal; `None`: it is decimal.
fn radix(text: &str, octal: bool) -> Option<Result<i128, NumberError>> {
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, text.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, text.get(2..)?),
        // `0B` is a size.
        [b'0', b'b', _, ..] => (2, text.get(2..)?),
        [b'0'..=b'9', ..] if octal => (8, text),
        _ => return None,
    };
    let digits = digits.replace('_', "");
    if digits.starts_with(['+', '-']) {
        return Some(Err(NumberError::Other));
    }
    Some(match u64::from_str_radix(&digits, radix) {
        Ok(value) => Ok(value.into()),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => {
            Err(NumberError::Large)
        }
        Err(_) => Err(NumberError::Other),
    })
}

fn factor(unit: &str, units: Units) -> Result<i128, NumberError> {
    let known = units.all().iter().find(|(name, _)| *name == unit);
    match known {
        Some((_, factor)) => Ok(*factor),
        None => Err(NumberError::Unit(unit.to_owned())),
    }
}

/// The letters at the start.
fn unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphabetic());
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

/// A decimal number at the start of a text.
struct Decimal<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Decimal<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let digits = |from: usize| {
            let rest = text.get(from..).unwrap_or_default();
            let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '_'));
            from + end.unwrap_or(rest.len())
        };
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let mut end = digits(0);
        if text.get(end..)?.starts_with('.') {
            let fraction = digits(end + 1);
            if fraction == end + 1 {
                return None;
            }
            end = fraction;
        }
        // `1e6`, `1e-3`; but `1EiB` has a unit.
        let rest = text.get(end..)?;
        if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let first = end + 1 + sign;
            let last = digits(first);
            if last > first {
                end = last;
            }
        }
        Some(Self {
            text: text.get(..end)?,
            rest: text.get(end..)?,
        })
    }

    fn exact(&self) -> Result<Exact, NumberError> {
        let (mantissa, exponent) = match self.text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let exponent = exponent.replace('_', "");
                (
                    mantissa,
                    exponent.parse::<i32>().map_err(|_| NumberError::Large)?,
                )
            }
            None => (self.text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = String::with_capacity(self.text.len());
        digits.extend(whole.chars().filter(char::is_ascii_digit));
        let before = digits.len();
        digits.extend(fraction.chars().filter(char::is_ascii_digit));
        let decimals = digits.len() - before;
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Ok(Exact::whole(0));
        }
        if digits.len() > DIGITS {
            return Err(NumberError::Large);
        }
        let mantissa: i128 = digits.parse().map_err(|_| NumberError::Large)?;
        let power = i64::from(exponent) - decimals as i64;
        let ten = |power: u64| {
            let power = u32::try_from(power).ok().filter(|p| *p as usize <= DIGITS);
            let ten = power.and_then(|power| 10_i128.checked_pow(power));
            ten.ok_or(NumberError::Large)
        };
        if power >= 0 {
            let numerator = mantissa.checked_mul(ten(power.unsigned_abs())?);
            numerator.map(Exact::whole).ok_or(NumberError::Large)
        } else {
            Ok(Exact {
                numerator: mantissa,
                denominator: ten(power.unsigned_abs())?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, units: Units) -> Option<i128> {
        exact(text, units, false).ok().and_then(Exact::as_whole)
    }

    #[test]
    fn numbers_are_exact() {
        for (text, want) in [
            ("0", 0),
            ("-1", -1),
            ("+7", 7),
            ("18446744073709551615", i128::from(u64::MAX)),
            ("-9223372036854775808", i128::from(i64::MIN)),
            ("1_000", 1_000),
            ("0x1F", 31),
            ("-0x10", -16),
            ("0o17", 15),
            ("0b101", 5),
            ("0644", 644),
            ("1e6", 1_000_000),
            ("1.5e1", 15),
            ("2.0", 2),
        ] {
            assert_eq!(whole(text, Units::None), Some(want), "{text}");
        }
        assert_eq!(exact("0644", Units::None, true), Ok(Exact::whole(0o644)));
        assert_eq!(exact("644", Units::None, true), Ok(Exact::whole(0o644)));
        assert_eq!(exact("0x1ff", Units::None, true), Ok(Exact::whole(0o777)));
        assert_eq!(exact("0", Units::None, true), Ok(Exact::whole(0)));
        for text in [
            "", "-", "a", "1.", ".5", "1e", "1 2", "--1", "0x", "0x-1", "1.5.2", "_1", "089z",
        ] {
            assert_eq!(whole(text, Units::None), None, "{text}");
        }
        assert_eq!(exact("08", Units::None, true), Err(NumberError::Other));
        for text in [
            "1e99",
            "1e999999999999",
            "1e-99",
            &"9".repeat(25),
            "0x1ffffffffffffffff",
        ] {
            assert_eq!(
                exact(text, Units::None, false),
                Err(NumberError::Large),
                "{text}"
            );
        }
    }

    #[test]
    fn units_multiply() {
        for (text, want) in [
            ("10ms", 10_000_000),
            ("1.5us", 1_500),
            ("1.5µs", 1_500),
            ("1h", 3_600_000_000_000),
            ("1m02.345s", 62_345_000_000),
            ("1h02m03s", 3_723_000_000_000),
            ("-1m30s", -90_000_000_000),
            ("1d", 86_400_000_000_000),
        ] {
            assert_eq!(whole(text, Units::Time), Some(want), "{text}");
        }
        for (text, want) in [
            ("4KiB", 4_096),
            ("4kB", 4_000),
            ("0.5MiB", 524_288),
            ("1EiB", 1 << 60),
            ("0B", 0),
            ("16EiB", 1 << 64),
        ] {
            assert_eq!(whole(text, Units::Size), Some(want), "{text}");
        }
        assert_eq!(
            exact("10ms", Units::Size, false),
            Err(NumberError::Unit("ms".to_owned()))
        );
        assert_eq!(
            exact("10kib", Units::Size, false),
            Err(NumberError::Unit("kib".to_owned()))
        );
        assert_eq!(
            exact("1KiB2KiB", Units::Size, false),
            Err(NumberError::Other)
        );
        assert_eq!(exact("1m30", Units::Time, false), Err(NumberError::Other));
    }

    #[test]
    fn fractions_compare_exactly() {
        let half = exact("2.5", Units::None, false).unwrap();
        let ranges = |order| {
            Ranges::of(order, half)
                .within(-10, 10, 0)
                .collect::<Vec<_>>()
        };
        assert_eq!(ranges(Order::Equal), []);
        assert_eq!(ranges(Order::Less), [(-10, 2)]);
        assert_eq!(ranges(Order::LessOrEqual), [(-10, 2)]);
        assert_eq!(ranges(Order::Greater), [(3, 10)]);
        assert_eq!(ranges(Order::GreaterOrEqual), [(3, 10)]);
        let two = |order| {
            Ranges::of(order, Exact::whole(2))
                .within(-10, 10, 0)
                .collect::<Vec<_>>()
        };
        assert_eq!(two(Order::Equal), [(2, 2)]);
        assert_eq!(two(Order::Less), [(-10, 1)]);
        assert_eq!(two(Order::LessOrEqual), [(-10, 2)]);
        assert_eq!(two(Order::Greater), [(3, 10)]);
        assert_eq!(two(Order::GreaterOrEqual), [(2, 10)]);
        let minus = exact("-2.5", Units::None, false).unwrap();
        assert_eq!(
            Ranges::of(Order::Less, minus)
                .within(-10, 10, 0)
                .collect::<Vec<_>>(),
            [(-10, -3)]
        );
        assert_eq!(
            Ranges::new(vec![(5, 6), (1, 2), (3, 3), (9, 8), (6, 9)])
                .within(0, 8, 0)
                .collect::<Vec<_>>(),
            [(1, 3), (5, 8)]
        );
        assert_eq!(Ranges::one(5).within(0, 10, -6).next(), None);
    }

    #[test]
    fn ranges_are_sets() {
        const LEAST: i128 = i128::MIN;
        const MOST: i128 = i128::MAX;
        let set = |ranges: &[(i128, i128)]| Ranges::new(ranges.to_vec());
        for (ranges, rest) in [
            (&[][..], &[(LEAST, MOST)][..]),
            (&[(LEAST, 3), (5, 5)], &[(4, 4), (6, MOST)]),
            (&[(1, 2), (7, MOST)], &[(LEAST, 0), (3, 6)]),
        ] {
            assert_eq!(set(ranges).complement(), set(rest));
            assert_eq!(set(rest).complement(), set(ranges));
        }
        let both = Ranges::intersection([set(&[(1, 5), (8, 9)]), set(&[(4, 8)])]);
        assert_eq!(both, set(&[(4, 5), (8, 8)]));
        assert_eq!(
            Ranges::intersection([set(&[(1, 2)]), set(&[(3, 4)])]),
            set(&[])
        );
    }

    #[test]
    fn floats() {
        assert_eq!(float("1.5", Units::None), Ok(1.5));
        assert_eq!(float("-1e300", Units::None), Ok(-1e300));
        assert_eq!(float("-inf", Units::None), Ok(f64::NEG_INFINITY));
        assert_eq!(float("1.5KiB", Units::Size), Ok(1536.0));
        assert_eq!(float("0x10", Units::Size), Ok(16.0));
        assert_eq!(float("nan", Units::None), Err(NumberError::Other));
        assert_eq!(
            float("1.5x", Units::None),
            Err(NumberError::Unit("x".to_owned()))
        );
    }
}
