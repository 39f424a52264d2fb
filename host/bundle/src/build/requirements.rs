//! What building takes besides `ig`, and what of it is on this machine.

use super::{BuildError, guest, toolchain};
use std::path::Path;
use std::process::Command;

/// One of the things that [`build`](super::build) needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// A short name that stays the same.
    pub name: &'static str,
    /// What it does.
    pub purpose: &'static str,
    /// Which one it is; or what is not there, and how to get it.
    pub found: Result<String, (String, String)>,
}

/// Looks for everything that building takes, as the user who runs this and outside of any gadget's folder.
#[must_use]
pub fn requirements() -> Vec<Requirement> {
    let clang = toolchain::clang();
    let headers = match &clang {
        Ok(clang) => headers(clang),
        Err(_) => Err(BuildError::Missing {
            tool: "clang, to look for them".to_owned(),
            purpose: "reads the headers",
            install: "apt-get install clang libbpf-dev".to_owned(),
        }),
    };
    let version =
        |clang: &Path| toolchain::version(clang).unwrap_or_else(|| clang.display().to_string());
    let mut all = vec![
        Requirement {
            name: "clang",
            purpose: "`ig image build` compiles the eBPF side with it",
            found: told(clang.map(|clang| version(&clang))),
        },
        Requirement {
            name: "libbpf-headers",
            purpose: "the eBPF side includes them",
            found: told(headers),
        },
    ];
    all.extend(guest::requirements());
    all
}

pub(super) fn told(found: Result<String, BuildError>) -> Result<String, (String, String)> {
    found.map_err(|error| match error {
        BuildError::Missing { tool, install, .. } => (format!("no {tool}"), install),
        error => (error.to_string(), "see what it says".to_owned()),
    })
}

/// Whether clang finds the headers of libbpf where it looks by itself.
fn headers(clang: &Path) -> Result<String, BuildError> {
    let header = "bpf/bpf_helpers.h";
    let mut command = Command::new(clang);
    command.args([
        "-target",
        "bpf",
        "-E",
        "-x",
        "c",
        "-include",
        header,
        "/dev/null",
    ]);
    toolchain::run(&mut command, "looking for the headers of libbpf")
        .map(|_| format!("clang finds <{header}>"))
        .map_err(|_| BuildError::Missing {
            tool: format!("<{header}>"),
            purpose: "is included by the eBPF side",
            install: "apt-get install libbpf-dev".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_comes_with_the_way_to_get_it() {
        let missing = headers(Path::new("/no/such/clang"));
        assert_eq!(
            told(missing),
            Err((
                "no <bpf/bpf_helpers.h>".to_owned(),
                "apt-get install libbpf-dev".to_owned()
            ))
        );
        assert_eq!(told(Ok("clang 19".to_owned())), Ok("clang 19".to_owned()));
    }

    #[test]
    fn what_builds_our_own_gadgets_is_found() {
        let all = requirements();
        let [clang, headers, ..] = &all[..] else {
            panic!("{all:?}")
        };
        assert!(
            clang.found.as_ref().is_ok_and(|v| v.contains("clang")),
            "{clang:?}"
        );
        assert!(headers.found.is_ok(), "{headers:?}");
    }
}
