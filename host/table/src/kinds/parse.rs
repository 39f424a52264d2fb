//! From words back to numbers: the reverse of [`Words`], for those who compare with words.

use super::words::Words;
use super::{Kind, address, capabilities, errno, open_flags, signals, syscalls};

/// The number that a word of a kind stands for, on the machine that `words` is about.
///
/// It reads what columns and JSON show, so that a word that was shown finds its row again, and
/// what people write beside it:
///
/// | kind | words |
/// |---|---|
/// | `errno` | `ENOENT`, also second names such as `EWOULDBLOCK` |
/// | `signal` | `SIGKILL`, `KILL`, `SIGRTMIN+1` |
/// | `syscall` | `openat` |
/// | `capability` | `CAP_NET_ADMIN`, `NET_ADMIN` |
/// | `capabilities` | the same, several with `\|` between, `all` |
/// | `open-flags` | `O_CREAT`, several with `\|` between |
/// | `file-mode` | octal: `0644` |
/// | `user`, `uid`; `group`, `gid` | a name that the host knows |
/// | `bool` | `true`, `false` |
/// | `device` | `8:1` |
/// | `kernel-stack` | `vfs_open+0x1d`, `vfs_open` |
/// | `address`, `address-le` | `10.0.0.1`, as the number that a `u32` column holds |
///
/// and for all of these decimal and `0x` hex, except that octal stays octal. Other kinds have no
/// words and get `None`, as does a word that means nothing.
#[must_use]
pub fn parse_word(kind: Kind, word: &str, words: &Words) -> Option<i128> {
    let arch = words.arch();
    let named = match kind {
        Kind::Errno => errno::number(word),
        Kind::Signal => signals::number(word),
        Kind::Syscall => syscalls::number(word, arch),
        Kind::Capability => capabilities::number(word),
        Kind::Capabilities => joined(word, capabilities::bits),
        Kind::OpenFlags => joined(word, |word| open_flags::bits(word, arch)),
        Kind::FileMode => return octal(word).map(i128::from),
        Kind::User | Kind::Uid => words.names().uid(word).map(u64::from),
        Kind::Group | Kind::Gid => words.names().gid(word).map(u64::from),
        Kind::Bool => match word {
            "true" => Some(1),
            "false" => Some(0),
            _ => None,
        },
        Kind::Device => device(word),
        Kind::Address | Kind::AddressLe => {
            word.parse().ok().map(|v4| u64::from(address::to_u32(v4)))
        }
        Kind::Hex | Kind::UserStack => None,
        Kind::KernelStack => address_of(word, words),
        Kind::None
        | Kind::Timestamp
        | Kind::Duration
        | Kind::Bytes
        | Kind::Pid
        | Kind::Tid
        | Kind::MountNs
        | Kind::NetNs
        | Kind::PidNs
        | Kind::Cgroup
        | Kind::Owner
        | Kind::Port
        | Kind::PortBe
        | Kind::Endpoint
        | Kind::Mac => return None,
    };
    named.map(i128::from).or_else(|| number(word))
}

/// A function of the kernel, perhaps with an offset.
fn address_of(word: &str, words: &Words) -> Option<u64> {
    let (function, offset) = match word.split_once("+0x") {
        Some((function, digits)) => (function, plain(word.get(word.len() - digits.len() - 2..)?)?),
        None => (word, 0),
    };
    let starts = |c: char| c.is_ascii_digit() || c == '-';
    if function.is_empty() || function.starts_with(starts) {
        return None;
    }
    words.names().kernel_address(function)?.checked_add(offset)
}

/// Decimal, with a sign or not, or hex after `0x`.
fn number(word: &str) -> Option<i128> {
    match word.strip_prefix('-') {
        Some(magnitude) => decimal(magnitude).map(|n| -i128::from(n)),
        None => plain(word).map(i128::from),
    }
}

fn plain(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None => decimal(word),
    }
}

/// Digits alone: no sign, unlike what the standard library takes.
pub(super) fn decimal(word: &str) -> Option<u64> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok())?
}

fn octal(word: &str) -> Option<u64> {
    let digits = word.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    digits.then(|| u64::from_str_radix(word, 8).ok())?
}

/// The bits of words with `|` between; each may also be a number.
fn joined(words: &str, bits: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    words.split('|').try_fold(0, |sum, word| {
        let word = word.trim();
        Some(sum | bits(word).or_else(|| plain(word))?)
    })
}

