//! What turns numbers into words: a kind, the host's names, and a time zone.

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::open_flags::Arch;
use super::{Kind, errno, open_flags, push_hex};
use crate::decimal;
use crate::names::{Names, NoNames};

/// What the words of a column depend on beside the column.
#[derive(Clone)]
pub struct Words {
    names: Arc<dyn Names>,
    arch: Arch,
    zone: TimeZone,
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            names: _,
            arch,
            zone,
        } = self;
        f.debug_struct("Words")
            .field("arch", arch)
            .field("zone", zone)
            .finish_non_exhaustive()
    }
}

impl Words {
    /// `zone` is that of times in columns; JSON has UTC always.
    #[must_use]
    pub fn new(names: Arc<dyn Names>, arch: Arch, zone: TimeZone) -> Self {
        Self { names, arch, zone }
    }

    /// This machine's architecture and time zone (`TZ`, then `/etc/localtime`, then UTC).
    #[must_use]
    pub fn of_host(names: Arc<dyn Names>) -> Self {
        Self::new(
            names,
            Arch::HOST,
            TimeZone::try_system().unwrap_or(TimeZone::UTC),
        )
    }

    /// No names, UTC, x86-64: the same on every machine.
    #[must_use]
    pub fn fixed() -> Self {
        Self::new(Arc::new(NoNames), Arch::X86_64, TimeZone::UTC)
    }

    pub(crate) fn names(&self) -> &dyn Names {
        &*self.names
    }

    pub(crate) fn arch(&self) -> Arch {
        self.arch
    }

    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Adds the word for a number of a kind that has words; false, adding nothing, for errno 0.
    pub(crate) fn push(&self, kind: Kind, value: Whole, out: &mut String) -> bool {
        let bits = value.magnitude;
        match kind {
            Kind::Errno => {
                if bits == 0 {
                    return false;
                }
                match errno::name(bits) {
                    Some(name) if !value.negative => out.push_str(name),
                    _ => value.push(out),
                }
            }
            Kind::OpenFlags => open_flags::push(bits, self.arch, out),
            Kind::FileMode => {
                out.push('0');
                push_octal(bits, out);
            }
            Kind::Hex => {
                out.push_str("0x");
                push_hex(bits, out);
            }
            Kind::User => {
                let uid = u32::try_from(bits).ok().filter(|_| !value.negative);
                match uid.and_then(|uid| self.names.user(uid)) {
                    Some(name) => out.push_str(name),
                    None => value.push(out),
                }
            }
            _ => value.push(out),
        }
        true
    }
}

/// A whole number of any type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) negative: bool,
    pub(crate) magnitude: u64,
}

impl Whole {
    pub(crate) fn push(self, out: &mut String) {
        if self.negative {
            out.push('-');
        }
        decimal::push(self.magnitude, out);
    }

    pub(crate) fn wide(self) -> i128 {
        let magnitude = i128::from(self.magnitude);
        if self.negative { -magnitude } else { magnitude }
    }
}

impl From<u64> for Whole {
    fn from(magnitude: u64) -> Self {
        Self {
            negative: false,
            magnitude,
        }
    }
}

impl From<i64> for Whole {
    fn from(value: i64) -> Self {
        Self {
            negative: value < 0,
            magnitude: value.unsigned_abs(),
        }
    }
}

/// Octal, at least three digits.
fn push_octal(n: u64, out: &mut String) {
    let digits = (64 - n.leading_zeros()).div_ceil(3).max(3);
    for place in (0..digits).rev() {
        out.push(char::from(b'0' + ((n >> (place * 3)) & 7) as u8));
    }
}

