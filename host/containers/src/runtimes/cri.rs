//! Kubernetes' container runtime interface: of CRI-O all that there is, of containerd what its own API does not say
//! about pods.
//!
//! The messages are those of v1. A server that knows only v1alpha2 is spoken to by that name: the bytes are the same.

use super::line::{Failure, Grpc, Session};
use super::{Line, Source, digest, is_digest, kubelet, some};
use crate::owner::{Facts, Pod};
use futures_util::future::select;
use k8s_cri::v1::{
    Container, ContainerEventResponse, ContainerEventType, ContainerFilter, ContainerStatusRequest,
    ContainerStatusResponse, GetEventsRequest, ListContainersRequest, ListContainersResponse,
    ListPodSandboxRequest, ListPodSandboxResponse, NamespaceMode, PodSandbox, PodSandboxFilter,
    PodSandboxMetadata, PodSandboxState, PodSandboxStatusRequest, PodSandboxStatusResponse,
};
use prost::Message;
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;
use tonic::{Code, Request, Status};

/// How often a server without events is asked for its list.
const POLL: Duration = Duration::from_secs(2);
/// One server, over a connection that others may use, too.
pub(super) struct Cri {
    grpc: Grpc,
    /// It knows v1alpha2 alone.
    alpha: Cell<bool>,
    /// By the id of their sandbox.
    pods: RefCell<HashMap<String, Sandbox>>,
    /// Asks for the id of the first process, too: an answer of many kilobytes.
    verbose: bool,
}

#[derive(Clone, Default)]
struct Sandbox {
    pod: Pod,
    host_network: Option<bool>,
}

impl Cri {
    pub(super) fn new(grpc: Grpc, verbose: bool) -> Self {
        Self {
            grpc,
            alpha: Cell::new(false),
            pods: RefCell::default(),
            verbose,
        }
    }

    fn method(&self, name: &str) -> String {
        let version = if self.alpha.get() { "v1alpha2" } else { "v1" };
        format!("/runtime.{version}.RuntimeService/{name}")
    }

    async fn ask<Q, A>(&self, name: &str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.grpc
            .ask(&self.method(name), Request::new(question))
            .await
    }

    /// All sandboxes and containers, without what only their status says.
    pub(super) async fn list(&self) -> Result<Vec<Facts>, Status> {
        let mut sandboxes = self
            .ask("ListPodSandbox", ListPodSandboxRequest::default())
            .await;
        if matches!(&sandboxes, Err(status) if status.code() == Code::Unimplemented) {
            self.alpha.set(!self.alpha.get());
            sandboxes = self
                .ask("ListPodSandbox", ListPodSandboxRequest::default())
                .await;
        }
        let sandboxes: ListPodSandboxResponse = sandboxes?;
        let containers: ListContainersResponse = self
            .ask("ListContainers", ListContainersRequest::default())
            .await?;
        let before = self.pods.take();
        let mut all = Vec::new();
        for sandbox in sandboxes.items {
            let known = before.get(&sandbox.id).and_then(|known| known.host_network);
            all.push(self.sandbox(sandbox, known));
        }
        for container in containers.containers {
            all.push(self.container(container));
        }
        Ok(all)
    }

    /// What the list says of a container, with its pod if that is known.
    fn container(&self, container: Container) -> Facts {
        let mut facts = Facts {
            id: container.id,
            started: Some(container.created_at).filter(|ns| *ns > 0),
            ..Facts::default()
        };
        let labels: BTreeMap<_, _> = container.labels.into_iter().collect();
        let image = container.image.unwrap_or_default();
        name_image(
            &mut facts,
            [image.user_specified_image, image.image],
            [container.image_ref, container.image_id],
        );
        let name = container.metadata.unwrap_or_default().name;
        let sandbox = self.pods.borrow().get(&container.pod_sandbox_id).cloned();
        let Sandbox { pod, host_network } = sandbox.unwrap_or_default();
        let mut pod = Pod {
            sandbox: container.pod_sandbox_id,
            container: name.clone(),
            ..pod
        };
        kubelet::by_labels(&mut pod, &labels);
        facts.labels = Some(labels);
        facts.name = some(name);
        facts.pod = Some(pod);
        facts.host_network = host_network;
        facts
    }

    /// What the list says of a sandbox, which is kept for its containers.
    fn sandbox(&self, sandbox: PodSandbox, host_network: Option<bool>) -> Facts {
        let pod = pod(
            sandbox.id.clone(),
            sandbox.metadata.unwrap_or_default(),
            &sandbox.labels,
        );
        let ready = sandbox.state == PodSandboxState::SandboxReady as i32;
        let mut pods = self.pods.borrow_mut();
        if ready && pods.len() < super::MOST_CONTAINERS {
            let kept = Sandbox {
                pod: pod.clone(),
                host_network,
            };
            pods.insert(sandbox.id.clone(), kept);
        }
        Facts {
            id: sandbox.id,
            name: some(pod.name.clone()),
            started: Some(sandbox.created_at).filter(|ns| *ns > 0),
            labels: Some(sandbox.labels.into_iter().collect()),
            pod: Some(pod),
            sandbox: true,
            host_network,
            ..Facts::default()
        }
    }

