//! The parts of an owner by name: columns of tables, and what guests ask for.

use crate::owner::{Kind, Owner, Pod};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A part of an owner that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// What it is.
    Scope,
    /// Who runs the container.
    Runtime,
    /// The container's name.
    Container,
    /// The container's id.
    ContainerId,
    /// The id of its first process.
    ContainerPid,
    /// When it started.
    ContainerStarted,
    /// The image's name.
    Image,
    /// The image's id.
    ImageId,
    /// The image's digest.
    ImageDigest,
    /// The container's labels.
    Labels,
    /// The pod's Kubernetes namespace.
    Namespace,
    /// The pod's name.
    Pod,
    /// The pod's uid.
    PodUid,
    /// The container's name in the pod.
    PodContainer,
    /// The pod's labels.
    PodLabels,
    /// The kind of what made the pod.
    PodOwnerKind,
    /// The name of what made the pod.
    PodOwner,
    /// Whether it shares the host's network.
    HostNetwork,
    /// The systemd unit.
    Unit,
    /// The path of the cgroup.
    CgroupPath,
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    Text,
    /// A process id.
    Pid,
    /// Nanoseconds since 1970.
    Wall,
    /// True or false.
    Bool,
}

/// What a field of an owner holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Not known, or it has none.
    None,
    /// Text as it is.
    Text(&'a str),
    /// Labels: as text `a=b,c=d`, by name.
    Labels(&'a BTreeMap<String, String>),
    /// A process id.
    Pid(u32),
    /// Nanoseconds since 1970.
    Wall(i64),
    /// True or false.
    Bool(bool),
}

impl Field {
    /// Every field, in the order in which tables have them.
    pub const ALL: [Self; 20] = [
        Self::Scope,
        Self::Runtime,
        Self::Namespace,
        Self::Pod,
        Self::Container,
        Self::Image,
        Self::ContainerId,
        Self::ContainerPid,
        Self::ContainerStarted,
        Self::ImageId,
        Self::ImageDigest,
        Self::Labels,
        Self::PodUid,
        Self::PodContainer,
        Self::PodLabels,
        Self::PodOwnerKind,
        Self::PodOwner,
        Self::HostNetwork,
        Self::Unit,
        Self::CgroupPath,
    ];

    /// Its name, as of a column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Runtime => "runtime",
            Self::Container => "container",
            Self::ContainerId => "container_id",
            Self::ContainerPid => "container_pid",
            Self::ContainerStarted => "container_started",
            Self::Image => "image",
            Self::ImageId => "image_id",
            Self::ImageDigest => "image_digest",
            Self::Labels => "labels",
            Self::Namespace => "namespace",
            Self::Pod => "pod",
            Self::PodUid => "pod_uid",
            Self::PodContainer => "pod_container",
            Self::PodLabels => "pod_labels",
            Self::PodOwnerKind => "pod_owner_kind",
            Self::PodOwner => "pod_owner",
            Self::HostNetwork => "host_network",
            Self::Unit => "unit",
            Self::CgroupPath => "cgroup_path",
        }
    }

    /// What Inspektor Gadget calls it, where it has it.
    #[must_use]
    pub fn alias(self) -> Option<&'static str> {
        Some(match self {
            Self::Runtime => "runtime.runtimeName",
            Self::Container => "runtime.containerName",
            Self::ContainerId => "runtime.containerId",
            Self::ContainerPid => "runtime.containerPid",
            Self::ContainerStarted => "runtime.containerStartedAt",
            Self::Image => "runtime.containerImageName",
            Self::ImageId => "runtime.containerImageId",
            Self::ImageDigest => "runtime.containerImageDigest",
            Self::Namespace => "k8s.namespace",
            Self::Pod => "k8s.podName",
            Self::PodContainer => "k8s.containerName",
            Self::PodLabels => "k8s.podLabels",
            Self::PodOwnerKind => "k8s.owner.kind",
            Self::PodOwner => "k8s.owner.name",
            Self::HostNetwork => "k8s.hostnetwork",
            Self::Scope | Self::Labels | Self::PodUid | Self::Unit | Self::CgroupPath => {
                return None;
            }
        })
    }

    /// One sentence.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Scope => "Whose it is: container, sandbox, unit, session, host, or undecided",
            Self::Runtime => "Who runs the container",
            Self::Container => "Name of the container",
            Self::ContainerId => "Id of the container",
            Self::ContainerPid => "Id of the container's first process",
            Self::ContainerStarted => "When the container was made or started, as its runtime says",
            Self::Image => "Name of the container's image",
            Self::ImageId => "Id of the image: the digest of its configuration",
            Self::ImageDigest => "Digest of the image's manifest",
            Self::Labels => "Labels of the container",
            Self::Namespace => "Kubernetes namespace of the pod",
            Self::Pod => "Name of the pod",
            Self::PodUid => "Uid of the pod",
            Self::PodContainer => "Name of the container in its pod",
            Self::PodLabels => "Labels of the pod",
            Self::PodOwnerKind => "Kind of what made the pod",
            Self::PodOwner => "Name of what made the pod",
            Self::HostNetwork => "Whether the container shares the host's network",
            Self::Unit => "The systemd unit",
            Self::CgroupPath => "Path of the owner's cgroup",
        }
    }

    /// The type of its values.
    #[must_use]
    pub fn field_type(self) -> FieldType {
        match self {
            Self::ContainerPid => FieldType::Pid,
            Self::ContainerStarted => FieldType::Wall,
            Self::HostNetwork => FieldType::Bool,
            _ => FieldType::Text,
        }
    }

    /// The field of this name or alias.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|field| field.name() == name || field.alias() == Some(name))
    }

    /// What an owner has there.
    #[must_use]
    pub fn of(self, owner: &Owner) -> Value<'_> {
        let facts = &owner.facts;
        let pod = facts.pod.as_ref();
        match self {
            Self::Scope => Value::Text(owner.kind.as_str()),
            Self::Runtime => facts
                .runtime
                .map_or(Value::None, |r| Value::Text(r.as_str())),
            Self::Container => optional(facts.name.as_deref()),
            Self::ContainerId => optional(Some(&facts.id)),
            Self::ContainerPid => facts.pid.map_or(Value::None, Value::Pid),
            Self::ContainerStarted => facts.started.map_or(Value::None, Value::Wall),
            Self::Image => optional(facts.image.as_deref()),
            Self::ImageId => optional(facts.image_id.as_deref()),
            Self::ImageDigest => optional(facts.image_digest.as_deref()),
            Self::Labels => labels(facts.labels.as_ref()),
            Self::Namespace => optional(pod.map(|p| p.namespace.as_str())),
            Self::Pod => optional(pod.map(|p| p.name.as_str())),
            Self::PodUid => optional(pod.map(|p| p.uid.as_str())),
            Self::PodContainer => optional(pod.map(|p| p.container.as_str())),
            Self::PodLabels => labels(pod.and_then(|p| p.labels.as_ref())),
            Self::PodOwnerKind => optional(pod.and_then(owner_of).map(|(kind, _)| kind)),
            Self::PodOwner => optional(pod.and_then(owner_of).map(|(_, name)| name)),
            Self::HostNetwork => facts.host_network.map_or(Value::None, Value::Bool),
            Self::Unit => optional(owner.unit.as_deref()),
            Self::CgroupPath => optional(Some(&owner.cgroup)),
        }
    }
}