/// Adds nanoseconds in the unit that leaves one to three digits before the point, cut after three
/// decimals: `999ns`, `1.234us`, `56.700ms`, `59.999s`; from a minute on `1m02.345s`, from an hour
/// on `1h02m03s`.
pub(crate) fn push_duration(value: Whole, out: &mut String) {
    const SECOND: u64 = 1_000_000_000;
    if value.negative {
        out.push('-');
    }
    let ns = value.magnitude;
    let mut decimals = |whole: u64, thousandths: u64, unit: &str| {
        decimal::push(whole, out);
        out.push('.');
        push_padded(thousandths, 100, out);
        out.push_str(unit);
    };
    match ns {
        0..1_000 => {
            decimal::push(ns, out);
            out.push_str("ns");
        }
        1_000..1_000_000 => decimals(ns / 1_000, ns % 1_000, "us"),
        1_000_000..SECOND => decimals(ns / 1_000_000, ns / 1_000 % 1_000, "ms"),
        _ if ns < 60 * SECOND => decimals(ns / SECOND, ns / 1_000_000 % 1_000, "s"),
        _ if ns < 3_600 * SECOND => {
            decimal::push(ns / SECOND / 60, out);
            out.push('m');
            push_padded(ns / SECOND % 60, 10, out);
            out.push('.');
            push_padded(ns / 1_000_000 % 1_000, 100, out);
            out.push('s');
        }
        _ => {
            decimal::push(ns / SECOND / 3_600, out);
            out.push('h');
            push_padded(ns / SECOND / 60 % 60, 10, out);
            out.push('m');
            push_padded(ns / SECOND % 60, 10, out);
            out.push('s');
        }
    }
}

/// Decimal with leading zeros up to the place of `place`, a power of ten.
fn push_padded(n: u64, mut place: u64, out: &mut String) {
    while place > 0 {
        out.push(char::from(b'0' + (n / place % 10) as u8));
        place /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Passwd;

    fn word(kind: Kind, value: impl Into<Whole>) -> Option<String> {
        let names = Arc::new(Passwd::parse(b"root:x:0:0\n"));
        let mut out = String::new();
        let words = Words::new(names, Arch::X86_64, TimeZone::UTC);
        words.push(kind, value.into(), &mut out).then_some(out)
    }

    #[test]
    fn numbers_have_words() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(word(Kind::Errno, 2_u64), some("ENOENT"));
        assert_eq!(word(Kind::Errno, 0_u64), None);
        assert_eq!(word(Kind::Errno, -2_i64), some("-2"));
        assert_eq!(word(Kind::Errno, 4095_u64), some("4095"));
        assert_eq!(word(Kind::FileMode, 0o644_u64), some("0644"));
        assert_eq!(word(Kind::FileMode, 0_u64), some("0000"));
        assert_eq!(word(Kind::FileMode, 0o4755_u64), some("04755"));
        assert_eq!(word(Kind::FileMode, 0o100_644_u64), some("0100644"));
        assert_eq!(
            word(Kind::FileMode, u64::MAX),
            some("01777777777777777777777")
        );
        assert_eq!(word(Kind::Hex, 0_u64), some("0x0"));
        assert_eq!(word(Kind::Hex, 0x10ab_u64), some("0x10ab"));
        assert_eq!(word(Kind::Hex, u64::MAX), some("0xffffffffffffffff"));
        assert_eq!(word(Kind::User, 0_u64), some("root"));
        assert_eq!(word(Kind::User, 1000_u64), some("1000"));
        assert_eq!(word(Kind::User, 1_u64 << 32), some("4294967296"));
        assert_eq!(word(Kind::OpenFlags, 0o101_u64), some("O_WRONLY|O_CREAT"));
    }

    #[test]
    fn durations() {
        for (ns, want) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.000us"),
            (1_999_999, "1.999ms"),
            (56_700_000, "56.700ms"),
            (59_999_999_999, "59.999s"),
            (62_345_000_000, "1m02.345s"),
            (3_599_999_999_999, "59m59.999s"),
            (3_723_000_000_000, "1h02m03s"),
            (u64::MAX, "5124095h34m33s"),
        ] {
            let mut out = String::new();
            push_duration(ns.into(), &mut out);
            assert_eq!(out, want);
        }
        let mut out = String::new();
        push_duration((-1_500_i64).into(), &mut out);
        assert_eq!(out, "-1.500us");
    }
}
