//! On whose behalf a privileged `ig` runs: the user that called sudo.

use ig_engine::command::Caller;
use std::ffi::OsString;

/// The user behind sudo; None when `ig` is not privileged, or root itself called it.
pub fn caller() -> Option<Caller> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = std::fs::read_to_string("/etc/group").unwrap_or_default();
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    identify(number("SUDO_UID")?, number("SUDO_GID"), &passwd, &group)
}

fn identify(uid: u32, gid: Option<u32>, passwd: &str, group: &str) -> Option<Caller> {
    if uid == 0 {
        return None;
    }
    // passwd(5): name:password:UID:GID:GECOS:directory:shell
    let entry = passwd
        .lines()
        .map(|l| l.split(':').collect::<Vec<_>>())
        .find(|f| f.get(2).and_then(|id| id.parse().ok()) == Some(uid));
    let field = |at: usize| {
        entry
            .as_ref()
            .and_then(|f| f.get(at))
            .map(|s| (*s).to_owned())
    };
    let name = field(0).unwrap_or_else(|| uid.to_string());
    let gid = gid.or_else(|| field(3)?.parse().ok()).unwrap_or(uid);
    // group(5): name:password:GID:members
    let mut groups: Vec<u32> = group
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let member = fields.get(3)?.split(',').any(|m| m == name);
            if member {
                fields.get(2)?.parse().ok()
            } else {
                None
            }
        })
        .collect();
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    Some(Caller {
        uid,
        gid,
        groups,
        name,
        home: OsString::from(field(5).unwrap_or_else(|| "/".to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann,,,:/home/ann:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:bob,ann\nann:x:1001:\n";

    #[test]
    fn the_caller_has_a_name_a_home_and_groups() {
        let ann = identify(1000, None, PASSWD, GROUP).unwrap();
        assert_eq!((ann.uid, ann.gid, ann.name.as_str()), (1000, 1001, "ann"));
        assert_eq!(ann.home, "/home/ann");
        assert_eq!(ann.groups, [1001, 10]);
    }

    #[test]
    fn root_is_nobody_else_and_an_unknown_user_still_works() {
        assert!(identify(0, Some(0), PASSWD, GROUP).is_none());
        let x = identify(4242, Some(7), PASSWD, GROUP).unwrap();
        assert_eq!(
            (x.uid, x.gid, x.name.as_str(), x.groups.as_slice()),
            (4242, 7, "4242", &[7][..])
        );
    }
}
