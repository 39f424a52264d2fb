//! What the command lines of runtimes and of those that start them say.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// `runc` or `crun`, or what is called like them, that makes a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    pub(crate) crun: bool,
    /// Where it keeps the state of containers.
    pub(crate) root: Option<&'a Path>,
    /// The folder of `config.json`; none: its working folder.
    pub(crate) bundle: Option<&'a Path>,
    pub(crate) id: &'a str,
}

/// containerd's shim: the parent of a container's first process and of the runtime that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shim<'a> {
    pub(crate) namespace: &'a str,
    /// Of a pod the sandbox's, for all of its containers.
    pub(crate) id: &'a str,
}

/// podman's and CRI-O's monitor: the parent of a container's first process and of the runtime that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conmon<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) bundle: Option<&'a Path>,
}

/// The words of a command line, each ended by NUL.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.strip_suffix(b"\0").unwrap_or(line).split(|b| *b == 0)
}

fn name(word: &[u8]) -> &[u8] {
    word.rsplit(|b| *b == b'/').next().unwrap_or(word)
}

fn text(word: &[u8]) -> Option<&str> {
    std::str::from_utf8(word)
        .ok()
        .filter(|text| !text.is_empty())
}

fn path(word: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(word))
}

/// Options that stand alone; every other one that has no `=` takes the next word.
const ALONE: [&[u8]; 14] = [
    b"--debug",
    b"--systemd-cgroup",
    b"--detach",
    b"-d",
    b"--no-pivot",
    b"--no-new-keyring",
    b"--no-subreaper",
    b"--keep",
    b"--rootless",
    b"--cgroup-manager-systemd",
    b"--help",
    b"-h",
    b"--version",
    b"-v",
];

/// A call that makes a container: `runc [options] create|run [options] ID`.
pub(crate) fn call(line: &[u8]) -> Option<Call<'_>> {
    let mut words = words(line);
    let program = name(words.next()?);
    let mut call = Call {
        crun: program.windows(4).any(|part| part == b"crun"),
        root: None,
        bundle: None,
        id: "",
    };
    let mut makes = false;
    while let Some(word) = words.next() {
        if !word.starts_with(b"-") {
            if makes {
                call.id = text(word)?;
                return Some(call);
            }
            if word != b"create" && word != b"run" {
                return None;
            }
            makes = true;
            continue;
        }
        if ALONE.contains(&word) {
            continue;
        }
        let mut parts = word.splitn(2, |b| *b == b'=');
        let option = parts.next()?;
        let value = match parts.next() {
            Some(value) => value,
            None => words.next()?,
        };
        match option {
            b"--root" => call.root = Some(path(value)),
            b"--bundle" | b"-b" => call.bundle = Some(path(value)),
            _ => {}
        }
    }
    None
}

/// `containerd-shim-... -namespace NS -id ID ...`.
pub(crate) fn shim(line: &[u8]) -> Option<Shim<'_>> {
    let mut words = words(line);
    if !name(words.next()?).starts_with(b"containerd-shim") {
        return None;
    }
    let (mut namespace, mut id) = (None, None);
    while let Some(word) = words.next() {
        match word {
            b"-namespace" | b"--namespace" => namespace = text(words.next()?),
            b"-id" | b"--id" => id = text(words.next()?),
            _ => {}
        }
    }
    Some(Shim {
        namespace: namespace?,
        id: id?,
    })
}

/// `conmon ... -c ID -n NAME -b BUNDLE ...`.
pub(crate) fn conmon(line: &[u8]) -> Option<Conmon<'_>> {
    let mut words = words(line);
    if !name(words.next()?).starts_with(b"conmon") {
        return None;
    }
    let (mut id, mut container, mut bundle) = (None, None, None);
    while let Some(word) = words.next() {
        match word {
            b"-c" | b"--cid" => id = text(words.next()?),
            b"-n" | b"--name" => container = text(words.next()?),
            b"-b" | b"--bundle" => bundle = words.next().map(path),
            _ => {}
        }
    }
    Some(Conmon {
        id: id?,
        name: container,
        bundle,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> Vec<u8> {
        let words = words.split(' ').map(str::as_bytes);
        words.flat_map(|word| [word, b"\0"].concat()).collect()
    }

    #[test]
    fn calls_of_runtimes_name_id_and_bundle() {
        for (text, crun, root, bundle, id) in [
            (
                "runc --root /run/r --log L --log-format json create --bundle /b --pid-file P ID",
                false,
                Some("/run/r"),
                Some("/b"),
                "ID",
            ),
            (
                "/usr/bin/runc --log-format=json --log L create --bundle /b --pid-file P ID",
                false,
                None,
                Some("/b"),
                "ID",
            ),
            ("runc run ID", false, None, None, "ID"),
            (
                "runc --root=/r --systemd-cgroup run -d -b . ID extra",
                false,
                Some("/r"),
                Some("."),
                "ID",
            ),
            (
                "/usr/bin/crun --systemd-cgroup --root=/run/crun run --bundle=/b ID",
                true,
                Some("/run/crun"),
                Some("/b"),
                "ID",
            ),
        ] {
            let line = line(text);
            let expected = Call {
                crun,
                root: root.map(Path::new),
                bundle: bundle.map(Path::new),
                id,
            };
            assert_eq!(call(&line), Some(expected), "{text}");
        }
        for other in ["runc start ID", "runc", "runc create", "sh -c run", ""] {
            assert_eq!(call(&line(other)), None, "{other}");
        }
    }

    #[test]
    fn parents_of_runtimes_name_namespace_and_name() {
        let words = line("/usr/bin/containerd-shim-runc-v2 -namespace moby -id ID -address /s");
        let expected = Shim {
            namespace: "moby",
            id: "ID",
        };
        assert_eq!(shim(&words), Some(expected));
        assert_eq!(shim(&line("containerd -namespace a -id b")), None);
        assert_eq!(shim(&line("containerd-shim-runc-v2 -namespace")), None);
        let words = line(
            "/usr/bin/conmon --api-version 1 -c ID -u ID -r /usr/bin/runc -b /b/userdata -p P -n web --exit-dir E",
        );
        let expected = Conmon {
            id: "ID",
            name: Some("web"),
            bundle: Some(Path::new("/b/userdata")),
        };
        assert_eq!(conmon(&words), Some(expected));
        assert_eq!(conmon(&line("conmon -n web")), None);
    }
}
