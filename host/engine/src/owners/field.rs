//! What can be known of an owner, by name.

/// Declares the fields with their names and Inspektor Gadget's.
macro_rules! fields {
    ($($(#[$about:meta])* $field:ident = $name:literal $(, $alias:literal)?;)*) => {
        /// What can be known of an owner.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Field {
            $($(#[$about])* $field,)*
        }

        impl Field {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$field,)*];

            /// Its name, which stands in recordings.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)*
                }
            }

            /// What Inspektor Gadget calls it, where it has it.
            pub fn alias(self) -> Option<&'static str> {
                match self {
                    $(Self::$field => [$($alias,)? ""].first().copied().filter(|alias| !alias.is_empty()),)*
                }
            }
        }
    };
}

fields! {
    /// The runtime: `docker`, `containerd`...
    Runtime = "runtime", "runtime.runtimeName";
    /// The container's name.
    Container = "container", "runtime.containerName";
    /// The container's id, all of it.
    ContainerId = "container_id", "runtime.containerId";
    /// The process id of the container's first process, in decimal.
    ContainerPid = "container_pid", "runtime.containerPid";
    /// The image's name, as it was asked for.
    Image = "image", "runtime.containerImageName";
    /// The image's id.
    ImageId = "image_id", "runtime.containerImageId";
    /// The image's digest.
    ImageDigest = "image_digest", "runtime.containerImageDigest";
    /// When it was started: nanoseconds since 1970, in decimal.
    Started = "started", "runtime.containerStartedAt";
    /// The container's labels: `name=value`, commas between, sorted.
    Labels = "labels";
    /// The pod's namespace.
    Namespace = "namespace", "k8s.namespace";
    /// The pod's name.
    Pod = "pod", "k8s.podName";
    /// The pod's uid.
    PodUid = "pod_uid";
    /// The container's name in its pod.
    PodContainer = "pod_container", "k8s.containerName";
    /// The pod's labels, as the container's.
    PodLabels = "pod_labels", "k8s.podLabels";
    /// What the pod belongs to: `Deployment`, `DaemonSet`...
    OwnerKind = "owner_kind", "k8s.owner.kind";
    /// The name of what the pod belongs to.
    OwnerName = "owner_name", "k8s.owner.name";
    /// The systemd unit.
    Unit = "unit";
}

impl Field {
    /// The field of this name, or that Inspektor Gadget calls so.
    pub fn of(name: &str) -> Option<Self> {
        let is_it = |field: &&Self| field.name() == name || field.alias() == Some(name);
        Self::ALL.iter().find(is_it).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_field_is_found_by_either_name() {
        assert_eq!(Field::of("container"), Some(Field::Container));
        assert_eq!(Field::of("k8s.podName"), Some(Field::Pod));
        assert_eq!(Field::of("labels"), Some(Field::Labels));
        assert_eq!(Field::of(""), None);
        assert_eq!(Field::of("Container"), None);
    }

    /// The contract names them to authors, and the SDKs have a constant for each.
    #[test]
    fn the_contract_and_the_sdks_name_every_field() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
        let names: BTreeSet<_> = Field::ALL.iter().map(|field| field.name()).collect();
        assert_eq!(names.len(), Field::ALL.len());
        let wit = read("wit/containers.wit");
        for field in Field::ALL {
            let name = format!("`{}`", field.name());
            assert!(wit.contains(&name), "{name}");
            if let Some(alias) = field.alias() {
                assert!(wit.contains(&format!("(`{alias}`)")), "{alias}");
            }
        }
        // A line with a constant's name and its value.
        for (path, before, between) in [
            (
                "guest-sdk/rust/src/containers.rs",
                "pub const ",
                ": &str = ",
            ),
            ("guest-sdk/python/gadget_sdk/containers.py", "", " = "),
            ("guest-sdk/c/sdk/containers.h", "#define GADGET_", " "),
        ] {
            let text = read(path);
            let constants: BTreeSet<_> = text
                .lines()
                .filter_map(|line| {
                    let (name, value) = line
                        .trim_start()
                        .strip_prefix(before)?
                        .split_once(between)?;
                    let value = value.trim_end_matches(';');
                    let value = value.strip_prefix('"')?.strip_suffix('"')?;
                    (name == value.to_uppercase()).then_some(value)
                })
                .collect();
            assert_eq!(constants, names, "{path}");
        }
    }
}
