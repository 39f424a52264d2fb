//! What turns numbers into words: a kind, the host's names, and a time zone.

use std::fmt;
use std::sync::Arc;

use super::open_flags::Arch;
use super::{Kind, address, capabilities, errno, open_flags, push_hex, signals, syscalls};
use crate::decimal;
use crate::names::{Names, NoNames};
use crate::time::Zone;

/// What the words of a column depend on beside the column.
#[derive(Clone)]
pub struct Words {
    names: Arc<dyn Names>,
    arch: Arch,
    zone: Zone,
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
    pub fn new(names: Arc<dyn Names>, arch: Arch, zone: Zone) -> Self {
        Self { names, arch, zone }
    }

    /// This machine's architecture and time zone (`TZ`, then `/etc/localtime`, then UTC).
    #[must_use]
    pub fn of_host(names: Arc<dyn Names>) -> Self {
        Self::new(names, Arch::HOST, Zone::of_host())
    }

    /// No names, UTC, x86-64: the same on every machine.
    #[must_use]
    pub fn fixed() -> Self {
        Self::new(Arc::new(NoNames), Arch::X86_64, Zone::UTC)
    }

    pub(crate) fn names(&self) -> &dyn Names {
        &*self.names
    }

    pub(crate) fn arch(&self) -> Arch {
        self.arch
    }

    /// The zone of times of day.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Adds the word for a number of a kind that has words; false, adding nothing, for errno 0.
    pub(crate) fn push(&self, kind: Kind, value: Whole, out: &mut String) -> bool {
        let bits = value.magnitude;
        let positive = (!value.negative).then_some(bits);
        // A name, or the number that has none.
        let mut name = |name: Option<&str>| match name {
            Some(name) => out.push_str(name),
            None => value.push(out),
        };
        match kind {
            Kind::Errno => {
                if bits == 0 {
                    return false;
                }
                name(positive.and_then(errno::name));
            }
            Kind::Signal => {
                if !positive.is_some_and(|number| signals::push(number, out)) {
                    value.push(out);
                }
            }
            Kind::Syscall => name(positive.and_then(|n| syscalls::name(n, self.arch))),
            Kind::Capability => name(positive.and_then(capabilities::name)),
            Kind::Capabilities => capabilities::push_set(bits, out),
            Kind::Device => {
                decimal::push(bits >> 20, out);
                out.push(':');
                decimal::push(bits & 0xf_ffff, out);
            }
            // Four bytes at most: see what the kind accepts.
            Kind::Address | Kind::AddressLe => address::push(&(bits as u32).to_le_bytes(), out),
            Kind::Bool => out.push_str(if bits == 0 { "false" } else { "true" }),
            Kind::OpenFlags => open_flags::push(bits, self.arch, out),
            Kind::FileMode => {
                out.push('0');
                push_octal(bits, out);
            }
            Kind::KernelStack | Kind::UserStack | Kind::Hex => {
                let function = match kind {
                    Kind::KernelStack => self.names.kernel_function(bits),
                    _ => None,
                };
                let rest = match function {
                    Some((function, offset)) => {
                        out.push_str(function);
                        out.push('+');
                        offset
                    }
                    None => bits,
                };
                out.push_str("0x");
                push_hex(rest, out);
            }
            Kind::User => name(id(positive).and_then(|uid| self.names.user(uid))),
            Kind::Group => name(id(positive).and_then(|gid| self.names.group(gid))),
            _ => value.push(out),
        }
        true
    }
}

