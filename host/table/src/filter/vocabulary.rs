//! What words and units the values of a kind have in a filter.
//!
//! The one place where a kind says how its values are written: a kind that is not named here is a
//! plain number.

use crate::kinds::words::Words;
use crate::kinds::{Kind, capabilities, errno, open_flags, parse_word};

/// What a number of a kind may be followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// Nothing.
    None,
    /// `10ms`: the column counts nanoseconds.
    Time,
    /// `4KiB`.
    Size,
}

/// Nanoseconds.
pub(super) const TIME: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Bytes. Powers of 1024 have an `i`, powers of 1000 have none.
pub(super) const SIZE: [(&str, i128); 14] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("EB", 1_000_000_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("EiB", 1 << 60),
];

impl Units {
    pub(super) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Duration => Self::Time,
            Kind::None | Kind::Bytes | Kind::Hex => Self::Size,
            _ => Self::None,
        }
    }

    pub(super) fn all(self) -> &'static [(&'static str, i128)] {
        match self {
            Self::None => &[],
            Self::Time => &TIME,
            Self::Size => &SIZE,
        }
    }
}

/// What a word stands for. A number has it when `number & mask == value`; the word alone is `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) mask: u64,
    pub(super) value: u64,
}

impl Word {
    fn number(value: u64) -> Self {
        Self {
            mask: u64::MAX,
            value,
        }
    }
}

/// Second names of error numbers.
const ERRNO_ALIASES: [(&str, u64); 3] = [("EWOULDBLOCK", 11), ("EDEADLOCK", 35), ("ENOTSUP", 95)];

/// Error numbers end here: `MAX_ERRNO` of the kernel's `include/linux/err.h`.
const ERRNOS: std::ops::Range<u64> = 1..4_096;

/// What a word means for a column of a kind.
pub(super) fn word(kind: Kind, text: &str, words: &Words) -> Option<Word> {
    match kind {
        Kind::Errno => {
            let alias = ERRNO_ALIASES.iter().find(|(alias, _)| *alias == text);
            let found = ERRNOS.into_iter().find(|n| errno::name(*n) == Some(text));
            alias.map(|(_, n)| *n).or(found).map(Word::number)
        }
        Kind::OpenFlags => open_flags::named(words.arch())
            .find(|(name, ..)| *name == text)
            .map(|(_, mask, value)| Word { mask, value }),
        Kind::Capabilities => capabilities::bits(text).map(|bits| Word {
            mask: bits,
            value: bits,
        }),
        kind => {
            let _ = called(kind)?;
            let number = parse_word(kind, text, words)?;
            u64::try_from(number).ok().map(Word::number)
        }
    }
}

/// The words of a kind, as far as they can be listed.
pub(super) fn vocabulary(kind: Kind, words: &Words) -> Vec<&'static str> {
    match kind {
        Kind::Errno => ERRNOS.filter_map(errno::name).collect(),
        Kind::OpenFlags => open_flags::named(words.arch())
            .map(|(name, ..)| name)
            .collect(),
        _ => Vec::new(),
    }
}

/// What the words of a kind are called; `None` when it has none.
pub(super) fn called(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Errno => Some("error number"),
        Kind::OpenFlags => Some("flag of open"),
        Kind::User | Kind::Uid => Some("user"),
        Kind::Group | Kind::Gid => Some("group"),
        Kind::Signal => Some("signal"),
        Kind::Syscall => Some("system call"),
        Kind::Capability | Kind::Capabilities => Some("capability"),
        Kind::Device => Some("device"),
        Kind::Address | Kind::AddressLe => Some("address"),
        _ => None,
    }
}

/// Whether single bits of the number mean something, so that `has` makes sense.
pub(super) fn has_bits(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::None | Kind::Hex | Kind::OpenFlags | Kind::FileMode | Kind::Capabilities
    )
}

/// Whether values of the kind are shown as another text than the number, so that patterns can be
/// held against that text.
pub(super) fn is_shown_as_text(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Errno
            | Kind::OpenFlags
            | Kind::User
            | Kind::Group
            | Kind::FileMode
            | Kind::Hex
            | Kind::Signal
            | Kind::Syscall
            | Kind::Capability
            | Kind::Capabilities
            | Kind::Device
            | Kind::Address
            | Kind::AddressLe
    )
}

/// Whether 0 is shown as nothing at all, `-` and `null`.
pub(super) fn zero_is_nothing(kind: Kind) -> bool {
    kind == Kind::Errno
}

/// Whether a number that begins with 0 is octal, as it is shown.
pub(super) fn zero_is_octal(kind: Kind) -> bool {
    kind == Kind::FileMode
}
