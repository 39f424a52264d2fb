//! Selectors: whose records are wanted, as flags say it.
//!
//! [`Selectors`] is a set of conditions over an [`Owner`]. All of them have to hold; of the values of one, any of those that
//! stand plainly and none of those behind `!`. What is not known yet, and may still come ([`Facts::awaited`]), makes the
//! answer [`Verdict::Later`] where it hangs on that.
//!
//! [`Facts::awaited`]: crate::Facts::awaited

mod image;
mod labels;
#[cfg(test)]
mod tests;
mod values;

use crate::cgroup_path;
use crate::owner::{Awaited, Kind, Owner, Runtime};
use image::{Digest, ImageName, SHORTEST};
use labels::{LabelSelector, Wrong};
use std::fmt;
use values::{Glob, Values};

/// Whether an owner is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// That hangs on what is not known yet and may still come.
    Later,
}

impl Verdict {
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Later => Self::Later,
        }
    }

    /// Both are needed.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        all([self, other].into_iter())
    }
}

impl From<bool> for Verdict {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// No is certain as soon as one says it.
fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut result = Verdict::Yes;
    for verdict in verdicts {
        match verdict {
            Verdict::No => return Verdict::No,
            Verdict::Later => result = Verdict::Later,
            Verdict::Yes => {}
        }
    }
    result
}

fn any(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    all(verdicts.map(Verdict::not)).not()
}

/// A selector, as a flag names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// The container's name, as its runtime has it; in a pod the name in the pod.
    Container,
    /// The container's id: in full or its first 12 characters at least.
    ContainerId,
    /// The image's name.
    Image,
    /// The digest of the image's manifest.
    ImageDigest,
    /// The image's id.
    ImageId,
    /// Who runs the container.
    Runtime,
    /// The container's labels.
    Labels,
    /// The pod's name.
    Pod,
    /// The pod's Kubernetes namespace.
    Namespace,
    /// The container's name in its pod.
    PodContainer,
    /// The pod's labels.
    PodLabels,
    /// The systemd unit.
    Unit,
    /// A cgroup and all below it.
    Cgroup,
    /// Containers, the host, or all.
    Scope,
}

impl Selector {
    /// Every selector.
    pub const ALL: [Self; 14] = [
        Self::Container,
        Self::ContainerId,
        Self::Image,
        Self::ImageDigest,
        Self::ImageId,
        Self::Runtime,
        Self::Labels,
        Self::Pod,
        Self::Namespace,
        Self::PodContainer,
        Self::PodLabels,
        Self::Unit,
        Self::Cgroup,
        Self::Scope,
    ];

    /// Its flag, without dashes.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::Container => "containername",
            Self::ContainerId => "container-id",
            Self::Image => "image",
            Self::ImageDigest => "image-digest",
            Self::ImageId => "image-id",
            Self::Runtime => "runtime",
            Self::Labels => "container-selector",
            Self::Pod => "k8s-podname",
            Self::Namespace => "k8s-namespace",
            Self::PodContainer => "k8s-containername",
            Self::PodLabels => "k8s-selector",
            Self::Unit => "unit",
            Self::Cgroup => "cgroup",
            Self::Scope => "scope",
        }
    }

    /// Its flag of one letter, where it has one.
    #[must_use]
    pub fn short(self) -> Option<char> {
        (self == Self::Container).then_some('c')
    }

    /// Other names of its flag: those of Inspektor Gadget, where they differ.
    #[must_use]
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Container => &["runtime-containername"],
            Self::Image => &["runtime-containerimage-name"],
            Self::ImageDigest => &["runtime-containerimage-digest", "containerimage-digest"],
            Self::ImageId => &["runtime-containerimage-id", "containerimage-id"],
            _ => &[],
        }
    }

    /// What follows the flag, in a word.
    #[must_use]
    pub fn value_name(self) -> &'static str {
        match self {
            Self::Container | Self::Image | Self::Pod | Self::Namespace | Self::PodContainer => {
                "NAMES"
            }
            Self::ContainerId | Self::ImageId => "IDS",
            Self::ImageDigest => "DIGESTS",
            Self::Runtime => "RUNTIMES",
            Self::Labels | Self::PodLabels => "SELECTOR",
            Self::Unit => "UNITS",
            Self::Cgroup => "PATHS",
            Self::Scope => "SCOPE",
        }
    }

    /// One sentence for the flag's help.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Container => {
                "Only containers of these names; several with commas, '!' before a name leaves it out, and *, ? and \
                 [a-z] stand for others, here and in the next ones"
            }
            Self::ContainerId => {
                "Only containers of these ids, or of these beginnings of 12 characters"
            }
            Self::Image => "Only containers of these images; without a tag: of any",
            Self::ImageDigest => "Only containers of images of these digests",
            Self::ImageId => "Only containers of images of these ids",
            Self::Runtime => "Only containers that these runtimes run",
            Self::Labels => "Only containers of these labels, as --k8s-selector has it",
            Self::Pod => "Only the containers of these pods",
            Self::Namespace => "Only the containers of pods in these Kubernetes namespaces",
            Self::PodContainer => "Only containers of these names in their pods",
            Self::PodLabels => {
                "Only the containers of pods of these labels, as Kubernetes writes it: app=web,tier!=test,env in (a,b),!old"
            }
            Self::Unit => "Only these systemd units; a bare name is that of a .service",
            Self::Cgroup => "Only what is in these cgroups and below",
            Self::Scope => {
                "containers, host (all that is no container's) or all [default: containers with a selector of \
                 containers, else all]"
            }
        }
    }

    /// The selector of a flag's name, its own or another.
    #[must_use]
    pub fn of_flag(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|selector| selector.flag() == name || selector.aliases().contains(&name))
    }

    /// It asks for something that only containers have.
    #[must_use]
    pub fn is_of_containers(self) -> bool {
        !matches!(self, Self::Unit | Self::Cgroup | Self::Scope)
    }
}

