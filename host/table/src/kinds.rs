//! What the values of a column mean, and what follows from it for showing them.

pub mod address;
pub mod capabilities;
pub mod errno;
pub mod open_flags;
mod parse;
mod signals;
pub mod syscalls;
pub mod words;

use std::fmt;
use std::str::FromStr;

use crate::schema::DataType;
use crate::text::HEX;

pub use parse::parse_word;

/// What the values of a column mean.
///
/// A kind decides how a value is shown. In a list it applies to each item; what the host decodes for `kernel-stack` and
/// `user-stack` is a list of addresses, and columns put `;` between them, newest first.
///
/// | kind | columns | JSON | raw |
/// |---|---|---|---|
/// | `none` | by type | by type | |
/// | `timestamp` | local time, `15:04:05.123` | `"2026-11-23T14:04:05.123456789Z"`, always UTC and 9 digits | |
/// | `duration` | `1.234ms`, three decimals | number of nanoseconds | |
/// | `bytes` | `4.0KiB`, one decimal, units of 1,024 | number of bytes | |
/// | `pid`, `tid`, `uid`, `gid`, `mount-ns`, `net-ns`, `pid-ns`, `cgroup`, `owner`, `port`, `port-be` | decimal | number | |
/// | `user`, `group` | name, else the id in decimal | the same as text | yes |
/// | `errno` | `ENOENT`; 0 is `-`; no name: decimal | `"ENOENT"`; 0 is `null`; no name: `"4095"` | yes |
/// | `signal` | `SIGKILL`; no name: decimal | the same as text | yes |
/// | `syscall` | `openat`; no name: decimal | the same as text | yes |
/// | `open-flags` | `O_WRONLY\|O_CREAT`; bits without a name in hex | the same as text | yes |
/// | `capability` | `CAP_NET_ADMIN`; no name: decimal | the same as text | yes |
/// | `capabilities` | `CAP_CHOWN\|CAP_KILL`; none: `0`; all that have a name: `all` | the same as text | yes |
/// | `file-mode` | octal, at least 4 digits: `0644` | the same as text | |
/// | `device` | `8:1` | the same as text | |
/// | `address`, `address-le` | `10.0.0.1`, `2001:db8::1` (RFC 5952) | the same as text | |
/// | `endpoint` | `10.0.0.1:443`, `[2001:db8::1]:443`, or its name ([`crate::columns::ColumnsWriter::with_names`]) | `{"address":"10.0.0.1","port":443}` | |
/// | `mac` | `00:1a:2b:3c:4d:5e` | the same as text | |
/// | `bool` | `true`, `false` | `true`, `false` | |
/// | `hex` | `0x1f` | the same as text | |
/// | `kernel-stack` | `vfs_open+0x1d`; no function: hex | the same as text | yes |
/// | `user-stack` | `0x7f0012345678` | the same as text | |
///
/// The rule behind it: where the word is what people look for, JSON has the word, always as text,
/// and a number without a word is text too, so that a key never changes its type. Quantities and
/// identifiers stay numbers.
///
/// **The raw value beside the word.** Where the word is a *name* that a table gives to the number,
/// programs want the number too, which is the same everywhere. So a column of a kind with "raw"
/// above has two keys in JSON, one behind the other: `"error":"ENOENT","error_raw":2`. The second
/// is the column's name and `_raw`, always there and a number, `null` where the value is not known;
/// errno 0 is `"error":null,"error_raw":0`. Words that are only another way to write the number
/// have none, and a table's own column of that name comes first. Of a list the second is the list of
/// the numbers.
/// Columns of text show the word alone; Arrow and Parquet hold the number alone.
///
/// From words to numbers leads [`parse_word`].
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
    /// A group id, shown as the group's name.
    Group,
    /// An error number, positive as in `errno`; 0: no error.
    Errno,
    /// The number of a signal.
    Signal,
    /// The number of a system call of the machine's architecture.
    Syscall,
    /// The `flags` of `open(2)`, with the values of the machine's architecture.
    OpenFlags,
    /// The permission bits of a file.
    FileMode,
    /// The number of a capability.
    Capability,
    /// A set of capabilities, a bit each.
    Capabilities,
    /// A device as the kernel's `dev_t` has it: the minor number in the low 20 bits (user space's
    /// `st_dev` is another encoding).
    Device,
    /// The inode number of a mount namespace.
    MountNs,
    /// The inode number of a network namespace.
    NetNs,
    /// The inode number of a pid namespace.
    PidNs,
    /// A cgroup id (cgroup v2).
    Cgroup,
    /// The number by which the host knows a container, pod, unit or session; 0: none.
    Owner,
    /// A number of bytes.
    Bytes,
    /// An IP address as on the wire: 4 or 16 bytes, or a `u32` in network byte order; see
    /// [`address`].
    Address,
    /// The same column, of a record's field that is an IPv4 address in host byte order: the decoder
    /// turns it around.
    AddressLe,
    /// A port number. Fields of C type `__be16` are turned around by the decoder, others are in host
    /// byte order.
    Port,
    /// The same column, of a record's field that is in network byte order though its C type does not
    /// say so: the decoder turns it around.
    PortBe,
    /// `struct<address: bytes, port: u16>`: a side of a connection.
    Endpoint,
    /// The address of a network card: 6 bytes.
    Mac,
    /// A number that says whether: 0 is false, all else true.
    Bool,
    /// A number whose bits matter.
    Hex,
    /// Where the kernel was: addresses of its code, that of the innermost function first. Shown as functions
    /// as far as the host knows them ([`crate::kallsyms`]).
    KernelStack,
    /// The same of a process: addresses in its memory.
    UserStack,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 33] = [
        Self::None,
        Self::Timestamp,
        Self::Duration,
        Self::Pid,
        Self::Tid,
        Self::Uid,
        Self::Gid,
        Self::User,
        Self::Group,
        Self::Errno,
        Self::Signal,
        Self::Syscall,
        Self::OpenFlags,
        Self::FileMode,
        Self::Capability,
        Self::Capabilities,
        Self::Device,
        Self::MountNs,
        Self::NetNs,
        Self::PidNs,
        Self::Cgroup,
        Self::Owner,
        Self::Bytes,
        Self::Address,
        Self::AddressLe,
        Self::Port,
        Self::PortBe,
        Self::Endpoint,
        Self::Mac,
        Self::Bool,
        Self::Hex,
        Self::KernelStack,
        Self::UserStack,
    ];

    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
            Self::Pid => "pid",
            Self::Tid => "tid",
            Self::Uid => "uid",
            Self::Gid => "gid",
            Self::User => "user",
            Self::Group => "group",
            Self::Errno => "errno",
            Self::Signal => "signal",
            Self::Syscall => "syscall",
            Self::OpenFlags => "open-flags",
            Self::FileMode => "file-mode",
            Self::Capability => "capability",
            Self::Capabilities => "capabilities",
            Self::Device => "device",
            Self::MountNs => "mount-ns",
            Self::NetNs => "net-ns",
            Self::PidNs => "pid-ns",
            Self::Cgroup => "cgroup",
            Self::Owner => "owner",
            Self::Address => "address",
            Self::AddressLe => "address-le",
            Self::Port => "port",
            Self::PortBe => "port-be",
            Self::Endpoint => "endpoint",
            Self::Mac => "mac",
            Self::Bool => "bool",
            Self::Hex => "hex",
            Self::KernelStack => "kernel-stack",
            Self::UserStack => "user-stack",
        }
    }

    /// Whether a column of this type may have this kind. Lists are accepted for their items.
    #[must_use]
    pub fn accepts(self, data_type: &DataType) -> bool {
        use DataType::{Bool, Bytes, I32, I64, List, Struct, U16, U32, U64};
        if self == Self::None {
            return true;
        }
        match (self, data_type) {
            (_, List(item)) => self.accepts(item),
            (Self::Timestamp | Self::Duration, ty) => matches!(ty, U64 | I64),
            (Self::Pid | Self::Tid | Self::Uid | Self::Gid | Self::User | Self::Group, ty) => {
                matches!(ty, U32 | I32 | U64 | I64)
            }
            (Self::MountNs | Self::NetNs | Self::PidNs | Self::Cgroup | Self::Device, ty) => {
                matches!(ty, U32 | U64)
            }
            (Self::Address, ty) => matches!(ty, Bytes | U32),
            (Self::AddressLe | Self::Owner, ty) => *ty == U32,
            (Self::Port | Self::PortBe, ty) => matches!(ty, U16 | I32 | U32 | I64 | U64),
            (Self::Endpoint, Struct(fields)) => match fields.as_slice() {
                [(address, at), (port, number)] => {
                    address == "address"
                        && port == "port"
                        && Self::Address.accepts(at)
                        && Self::Port.accepts(number)
                }
                _ => false,
            },
            (Self::Endpoint, _) => false,
            (Self::Mac, ty) => *ty == Bytes,
            (Self::KernelStack | Self::UserStack, ty) => *ty == U64,
            (Self::Bool, ty) => *ty == Bool || ty.is_integer(),
            (_, ty) => ty.is_integer(),
        }
    }

    /// The type of an endpoint's column.
    #[must_use]
    pub fn endpoint_type() -> DataType {
        DataType::Struct(vec![
            ("address".to_owned(), DataType::Bytes),
            ("port".to_owned(), DataType::U16),
        ])
    }

    /// The kind of a field inside of a struct of this kind.
    pub(crate) fn of_field(self, name: &str) -> Self {
        match (self, name) {
            (Self::Endpoint, "address") => Self::Address,
            (Self::Endpoint, "port") => Self::Port,
            _ => Self::None,
        }
    }

    /// Whether JSON has the number beside the word.
    #[must_use]
    pub fn has_raw(self) -> bool {
        self.form() == Form::Name
    }

    /// Whether columns show something else than the plain number.
    #[must_use]
    pub fn is_shown_otherwise(self) -> bool {
        self.form() != Form::Number
    }

    /// How its numbers are shown.
    pub(crate) fn form(self) -> Form {
        match self {
            Self::None
            | Self::Pid
            | Self::Tid
            | Self::Uid
            | Self::Gid
            | Self::MountNs
            | Self::NetNs
            | Self::PidNs
            | Self::Cgroup
            | Self::Owner
            | Self::Port
            | Self::PortBe
            | Self::Endpoint
            | Self::Mac => Form::Number,
            Self::Timestamp => Form::Time,
            Self::Duration | Self::Bytes => Form::Quantity,
            Self::User
            | Self::Group
            | Self::Errno
            | Self::Signal
            | Self::Syscall
            | Self::OpenFlags
            | Self::Capability
            | Self::Capabilities
            | Self::KernelStack => Form::Name,
            Self::FileMode
            | Self::Device
            | Self::Address
            | Self::AddressLe
            | Self::Hex
            | Self::UserStack => Form::Spelling,
            Self::Bool => Form::Truth,
        }
    }

    /// Whether the bits of a number count and not its sign.
    pub(crate) fn is_bits(self) -> bool {
        matches!(
            self,
            Self::OpenFlags
                | Self::FileMode
                | Self::Capabilities
                | Self::Address
                | Self::AddressLe
                | Self::Hex
                | Self::KernelStack
                | Self::UserStack
        )
    }

    /// Whether values are addresses of code, nearly all of them different.
    #[must_use]
    pub fn is_stack(self) -> bool {
        matches!(self, Self::KernelStack | Self::UserStack)
    }
}

