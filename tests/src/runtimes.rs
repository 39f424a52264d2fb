//! Container runtimes of a test's own: daemons with their own folders, sockets and cgroups, and images made here.
//!
//! Each fixture ends what it started when it is dropped: containers, daemons and what hangs on them (by pid), mounts,
//! network interfaces, cgroups, folders. Each needs root and the runtime's package, which `cargo xtask setup` installs.
//!
//! - [`Docker`]: `dockerd` without a bridge of the host;
//! - [`Containerd`]: `containerd`, used through `ctr` and, for pods, through Kubernetes' interface;
//! - [`Podman`]: rootful podman with its API service;
//! - [`Runc`]: `runc` or `crun` alone;
//! - [`Systemd`]: a system booted by systemd-nspawn.

mod containerd;
mod docker;
mod image;
mod place;
mod podman;
mod pods;
mod registry;
mod runc;
mod systemd;

pub use containerd::Containerd;
pub use docker::Docker;
pub use place::{Place, Storm, until};
pub use podman::Podman;
pub use pods::Pods;
pub use runc::Runc;
pub use systemd::Systemd;
