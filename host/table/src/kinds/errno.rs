//! Names of error numbers.
//!
//! From the kernel's `include/uapi/asm-generic/errno-base.h` and `errno.h`, which x86-64 and arm64
//! share, and `include/linux/errno.h`: numbers from 512 on stay inside the kernel, but whoever
//! traces the return of a function in the kernel sees them.

/// The name of a positive error number, `None` when it has none.
///
/// Of two names for one number it is the one that the header defines as a number: `EAGAIN` and
/// not `EWOULDBLOCK`, `EDEADLK` and not `EDEADLOCK`.
#[must_use]
pub fn name(number: u64) -> Option<&'static str> {
    let (table, first) = if number < 512 {
        (USER, 0)
    } else {
        (KERNEL, 512)
    };
    let index = usize::try_from(number - first).ok()?;
    table.get(index).copied().filter(|name| !name.is_empty())
}

/// The number of an error by its name; also by the second names `EWOULDBLOCK`, `EDEADLOCK` and
/// `ENOTSUP`, which libc has for `EOPNOTSUPP`.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    let name = match name {
        "" => return None,
        "EWOULDBLOCK" => "EAGAIN",
        "EDEADLOCK" => "EDEADLK",
        "ENOTSUP" => "EOPNOTSUPP",
        name => name,
    };
    let find = |table: &[&str]| table.iter().position(|other| *other == name);
    let number = find(USER).or_else(|| find(KERNEL).map(|index| index + 512))?;
    Some(number as u64)
}

/// By number, from 0; empty: no such error.
const USER: &[&str] = &[
    "",
    "EPERM",
    "ENOENT",
    "ESRCH",
    "EINTR",
    "EIO",
    "ENXIO",
    "E2BIG",
    "ENOEXEC",
    "EBADF",
    "ECHILD",
    "EAGAIN",
    "ENOMEM",
    "EACCES",
    "EFAULT",
    "ENOTBLK",
    "EBUSY",
    "EEXIST",
    "EXDEV",
    "ENODEV",
    "ENOTDIR",
    "EISDIR",
    "EINVAL",
    "ENFILE",
    "EMFILE",
    "ENOTTY",
    "ETXTBSY",
    "EFBIG",
    "ENOSPC",
    "ESPIPE",
    "EROFS",
    "EMLINK",
    "EPIPE",
    "EDOM",
    "ERANGE",
    "EDEADLK",
    "ENAMETOOLONG",
    "ENOLCK",
    "ENOSYS",
    "ENOTEMPTY",
    "ELOOP",
    "",
    "ENOMSG",
    "EIDRM",
    "ECHRNG",
    "EL2NSYNC",
    "EL3HLT",
    "EL3RST",
    "ELNRNG",
    "EUNATCH",
    "ENOCSI",
    "EL2HLT",
    "EBADE",
    "EBADR",
    "EXFULL",
    "ENOANO",
    "EBADRQC",
    "EBADSLT",
    "",
    "EBFONT",
    "ENOSTR",
    "ENODATA",
    "ETIME",
    "ENOSR",
    "ENONET",
    "ENOPKG",
    "EREMOTE",
    "ENOLINK",
    "EADV",
    "ESRMNT",
    "ECOMM",
    "EPROTO",
    "EMULTIHOP",
    "EDOTDOT",
    "EBADMSG",
    "EOVERFLOW",
    "ENOTUNIQ",
    "EBADFD",
    "EREMCHG",
    "ELIBACC",
    "ELIBBAD",
    "ELIBSCN",
    "ELIBMAX",
    "ELIBEXEC",
    "EILSEQ",
    "ERESTART",
    "ESTRPIPE",
    "EUSERS",
    "ENOTSOCK",
    "EDESTADDRREQ",
    "EMSGSIZE",
    "EPROTOTYPE",
    "ENOPROTOOPT",
    "EPROTONOSUPPORT",
    "ESOCKTNOSUPPORT",
    "EOPNOTSUPP",
    "EPFNOSUPPORT",
    "EAFNOSUPPORT",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "ENETDOWN",
    "ENETUNREACH",
    "ENETRESET",
    "ECONNABORTED",
    "ECONNRESET",
    "ENOBUFS",
    "EISCONN",
    "ENOTCONN",
    "ESHUTDOWN",
    "ETOOMANYREFS",
    "ETIMEDOUT",
    "ECONNREFUSED",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EALREADY",
    "EINPROGRESS",
    "ESTALE",
    "EUCLEAN",
    "ENOTNAM",
    "ENAVAIL",
    "EISNAM",
    "EREMOTEIO",
    "EDQUOT",
    "ENOMEDIUM",
    "EMEDIUMTYPE",
    "ECANCELED",
    "ENOKEY",
    "EKEYEXPIRED",
    "EKEYREVOKED",
    "EKEYREJECTED",
    "EOWNERDEAD",
    "ENOTRECOVERABLE",
    "ERFKILL",
    "EHWPOISON",
];

/// By number, from 512; empty: no such error.
const KERNEL: &[&str] = &[
    "ERESTARTSYS",
    "ERESTARTNOINTR",
    "ERESTARTNOHAND",
    "ENOIOCTLCMD",
    "ERESTART_RESTARTBLOCK",
    "EPROBE_DEFER",
    "EOPENSTALE",
    "ENOPARAM",
    "",
    "EBADHANDLE",
    "ENOTSYNC",
    "EBADCOOKIE",
    "ENOTSUPP",
    "ETOOSMALL",
    "ESERVERFAULT",
    "EBADTYPE",
    "EJUKEBOX",
    "EIOCBQUEUED",
    "ERECALLCONFLICT",
    "ENOGRACE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_names() {
        for (number, want) in [
            (1, "EPERM"),
            (2, "ENOENT"),
            (11, "EAGAIN"),
            (34, "ERANGE"),
            (35, "EDEADLK"),
            (40, "ELOOP"),
            (42, "ENOMSG"),
            (95, "EOPNOTSUPP"),
            (110, "ETIMEDOUT"),
            (133, "EHWPOISON"),
            (512, "ERESTARTSYS"),
            (516, "ERESTART_RESTARTBLOCK"),
            (524, "ENOTSUPP"),
            (531, "ENOGRACE"),
        ] {
            assert_eq!(name(number), Some(want), "{number}");
        }
        for number in [0, 41, 58, 134, 511, 520, 532, u64::MAX] {
            assert_eq!(name(number), None, "{number}");
        }
    }

    #[test]
    fn names_lead_back_to_their_numbers() {
        for n in 0..600 {
            if let Some(name) = name(n) {
                assert_eq!(number(name), Some(n));
            }
        }
        assert_eq!(number("EWOULDBLOCK"), Some(11));
        assert_eq!(number("ENOTSUP"), Some(95));
        assert_eq!((number(""), number("enoent")), (None, None));
    }

    #[test]
    fn std_agrees_about_common_errors() {
        use std::io::{Error, ErrorKind};
        for (number, kind) in [
            (2, ErrorKind::NotFound),
            (13, ErrorKind::PermissionDenied),
            (32, ErrorKind::BrokenPipe),
            (111, ErrorKind::ConnectionRefused),
        ] {
            assert_eq!(Error::from_raw_os_error(number).kind(), kind);
        }
    }
}
