//! Whose records are: a container's, a systemd unit's, the host's. Owners go by numbers, 0 is not known (yet).

mod asked;
pub(crate) mod eras;
mod live;
mod of_run;
mod recorded;
#[cfg(test)]
mod suite;

pub(crate) use asked::AskedOwners;
pub(crate) use ig_containers::Field;
pub(crate) use live::LiveOwners;
pub(crate) use of_run::{Asked, SharedOwners};
pub(crate) use recorded::{RecordedOwners, TapedOwners};

use crate::identity::{Identity, ROOT};
use std::borrow::Cow;
use std::net::IpAddr;

/// In place of an owner: the cgroup is new, and somebody is finding out. Guests see 0.
pub(crate) const PENDING: u32 = u32::MAX;

/// An owner as guests see it: what is pending is not known yet.
pub(crate) fn seen(owner: u32) -> u32 {
    if owner == PENDING { 0 } else { owner }
}

/// Who knows whose a record is: the machine, or a recording.
///
/// Answers stand still from one [`Owners::changes`] to the next, which is called between calls of the guest alone: so a
/// call sees one state of things, and a recording holds an answer only when it is another.
pub(crate) trait Owners: Send {
    /// The owner of a cgroup, by its id in the v2 hierarchy; or [`PENDING`].
    fn by_cgroup(&mut self, cgroup: u64) -> u32;

    /// The owner that a mount namespace had at a time of CLOCK_BOOTTIME in nanoseconds.
    fn by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32;

    /// The container with this id, or the only one whose id begins so; at least 12 digits.
    fn by_id(&mut self, id: &str) -> u32;

    /// Whose an address is now; 0: nobody's that is known.
    fn by_address(&mut self, _address: IpAddr) -> u32 {
        0
    }

    /// What is known now of an owner. None also for a number that is no owner's.
    fn field(&mut self, owner: u32, field: Field) -> Option<Cow<'_, str>>;

    /// Takes up what has become known since the last time, and adds the containers that came and went; those that were
    /// there already have come by the first time. True: what was answered before may be answered otherwise now.
    fn changes(&mut self, added: &mut Vec<u32>, removed: &mut Vec<u32>) -> bool;

    /// The owner of a record, by what it says; `now` is the time where it says none. A cgroup that is not known, or is
    /// [`PENDING`], stays so: its mount namespace may still be that of who makes it, or its number another's of just before.
    fn by_identity(&mut self, identity: &Identity, now: u64) -> u32 {
        if identity.cgroup > ROOT {
            return self.by_cgroup(identity.cgroup);
        }
        let owner = match identity.mount_namespace {
            0 => 0,
            namespace => self.by_mount_namespace(namespace, identity.time.unwrap_or(now)),
        };
        if owner == 0 && identity.cgroup == ROOT {
            return self.by_cgroup(ROOT);
        }
        owner
    }
}

/// Nobody knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoOwners;

impl Owners for NoOwners {
    fn by_cgroup(&mut self, _cgroup: u64) -> u32 {
        0
    }

    fn by_mount_namespace(&mut self, _namespace: u64, _at: u64) -> u32 {
        0
    }

    fn by_id(&mut self, _id: &str) -> u32 {
        0
    }

    fn field(&mut self, _owner: u32, _field: Field) -> Option<Cow<'_, str>> {
        None
    }

    fn changes(&mut self, _added: &mut Vec<u32>, _removed: &mut Vec<u32>) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A cgroup's owner is its number doubled; namespaces are known at one time.
    struct Known;

    impl Owners for Known {
        fn by_cgroup(&mut self, cgroup: u64) -> u32 {
            match cgroup {
                99 => PENDING,
                100.. => 0,
                _ => cgroup as u32 * 2,
            }
        }
        fn by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32 {
            if at == 5 { namespace as u32 } else { 0 }
        }
        fn by_id(&mut self, _id: &str) -> u32 {
            0
        }
        fn field(&mut self, _owner: u32, _field: Field) -> Option<Cow<'_, str>> {
            None
        }
        fn changes(&mut self, _added: &mut Vec<u32>, _removed: &mut Vec<u32>) -> bool {
            false
        }
    }

    #[test]
    fn the_cgroup_comes_first_and_the_record_s_own_time() {
        let identity = |cgroup, mount_namespace, time| Identity {
            cgroup,
            mount_namespace,
            time,
        };
        for (identity, owner) in [
            (identity(7, 9, Some(5)), 14),
            // Nobody knows this cgroup; the root's says nothing where a mount namespace does.
            (identity(100, 9, Some(5)), 0),
            (identity(1, 9, Some(5)), 9),
            (identity(1, 9, Some(6)), 2),
            (identity(0, 9, None), 9),
            (identity(0, 9, Some(6)), 0),
            (identity(100, 0, None), 0),
            (identity(0, 0, None), 0),
            (identity(99, 9, Some(5)), PENDING),
        ] {
            assert_eq!(Known.by_identity(&identity, 5), owner, "{identity:?}");
        }
    }

    /// The contract names them to authors, and the SDKs have a constant for each.
    #[test]
    fn the_contract_and_the_sdks_name_every_field() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
        let names: BTreeSet<_> = Field::ALL.iter().map(|field| field.name()).collect();
        let wit = read("wit/containers.wit");
        let lines = wit
            .lines()
            .map(|line| line.trim().trim_start_matches('/').trim());
        let wit = lines.collect::<Vec<_>>().join(" ");
        for field in Field::ALL {
            let name = match field.alias() {
                Some(alias) => format!("`{}` (`{alias}`)", field.name()),
                None => format!("`{}`", field.name()),
            };
            assert!(wit.contains(&name), "{name}");
        }
        // A line with a constant's name and its value.
        for (path, before, between) in [
            (
                "guest-sdk/rust/src/containers.rs",
                "pub const ",
                ": &str = ",
            ),
            ("guest-sdk/python/gadget_sdk/containers.py", "", " = "),
            ("guest-sdk/c/sdk/containers.h", "#define GADGET_", " "),
        ] {
            let text = read(path);
            let constants: BTreeSet<_> = text
                .lines()
                .filter_map(|line| {
                    let (name, value) = line
                        .trim_start()
                        .strip_prefix(before)?
                        .split_once(between)?;
                    let value = value.trim_end_matches(';');
                    let value = value.strip_prefix('"')?.strip_suffix('"')?;
                    (name == value.to_uppercase()).then_some(value)
                })
                .collect();
            assert_eq!(constants, names, "{path}");
        }
    }
}