    /// A container by its list of one. None: it has none of that id, or not yet.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Facts>, Status> {
        let question = ListContainersRequest {
            filter: Some(ContainerFilter {
                id: id.to_owned(),
                ..ContainerFilter::default()
            }),
        };
        let answer: ListContainersResponse = self.ask("ListContainers", question).await?;
        // The filter takes beginnings of ids, too.
        let Some(container) = answer.containers.into_iter().find(|c| c.id == id) else {
            return Ok(None);
        };
        let sandbox = container.pod_sandbox_id.clone();
        if !self.pods.borrow().contains_key(&sandbox) {
            // Its pod came after the last list. What cannot be had now, its labels say in part.
            self.find_sandbox(&sandbox).await.ok();
        }
        Ok(Some(self.container(container)))
    }

    /// A sandbox by its list of one and its status.
    pub(super) async fn find_sandbox(&self, id: &str) -> Result<Option<Facts>, Status> {
        let question = ListPodSandboxRequest {
            filter: Some(PodSandboxFilter {
                id: id.to_owned(),
                ..PodSandboxFilter::default()
            }),
        };
        let answer: ListPodSandboxResponse = self.ask("ListPodSandbox", question).await?;
        let Some(sandbox) = answer.items.into_iter().find(|s| s.id == id) else {
            return Ok(None);
        };
        let mut facts = self.sandbox(sandbox, None);
        if let Ok(more) = self.status(&facts).await {
            facts.learn(more);
        }
        Ok(Some(facts))
    }

    /// What only the status of a container or sandbox says.
    pub(super) async fn status(&self, of: &Facts) -> Result<Facts, Status> {
        if of.sandbox {
            return self.sandbox_status(&of.id).await;
        }
        let question = ContainerStatusRequest {
            container_id: of.id.clone(),
            verbose: self.verbose,
        };
        let answer: ContainerStatusResponse = self.ask("ContainerStatus", question).await?;
        let status = answer.status.unwrap_or_default();
        let mut facts = Facts {
            id: of.id.clone(),
            started: Some(status.started_at).filter(|ns| *ns > 0),
            pid: first_process(&answer.info),
            host_network: of.pod.as_ref().and_then(|pod| {
                let pods = self.pods.borrow();
                pods.get(&pod.sandbox).and_then(|known| known.host_network)
            }),
            ..Facts::default()
        };
        let image = status.image.unwrap_or_default();
        name_image(
            &mut facts,
            [image.user_specified_image, image.image],
            [status.image_ref, status.image_id],
        );
        Ok(facts)
    }

    async fn sandbox_status(&self, id: &str) -> Result<Facts, Status> {
        let question = PodSandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: self.verbose,
        };
        let answer: PodSandboxStatusResponse = self.ask("PodSandboxStatus", question).await?;
        let status = answer.status.unwrap_or_default();
        let options = status
            .linux
            .and_then(|linux| linux.namespaces)
            .and_then(|namespaces| namespaces.options);
        let host_network = options.map(|options| options.network == NamespaceMode::Node as i32);
        if let Some(known) = self.pods.borrow_mut().get_mut(id) {
            known.host_network = host_network;
        }
        let network = status.network.unwrap_or_default();
        let texts = std::iter::once(network.ip)
            .chain(network.additional_ips.into_iter().map(|more| more.ip));
        // With the host's network these are the host's.
        let own = host_network != Some(true);
        let addresses = texts
            .filter(|_| own)
            .filter_map(|t| t.parse().ok())
            .collect();
        Ok(Facts {
            id: id.to_owned(),
            pid: first_process(&answer.info),
            host_network,
            addresses: Some(addresses),
            sandbox: true,
            ..Facts::default()
        })
    }
}

