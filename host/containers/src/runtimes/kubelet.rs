//! Labels by which kubelet, and what stands between it and a runtime, say which pod a container is of.

use super::some;
use crate::owner::{Facts, Pod};
use std::collections::BTreeMap;

const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";
const CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// Those of a pod that are not the user's.
pub(super) const OF_POD: [&str; 3] = [POD_NAME, POD_NAMESPACE, POD_UID];

// What cri-dockerd adds, which makes pods of Docker's containers.
const DOCKER_TYPE: &str = "io.kubernetes.docker.type";
const DOCKER_SANDBOX: &str = "io.kubernetes.sandbox.id";
/// Before the key of an annotation, which is a label, too.
const DOCKER_ANNOTATION: &str = "annotation.";

/// What made a pod, where its controller leaves its own name in labels.
pub(super) fn owner(pod: &str, labels: &BTreeMap<String, String>) -> Option<(String, String)> {
    let label = |key: &str| {
        labels
            .get(key)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    };
    let (kind, name) = if let Some(hash) = label("pod-template-hash") {
        // NAME-HASH-XXXXX: a replica set's pod has the name of the set, which ends in the hash, and five letters.
        let (set, random) = pod.rsplit_once('-')?;
        let own = set.strip_suffix(hash)?.ends_with('-') && random.len() == 5;
        ("ReplicaSet", own.then_some(set)?)
    } else if label("statefulset.kubernetes.io/pod-name") == Some(pod) {
        ("StatefulSet", pod.rsplit_once('-')?.0)
    } else {
        let job = label("batch.kubernetes.io/job-name").or_else(|| label("job-name"))?;
        ("Job", job)
    };
    Some((kind.to_owned(), name.to_owned()))
}

/// The pod as kubelet's labels on a container name it, where nothing better does.
pub(super) fn by_labels(pod: &mut Pod, labels: &BTreeMap<String, String>) {
    for (part, key) in [
        (&mut pod.name, POD_NAME),
        (&mut pod.namespace, POD_NAMESPACE),
        (&mut pod.uid, POD_UID),
        (&mut pod.container, CONTAINER_NAME),
    ] {
        if let (true, Some(value)) = (part.is_empty(), labels.get(key)) {
            part.clone_from(value);
        }
    }
}

/// The pod of one of Docker's containers, which its labels alone name: cri-dockerd has no other place for it. The labels are
/// all those that the container has.
pub(crate) fn learn_docker(facts: &mut Facts) {
    let Some(labels) = &facts.labels else {
        return;
    };
    let mut pod = Pod::default();
    by_labels(&mut pod, labels);
    if pod.name.is_empty() {
        return;
    }
    let label = |key: &str| labels.get(key).map(String::as_str);
    facts.sandbox = label(DOCKER_TYPE) == Some("podsandbox");
    if facts.sandbox {
        // It is called `POD` there.
        pod.container.clear();
        pod.sandbox.clone_from(&facts.id);
        let own = [CONTAINER_NAME, DOCKER_TYPE, DOCKER_SANDBOX];
        let users = |key: &&String| {
            let key = key.as_str();
            !OF_POD.contains(&key) && !own.contains(&key) && !key.starts_with(DOCKER_ANNOTATION)
        };
        let users = labels.iter().filter(|(key, _)| users(key));
        let users = users.map(|(k, v)| (k.clone(), v.clone())).collect();
        pod.owner = owner(&pod.name, &users);
        pod.labels = Some(users);
        facts.name = some(pod.name.clone());
    } else {
        pod.sandbox = label(DOCKER_SANDBOX).unwrap_or_default().to_owned();
        facts.name = some(pod.container.clone()).or(facts.name.take());
    }
    facts.pod = Some(pod);
}

