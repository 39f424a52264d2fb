//! Names for numbers that the host knows: users.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Gives names to numbers. Asked once per new value, from the thread that writes output.
pub trait Names: Send + Sync {
    /// The name of a user, if the host has one for the uid.
    fn user(&self, uid: u32) -> Option<&str>;

    /// The uid of a user, if the host knows the name. Asked where a filter names users.
    fn uid(&self, _name: &str) -> Option<u32> {
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

    fn uid(&self, name: &str) -> Option<u32> {
        (**self).uid(name)
    }
}

/// Users as `passwd(5)` lists them, read once.
#[derive(Clone, Debug, Default)]
pub struct Passwd {
    users: HashMap<u32, String>,
}

impl Passwd {
    /// From the text of a passwd file. Lines that are not `name:password:uid:...` in UTF-8 are
    /// skipped. Of several names for one uid the first counts, as for `getpwuid(3)`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut users = HashMap::new();
        for line in text.split(|byte| *byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            let mut fields = line.split(':');
            let (Some(name), Some(_), Some(uid)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            // `+` and `-` in front of a name belong to NIS, `#` to people.
            if name.is_empty() || name.starts_with(['+', '-', '#']) {
                continue;
            }
            if let Ok(uid) = uid.parse() {
                users.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Self { users }
    }

    /// From `/etc/passwd` of the host.
    ///
    /// # Errors
    /// When it can't be read; the caller may go on with [`NoNames`].
    pub fn of_host() -> std::io::Result<Self> {
        Self::read(Path::new("/etc/passwd"))
    }

    /// From a passwd file.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self::parse(&std::fs::read(path)?))
    }
}

impl Names for Passwd {
    fn user(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(String::as_str)
    }

    fn uid(&self, name: &str) -> Option<u32> {
        let mut users = self.users.iter();
        users.find(|(_, user)| *user == name).map(|(uid, _)| *uid)
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
        assert_eq!(names.users.len(), 2);
        assert_eq!(names.uid("daemon"), Some(1));
        assert_eq!(Arc::new(names.clone()).uid("nobody"), None);
        assert_eq!(names.user(7), None);
        assert_eq!(Passwd::parse(b"").user(0), None);
        assert!(Passwd::of_host().unwrap().user(0).is_some());
    }
}