/// Why a selector can't be understood, or several not together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Something is wrong with one.
    #[error("--{flag} {value:?}, at character {at}: {why}")]
    Wrong {
        /// Its flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// Where, from 1 on.
        at: usize,
        /// What, and the cure.
        why: String,
    },
    /// It asks for what the scope leaves out.
    #[error(
        "--{0} asks for containers, and --scope host leaves all of them out: leave out one of the two"
    )]
    NoContainers(&'static str),
}

/// Whose records are wanted at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    /// Containers, with the sandboxes of pods.
    Containers,
    /// All else.
    Host,
}

/// Conditions over owners. None: everybody is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors {
    /// In words that somebody said.
    scope: Option<Scope>,
    name: Option<Values<Glob>>,
    id: Option<Values<ContainerId>>,
    image: Option<Values<ImageName>>,
    image_digest: Option<Values<Digest>>,
    image_id: Option<Values<Digest>>,
    runtime: Option<Values<Glob>>,
    labels: Vec<LabelSelector>,
    pod: Option<Values<Glob>>,
    namespace: Option<Values<Glob>>,
    pod_container: Option<Values<Glob>>,
    pod_labels: Vec<LabelSelector>,
    unit: Option<Values<Glob>>,
    cgroup: Option<Values<Below>>,
    /// The first that asks for something that only containers have.
    of_containers: Option<&'static str>,
}

/// An id: in full, or so much of its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ContainerId(Glob);

impl ContainerId {
    fn matches(&self, id: &str) -> bool {
        let begins = |own: &str| own.len() >= SHORTEST && id.starts_with(own);
        self.0.matches(id) || self.0.text().is_some_and(begins)
    }
}

/// A cgroup and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Below(Glob);

impl Below {
    fn parse(text: &str) -> Result<Self, String> {
        const MOUNTS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let mounted = MOUNTS.iter().find_map(|mount| {
            let rest = text.strip_prefix(mount)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        });
        let parts = mounted
            .unwrap_or(text)
            .split('/')
            .filter(|part| !part.is_empty());
        let mut path = String::new();
        for part in parts {
            if matches!(part, "." | "..") {
                return Err(format!(
                    "{text:?} goes by '.' or '..': give the path from the root of the cgroups"
                ));
            }
            path.push('/');
            path.push_str(part);
        }
        Glob::parse(&path).map(Self)
    }

