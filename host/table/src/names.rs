//! Names for numbers that the host knows: users and groups, and functions of its kernel.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Gives names to numbers. Asked from the thread that writes output, mostly once per new value.
pub trait Names: Send + Sync {
    /// The name of a user, if the host has one for the uid.
    fn user(&self, uid: u32) -> Option<&str>;

    /// The name of a group, if the host has one for the gid.
    fn group(&self, _gid: u32) -> Option<&str> {
        None
    }

    /// The id of a user by name.
    fn uid(&self, _user: &str) -> Option<u32> {
        None
    }

    /// The id of a group by name.
    fn gid(&self, _group: &str) -> Option<u32> {
        None
    }

    /// The function of the kernel that an address lies in, and how many bytes behind its beginning.
    fn kernel_function(&self, _address: u64) -> Option<(&str, u64)> {
        None
    }

    /// Where a function of the kernel begins.
    fn kernel_address(&self, _function: &str) -> Option<u64> {
        None
    }
}

/// Knows no names.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn user(&self, _uid: u32) -> Option<&str> {
        None
    }
}

impl<T: Names + ?Sized> Names for Arc<T> {
    fn user(&self, uid: u32) -> Option<&str> {
        (**self).user(uid)
    }

    fn group(&self, gid: u32) -> Option<&str> {
        (**self).group(gid)
    }

    fn uid(&self, user: &str) -> Option<u32> {
        (**self).uid(user)
    }

    fn gid(&self, group: &str) -> Option<u32> {
        (**self).gid(group)
    }

    fn kernel_function(&self, address: u64) -> Option<(&str, u64)> {
        (**self).kernel_function(address)
    }

    fn kernel_address(&self, function: &str) -> Option<u64> {
        (**self).kernel_address(function)
    }
}

/// Users as `passwd(5)` and groups as `group(5)` list them, read once.
#[derive(Clone, Debug, Default)]
pub struct Passwd {
    users: Ids,
    groups: Ids,
}

impl Passwd {
    /// From the text of a passwd file, without groups. Lines that are not `name:password:uid:...`
    /// in UTF-8 are skipped. Of several names for one uid the first counts, as for `getpwuid(3)`,
    /// and of several ids for one name.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self {
            users: Ids::parse(text),
            groups: Ids::default(),
        }
    }

    /// The same with the groups of a group file's text, whose lines begin alike.
    #[must_use]
    pub fn with_groups(self, text: &[u8]) -> Self {
        Self {
            groups: Ids::parse(text),
            ..self
        }
    }

    /// From users and groups as they are listed, each with its id: what [`Passwd::users`] and [`Passwd::groups`] gave.
    #[must_use]
    pub fn of(
        users: impl IntoIterator<Item = (String, u32)>,
        groups: impl IntoIterator<Item = (String, u32)>,
    ) -> Self {
        Self {
            users: Ids::of(users),
            groups: Ids::of(groups),
        }
    }

    /// The users, in the order of the file.
    #[must_use]
    pub fn users(&self) -> &[(String, u32)] {
        &self.users.listed
    }

    /// The groups, in the order of the file.
    #[must_use]
    pub fn groups(&self) -> &[(String, u32)] {
        &self.groups.listed
    }

    /// From `/etc/passwd` and `/etc/group` of the host. Without the latter groups have no names.
    ///
    /// # Errors
    /// When the former can't be read; the caller may go on with [`NoNames`].
    pub fn of_host() -> std::io::Result<Self> {
        let users = Self::read(Path::new("/etc/passwd"))?;
        Ok(match std::fs::read("/etc/group") {
            Ok(groups) => users.with_groups(&groups),
            Err(_) => users,
        })
    }

    /// From a passwd file, without groups.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self::parse(&std::fs::read(path)?))
    }
}

impl Names for Passwd {
    fn user(&self, uid: u32) -> Option<&str> {
        self.users.names.get(&uid).map(String::as_str)
    }

    fn group(&self, gid: u32) -> Option<&str> {
        self.groups.names.get(&gid).map(String::as_str)
    }

    fn uid(&self, user: &str) -> Option<u32> {
        self.users.numbers.get(user).copied()
    }

    fn gid(&self, group: &str) -> Option<u32> {
        self.groups.numbers.get(group).copied()
    }
}

/// Names and ids, both ways.
#[derive(Clone, Debug, Default)]
struct Ids {
    /// As they were listed.
    listed: Vec<(String, u32)>,
    names: HashMap<u32, String>,
    numbers: HashMap<String, u32>,
}

impl Ids {
    /// From lines of `name:password:id`, with or without more.
    fn parse(text: &[u8]) -> Self {
        Self::of(text.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = std::str::from_utf8(line).ok()?.split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            // `+` and `-` in front of a name belong to NIS, `#` to people.
            if name.is_empty() || name.starts_with(['+', '-', '#']) {
                return None;
            }
            Some((name.to_owned(), id.parse().ok()?))
        }))
    }

    fn of(listed: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut ids = Self::default();
        for (name, id) in listed {
            ids.names.entry(id).or_insert_with(|| name.clone());
            ids.numbers.entry(name.clone()).or_insert(id);
            ids.listed.push((name, id));
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_lines() {
        let text = b"root:x:0:0:root:/root:/bin/bash\n\
            toor:x:0:0::/root:/bin/sh\n\
            # comment:x:7:\n\
            +nis:x:8:8\n\
            broken\n\
            big:x:4294967296:0\n\
            \xff:x:9:9\n\
            daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin";
        let names = Passwd::parse(text);
        assert_eq!(names.user(0), Some("root"));
        assert_eq!(names.user(1), Some("daemon"));
        assert_eq!(names.users.names.len(), 2);
        assert_eq!(names.user(7), None);
        assert_eq!(Passwd::parse(b"").user(0), None);
        let host = Passwd::of_host().unwrap();
        assert!(host.user(0).is_some());
        assert_eq!(host.group(0).and_then(|group| host.gid(group)), Some(0));
    }

    #[test]
    fn names_lead_back() {
        let names = Passwd::parse(b"root:x:0:0\ntoor:x:0:0\nroot:x:7:0\n")
            .with_groups(b"root:x:0:\nwheel:x:10:alice,bob\n");
        assert_eq!((names.uid("root"), names.uid("toor")), (Some(0), Some(0)));
        assert_eq!((names.user(7), names.uid("wheel")), (Some("root"), None));
        assert_eq!(
            (names.group(10), names.gid("wheel")),
            (Some("wheel"), Some(10))
        );
        assert_eq!((names.group(11), names.gid("")), (None, None));
        let listed = |ids: &[(String, u32)]| ids.to_vec();
        let again = Passwd::of(listed(names.users()), listed(names.groups()));
        assert_eq!(again.users().len(), 3);
        for id in [0, 7, 10] {
            assert_eq!(
                (again.user(id), again.group(id)),
                (names.user(id), names.group(id))
            );
        }
        assert_eq!(
            (again.uid("root"), again.uid("toor")),
            (names.uid("root"), names.uid("toor"))
        );
        let shared: Arc<dyn Names> = Arc::new(names);
        assert_eq!(
            (shared.gid("wheel"), shared.group(0)),
            (Some(10), Some("root"))
        );
        assert_eq!(
            (NoNames.group(0), NoNames.uid("root"), NoNames.gid("root")),
            (None, None, None)
        );
    }
}
