//! Whose a record is: which container, pod, systemd unit, or the host. Nothing here waits: what is not known yet is
//! [`Owner::UNKNOWN`] or `None`, and may be known in a later call. Answers stand still during one call of the guest.

use crate::host;

/// Names of fields for [`Owner::field`]; `wit/containers.wit` says what each is.
pub mod names {
    /// What it is: `container`, `sandbox`, `unit`, `session` or `host`.
    pub const SCOPE: &str = "scope";
    /// The runtime: `docker`, `containerd`...
    pub const RUNTIME: &str = "runtime";
    /// The container's name.
    pub const CONTAINER: &str = "container";
    /// The container's id, all of it.
    pub const CONTAINER_ID: &str = "container_id";
    /// The process id of the container's first process, in decimal.
    pub const CONTAINER_PID: &str = "container_pid";
    /// The image's name, as it was asked for.
    pub const IMAGE: &str = "image";
    /// The image's id.
    pub const IMAGE_ID: &str = "image_id";
    /// The image's digest.
    pub const IMAGE_DIGEST: &str = "image_digest";
    /// When it was started: nanoseconds since 1970, in decimal.
    pub const CONTAINER_STARTED: &str = "container_started";
    /// Its labels: `name=value` with commas between, sorted.
    pub const LABELS: &str = "labels";
    /// The pod's namespace.
    pub const NAMESPACE: &str = "namespace";
    /// The pod's name.
    pub const POD: &str = "pod";
    /// The pod's uid.
    pub const POD_UID: &str = "pod_uid";
    /// The container's name in its pod.
    pub const POD_CONTAINER: &str = "pod_container";
    /// The pod's labels, as [`LABELS`].
    pub const POD_LABELS: &str = "pod_labels";
    /// What the pod belongs to: `Deployment`, `DaemonSet`...
    pub const POD_OWNER_KIND: &str = "pod_owner_kind";
    /// The name of what the pod belongs to.
    pub const POD_OWNER: &str = "pod_owner";
    /// Whether it shares the host's network: `true` or `false`.
    pub const HOST_NETWORK: &str = "host_network";
    /// The systemd unit.
    pub const UNIT: &str = "unit";
    /// The path of its cgroup.
    pub const CGROUP_PATH: &str = "cgroup_path";

    /// All of them.
    pub const ALL: [&str; 20] = [
        SCOPE,
        RUNTIME,
        CONTAINER,
        CONTAINER_ID,
        CONTAINER_PID,
        IMAGE,
        IMAGE_ID,
        IMAGE_DIGEST,
        CONTAINER_STARTED,
        LABELS,
        NAMESPACE,
        POD,
        POD_UID,
        POD_CONTAINER,
        POD_LABELS,
        POD_OWNER_KIND,
        POD_OWNER,
        HOST_NETWORK,
        UNIT,
        CGROUP_PATH,
    ];
}
pub use names::*;

/// An owner of records. Its number is never another's, and can be asked about for minutes after the owner is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Owner(u32);

impl Owner {
    /// Not known (yet).
    pub const UNKNOWN: Self = Self(0);

    /// The owner that the host knows by this number.
    #[must_use]
    pub const fn from_raw(number: u32) -> Self {
        Self(number)
    }

    /// What the host knows it by.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether it is known whose it is.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// A field of it as it is known now, by its name: one of [`names`], or Inspektor Gadget's (`k8s.podName`). `None` when it
    /// is not known, or there is no such thing.
    ///
    /// # Errors
    ///
    /// The host has no field of that name.
    pub fn field(self, name: &str) -> Result<Option<String>, String> {
        Ok(fields(&[self], name)?.pop().flatten())
    }
}

/// The owner of the record whose `record_origin()` this is. Only while records are handed over, and only for these.
#[must_use]
pub fn of_record(origin: u32) -> Owner {
    of_records(&[origin]).pop().unwrap_or_default()
}

/// The owners of records, by their `record_origin()`. Only while records are handed over, and only for these.
#[must_use]
pub fn of_records(origins: &[u32]) -> Vec<Owner> {
    host::owners_of_records(origins)
}

/// The owner of a cgroup, by its id.
#[must_use]
pub fn by_cgroup(cgroup: u64) -> Owner {
    by_cgroups(&[cgroup]).pop().unwrap_or_default()
}

/// The owners of cgroups, by their ids.
#[must_use]
pub fn by_cgroups(cgroups: &[u64]) -> Vec<Owner> {
    host::owners_by_cgroup(cgroups)
}

/// The owner of a mount namespace that was seen `at` so many nanoseconds of CLOCK_BOOTTIME: the kernel gives its number
/// to others soon after.
#[must_use]
pub fn by_mount_namespace(namespace: u64, at: u64) -> Owner {
    host::owner_by_mount_namespace(namespace, at)
}

/// The container with this id, or with an id that begins so: at least 12 digits, which only one has.
#[must_use]
pub fn by_id(id: &str) -> Owner {
    host::owner_by_id(id)
}

/// A field of several owners, in their order; see [`Owner::field`].
///
/// # Errors
///
/// The host has no field of that name, or the texts are more than one call may get.
pub fn fields(owners: &[Owner], name: &str) -> Result<Vec<Option<String>>, String> {
    host::owner_fields(owners, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn owners_are_found_by_everything_that_the_stand_in_was_told() {
        testing::reset();
        let web = Owner::from_raw(7);
        testing::set_owner_of_record(16, web);
        testing::set_owner_of_cgroup(4026, web);
        testing::set_owner_of_mount_namespace(99, web);
        testing::set_field(web, CONTAINER, "web");
        testing::set_field(web, "container_id", "0123456789abcdef");
        assert_eq!(of_records(&[0, 16]), [Owner::UNKNOWN, web]);
        assert_eq!(of_record(16), web);
        assert_eq!(by_cgroups(&[1, 4026]), [Owner::UNKNOWN, web]);
        assert_eq!(by_cgroup(4026), web);
        assert_eq!(by_mount_namespace(99, 5), web);
        assert_eq!(by_id("0123456789ab"), web);
        assert!(!by_id("0123").is_known());
        assert_eq!(web.field(CONTAINER), Ok(Some("web".to_owned())));
        assert_eq!(
            fields(&[Owner::UNKNOWN, web], CONTAINER),
            Ok(vec![None, Some("web".to_owned())])
        );
        assert_eq!(web.field(IMAGE), Ok(None));
        assert!(web.field("colour").is_err());
        assert_eq!(size_of::<Owner>(), 4, "as the contract has it");
    }
}