/// What a container of a pod has from its sandbox, if that is the one of its pod: false otherwise.
pub(crate) fn learn_docker_sandbox(facts: &mut Facts, sandbox: &Facts) -> bool {
    let (Some(pod), Some(theirs)) = (facts.pod.as_mut(), &sandbox.pod) else {
        return false;
    };
    let same = (&pod.name, &pod.namespace, &pod.uid, pod.sandbox.as_str())
        == (
            &theirs.name,
            &theirs.namespace,
            &theirs.uid,
            sandbox.id.as_str(),
        );
    if facts.sandbox || !sandbox.sandbox || !same {
        return false;
    }
    pod.labels.clone_from(&theirs.labels);
    pod.owner.clone_from(&theirs.owner);
    facts.host_network = facts.host_network.or(sandbox.host_network);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        let own = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        of.iter().map(own).collect()
    }

    #[test]
    fn an_owner_is_named_only_where_its_controller_left_its_name() {
        let named = |pod, all: &[(&str, &str)]| {
            owner(pod, &labels(all)).map(|(kind, name)| format!("{kind}/{name}"))
        };
        let hash = [("pod-template-hash", "7d9f")];
        assert_eq!(
            named("web-7d9f-abcde", &hash).as_deref(),
            Some("ReplicaSet/web-7d9f")
        );
        // A pod of another name with a copied label.
        assert_eq!(named("web-1", &hash), None);
        assert_eq!(named("x7d9f-abcde", &hash), None);
        let ordinal = [("statefulset.kubernetes.io/pod-name", "db-0")];
        assert_eq!(named("db-0", &ordinal).as_deref(), Some("StatefulSet/db"));
        assert_eq!(named("db-1", &ordinal), None);
        let job = [("job-name", "once")];
        assert_eq!(named("once-x", &job).as_deref(), Some("Job/once"));
        assert_eq!(named("web", &[]), None);
    }
    const KUBELETS: [(&str, &str); 3] = [
        (POD_NAME, "web-7d9f-abcde"),
        (POD_NAMESPACE, "shop"),
        (POD_UID, "u-1"),
    ];

    fn of_docker(id: &str, more: &[(&str, &str)]) -> Facts {
        let mut facts = Facts {
            id: id.to_owned(),
            name: Some("k8s_x_web-7d9f-abcde_shop_u-1_0".to_owned()),
            labels: Some(labels(&[&KUBELETS, more].concat())),
            ..Facts::default()
        };
        learn_docker(&mut facts);
        facts
    }

    #[test]
    fn a_pod_of_docker_is_what_the_labels_of_its_containers_say() {
        let mut sandbox = of_docker(
            "5a",
            &[
                (CONTAINER_NAME, "POD"),
                (DOCKER_TYPE, "podsandbox"),
                ("annotation.kubernetes.io/config.seen", "now"),
                ("app", "web"),
                ("pod-template-hash", "7d9f"),
            ],
        );
        sandbox.host_network = Some(true);
        assert!(sandbox.sandbox);
        assert_eq!(sandbox.name.as_deref(), Some("web-7d9f-abcde"));
        let pod = Pod {
            name: "web-7d9f-abcde".to_owned(),
            namespace: "shop".to_owned(),
            uid: "u-1".to_owned(),
            container: String::new(),
            labels: Some(labels(&[("app", "web"), ("pod-template-hash", "7d9f")])),
            owner: Some(("ReplicaSet".to_owned(), "web-7d9f".to_owned())),
            sandbox: "5a".to_owned(),
        };
        assert_eq!(sandbox.pod.as_ref(), Some(&pod));

        let own = [
            (CONTAINER_NAME, "server"),
            (DOCKER_TYPE, "container"),
            (DOCKER_SANDBOX, "5a"),
        ];
        let mut server = of_docker("c0", &own);
        assert!(!server.sandbox);
        assert_eq!(server.name.as_deref(), Some("server"));
        assert!(learn_docker_sandbox(&mut server, &sandbox));
        let named = Pod {
            container: "server".to_owned(),
            ..pod
        };
        assert_eq!(server.pod, Some(named));
        assert_eq!(server.host_network, Some(true));
    }

    #[test]
    fn a_container_has_nothing_of_another_pod_s_sandbox_and_without_labels_no_pod() {
        let sandbox = of_docker("5a", &[(DOCKER_TYPE, "podsandbox"), ("app", "web")]);
        let others = [
            // Another sandbox, another pod, and what is no sandbox.
            of_docker("c0", &[(DOCKER_SANDBOX, "5b")]),
            of_docker("c0", &[(DOCKER_SANDBOX, "5a"), (POD_UID, "u-2")]),
        ];
        for mut other in others {
            assert!(!learn_docker_sandbox(&mut other, &sandbox));
            assert_eq!(other.pod.map(|pod| pod.labels), Some(None));
        }
        let none = of_docker("5a", &[]);
        let mut server = of_docker("c0", &[(DOCKER_SANDBOX, "5a")]);
        assert!(!learn_docker_sandbox(&mut server, &none));

        let mut plain = Facts {
            labels: Some(labels(&[
                (DOCKER_TYPE, "podsandbox"),
                (CONTAINER_NAME, "x"),
            ])),
            ..Facts::default()
        };
        let before = plain.clone();
        learn_docker(&mut plain);
        assert_eq!(plain, before);
    }
}