fn owner_of(pod: &Pod) -> Option<(&str, &str)> {
    pod.owner
        .as_ref()
        .map(|(kind, name)| (kind.as_str(), name.as_str()))
}

fn optional(text: Option<&str>) -> Value<'_> {
    text.filter(|text| !text.is_empty())
        .map_or(Value::None, Value::Text)
}

fn labels(labels: Option<&BTreeMap<String, String>>) -> Value<'_> {
    labels
        .filter(|labels| !labels.is_empty())
        .map_or(Value::None, Value::Labels)
}

impl Value<'_> {
    /// Writes it as text behind what `out` holds; false: there is nothing.
    pub fn write(self, out: &mut String) -> bool {
        // Writing to a String does not fail.
        let _ = match self {
            Self::None => return false,
            Self::Text(text) => out.write_str(text),
            Self::Labels(labels) => {
                for (i, (key, value)) in labels.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    let _ = write!(out, "{comma}{key}={value}");
                }
                Ok(())
            }
            Self::Pid(pid) => write!(out, "{pid}"),
            Self::Wall(ns) => write!(out, "{ns}"),
            Self::Bool(yes) => write!(out, "{yes}"),
        };
        true
    }
}

impl Owner {
    /// A container, or the sandbox of a pod.
    #[must_use]
    pub fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Container | Kind::Sandbox)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::{Facts, Runtime};
    use std::collections::BTreeSet;

    #[test]
    fn every_field_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Field::ALL.iter().map(|f| f.name()).collect();
        assert_eq!(names.len(), Field::ALL.len());
        for field in Field::ALL {
            assert_eq!(Field::of_name(field.name()), Some(field));
            if let Some(alias) = field.alias() {
                assert_eq!(Field::of_name(alias), Some(field));
            }
        }
        assert_eq!(Field::of_name("container_name"), None);
    }

    #[test]
    fn what_an_owner_has_is_written_as_text() {
        let owner = Owner {
            kind: Kind::Container,
            cgroup: "/docker/abc".to_owned(),
            unit: None,
            facts: Facts {
                id: "abc".to_owned(),
                runtime: Some(Runtime::Docker),
                name: Some("web".to_owned()),
                pid: Some(12),
                started: Some(5),
                labels: Some(
                    [("b", "2"), ("a", "1")]
                        .map(|(k, v)| (k.to_owned(), v.to_owned()))
                        .into(),
                ),
                host_network: Some(false),
                pod: Some(Pod {
                    name: "p".to_owned(),
                    owner: Some(("ReplicaSet".to_owned(), "r".to_owned())),
                    // There are none: nothing is shown.
                    labels: Some(BTreeMap::new()),
                    ..Pod::default()
                }),
                ..Facts::default()
            },
        };
        let text = |field: Field| {
            let mut out = String::new();
            field.of(&owner).write(&mut out).then_some(out)
        };
        let said: Vec<Option<String>> = Field::ALL.into_iter().map(text).collect();
        let said: Vec<Option<&str>> = said.iter().map(Option::as_deref).collect();
        let expected = [
            Some("container"),
            Some("docker"),
            None,
            Some("p"),
            Some("web"),
            None,
            Some("abc"),
            Some("12"),
            Some("5"),
            None,
            None,
            Some("a=1,b=2"),
            None,
            None,
            None,
            Some("ReplicaSet"),
            Some("r"),
            Some("false"),
            None,
            Some("/docker/abc"),
        ];
        assert_eq!(said, expected);
    }
}