/// The pod of a sandbox.
fn pod(sandbox: String, metadata: PodSandboxMetadata, labels: &HashMap<String, String>) -> Pod {
    let labels: BTreeMap<String, String> = labels
        .iter()
        .filter(|(key, _)| !kubelet::OF_POD.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Pod {
        owner: kubelet::owner(&metadata.name, &labels),
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        container: String::new(),
        labels: Some(labels),
        sandbox,
    }
}

/// The image's name, id and digest. Any of the texts may be any of these.
fn name_image(facts: &mut Facts, names: [String; 2], references: [String; 2]) {
    for reference in references {
        if is_digest(&reference) {
            facts.image_id = Some(reference);
        } else if facts.image_digest.is_none() {
            facts.image_digest = digest(&reference);
        }
    }
    facts.image = names
        .into_iter()
        .find(|name| !name.is_empty() && !is_digest(name));
}

/// The first process, in what the verbose answers of CRI-O and containerd carry.
fn first_process(info: &HashMap<String, String>) -> Option<u32> {
    #[derive(Deserialize)]
    struct Info {
        pid: u32,
    }
    let info: Info = serde_json::from_str(info.get("info")?).ok()?;
    Some(info.pid).filter(|pid| *pid > 0)
}

/// All details of what a list brought.
pub(super) async fn details(source: &Source, cri: &Cri, listed: &[Facts]) -> Result<(), Status> {
    // Sandboxes come first: their containers share their network.
    for facts in listed {
        match cri.status(facts).await {
            Ok(more) => source.detailed(more),
            // It ended since.
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

/// A new container or sandbox, by its id.
pub(super) async fn tell(source: &Source, cri: &Cri, id: &str) -> Result<bool, Status> {
    if let Some(facts) = cri.find(id).await? {
        source.changed(facts.clone());
        let more = cri.status(&facts).await?;
        source.detailed(more);
        return Ok(true);
    }
    let sandbox = cri.find_sandbox(id).await?;
    let found = sandbox.is_some();
    if let Some(facts) = sandbox {
        source.changed(facts);
    }
    Ok(found)
}

/// False: it is not there, or not yet.
pub(super) async fn look_up(source: &Source, id: &str) -> Result<bool, Failure> {
    let line = source.line.borrow().clone();
    match line {
        Some(Line { cri, .. }) => Ok(tell(source, &cri, id).await?),
        None => Ok(true),
    }
}

/// CRI-O.
pub(super) async fn session(source: &Rc<Source>) -> Session {
    let grpc = Grpc::connect(&source.path).await?;
    let cri = Rc::new(Cri::new(grpc.clone(), true));
    source.line.replace(Some(Line {
        grpc: grpc.clone(),
        cri: Rc::clone(&cri),
    }));
    let mut events = grpc.subscribe::<_, ContainerEventResponse>(
        "/runtime.v1.RuntimeService/GetContainerEvents".to_owned(),
        GetEventsRequest {},
    );
    source.lists();
    let listed = cri.list().await?;
    source.listed(listed.iter().cloned());
    let follow = async {
        loop {
            let event = match events.recv().await {
                Some(Ok(event)) => event,
                Some(Err(status)) if status.code() == Code::Unimplemented => break,
                Some(Err(status)) => return Err::<Infallible, Failure>(status.into()),
                None => return Err(Failure::new("its events have ended")),
            };
            let id = event.container_id.as_str();
            if event.container_event_type == ContainerEventType::ContainerDeletedEvent as i32 {
                source.removed(id);
                continue;
            }
            if event.container_event_type == ContainerEventType::ContainerStoppedEvent as i32 {
                source.stopped(id);
            }
            tell(source, &cri, id).await?;
        }
        // One without events is asked again and again.
        let mut before: Vec<String> = listed.iter().map(|facts| facts.id.clone()).collect();
        loop {
            tokio::time::sleep(POLL).await;
            source.lists();
            let mut now = cri.list().await?;
            source.listed(now.iter().cloned());
            let ids = now.iter().map(|facts| facts.id.clone()).collect();
            now.retain(|facts| !before.contains(&facts.id));
            details(source, &cri, &now).await?;
            before = ids;
        }
    };
    let asked = async {
        details(source, &cri, &listed).await?;
        source.settle();
        std::future::pending().await
    };
    let (follow, asked) = (std::pin::pin!(follow), std::pin::pin!(asked));
    select(follow, asked).await.factor_first().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_whatever_is_a_name_and_its_digest_by_whatever_is_one() {
        let sha = format!("sha256:{}", "a".repeat(64));
        let mut facts = Facts::default();
        name_image(
            &mut facts,
            [String::new(), sha.clone()],
            [format!("docker.io/x@{sha}"), sha.clone()],
        );
        assert_eq!(facts.image, None);
        assert_eq!(facts.image_id.as_ref(), Some(&sha));
        assert_eq!(facts.image_digest.as_ref(), Some(&sha));
        let mut facts = Facts::default();
        let texts = ["x:1".to_owned(), sha];
        name_image(&mut facts, texts, ["x@sha256:..".to_owned(), String::new()]);
        assert_eq!(facts.image.as_deref(), Some("x:1"));
        assert_eq!((facts.image_id, facts.image_digest), (None, None));
    }

    #[test]
    fn the_first_process_is_taken_from_the_verbose_answer_if_it_is_there() {
        let info = |text: &str| HashMap::from([("info".to_owned(), text.to_owned())]);
        assert_eq!(first_process(&info("{\"pid\": 7, \"x\": {}}")), Some(7));
        for nothing in ["{\"pid\": 0}", "{}", "[", "{\"pid\": -1}"] {
            assert_eq!(first_process(&info(nothing)), None, "{nothing}");
        }
        assert_eq!(first_process(&HashMap::new()), None);
    }
}