/// `major:minor` as the kernel's `dev_t` has it.
fn device(word: &str) -> Option<u64> {
    let (major, minor) = word.split_once(':')?;
    let (major, minor) = (decimal(major)?, decimal(minor)?);
    (minor < 1 << 20 && major < 1 << 44).then_some(major << 20 | minor)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::time::Zone;
    use proptest::prelude::*;

    use super::*;
    use crate::Arch;
    use crate::kinds::words::Whole;
    use crate::names::Passwd;

    fn words(arch: Arch) -> Words {
        let names = Passwd::parse(b"root:x:0:0\nalice:x:1000:1000\n").with_groups(b"wheel:x:10:\n");
        Words::new(Arc::new(names), arch, Zone::UTC)
    }

    fn parse(kind: Kind, word: &str) -> Option<i128> {
        parse_word(kind, word, &words(Arch::X86_64))
    }

    #[test]
    fn words_are_numbers() {
        for (kind, word, want) in [
            (Kind::Errno, "ENOENT", 2),
            (Kind::Errno, "-2", -2),
            (Kind::Errno, "4095", 4095),
            (Kind::Signal, "KILL", 9),
            (Kind::Signal, "0", 0),
            (Kind::Syscall, "openat", 257),
            (Kind::Capability, "CAP_NET_ADMIN", 12),
            (Kind::Capabilities, "CAP_NET_ADMIN | CAP_CHOWN", 1 << 12 | 1),
            (Kind::Capabilities, "0", 0),
            (Kind::OpenFlags, "O_CREAT", 0o100),
            (Kind::OpenFlags, "O_WRONLY|O_CREAT|0x100000", 0o4_000_101),
            (Kind::FileMode, "0644", 0o644),
            (Kind::FileMode, "644", 0o644),
            (Kind::User, "alice", 1000),
            (Kind::Uid, "root", 0),
            (Kind::Uid, "1000", 1000),
            (Kind::Group, "wheel", 10),
            (Kind::Bool, "true", 1),
            (Kind::Device, "8:1", 8 << 20 | 1),
            (Kind::Address, "10.0.0.1", 0x0100_000a),
            (Kind::Hex, "0x1f", 31),
            (Kind::Hex, "31", 31),
        ] {
            assert_eq!(parse(kind, word), Some(want), "{kind} {word}");
        }
        for (kind, word) in [
            (Kind::Errno, "ENOWAY"),
            (Kind::Errno, ""),
            (Kind::Errno, "+2"),
            (Kind::Errno, "- 2"),
            (Kind::FileMode, "0648"),
            (Kind::OpenFlags, "O_CREAT|"),
            (Kind::OpenFlags, "O_NEVER"),
            (Kind::Device, "8:1048576"),
            (Kind::Hex, "0x"),
            (Kind::Hex, "0x+1"),
            (Kind::User, "bob"),
            (Kind::Pid, "1"),
        ] {
            assert_eq!(parse(kind, word), None, "{kind} {word}");
        }
        let arm = words(Arch::Aarch64);
        assert_eq!(parse_word(Kind::Syscall, "openat", &arm), Some(56));
        assert_eq!(
            parse_word(Kind::OpenFlags, "O_DIRECTORY", &arm),
            Some(0o40_000)
        );
    }

    proptest! {
        #[test]
        fn every_word_that_is_shown_leads_back(
            number in prop_oneof![0_u64..600, any::<u64>(), (0_u32..64).prop_map(|bit| 1 << bit)],
            arm: bool,
        ) {
            let words = words(if arm { Arch::Aarch64 } else { Arch::X86_64 });
            for kind in Kind::ALL {
                let number = match kind {
                    Kind::Address | Kind::AddressLe => number & 0xffff_ffff,
                    Kind::Bool => number & 1,
                    _ => number,
                };
                let mut word = String::new();
                let shown = words.push(kind, Whole::from(number), &mut word);
                if shown && parse_word(kind, "0", &words).is_some() {
                    prop_assert_eq!(parse_word(kind, &word, &words), Some(number.into()), "{} {}", kind, word);
                }
            }
        }

        #[test]
        fn any_word_is_a_number_or_nothing(word: String) {
            for kind in Kind::ALL {
                parse(kind, &word);
            }
        }
    }
}
