//! What is known of whom a record belongs to.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The most bytes of a name, an id or an image that are kept; the rest is cut. Whoever makes a container chooses them.
const LONGEST_TEXT: usize = 4096;
/// The most labels that are kept, by their order, and the most bytes of all of them.
const MOST_LABELS: usize = 512;
const MOST_LABEL_BYTES: usize = 64 << 10;
/// The most addresses that are kept.
const MOST_ADDRESSES: usize = 64;

/// What an owner is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Everything that is none of the others.
    #[default]
    Host,
    /// A container.
    Container,
    /// What holds a pod's namespaces: the container that Kubernetes does not show.
    Sandbox,
    /// A systemd service, scope, socket or the like.
    Unit,
    /// A user's session, or the manager of a user's own units.
    Session,
}

impl Kind {
    /// As the column `scope` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Container => "container",
            Self::Sandbox => "sandbox",
            Self::Unit => "unit",
            Self::Session => "session",
        }
    }
}

/// Who runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    /// Docker, by its API.
    Docker,
    /// containerd, by its own API or as Kubernetes' runtime.
    Containerd,
    /// CRI-O, by Kubernetes' container runtime interface.
    Crio,
    /// podman, with root.
    Podman,
    /// runc without anybody above it.
    Runc,
    /// crun without anybody above it.
    Crun,
}

impl Runtime {
    /// Every runtime.
    pub const ALL: [Self; 6] = [
        Self::Docker,
        Self::Containerd,
        Self::Crio,
        Self::Podman,
        Self::Runc,
        Self::Crun,
    ];

    /// As flags and the column `runtime` have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Podman => "podman",
            Self::Runc => "runc",
            Self::Crun => "crun",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No runtime has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRuntime(pub String);

impl fmt::Display for UnknownRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = Runtime::ALL.iter().map(|r| r.as_str()).collect();
        write!(
            f,
            "no runtime is called {:?}; there are {}",
            self.0,
            known.join(", ")
        )
    }
}

impl std::error::Error for UnknownRuntime {}

impl FromStr for Runtime {
    type Err = UnknownRuntime;

    fn from_str(text: &str) -> Result<Self, UnknownRuntime> {
        match text {
            // Its other usual spelling.
            "crio" => Ok(Self::Crio),
            text => Self::ALL
                .into_iter()
                .find(|runtime| runtime.as_str() == text)
                .ok_or_else(|| UnknownRuntime(text.to_owned())),
        }
    }
}

/// Parts of what is known of a container: a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Awaited(u8);

impl Awaited {
    /// No part.
    pub const NONE: Self = Self(0);
    /// Its name: until then it is called by its id.
    pub const NAME: Self = Self(1);
    /// Its image's name.
    pub const IMAGE: Self = Self(1 << 1);
    /// Its image's id.
    pub const IMAGE_ID: Self = Self(1 << 2);
    /// Its image's digest.
    pub const IMAGE_DIGEST: Self = Self(1 << 3);
    /// Its labels, or more of them.
    pub const LABELS: Self = Self(1 << 4);
    /// Its pod, if it has one.
    pub const POD: Self = Self(1 << 5);
    /// The labels of its pod.
    pub const POD_LABELS: Self = Self(1 << 6);
    /// All that is said of images.
    pub const IMAGES: Self = Self::IMAGE.with(Self::IMAGE_ID).with(Self::IMAGE_DIGEST);
    /// All that is said of pods.
    pub const PODS: Self = Self::POD.with(Self::POD_LABELS);
    /// Every part.
    pub const ALL: Self = Self::NAME
        .with(Self::IMAGES)
        .with(Self::LABELS)
        .with(Self::PODS);

    /// These parts and others.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These parts without others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// One of these parts at least is among them.
    #[must_use]
    pub const fn has(self, parts: Self) -> bool {
        self.0 & parts.0 != 0
    }
}

/// The pod of a container or sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// Its uid, as Kubernetes writes it.
    pub uid: String,
    /// The name of this container in the pod; empty for the sandbox.
    pub container: String,
    /// Its labels, as far as the runtime knows them. Empty: it has none, which is known.
    pub labels: Option<BTreeMap<String, String>>,
    /// What made it, where that is known: kind and name, as `ReplicaSet` and `web-7d9f`.
    pub owner: Option<(String, String)>,
    /// The id of its sandbox.
    pub sandbox: String,
}

/// What is known of an owner. Never changes: when more is known, another takes its place in the [`crate::Directory`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// What it is.
    pub kind: Kind,
    /// The path of its cgroup, from the root of the hierarchy; empty for the host and where it is not known.
    pub cgroup: String,
    /// The systemd unit, as `nginx.service`; of a container the one that it runs in, if any.
    pub unit: Option<String>,
    /// All else, of a container.
    pub facts: Facts,
}