/// An id of a user or group.
fn id(number: Option<u64>) -> Option<u32> {
    u32::try_from(number?).ok()
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

/// Adds a number of bytes in the unit that leaves one to four digits before the point, cut after
/// one decimal: `1023B`, `4.0KiB`, `15.9EiB`.
pub(crate) fn push_bytes(value: Whole, out: &mut String) {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if value.negative {
        out.push('-');
    }
    let bytes = value.magnitude;
    let power = bytes.checked_ilog2().unwrap_or(0) / 10;
    let unit = (power as usize).checked_sub(1);
    match unit.and_then(|unit| UNITS.get(unit)) {
        None => {
            decimal::push(bytes, out);
            out.push('B');
        }
        Some(unit) => {
            decimal::push(bytes >> (power * 10), out);
            out.push('.');
            // The ten bits below decide the decimal; what is below them can't change it when it is cut.
            let below = bytes >> ((power - 1) * 10) & 1023;
            decimal::push(below * 10 / 1024, out);
            out.push_str(unit);
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
        let names = Arc::new(Passwd::parse(b"root:x:0:0\n").with_groups(b"wheel:x:10:\n"));
        let mut out = String::new();
        let words = Words::new(names, Arch::X86_64, Zone::UTC);
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
        assert_eq!(word(Kind::Group, 10_u64), some("wheel"));
        assert_eq!(word(Kind::Group, 0_u64), some("0"));
        assert_eq!(word(Kind::Signal, 9_u64), some("SIGKILL"));
        assert_eq!(word(Kind::Signal, 35_u64), some("SIGRTMIN+1"));
        assert_eq!(word(Kind::Signal, 0_u64), some("0"));
        assert_eq!(word(Kind::Signal, -9_i64), some("-9"));
        assert_eq!(word(Kind::Syscall, 257_u64), some("openat"));
        assert_eq!(word(Kind::Syscall, 1_000_u64), some("1000"));
        assert_eq!(word(Kind::Syscall, -1_i64), some("-1"));
        assert_eq!(word(Kind::Capability, 12_u64), some("CAP_NET_ADMIN"));
        assert_eq!(word(Kind::Capability, 64_u64), some("64"));
        assert_eq!(
            word(Kind::Capabilities, 0x21_u64),
            some("CAP_CHOWN|CAP_KILL")
        );
        assert_eq!(word(Kind::Device, 0x80_0001_u64), some("8:1"));
        assert_eq!(word(Kind::Device, 0xfff_fffff_u64), some("4095:1048575"));
        assert_eq!(word(Kind::Address, 0x0100_000a_u64), some("10.0.0.1"));
        assert_eq!(word(Kind::Bool, 0_u64), some("false"));
        assert_eq!(word(Kind::Bool, -1_i64), some("true"));
        assert_eq!(word(Kind::OpenFlags, 0o101_u64), some("O_WRONLY|O_CREAT"));
    }

    #[test]
    fn addresses_of_the_kernel_have_functions() {
        let words = Words::new(crate::kallsyms::tests::names(), Arch::X86_64, Zone::UTC);
        let word = |kind, address: u64| {
            let mut out = String::new();
            assert!(words.push(kind, address.into(), &mut out));
            out
        };
        let open = 0xffff_ffff_8100_201d;
        assert_eq!(word(Kind::KernelStack, open), "vfs_open+0x1d");
        assert_eq!(word(Kind::KernelStack, 0x1000), "0x1000");
        assert_eq!(word(Kind::UserStack, open), "0xffffffff8100201d");
        let number = |text: &str| crate::parse_word(Kind::KernelStack, text, &words);
        assert_eq!(number("vfs_open+0x1d"), Some(open.into()));
        assert_eq!(number("vfs_open"), Some(i128::from(open) - 0x1d));
        assert_eq!(number("0x1000"), Some(0x1000));
        for wrong in ["vfs_open+", "vfs_open+1d", "nothing+0x1", "+0x1", ""] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        for (bytes, want) in [
            (0, "0B"),
            (1_023, "1023B"),
            (1_024, "1.0KiB"),
            (4_096, "4.0KiB"),
            (1_535, "1.4KiB"),
            (1_536, "1.5KiB"),
            ((1 << 20) - 1, "1023.9KiB"),
            (1 << 20, "1.0MiB"),
            (5 << 29, "2.5GiB"),
            (u64::MAX, "15.9EiB"),
        ] {
            let mut out = String::new();
            push_bytes(bytes.into(), &mut out);
            assert_eq!(out, want);
        }
        let mut out = String::new();
        push_bytes((-4_096_i64).into(), &mut out);
        assert_eq!(out, "-4.0KiB");
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
