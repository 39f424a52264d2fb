//! What the values of a column mean, and what follows from it for showing them.

pub mod errno;
pub mod open_flags;
pub mod words;

use std::fmt;
use std::str::FromStr;

use crate::schema::DataType;
use crate::text::HEX;

/// What the values of a column mean.
///
/// A kind decides how a value is shown. In a list it applies to each item.
///
/// | kind | columns | JSON |
/// |---|---|---|
/// | `none` | by type | by type |
/// | `timestamp` | local time, `15:04:05.123` | `"2026-11-23T14:04:05.123456789Z"`, always UTC and 9 digits |
/// | `duration` | `1.234ms`, three decimals | number of nanoseconds |
/// | `pid`, `tid`, `uid`, `gid`, `mount-ns`, `cgroup` | decimal | number |
/// | `user` | name, else the uid in decimal | the same as text |
/// | `errno` | `ENOENT`; 0 is `-`; no name: decimal | `"ENOENT"`; 0 is `null`; no name: `"4095"` |
/// | `open-flags` | `O_WRONLY\|O_CREAT`; bits without a name in hex | the same as text |
/// | `file-mode` | octal, at least 4 digits: `0644` | the same as text |
/// | `hex` | `0x1f` | the same as text |
///
/// The rule behind it: where the word is what people look for, JSON has the word, always as text,
/// and a number without a word is text too, so that a key never changes its type. Quantities and
/// identifiers stay numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Nothing beyond the type.
    #[default]
    None,
    /// Nanoseconds of `CLOCK_BOOTTIME`; shown as wall clock time.
    Timestamp,
    /// Nanoseconds that something took.
    Duration,
    /// A process (thread group) id.
    Pid,
    /// A thread id.
    Tid,
    /// A user id, shown as the number.
    Uid,
    /// A group id, shown as the number.
    Gid,
    /// A user id, shown as the user's name.
    User,
    /// An error number, positive as in `errno`; 0: no error.
    Errno,
    /// The `flags` of `open(2)`, with the values of the machine's architecture.
    OpenFlags,
    /// The permission bits of a file.
    FileMode,
    /// The inode number of a mount namespace.
    MountNs,
    /// A cgroup id (cgroup v2).
    Cgroup,
    /// A number whose bits matter.
    Hex,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::None,
        Self::Timestamp,
        Self::Duration,
        Self::Pid,
        Self::Tid,
        Self::Uid,
        Self::Gid,
        Self::User,
        Self::Errno,
        Self::OpenFlags,
        Self::FileMode,
        Self::MountNs,
        Self::Cgroup,
        Self::Hex,
    ];

    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Pid => "pid",
            Self::Tid => "tid",
            Self::Uid => "uid",
            Self::Gid => "gid",
            Self::User => "user",
            Self::Errno => "errno",
            Self::OpenFlags => "open-flags",
            Self::FileMode => "file-mode",
            Self::MountNs => "mount-ns",
            Self::Cgroup => "cgroup",
            Self::Hex => "hex",
        }
    }

    /// Whether a column of this type may have this kind. Lists are accepted for their items.
    #[must_use]
    pub fn accepts(self, data_type: &DataType) -> bool {
        use DataType::{I32, I64, List, U32, U64};
        if self == Self::None {
            return true;
        }
        match (self, data_type) {
            (_, List(item)) => self.accepts(item),
            (Self::Timestamp | Self::Duration, ty) => matches!(ty, U64 | I64),
            (Self::Pid | Self::Tid | Self::Uid | Self::Gid | Self::User, ty) => {
                matches!(ty, U32 | I32 | U64 | I64)
            }
            (Self::MountNs | Self::Cgroup, ty) => matches!(ty, U32 | U64),
            (_, ty) => ty.is_integer(),
        }
    }
}

/// Adds a number in lower-case hex without leading zeros.
pub(crate) fn push_hex(n: u64, out: &mut String) {
    let digits = (64 - n.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let nibble = (n >> (place * 4)) & 15;
        out.push(HEX.get(nibble as usize).copied().map_or('0', char::from));
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No kind has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kind is named {0:?}; kinds are {all}", all = all_names())]
pub struct KindError(pub String);

fn all_names() -> String {
    Kind::ALL.map(Kind::as_str).join(", ")
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| KindError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_inverse_and_unique() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse::<Kind>(), Ok(kind));
        }
        let error = "errnum".parse::<Kind>().unwrap_err().to_string();
        assert!(
            error.starts_with("no kind is named \"errnum\"; kinds are none, timestamp, "),
            "{error}"
        );
    }

    #[test]
    fn kinds_take_the_types_that_hold_them() {
        assert!(Kind::Timestamp.accepts(&DataType::U64));
        assert!(!Kind::Timestamp.accepts(&DataType::U32));
        assert!(Kind::Errno.accepts(&DataType::I32));
        assert!(!Kind::Errno.accepts(&DataType::Text));
        assert!(Kind::Hex.accepts(&DataType::List(Box::new(DataType::U8))));
        assert!(!Kind::Hex.accepts(&DataType::List(Box::new(DataType::Text))));
        assert!(Kind::None.accepts(&DataType::Bytes));
    }
}