/// How the numbers of a kind are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A number everywhere.
    Number,
    /// A point in time.
    Time,
    /// A number in JSON, with a unit in columns.
    Quantity,
    /// A name that a table gives to the number.
    Name,
    /// The number itself, written in another way.
    Spelling,
    /// True or false.
    Truth,
}

/// Adds the bar between words when there is one before, which there is when `out` is longer than `start`.
fn separate(start: usize, out: &mut String) {
    if out.len() > start {
        out.push('|');
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

/// The typedefs of the headers for gadgets (`gadget/types.h`) that have a kind. Others are shown by their type.
pub const TYPEDEFS: &[(&str, Kind)] = &[
    ("gadget_bytes", Kind::Bytes),
    ("gadget_cgroup_id", Kind::Cgroup),
    ("gadget_duration", Kind::Duration),
    ("gadget_errno", Kind::Errno),
    ("gadget_file_flags", Kind::OpenFlags),
    ("gadget_file_mode", Kind::FileMode),
    ("gadget_gid", Kind::Gid),
    ("gadget_mntns_id", Kind::MountNs),
    ("gadget_netns_id", Kind::NetNs),
    ("gadget_pid", Kind::Pid),
    ("gadget_ppid", Kind::Pid),
    ("gadget_signal", Kind::Signal),
    ("gadget_syscall", Kind::Syscall),
    ("gadget_tid", Kind::Tid),
    ("gadget_timestamp", Kind::Timestamp),
    ("gadget_uid", Kind::Uid),
];

/// The kind of a field that was declared with a typedef of [`TYPEDEFS`].
#[must_use]
pub fn of_typedef(typedef: &str) -> Option<Kind> {
    TYPEDEFS
        .iter()
        .find_map(|(name, kind)| (*name == typedef).then_some(*kind))
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
        for kind in [Kind::Address, Kind::AddressLe] {
            assert!(kind.accepts(&DataType::U32) && !kind.accepts(&DataType::U64));
        }
        assert!(Kind::Address.accepts(&DataType::Bytes));
        assert!(!Kind::AddressLe.accepts(&DataType::Bytes));
        assert!(Kind::Mac.accepts(&DataType::Bytes) && !Kind::Mac.accepts(&DataType::U64));
        assert!(Kind::Bool.accepts(&DataType::Bool) && Kind::Bool.accepts(&DataType::I8));
        let endpoint = Kind::endpoint_type();
        assert_eq!(endpoint.to_string(), "struct<address: bytes, port: u16>");
        assert!(Kind::Endpoint.accepts(&endpoint) && !Kind::Hex.accepts(&endpoint));
        let other = "struct<address: bytes, port: text>".parse().unwrap();
        assert!(!Kind::Endpoint.accepts(&other));
    }
}
