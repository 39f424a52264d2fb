//! What the path of a cgroup says, as far as a path can be believed.
//!
//! A path names a systemd unit by itself. Of a container it only hints: anybody with a cgroup of their own can call one below
//! it `docker-<id>.scope`. Who takes a hint looks for evidence.

use crate::owner::Runtime;

/// A path's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit<'a> {
    pub(crate) name: &'a str,
    /// A user's session or user manager.
    pub(crate) session: bool,
    /// The path is the unit's own, not below it.
    pub(crate) own: bool,
}

/// What a component's name hints at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint<'a> {
    /// None: any.
    pub(crate) runtime: Option<Runtime>,
    pub(crate) id: &'a str,
}

/// systemd allows no longer names.
const LONGEST_UNIT: usize = 255;

/// The components of a path.
fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty())
}

/// The systemd unit that a path lies in. The outermost one: what is below is made by whom it belongs to, who could call it like
/// any other. But a system inside the system (`payload` of systemd-nspawn) has units of its own.
pub(crate) fn unit(path: &str) -> Option<Unit<'_>> {
    let mut found: Option<Unit<'_>> = None;
    let mut above = "";
    // A nested system's units are looked for.
    let mut open = true;
    for component in components(path) {
        if let Some(unit) = &mut found {
            unit.own = false;
        }
        let session = found.as_ref().is_some_and(|unit| unit.session);
        if component == "payload" && !session {
            open = true;
        } else if open && is_unit(component) {
            let user = above.starts_with("user-") && above.ends_with(".slice");
            let scope = component.starts_with("session-") && component.ends_with(".scope");
            let manager = component.starts_with("user@") && component.ends_with(".service");
            found = Some(Unit {
                name: component,
                session: user && (scope || manager),
                own: true,
            });
            open = false;
        }
        above = component;
    }
    found
}

pub(crate) fn is_unit(component: &str) -> bool {
    const SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
    component.len() <= LONGEST_UNIT
        && SUFFIXES
            .iter()
            .any(|suffix| component.len() > suffix.len() && component.ends_with(suffix))
}

/// The container whose own this cgroup may be, by its last component.
pub(crate) fn hint(path: &str) -> Option<Hint<'_>> {
    let mut components = components(path).rev();
    let last = components.next()?;
    let above = components.next().unwrap_or_default();
    let hint = |runtime, id| Some(Hint { runtime, id });
    for (prefix, runtime) in [
        ("docker-", Runtime::Docker),
        ("cri-containerd-", Runtime::Containerd),
        ("nerdctl-", Runtime::Containerd),
        ("crio-", Runtime::Crio),
        ("libpod-payload-", Runtime::Podman),
        ("libpod-", Runtime::Podman),
        ("runc-", Runtime::Runc),
        ("crun-", Runtime::Crun),
    ] {
        if let Some(id) = last.strip_prefix(prefix) {
            let id = id.strip_suffix(".scope").unwrap_or(id);
            let conmon = id.starts_with("conmon-");
            return hint(Some(runtime), id).filter(|hint| !conmon && is_id(hint.id));
        }
    }
    // What runc makes of systemd's form without systemd.
    if let Some((_, id)) = last.rsplit_once(':') {
        return hint(None, id).filter(|hint| is_id(hint.id));
    }
    if is_hash(last) {
        let runtime = (above == "docker").then_some(Runtime::Docker);
        return hint(runtime, last);
    }
    None
}

/// An id that a runtime gives by itself: 64 hexadecimal digits.
pub(crate) fn is_hash(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// An id that runtimes take: one component of a path, and no way to another folder.
pub(crate) fn is_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
    !id.is_empty() && id.len() <= 1024 && id.bytes().all(plain) && id != "." && id != ".."
}

/// Whether `linux.cgroupsPath` of a container's `config.json` means this cgroup. The path may be longer in front: what is told
/// to a runtime counts from where the runtime stands.
pub(crate) fn is_meant(cgroups_path: Option<&str>, path: &str, id: &str) -> bool {
    let mut last = components(path).rev();
    let (Some(last), above) = (last.next(), last.next()) else {
        return false;
    };
    let wanted = cgroups_path.unwrap_or_default();
    if components(wanted).next().is_none() {
        return last == id || scope_of(last).is_some_and(|(_, name)| name == id);
    }
    if !wanted.starts_with('/')
        && let [slice, prefix, name] = wanted.split(':').collect::<Vec<_>>()[..]
    {
        let scope = last.strip_suffix(".scope").and_then(|scope| {
            let rest = scope.strip_prefix(prefix)?;
            Some(rest == name || rest.strip_prefix('-') == Some(name))
        });
        return last == wanted || scope == Some(true) && (slice.is_empty() || above == Some(slice));
    }
    let mut whole = components(path).rev();
    components(wanted)
        .rev()
        .all(|part| whole.next() == Some(part))
}

/// A scope's prefix and name.
fn scope_of(component: &str) -> Option<(&str, &str)> {
    component.strip_suffix(".scope")?.split_once('-')
}

/// Whether a path is strictly below another.
pub(crate) fn is_below(path: &str, above: &str) -> bool {
    let above = above.trim_end_matches('/');
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}