/// What some source says of a container. Everything that it does not know is empty or `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its full id.
    pub id: String,
    /// Who runs it.
    pub runtime: Option<Runtime>,
    /// Its name: what the user called it, or the runtime; the id where there is none.
    pub name: Option<String>,
    /// The image as it was asked for: `docker.io/library/busybox:1.36`.
    pub image: Option<String>,
    /// The image's id: the digest of its configuration, `sha256:...`.
    pub image_id: Option<String>,
    /// The image's digest: of its manifest, `sha256:...`.
    pub image_digest: Option<String>,
    /// The id of its first process, in the pid namespace of `ig`.
    pub pid: Option<u32>,
    /// When it was made or started, in nanoseconds since 1970: as the runtime says.
    pub started: Option<i64>,
    /// Its labels; of a runtime without labels, its annotations. Empty: it has none, which is known.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its pod.
    pub pod: Option<Pod>,
    /// A sandbox, not one of a pod's containers.
    pub sandbox: bool,
    /// It shares the network of the host.
    pub host_network: Option<bool>,
    /// All of its own addresses, where it shares them with the containers of its pod alone. None: the source does not say.
    pub addresses: Option<Vec<IpAddr>>,
    /// The path of its cgroup, where the source says it.
    pub cgroup: Option<String>,
    /// What only its runtime's API knows, and may still say. A part that is known already needs no more.
    pub awaited: Awaited,
}

impl Facts {
    /// Takes from `more`, a better source, all that it knows. The ids are the same, or this one's is empty. What is awaited
    /// stays so: no source but the directory's own threads says that nothing more comes.
    pub fn learn(&mut self, more: Self) {
        let Self {
            id,
            runtime,
            name,
            image,
            image_id,
            image_digest,
            pid,
            started,
            labels,
            pod,
            sandbox,
            host_network,
            addresses,
            cgroup,
            awaited: _,
        } = more;
        if self.id.is_empty() {
            self.id = id;
        }
        take(&mut self.runtime, runtime);
        take(&mut self.name, name);
        take(&mut self.image, image);
        take(&mut self.image_id, image_id);
        take(&mut self.image_digest, image_digest);
        take(&mut self.pid, pid);
        take(&mut self.started, started);
        take(&mut self.host_network, host_network);
        take(&mut self.cgroup, cgroup);
        take(&mut self.addresses, addresses);
        take(&mut self.labels, labels);
        self.sandbox |= sandbox;
        match (&mut self.pod, pod) {
            (Some(old), Some(new)) => old.learn(new),
            (old @ None, Some(new)) => *old = Some(new),
            (_, None) => {}
        }
        self.bound();
    }

    /// Cuts what is longer than anything that serves a reader. Whoever made the container chose these texts.
    pub fn bound(&mut self) {
        cut(&mut self.id);
        for text in [
            &mut self.name,
            &mut self.image,
            &mut self.image_id,
            &mut self.image_digest,
            &mut self.cgroup,
        ] {
            text.iter_mut().for_each(cut);
        }
        self.labels.iter_mut().for_each(bound_labels);
        if let Some(addresses) = &mut self.addresses {
            addresses.truncate(MOST_ADDRESSES);
        }
        if let Some(pod) = &mut self.pod {
            for text in [
                &mut pod.name,
                &mut pod.namespace,
                &mut pod.uid,
                &mut pod.container,
                &mut pod.sandbox,
            ] {
                cut(text);
            }
            if let Some((kind, name)) = &mut pod.owner {
                cut(kind);
                cut(name);
            }
            pod.labels.iter_mut().for_each(bound_labels);
        }
    }
}

impl Pod {
    fn learn(&mut self, more: Self) {
        let Self {
            name,
            namespace,
            uid,
            container,
            labels,
            owner,
            sandbox,
        } = more;
        for (old, new) in [
            (&mut self.name, name),
            (&mut self.namespace, namespace),
            (&mut self.uid, uid),
            (&mut self.container, container),
            (&mut self.sandbox, sandbox),
        ] {
            if !new.is_empty() {
                *old = new;
            }
        }
        take(&mut self.labels, labels);
        take(&mut self.owner, owner);
    }
}

fn take<T>(old: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *old = new;
    }
}

fn cut(text: &mut String) {
    if text.len() > LONGEST_TEXT {
        let end = (0..=LONGEST_TEXT)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
    }
}