    fn matches(&self, path: &str) -> bool {
        match self.0.text() {
            Some(own) => {
                let rest = path.strip_prefix(own);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            None => {
                let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
                ends.chain([path.len()])
                    .filter_map(|end| path.get(..end))
                    .any(|above| self.0.matches(above))
            }
        }
    }
}

fn unit(text: &str) -> Result<Glob, String> {
    if text.ends_with(".slice") {
        return Err(format!(
            "{text:?} is a slice, which runs nothing itself: give its cgroup, as --cgroup /{text}"
        ));
    }
    let glob = Glob::parse(text)?;
    Ok(match glob.text() {
        Some(name) if !cgroup_path::is_unit(name) => Glob::Text(format!("{name}.service")),
        _ => glob,
    })
}

fn runtime(text: &str) -> Result<Glob, String> {
    let glob = Glob::parse(text)?;
    match glob.text() {
        Some(name) => match name.parse::<Runtime>() {
            Ok(runtime) => Ok(Glob::Text(runtime.as_str().to_owned())),
            Err(unknown) => Err(unknown.to_string()),
        },
        None => Ok(glob),
    }
}

impl Selectors {
    /// Those that flags say, each as often as it was given: one that is given twice has the values of both, and of labels
    /// both have to hold.
    ///
    /// # Errors
    /// One can't be understood, or can never match with the scope.
    pub fn parse<'a>(
        given: impl IntoIterator<Item = (Selector, &'a str)>,
    ) -> Result<Self, SelectorError> {
        let mut all = Self::default();
        for (selector, value) in given {
            all.add(selector, value)
                .map_err(|Wrong { at, why }| SelectorError::Wrong {
                    flag: selector.flag(),
                    value: value.to_owned(),
                    at: value.get(..at).unwrap_or(value).chars().count() + 1,
                    why,
                })?;
            if selector.is_of_containers() {
                all.of_containers.get_or_insert(selector.flag());
            }
        }
        match all.of_containers {
            Some(flag) if all.scope == Some(Scope::Host) => Err(SelectorError::NoContainers(flag)),
            _ => Ok(all),
        }
    }

    fn add(&mut self, selector: Selector, value: &str) -> Result<(), Wrong> {
        fn into<T>(
            values: &mut Option<Values<T>>,
            text: &str,
            parse: impl Fn(&str) -> Result<T, String>,
        ) -> Result<(), Wrong> {
            values.get_or_insert_default().add(text, parse)
        }
        match selector {
            Selector::Container => into(&mut self.name, value, Glob::parse),
            Selector::ContainerId => into(&mut self.id, value, |text| {
                Glob::parse(text).map(ContainerId)
            }),
            Selector::Image => into(&mut self.image, value, ImageName::parse),
            Selector::ImageDigest => into(&mut self.image_digest, value, Digest::parse),
            Selector::ImageId => into(&mut self.image_id, value, Digest::parse),
            Selector::Runtime => into(&mut self.runtime, value, runtime),
            Selector::Pod => into(&mut self.pod, value, Glob::parse),
            Selector::Namespace => into(&mut self.namespace, value, Glob::parse),
            Selector::PodContainer => into(&mut self.pod_container, value, Glob::parse),
            Selector::Unit => into(&mut self.unit, value, unit),
            Selector::Cgroup => into(&mut self.cgroup, value, Below::parse),
            Selector::Labels => {
                self.labels.push(LabelSelector::parse(value, false)?);
                Ok(())
            }
            Selector::PodLabels => {
                self.pod_labels.push(LabelSelector::parse(value, true)?);
                Ok(())
            }
            Selector::Scope => {
                self.scope = Some(match value {
                    "all" => Scope::All,
                    "containers" => Scope::Containers,
                    "host" => Scope::Host,
                    _ => {
                        return Err(Wrong {
                            at: 0,
                            why: "it is no scope; there are all, containers and host".to_owned(),
                        });
                    }
                });
                Ok(())
            }
        }
    }

    /// Everybody is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { scope, .. } = self;
        let nothing = Self {
            scope: *scope,
            ..Self::default()
        };
        matches!(scope, None | Some(Scope::All)) && *self == nothing
    }

    /// Somebody said a scope that has sandboxes of pods in it.
    #[must_use]
    pub fn names_sandboxes(&self) -> bool {
        matches!(self.scope, Some(Scope::All | Scope::Containers))
    }

    /// No container can be wanted.
    #[must_use]
    pub fn only_host(&self) -> bool {
        self.scope == Some(Scope::Host)
    }

    /// Nobody but containers, and perhaps sandboxes of pods, can be wanted.
    #[must_use]
    pub fn only_containers(&self) -> bool {
        self.scope == Some(Scope::Containers)
            || (self.scope.is_none() && self.of_containers.is_some())
    }