/// The path of the cgroup above.
pub(crate) fn above(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some((above, _)) if !above.is_empty() => above,
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn units_are_the_outermost_of_a_system() {
        for (path, name, session, own) in [
            ("/system.slice/foo.service", "foo.service", false, true),
            ("/system.slice/foo.service/a", "foo.service", false, false),
            ("/init.scope", "init.scope", false, true),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                "getty@tty1.service",
                false,
                true,
            ),
            (
                "/system.slice/foo.service/system.slice/nginx.service",
                "foo.service",
                false,
                false,
            ),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                "session-3.scope",
                true,
                true,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service",
                "user@1000.service",
                true,
                false,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/payload/nginx.service",
                "user@1000.service",
                true,
                false,
            ),
            ("/session-3.scope", "session-3.scope", false, true),
            (
                "/payload/system.slice/foo.service",
                "foo.service",
                false,
                true,
            ),
            (
                "/machine.slice/systemd-nspawn@m.service/payload/system.slice/foo.service",
                "foo.service",
                false,
                true,
            ),
            (
                "/machine.slice/systemd-nspawn@m.service/supervisor",
                "systemd-nspawn@m.service",
                false,
                false,
            ),
        ] {
            let expected = Unit { name, session, own };
            assert_eq!(unit(path), Some(expected), "{path}");
        }
        let long = format!("/{}.service", "x".repeat(300));
        for path in ["/", "/system.slice", "/docker/a", "/.service", &long] {
            assert_eq!(unit(path), None, "{path}");
        }
    }

    #[test]
    fn names_of_cgroups_hint_at_containers() {
        for (path, runtime) in [
            (format!("/docker/{ID}"), Some(Runtime::Docker)),
            (
                format!("/system.slice/docker-{ID}.scope"),
                Some(Runtime::Docker),
            ),
            (
                format!("/k.slice/cri-containerd-{ID}.scope"),
                Some(Runtime::Containerd),
            ),
            (format!("/k.slice/crio-{ID}.scope"), Some(Runtime::Crio)),
            (format!("/k.slice/crio-{ID}"), Some(Runtime::Crio)),
            (
                format!("/machine.slice/libpod-{ID}.scope"),
                Some(Runtime::Podman),
            ),
            (format!("/libpod_parent/libpod-{ID}"), Some(Runtime::Podman)),
            (
                format!("/system.slice/a.service/libpod-payload-{ID}"),
                Some(Runtime::Podman),
            ),
            (format!("/kubepods/burstable/pod1/{ID}"), None),
            (format!("/x.slice:cri-containerd:{ID}"), None),
        ] {
            let expected = Hint { runtime, id: ID };
            assert_eq!(hint(&path), Some(expected), "{path}");
        }
        for path in [
            "/".to_owned(),
            "/docker".to_owned(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/libpod_parent/{ID}/conmon"),
            "/docker/0123".to_owned(),
            "/docker-..scope".to_owned(),
            "/a:..".to_owned(),
        ] {
            assert_eq!(hint(&path), None, "{path}");
        }
    }

    #[test]
    fn the_configuration_means_its_own_cgroup_alone() {
        for (wanted, path, meant) in [
            (Some("/docker/a"), "/docker/a", true),
            (Some("/docker/a"), "/payload/docker/a", true),
            (Some("docker/a"), "/docker/a", true),
            (Some("/docker/a"), "/docker/b", false),
            (Some("/docker/a"), "/xdocker/a", false),
            (Some("/docker/a"), "/docker/a/b", false),
            (Some("/docker/a"), "/a", false),
            (
                Some("k.slice:cri-containerd:a"),
                "/k.slice/cri-containerd-a.scope",
                true,
            ),
            (
                Some("k.slice:cri-containerd:a"),
                "/l.slice/cri-containerd-a.scope",
                false,
            ),
            (
                Some("k.slice:cri-containerd:a"),
                "/k.slice/cri-containerd-b.scope",
                false,
            ),
            (
                Some("k.slice:cri-containerd:a"),
                "/k.slice:cri-containerd:a",
                true,
            ),
            (Some(":libpod:a"), "/machine.slice/libpod-a.scope", true),
            (Some("s.slice::a"), "/s.slice/a.scope", true),
            (None, "/a", true),
            (Some(""), "/system.slice/runc-a.scope", true),
            (Some("/"), "/b", false),
            (None, "/", false),
        ] {
            assert_eq!(is_meant(wanted, path, "a"), meant, "{wanted:?} {path}");
        }
    }

    #[test]
    fn paths_are_compared_by_component() {
        assert!(is_below("/a/b", "/a") && is_below("/a", "/") && is_below("/a/b/c", "/a"));
        assert!(!is_below("/a", "/a") && !is_below("/ab", "/a") && !is_below("/", "/"));
        assert_eq!((above("/a/b"), above("/a"), above("/")), ("/a", "/", "/"));
        assert!(is_id("c1") && is_id("a.b_c-d+e"));
        assert!(!is_id("..") && !is_id("a/b") && !is_id("") && !is_id("a b"));
    }
}
