//! CRI-O, of which this machine's packages have none: from its answers, as the interface has them.

use super::server::{Answer, Server, method, recorded};
use super::{Runtime, Said, Sockets, has_address, listen, until};
use k8s_cri::v1::{
    Container, ContainerMetadata, ContainerStatus, ContainerStatusResponse, ImageSpec,
    LinuxPodSandboxStatus, ListContainersResponse, ListPodSandboxResponse, Namespace,
    NamespaceMode, NamespaceOption, PodIp, PodSandbox, PodSandboxMetadata, PodSandboxNetworkStatus,
    PodSandboxStatus, PodSandboxStatusResponse,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

const SANDBOX: &str = "5a0d2f";
const CONTAINER: &str = "c0ffee";

fn labels(of: &[(&str, &str)]) -> HashMap<String, String> {
    let own = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
    of.iter().map(own).collect()
}

fn answers() -> HashMap<&'static str, Vec<u8>> {
    let digest = format!("sha256:{}", "d".repeat(64));
    let id = format!("sha256:{}", "1".repeat(64));
    let kubelet = labels(&[
        ("io.kubernetes.pod.name", "once-x"),
        ("io.kubernetes.pod.namespace", "shop"),
        ("io.kubernetes.pod.uid", "u-1"),
        ("job-name", "once"),
    ]);
    let sandboxes = ListPodSandboxResponse {
        items: vec![PodSandbox {
            id: SANDBOX.to_owned(),
            metadata: Some(PodSandboxMetadata {
                name: "once-x".to_owned(),
                uid: "u-1".to_owned(),
                namespace: "shop".to_owned(),
                attempt: 0,
            }),
            labels: kubelet,
            created_at: 1_700_000_000_000_000_000,
            ..PodSandbox::default()
        }],
    };
    let containers = ListContainersResponse {
        containers: vec![Container {
            id: CONTAINER.to_owned(),
            pod_sandbox_id: SANDBOX.to_owned(),
            metadata: Some(ContainerMetadata {
                name: "work".to_owned(),
                attempt: 0,
            }),
            image: Some(ImageSpec {
                image: id.clone(),
                ..ImageSpec::default()
            }),
            image_ref: id.clone(),
            created_at: 1_700_000_001_000_000_000,
            labels: labels(&[("io.kubernetes.container.name", "work")]),
            ..Container::default()
        }],
    };
    let sandbox = PodSandboxStatusResponse {
        status: Some(PodSandboxStatus {
            id: SANDBOX.to_owned(),
            network: Some(PodSandboxNetworkStatus {
                ip: "10.1.2.3".to_owned(),
                additional_ips: vec![PodIp {
                    ip: "fd00::3".to_owned(),
                }],
            }),
            linux: Some(LinuxPodSandboxStatus {
                namespaces: Some(Namespace {
                    options: Some(NamespaceOption {
                        network: NamespaceMode::Pod as i32,
                        ..NamespaceOption::default()
                    }),
                }),
            }),
            ..PodSandboxStatus::default()
        }),
        info: labels(&[("info", "{\"pid\": 41}")]),
        ..PodSandboxStatusResponse::default()
    };
    let container = ContainerStatusResponse {
        status: Some(ContainerStatus {
            id: CONTAINER.to_owned(),
            started_at: 1_700_000_002_000_000_000,
            image: Some(ImageSpec {
                image: "quay.io/shop/work:1".to_owned(),
                ..ImageSpec::default()
            }),
            image_ref: format!("quay.io/shop/work@{digest}"),
            image_id: id,
            ..ContainerStatus::default()
        }),
        info: labels(&[("info", "{\"sandboxID\": \"5a0d2f\", \"pid\": 42}")]),
    };
    HashMap::from([
        ("ListPodSandbox", recorded(&sandboxes)),
        ("ListContainers", recorded(&containers)),
        ("PodSandboxStatus", recorded(&sandbox)),
        ("ContainerStatus", recorded(&container)),
    ])
}