    /// The flag that picks, by its cgroup, what is no container's; None: none does.
    #[must_use]
    pub fn picks_by_cgroup(&self) -> Option<&'static str> {
        let flag = match (&self.unit, &self.cgroup) {
            _ if self.only_containers() => return None,
            (Some(_), _) => Selector::Unit,
            (_, Some(_)) => Selector::Cgroup,
            _ => return None,
        };
        Some(flag.flag())
    }

    /// They ask for cgroups, so that two cgroups of one owner may have different verdicts.
    pub(crate) fn by_path(&self) -> bool {
        self.cgroup.is_some()
    }

    /// Whether an owner is wanted, by all that is known of it; by its own cgroup, where cgroups are asked for.
    #[must_use]
    pub fn decide(&self, owner: &Owner) -> Verdict {
        self.decide_owner(owner)
            .and(self.decide_path(&owner.cgroup))
    }

    /// Whether a cgroup of this path is wanted. Empty: not known, or the root.
    pub(crate) fn decide_path(&self, path: &str) -> Verdict {
        let by = |values: &Values<Below>| values.of(|below| below.matches(path).into());
        self.cgroup.as_ref().map_or(Verdict::Yes, by)
    }

    /// All but the cgroup's path.
    pub(crate) fn decide_owner(&self, owner: &Owner) -> Verdict {
        let asked = self.of_containers.is_some();
        let (wanted, container) = match (owner.kind, self.scope) {
            (Kind::Container, scope) => (scope != Some(Scope::Host), true),
            // Who asks for containers means those that do something, unless he says otherwise.
            (Kind::Sandbox, None) => (!asked, true),
            (Kind::Sandbox, scope) => (scope != Some(Scope::Host), true),
            (_, None) => (!asked, false),
            (_, Some(scope)) => (scope != Scope::Containers, false),
        };
        if !wanted {
            return Verdict::No;
        }
        let unit = decided(
            self.unit.as_ref(),
            owner.unit.as_deref(),
            false,
            Glob::matches,
        );
        match container {
            true => unit.and(self.decide_container(owner)),
            false => unit,
        }
    }

    fn decide_container(&self, owner: &Owner) -> Verdict {
        let facts = &owner.facts;
        let awaits = |part| facts.awaited.has(part);
        let pod = facts.pod.as_ref();
        let some = |text: &str| !text.is_empty();
        // Until its runtime has said otherwise, it is called by its id.
        let name = facts.name.as_deref();
        let name =
            name.filter(|name| !(facts.sandbox || awaits(Awaited::NAME) && *name == facts.id));
        let image = |values: &Values<ImageName>| match facts.image.as_deref() {
            Some(image) => values.of(|wanted| wanted.matches(image, facts)),
            None if awaits(Awaited::IMAGE) => Verdict::Later,
            None => values.of_nothing(),
        };
        let glob = |values, value, part| decided(values, value, awaits(part), Glob::matches);
        let digest = |values, value, part| decided(values, value, awaits(part), Digest::matches);
        let of_pod = |values: Option<&Values<Glob>>, value: Option<&str>| {
            decided(
                values,
                value.filter(|text| some(text)),
                awaits(Awaited::POD),
                Glob::matches,
            )
        };
        let pod_labels = pod.and_then(|pod| pod.labels.as_ref());
        let whole = pod_labels.is_some() || !awaits(Awaited::POD_LABELS);
        let conditions = [
            decided(
                self.id.as_ref(),
                Some(&facts.id).filter(|id| some(id)).map(String::as_str),
                false,
                ContainerId::matches,
            ),
            glob(
                self.runtime.as_ref(),
                facts.runtime.map(Runtime::as_str),
                Awaited::NONE,
            ),
            glob(self.name.as_ref(), name, Awaited::NAME),
            self.image.as_ref().map_or(Verdict::Yes, image),
            digest(
                self.image_digest.as_ref(),
                facts.image_digest.as_deref(),
                Awaited::IMAGE_DIGEST,
            ),
            digest(
                self.image_id.as_ref(),
                facts.image_id.as_deref(),
                Awaited::IMAGE_ID,
            ),
            of_pod(self.pod.as_ref(), pod.map(|pod| pod.name.as_str())),
            of_pod(
                self.namespace.as_ref(),
                pod.map(|pod| pod.namespace.as_str()),
            ),
            of_pod(
                self.pod_container.as_ref(),
                pod.map(|pod| pod.container.as_str()),
            ),
        ];
        let labels = self.labels.iter();
        let own = facts.labels.as_ref();
        let labels = labels.map(|all| all.decide(own, !awaits(Awaited::LABELS)));
        let of_pods = self
            .pod_labels
            .iter()
            .map(|all| all.decide(pod_labels, whole));
        all(conditions.into_iter().chain(labels).chain(of_pods))
    }
}

fn decided<T>(
    values: Option<&Values<T>>,
    value: Option<&str>,
    awaited: bool,
    matches: impl Fn(&T, &str) -> bool,
) -> Verdict {
    match (values, value) {
        (None, _) => Verdict::Yes,
        (Some(values), Some(value)) => values.of(|wanted| matches(wanted, value).into()),
        (Some(_), None) if awaited => Verdict::Later,
        (Some(values), None) => values.of_nothing(),
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.flag())
    }
}