fn bound_labels(labels: &mut BTreeMap<String, String>) {
    let bytes: usize = labels.iter().map(|(k, v)| k.len() + v.len()).sum();
    if labels.len() <= MOST_LABELS && bytes <= MOST_LABEL_BYTES {
        return;
    }
    let mut left = MOST_LABEL_BYTES;
    let mut kept = 0;
    labels.retain(|key, value| {
        let size = key.len() + value.len();
        let fits = size <= left && kept < MOST_LABELS;
        if fits {
            left -= size;
            kept += 1;
        }
        fits
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(keys: &[&str]) -> BTreeMap<String, String> {
        let value = |key: &&str| ((*key).to_owned(), String::new());
        keys.iter().map(value).collect()
    }

    #[test]
    fn a_better_source_adds_and_takes_nothing_away() {
        let pod = |name: &str, uid: &str| Pod {
            name: name.to_owned(),
            uid: uid.to_owned(),
            ..Pod::default()
        };
        let mut known = Facts {
            id: "abc".to_owned(),
            name: Some("abc".to_owned()),
            pid: Some(7),
            pod: Some(pod("p", "")),
            ..Facts::default()
        };
        known.learn(Facts {
            id: "abc".to_owned(),
            name: Some("web".to_owned()),
            image: Some("busybox".to_owned()),
            labels: Some(labels(&["a"])),
            pod: Some(pod("", "u")),
            ..Facts::default()
        });
        assert_eq!(known.name.as_deref(), Some("web"));
        assert_eq!(known.pid, Some(7));
        assert_eq!(known.pod, Some(pod("p", "u")));
        known.learn(Facts::default());
        assert_eq!(known.labels, Some(labels(&["a"])));
        assert_eq!(known.image.as_deref(), Some("busybox"));
    }

    #[test]
    fn who_knows_that_there_are_no_labels_takes_them_away_and_who_knows_none_does_not() {
        let of = |own: Option<&[&str]>, pods: Option<&[&str]>| Facts {
            labels: own.map(labels),
            pod: Some(Pod {
                labels: pods.map(labels),
                ..Pod::default()
            }),
            ..Facts::default()
        };
        let mut known = of(Some(&["a", "b"]), Some(&["c"]));
        for (said, expected) in [
            (Facts::default(), of(Some(&["a", "b"]), Some(&["c"]))),
            (of(None, None), of(Some(&["a", "b"]), Some(&["c"]))),
            (of(Some(&["a"]), None), of(Some(&["a"]), Some(&["c"]))),
            (of(Some(&[]), None), of(Some(&[]), Some(&["c"]))),
            (of(None, Some(&[])), of(Some(&[]), Some(&[]))),
            (of(None, None), of(Some(&[]), Some(&[]))),
            (
                of(Some(&["d"]), Some(&["d"])),
                of(Some(&["d"]), Some(&["d"])),
            ),
        ] {
            known.learn(said.clone());
            assert_eq!(known, expected, "after {said:?}");
        }
    }

    #[test]
    fn texts_and_labels_of_megabytes_are_cut() {
        let long = "ä".repeat(1 << 20);
        let mut labels: BTreeMap<String, String> = (0..10_000)
            .map(|i| (format!("{i:05}"), "x".repeat(10)))
            .collect();
        labels.insert("0".to_owned(), long.clone());
        let mut facts = Facts {
            id: long.clone(),
            name: Some(long.clone()),
            labels: Some(labels.clone()),
            pod: Some(Pod {
                name: long,
                labels: Some(labels),
                ..Pod::default()
            }),
            addresses: Some(vec![IpAddr::from([0; 4]); 1000]),
            ..Facts::default()
        };
        facts.bound();
        assert_eq!(facts.id.len(), LONGEST_TEXT);
        assert_eq!(facts.name.map(|n| n.len()), Some(LONGEST_TEXT));
        assert_eq!(facts.addresses.map(|all| all.len()), Some(MOST_ADDRESSES));
        let pod = facts.pod.unwrap_or_default();
        assert_eq!(pod.name.len(), LONGEST_TEXT);
        for labels in [facts.labels, pod.labels].map(Option::unwrap_or_default) {
            assert_eq!(labels.len(), MOST_LABELS);
            assert!(!labels.contains_key("0"), "one that is too long alone");
        }
    }

    #[test]
    fn runtimes_have_the_names_that_flags_take() {
        for runtime in Runtime::ALL {
            assert_eq!(runtime.as_str().parse(), Ok(runtime));
        }
        assert_eq!("crio".parse(), Ok(Runtime::Crio));
        let error = "rkt".parse::<Runtime>().map_err(|e| e.to_string());
        assert_eq!(
            error,
            Err("no runtime is called \"rkt\"; there are docker, containerd, cri-o, podman, runc, crun".to_owned())
        );
    }
}