#[test]
fn pods_of_crio_are_told_from_recorded_answers() {
    let server = Server::grpc(answers());
    let listener = listen(Sockets {
        crio: Some(server.socket()),
        ..Sockets::default()
    })
    .ready();
    let known = listener.knows(CONTAINER, |facts| {
        facts.pid.is_some() && facts.host_network.is_some()
    });
    assert_eq!(known.runtime, Some(Runtime::Crio));
    assert_eq!(known.name.as_deref(), Some("work"));
    assert_eq!(known.image.as_deref(), Some("quay.io/shop/work:1"));
    assert_eq!(
        known.image_digest,
        Some(format!("sha256:{}", "d".repeat(64)))
    );
    assert_eq!(known.image_id, Some(format!("sha256:{}", "1".repeat(64))));
    assert_eq!(known.pid, Some(42));
    assert_eq!(known.started, Some(1_700_000_002_000_000_000));
    assert_eq!(known.host_network, Some(false));
    let own = labels(&[("io.kubernetes.container.name", "work")]);
    assert_eq!(known.labels, Some(own.into_iter().collect()));
    let pod = known.pod.unwrap();
    let pods = labels(&[("job-name", "once")]);
    assert_eq!(pod.labels, Some(pods.into_iter().collect()));
    assert_eq!(
        (pod.namespace.as_str(), pod.name.as_str()),
        ("shop", "once-x")
    );
    assert_eq!((pod.uid.as_str(), pod.container.as_str()), ("u-1", "work"));
    assert_eq!(pod.owner, Some(("Job".to_owned(), "once".to_owned())));
    let known = listener.knows(SANDBOX, has_address);
    assert!(known.sandbox);
    let addresses = known.addresses.iter().flatten();
    let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.1.2.3", "fd00::3"]);
}

/// A list that is under way says nothing of what was told meanwhile; the next one does.
#[test]
fn what_is_told_while_a_list_is_under_way_stays_until_the_next() {
    const AT_ONCE: usize = 0;
    const HOLD: usize = 1;
    const HELD: usize = 2;
    let recorded = answers();
    // When a list of all is answered, which is empty.
    let lists = Arc::new(AtomicUsize::new(AT_ONCE));
    let state = Arc::clone(&lists);
    let server = Server::grpc_of(move |path, question| {
        let method = method(path);
        let of_all = method.starts_with("List") && question.is_empty();
        match recorded.get(method) {
            None => Answer::Unimplemented,
            Some(_) if of_all && method == "ListContainers" => {
                let hold = state.compare_exchange(HOLD, HELD, SeqCst, SeqCst);
                match hold.unwrap_or_else(|now| now) {
                    AT_ONCE => Answer::Message(Vec::new()),
                    _ => Answer::Later,
                }
            }
            Some(_) if of_all => Answer::Message(Vec::new()),
            Some(one) => Answer::Message(one.clone()),
        }
    });
    let listener = listen(Sockets {
        crio: Some(server.socket()),
        ..Sockets::default()
    })
    .ready();
    lists.store(HOLD, SeqCst);
    until("a list that waits", || {
        (lists.load(SeqCst) == HELD).then_some(())
    });
    listener.runtimes.ask(Runtime::Crio, CONTAINER, None);
    listener.has_all(Runtime::Crio, CONTAINER);
    listener.knows(CONTAINER, |facts| facts.image_digest.is_some());
    let before = listener.heard.lock().unwrap().said.len();
    lists.store(AT_ONCE, SeqCst);
    let listed = until("the list", || {
        let heard = listener.heard.lock().unwrap();
        heard.said.iter().skip(before).find_map(|said| match said {
            Said::Listed(_, all) => Some(all.clone()),
            _ => None,
        })
    });
    let ids: Vec<&str> = listed.iter().map(|facts| facts.id.as_str()).collect();
    assert_eq!(ids, [CONTAINER]);
    assert!(listed.iter().all(|facts| facts.image_digest.is_some()));
    listener.forgets(CONTAINER);
}
