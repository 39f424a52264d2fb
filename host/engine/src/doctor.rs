//! Whether gadgets run and can be built on this machine: the kernel, container runtimes, tools.

pub use ig_kernel::doctor::{Check, State};

use rustix::fs::Access;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// What was looked at, in the order in which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One by one.
    pub checks: Vec<Check>,
}

impl Report {
    /// Nothing is missing that a run needs.
    #[must_use]
    pub fn works(&self) -> bool {
        self.missing().next().is_none()
    }

    /// The names of what is missing.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> {
        self.checks
            .iter()
            .filter(|check| check.state == State::Missing)
            .map(|check| check.name)
    }
}

/// Container runtimes, and where they listen.
const RUNTIMES: [(&str, &[&str]); 4] = [
    ("docker", &["/run/docker.sock"]),
    (
        "containerd",
        &[
            "/run/containerd/containerd.sock",
            "/run/k3s/containerd/containerd.sock",
            "/run/k0s/containerd.sock",
            "/var/snap/microk8s/common/run/containerd.sock",
        ],
    ),
    ("cri-o", &["/run/crio/crio.sock"]),
    ("podman", &["/run/podman/podman.sock"]),
];

/// Looks at everything. Changes nothing, connects to nobody, and looks at no other process.
#[must_use]
pub fn examine() -> Report {
    let mut checks = ig_kernel::doctor::examine();
    let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    checks.extend(RUNTIMES.map(|(name, places)| runtime(name, places, &sockets)));
    checks.extend(
        ig_bundle::build::requirements()
            .into_iter()
            .map(|required| {
                // Whoever runs bundles needs none of them.
                match required.found {
                    Ok(found) => Check::new(required.name, State::Ok, found),
                    Err((found, cure)) => Check::new(required.name, State::Info, found)
                        .meaning(required.purpose)
                        .cure(cure),
                }
            }),
    );
    Report { checks }
}

/// One runtime's socket: there, listened to, open to this user. A connection would tell more, and would start a runtime
/// that systemd starts on demand. `sockets` is /proc/net/unix.
fn runtime(name: &'static str, places: &[&str], sockets: &str) -> Check {
    for place in places {
        let wrong = |what: &str, cure: &str| {
            Check::new(name, State::Warning, format!("{place} {what}"))
                .meaning("this runtime can't be asked about its containers")
                .cure(cure)
        };
        let closed = || {
            wrong(
                "is closed to this user",
                "run this as root, or as a member of the socket's group",
            )
        };
        return match fs::metadata(place) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => closed(),
            Err(_) => continue,
            Ok(file) if !file.file_type().is_socket() => {
                wrong("is not a socket", "remove it and start the runtime again")
            }
            Ok(_) if !listening(sockets, place) => {
                wrong("is there, and nobody listens", "start the runtime")
            }
            Ok(_) if rustix::fs::access(Path::new(place), Access::WRITE_OK).is_err() => closed(),
            Ok(_) => Check::new(name, State::Ok, *place),
        };
    }
    Check::new(name, State::Info, "not here").meaning(format!("no socket at {}", places.join(", ")))
}

/// Whether a socket of this path accepts connections: `__SO_ACCEPTCON` among the flags, net/unix/af_unix.c.
fn listening(sockets: &str, place: &str) -> bool {
    // Bound through the old name of /run, it stands there under that.
    let plain = |path: &str| {
        path.strip_prefix("/var/run/")
            .map(|rest| format!("/run/{rest}"))
    };
    sockets.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(3);
        let flags = words.next().and_then(|w| u32::from_str_radix(w, 16).ok());
        let path = words.nth(3).unwrap_or_default();
        flags.is_some_and(|flags| flags & 0x1_0000 != 0)
            && (path == place || plain(path).as_deref() == Some(place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, Instant};

    #[test]
    fn a_socket_is_there_and_listened_to_or_not() {
        let folder = std::env::temp_dir().join(format!("ig-doctor-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let socket = folder.join("runtime.sock");
        let file = folder.join("file.sock");
        fs::write(&file, "").unwrap();
        let state = |places: &[&str]| {
            let sockets = fs::read_to_string("/proc/net/unix").unwrap();
            runtime("podman", places, &sockets).state
        };
        let place = socket.to_str().unwrap();
        assert_eq!(state(&[place]), State::Info);
        let listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(state(&[place]), State::Ok);
        // The first one that is there counts.
        assert_eq!(state(&["/no/such/socket", place]), State::Ok);
        drop(listener);
        // A process that another test is just starting may hold it until it executes its program.
        let end = Instant::now() + Duration::from_secs(30);
        while state(&[place]) == State::Ok && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(state(&[place]), State::Warning);
        assert_eq!(state(&[file.to_str().unwrap()]), State::Warning);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_listener_is_known_by_its_flags_and_its_path() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000000000000000: 00000002 00000000 00010000 0001 01 17 /var/run/docker.sock\n\
                     0000000000000000: 00000003 00000000 00000000 0001 03 18 /run/crio/crio.sock\n\
                     0000000000000000: 00000003 00000000 00000000 0001 03 19\n";
        assert!(listening(table, "/run/docker.sock"));
        assert!(!listening(table, "/run/crio/crio.sock"));
        assert!(!listening(table, "/run/podman/podman.sock"));
        assert!(!listening("", ""));
    }

    #[test]
    fn it_works_when_nothing_is_missing() {
        let report = |states: &[State]| Report {
            checks: states
                .iter()
                .map(|state| Check::new("thing", *state, "x"))
                .collect(),
        };
        assert!(report(&[State::Ok, State::Warning, State::Unknown, State::Info]).works());
        assert!(!report(&[State::Ok, State::Missing]).works());
    }
}
