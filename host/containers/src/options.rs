//! What is watched, and where.

use crate::owner::Runtime;
use std::path::PathBuf;

/// What is watched, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The runtimes that are asked; others' containers are known by their cgroups and files alone.
    pub runtimes: Vec<Runtime>,
    /// Where the runtimes listen, if not where they usually do.
    pub sockets: Sockets,
    /// Where the host's files are: `/`, or where they are mounted in the container that `ig` runs in.
    pub host_root: PathBuf,
    /// Somebody tells of each new cgroup ([`crate::Service::tell`]). Otherwise the machine is scanned once a second.
    pub watched: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            runtimes: Runtime::ALL.to_vec(),
            sockets: Sockets::default(),
            host_root: Self::usual_host_root(),
            watched: false,
        }
    }
}

impl Options {
    /// Where the host's files usually are: the environment variable `HOST_ROOT`; else `/host`, if it holds a `/proc`; else
    /// `/`.
    #[must_use]
    pub fn usual_host_root() -> PathBuf {
        match std::env::var_os("HOST_ROOT") {
            Some(root) if !root.is_empty() => PathBuf::from(root),
            _ if PathBuf::from("/host/proc/self").exists() => PathBuf::from("/host"),
            _ => PathBuf::from("/"),
        }
    }
}

/// Where the runtimes listen, if not where they usually do. Taken as they are, not under [`Options::host_root`].
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    /// Docker's.
    pub docker: Option<PathBuf>,
    /// containerd's, for its own API and Kubernetes'.
    pub containerd: Option<PathBuf>,
    /// CRI-O's.
    pub crio: Option<PathBuf>,
    /// podman's, of the API service with root.
    pub podman: Option<PathBuf>,
}
