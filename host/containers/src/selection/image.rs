//! Names of images as people write them: `nginx` is `docker.io/library/nginx`, of any tag.

use super::Verdict;
use super::values::Glob;
use crate::owner::{Awaited, Facts};

/// The registry of names without one, and its other name.
const HUB: &str = "docker.io/";
const OLD_HUB: &str = "index.docker.io/";
/// What the registry keeps names of one part under.
const LIBRARY: &str = "library/";
/// Where podman keeps what was built here.
const LOCAL: &str = "localhost/";
/// So much of an id or digest stands for it.
pub(super) const SHORTEST: usize = 12;
const ALGORITHM: &str = "sha256:";

/// A name of an image, or a pattern of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ImageName {
    Name {
        /// With its registry, without its digest.
        full: String,
        /// None: any.
        tagged: bool,
        digest: Option<Digest>,
    },
    Pattern(Glob),
}

impl ImageName {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let glob = Glob::parse(text)?;
        if glob.text().is_none() {
            return Ok(Self::Pattern(glob));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        if name.is_empty() || text.starts_with(ALGORITHM) {
            return Err(format!(
                "{text:?} is no name of an image; digests and ids are asked for with --image-digest and --image-id"
            ));
        }
        Ok(Self::Name {
            full: full(name),
            tagged: untagged(name).len() < name.len(),
            digest,
        })
    }

    /// Whether a container's image is meant.
    pub(super) fn matches(&self, image: &str, facts: &Facts) -> Verdict {
        let (name, own_digest) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (image, None),
        };
        let mut own = full(name);
        if untagged(&own).len() == own.len() && own_digest.is_none() {
            own.push_str(":latest");
        }
        let bare = untagged(&own);
        match self {
            Self::Pattern(glob) => [&own, bare, familiar(&own), familiar(bare), image]
                .into_iter()
                .any(|name| glob.matches(name))
                .into(),
            Self::Name {
                full: wanted,
                tagged,
                digest,
            } => {
                let own = if *tagged { &own } else { bare };
                // What podman built here has a registry that nobody writes.
                let local = own.strip_prefix(LOCAL).map(full);
                let named = own == wanted || local.as_ref() == Some(wanted);
                let Some(digest) = digest.as_ref().filter(|_| named) else {
                    return named.into();
                };
                match own_digest.or(facts.image_digest.as_deref()) {
                    Some(own) => digest.matches(own).into(),
                    None if facts.awaited.has(Awaited::IMAGE_DIGEST) => Verdict::Later,
                    None => Verdict::No,
                }
            }
        }
    }
}

/// With its registry.
fn full(name: &str) -> String {
    let name = match name.strip_prefix(OLD_HUB) {
        Some(rest) => rest,
        None => name.strip_prefix(HUB).unwrap_or(name),
    };
    match name.split_once('/') {
        Some((registry, _)) if registry.contains(['.', ':']) || registry == "localhost" => {
            name.to_owned()
        }
        Some(_) => format!("{HUB}{name}"),
        None => format!("{HUB}{LIBRARY}{name}"),
    }
}

/// Without its tag: what stands behind a colon after the last slash.
fn untagged(name: &str) -> &str {
    let last = name.rfind('/').map_or(0, |at| at + 1);
    let colon = name.get(last..).and_then(|last| last.find(':'));
    colon.and_then(|at| name.get(..last + at)).unwrap_or(name)
}

/// As people write it.
fn familiar(name: &str) -> &str {
    let local = || name.strip_prefix(LOCAL);
    match name.strip_prefix(HUB) {
        Some(rest) => rest.strip_prefix(LIBRARY).unwrap_or(rest),
        None => local().unwrap_or(name),
    }
}

/// A digest or an id: in full, with or without its algorithm, or so much of its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest(Glob);

