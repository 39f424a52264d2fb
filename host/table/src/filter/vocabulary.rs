//! What words and units the values of a kind have in a filter.
//!
//! The one place where a kind says how its values are written: a kind that is not named here is a
//! plain number.

use crate::kinds::words::Words;
use crate::kinds::{Kind, capabilities, errno, open_flags, parse_word, syscalls};

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
            Kind::None | Kind::Hex | Kind::Bytes => Self::Size,
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

/// What a word means for a column of a kind.
pub(super) fn word(kind: Kind, text: &str, words: &Words) -> Option<Word> {
    match kind {
        Kind::OpenFlags => open_flags::named(words.arch())
            .find(|(name, ..)| *name == text)
            .map(|(_, mask, value)| Word { mask, value }),
        Kind::Capabilities => {
            let bits = u64::try_from(parse_word(kind, text, words)?).ok()?;
            Some(Word {
                mask: bits,
                value: bits,
            })
        }
        kind => u64::try_from(parse_word(kind, text, words)?)
            .ok()
            .map(Word::number),
    }
}

/// The words of a kind, as far as they can be listed.
pub(super) fn vocabulary(kind: Kind, words: &Words) -> Vec<String> {
    // Above all numbers that have names.
    const NUMBERS: std::ops::Range<u64> = 0..4_096;
    let named = |name: &dyn Fn(u64) -> Option<&'static str>| {
        let names = NUMBERS.filter_map(name);
        names.map(str::to_owned).collect()
    };
    match kind {
        Kind::Errno => named(&errno::name),
        Kind::Syscall => named(&|number| syscalls::name(number, words.arch())),
        Kind::Capability | Kind::Capabilities => named(&capabilities::name),
        Kind::Signal => (1..32_u64)
            .map(|number| {
                let mut name = String::new();
                words.push(kind, number.into(), &mut name);
                name
            })
            .collect(),
        Kind::OpenFlags => open_flags::named(words.arch())
            .map(|(name, ..)| name.to_owned())
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
            | Kind::Signal
            | Kind::Syscall
            | Kind::OpenFlags
            | Kind::Capability
            | Kind::Capabilities
            | Kind::User
            | Kind::Group
            | Kind::FileMode
            | Kind::Device
            | Kind::Address
            | Kind::AddressLe
            | Kind::Hex
            | Kind::KernelStack
            | Kind::UserStack
    )
}

/// Whether 0 is shown as nothing at all, `-` and `null`.
pub(super) fn zero_is_nothing(kind: Kind) -> bool {
    kind == Kind::Errno
}

/// Whether plain digits are octal, as they are shown.
pub(super) fn is_octal(kind: Kind) -> bool {
    kind == Kind::FileMode
}

/// Whether values are addresses of the network, which networks hold.
pub(super) fn is_address(kind: Kind) -> bool {
    matches!(kind, Kind::Address | Kind::AddressLe)
}