impl Digest {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix(ALGORITHM).unwrap_or(text);
        let glob = Glob::parse(bare)?;
        let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        match glob.text() {
            Some(text) if !hex(text) || !(SHORTEST..=64).contains(&text.len()) => Err(format!(
                "{text:?} is no digest: give 64 hexadecimal digits, the first {SHORTEST} of them at least, or a pattern \
                 like {text:.6}*"
            )),
            _ => Ok(Self(glob)),
        }
    }

    pub(super) fn matches(&self, digest: &str) -> bool {
        let bare = digest.strip_prefix(ALGORITHM).unwrap_or(digest);
        match self.0.text() {
            Some(start) => {
                let own = bare.as_bytes().get(..start.len());
                own.is_some_and(|own| own.eq_ignore_ascii_case(start.as_bytes()))
            }
            None => self.0.matches(bare),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(wanted: &str, image: &str) -> bool {
        let wanted = ImageName::parse(wanted).unwrap_or_else(|why| panic!("{why}"));
        wanted.matches(image, &Facts::default()) == Verdict::Yes
    }

    #[test]
    fn a_familiar_name_is_the_one_in_full() {
        for (wanted, image, expected) in [
            ("nginx", "docker.io/library/nginx:1.27", true),
            ("nginx", "nginx", true),
            ("nginx:1.27", "docker.io/library/nginx:1.27", true),
            ("nginx:1.27", "docker.io/library/nginx:1.28", false),
            ("nginx:latest", "nginx", true),
            ("nginx:latest", "nginx:1.27", false),
            ("docker.io/nginx", "nginx:1", true),
            ("docker.io/library/nginx:1.27", "nginx:1.27", true),
            ("index.docker.io/library/nginx", "nginx:1.27", true),
            ("library/nginx", "nginx", true),
            ("nginx", "docker.io/bitnami/nginx:1.27", false),
            ("nginx", "quay.io/nginx", false),
            ("nginx", "nginx-unprivileged", false),
            ("bitnami/nginx", "docker.io/bitnami/nginx:1.27", true),
            ("quay.io:5000/x/y", "quay.io:5000/x/y:1", true),
            ("quay.io:5000/x/y:1", "quay.io:5000/x/y:2", false),
            ("web", "localhost/web:latest", true),
            ("localhost/web", "localhost/web:latest", true),
            ("localhost/web", "web", false),
            ("nginx*", "docker.io/library/nginx-unprivileged:1", true),
            ("nginx:1.*", "docker.io/library/nginx:1.27", true),
            ("docker.io/*", "nginx", true),
            ("*/nginx", "quay.io/nginx:1", true),
            ("quay.io/*", "nginx", false),
            ("n?inx", "docker.io/library/nginx:1.27", true),
        ] {
            assert_eq!(matches(wanted, image), expected, "{wanted} {image}");
        }
        assert!(ImageName::parse("sha256:abc").is_err_and(|why| why.contains("--image-digest")));
    }

    #[test]
    fn a_digest_may_begin_and_leave_out_its_algorithm() {
        let sha = "0123456789abcdef".repeat(4);
        let full = format!("sha256:{sha}");
        for wanted in [
            &full,
            &sha,
            &sha[..12],
            &format!("sha256:{}", &sha[..20]),
            "0123*",
        ] {
            let digest = Digest::parse(wanted).unwrap_or_else(|why| panic!("{why}"));
            assert!(digest.matches(&full) && digest.matches(&sha), "{wanted}");
            assert!(!digest.matches(&"1".repeat(64)), "{wanted}");
            assert!(!digest.matches("") && !digest.matches("012"), "{wanted}");
        }
        let upper = Digest::parse(&sha.to_uppercase()).unwrap_or_else(|why| panic!("{why}"));
        assert!(upper.matches(&full));
        for wrong in ["0123456789a", "", "sha256:", "nginx", &format!("{sha}0")] {
            assert!(Digest::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_image_with_its_digest_is_that_one_alone() {
        let sha = "0123456789abcdef".repeat(4);
        let wanted =
            ImageName::parse(&format!("nginx@sha256:{sha}")).unwrap_or_else(|why| panic!("{why}"));
        let mut facts = Facts::default();
        let own = format!("docker.io/library/nginx@sha256:{sha}");
        assert_eq!(wanted.matches(&own, &facts), Verdict::Yes);
        assert_eq!(wanted.matches("nginx:1", &facts), Verdict::No);
        facts.awaited = Awaited::IMAGE_DIGEST;
        assert_eq!(wanted.matches("nginx:1", &facts), Verdict::Later);
        assert_eq!(wanted.matches("redis:1", &facts), Verdict::No);
        facts.image_digest = Some(format!("sha256:{sha}"));
        assert_eq!(wanted.matches("nginx:1", &facts), Verdict::Yes);
    }
}
