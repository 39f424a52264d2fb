//! containerd, by its own API; what Kubernetes made there, by the container runtime interface of the same socket.
//!
//! The containers of Docker's namespace are Docker's. Those of Kubernetes' namespace are told once: what containerd says
//! of them comes first, because it answers first, and what the other interface says is laid over it.

use super::cri::{self, Cri};
use super::line::{Failure, Grpc, MOST_CONTAINERS, Session};
use super::{Line, SANDBOX, Source, digest, kubelet, some};
use crate::owner::{Facts, Pod};
use containerd_client::events::{
    ContainerCreate, ContainerDelete, ContainerUpdate, TaskExit, TaskStart,
};
use containerd_client::services::v1::{
    Container, GetContainerRequest, GetContainerResponse, GetImageRequest, GetImageResponse,
    ListContainerMessage, ListContainersRequest, ListNamespacesRequest, ListNamespacesResponse,
    ListTasksRequest, ListTasksResponse, SubscribeRequest,
};
use containerd_client::types::Envelope;
use prost::Message;
use serde::Deserialize;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

/// The namespaces of others.
const DOCKER: &str = "moby";
const KUBERNETES: &str = "k8s.io";
/// The most namespaces that are looked at.
const MOST_NAMESPACES: usize = 256;
/// The most bytes of ids and labels of one list.
const MOST_KEPT: usize = 64 << 20;
/// When all is listed once more after the subscription: its answer comes with the first event, so nothing says that it
/// stands before the first list.
const AGAIN: Duration = Duration::from_secs(1);

fn inside<Q>(namespace: &str, question: Q) -> Result<Request<Q>, Status> {
    let mut request = Request::new(question);
    let name = MetadataValue::try_from(namespace)
        .map_err(|_| Status::invalid_argument("a namespace with such a name"))?;
    request.metadata_mut().insert("containerd-namespace", name);
    Ok(request)
}

pub(super) async fn session(source: &Rc<Source>) -> Session {
    let grpc = Grpc::connect(&source.path).await?;
    let cri = Rc::new(Cri::new(grpc.clone(), false));
    let line = Line {
        grpc: grpc.clone(),
        cri: Rc::clone(&cri),
    };
    source.line.replace(Some(line.clone()));
    let mut events = grpc.subscribe::<_, Envelope>(
        "/containerd.services.events.v1.Events/Subscribe".to_owned(),
        SubscribeRequest {
            filters: vec![
                "topic~=\"^/containers/\"".to_owned(),
                "topic~=\"^/tasks/\"".to_owned(),
            ],
        },
    );
    list(source, &line).await?;
    source.settle();
    let follow = async {
        loop {
            match events.recv().await {
                Some(Ok(event)) => follow(source, &line, event).await,
                Some(Err(status)) => return Failure::from(status),
                None => return Failure::new("its events have ended"),
            }
        }
    };
    let again = async {
        tokio::time::sleep(AGAIN).await;
        match list(source, &line).await {
            Ok(()) => std::future::pending().await,
            Err(failure) => failure,
        }
    };
    let (follow, again) = (std::pin::pin!(follow), std::pin::pin!(again));
    let failure = futures_util::future::select(follow, again).await;
    Err(failure.factor_first().0)
}

/// All containers of all namespaces, then their details.
async fn list(source: &Rc<Source>, line: &Line) -> Result<(), Failure> {
    source.lists();
    let namespaces: ListNamespacesResponse = line
        .grpc
        .ask(
            "/containerd.services.namespaces.v1.Namespaces/List",
            Request::new(ListNamespacesRequest::default()),
        )
        .await?;
    let mut all: HashMap<String, Facts> = HashMap::new();
    let mut images = Vec::new();
    let names: Vec<String> = namespaces.namespaces.into_iter().map(|n| n.name).collect();
    for namespace in names.iter().take(MOST_NAMESPACES).filter(|n| *n != DOCKER) {
        for (facts, created) in containers(line, namespace).await? {
            if all.len() >= MOST_CONTAINERS {
                break;
            }
            images.push((namespace.clone(), facts.id.clone(), created));
            all.insert(facts.id.clone(), facts);
        }
    }
    let mut pods = Vec::new();
    if names.iter().any(|name| name == KUBERNETES) {
        // Without that plugin it is containerd alone that knows.
        pods = line.cri.list().await.unwrap_or_default();
        for facts in &pods {
            if let Some(known) = all.get_mut(&facts.id) {
                known.learn(facts.clone());
            }
        }
    }
    source.listed(all.into_values());

    // The image store answers at once, and a task that hangs does not: a container would be without its digest as long.
    let mut digests = HashMap::new();
    for (namespace, id, created) in images {
        let Some(Some(name)) = source.with(&id, |known| known.image.clone()) else {
            continue;
        };
        let key = (namespace, name);
        if !digests.contains_key(&key) {
            let image = image(line, &key.0, &key.1).await;
            digests.insert(key.clone(), image);
        }
        if let Some(Some(image)) = digests.get(&key) {
            source.detailed(image.of(id, created));
        }
    }
    for namespace in names.iter().take(MOST_NAMESPACES).filter(|n| *n != DOCKER) {
        // A task that hangs must not hide all else.
        let tasks: Result<ListTasksResponse, _> = line
            .grpc
            .ask(
                "/containerd.services.tasks.v1.Tasks/List",
                inside(namespace, ListTasksRequest::default())?,
            )
            .await;
        for task in tasks.map(|tasks| tasks.tasks).unwrap_or_default() {
            source.detailed(Facts {
                id: task.id,
                pid: Some(task.pid).filter(|pid| *pid > 0),
                ..Facts::default()
            });
        }
    }
    cri::details(source, &line.cri, &pods).await?;
    Ok(())
}

/// Each container with the time when it was made, as containerd has it.
type Made = (Facts, Option<(i64, i32)>);

async fn containers(line: &Line, namespace: &str) -> Result<Vec<Made>, Failure> {
    let question = inside(namespace, ListContainersRequest::default())?;
    let gather = async {
        // One message a container, so that no answer is too long for one.
        let mut stream = line
            .grpc
            .stream::<_, ListContainerMessage>(
                "/containerd.services.containers.v1.Containers/ListStream",
                question,
            )
            .await?;
        let mut all: Vec<Made> = Vec::new();
        let mut kept = 0;
        while let Some(message) = stream.message().await? {
            let Some(container) = message.container else {
                continue;
            };
            let created = container.created_at.as_ref().map(|t| (t.seconds, t.nanos));
            // Its specification, which is most of it, is not kept.
            let mut facts = facts(namespace, container);
            facts.bound();
            let labels = facts.labels.iter().flatten();
            let labels = labels.map(|(k, v)| k.len() + v.len());
            kept += labels.sum::<usize>() + facts.id.len();
            if kept > MOST_KEPT {
                return Err(Failure::new("its list has more than 64 MiB"));
            }
            all.push((facts, created));
            if all.len() >= MOST_CONTAINERS {
                break;
            }
        }
        Ok::<_, Failure>(all)
    };
    super::line::within(gather).await
}

fn facts(namespace: &str, container: Container) -> Facts {
    let labels: std::collections::BTreeMap<_, _> = container.labels.into_iter().collect();
    let mut facts = Facts {
        image: some(container.image),
        cgroup: container.spec.as_ref().and_then(|spec| cgroup(&spec.value)),
        started: container.created_at.and_then(|t| {
            t.seconds
                .checked_mul(1_000_000_000)?
                .checked_add(i64::from(t.nanos))
        }),
        ..Facts::default()
    };
    if namespace == KUBERNETES {
        let mut pod = Pod::default();
        kubelet::by_labels(&mut pod, &labels);
        facts.sandbox = labels
            .get("io.cri-containerd.kind")
            .is_some_and(|kind| kind == "sandbox");
        if facts.sandbox {
            pod.sandbox.clone_from(&container.id);
            facts.name = some(pod.name.clone());
        } else {
            pod.sandbox = container.sandbox;
            facts.name = some(pod.container.clone());
        }
        facts.pod = Some(pod).filter(|pod| !pod.name.is_empty());
    } else {
        facts.name = labels.get("nerdctl/name").cloned();
    }
    facts.name = facts.name.or_else(|| some(container.id.clone()));
    facts.id = container.id;
    facts.labels = Some(labels);
    facts
}

/// The path of its cgroup in a container's specification, if it is one: systemd's form names a unit.
fn cgroup(spec: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Spec {
        linux: Linux,
    }
    #[derive(Deserialize)]
    struct Linux {
        #[serde(rename = "cgroupsPath")]
        path: String,
    }
    let spec: Spec = serde_json::from_slice(spec).ok()?;
    Some(spec.linux.path).filter(|path| path.starts_with('/'))
}

/// What the image store has under a name.
struct Image {
    digest: String,
    since: Option<(i64, i32)>,
}

impl Image {
    /// As a fact of a container: the name may stand for another image than when the container was made.
    fn of(&self, id: String, created: Option<(i64, i32)>) -> Facts {
        let same = self
            .since
            .is_none_or(|since| created.is_some_and(|made| since <= made));
        Facts {
            id,
            image_digest: same.then(|| self.digest.clone()),
            ..Facts::default()
        }
    }
}

async fn image(line: &Line, namespace: &str, name: &str) -> Option<Image> {
    let question = GetImageRequest {
        name: name.to_owned(),
    };
    let answer: GetImageResponse = line
        .grpc
        .ask(
            "/containerd.services.images.v1.Images/Get",
            inside(namespace, question).ok()?,
        )
        .await
        .ok()?;
    let image = answer.image?;
    Some(Image {
        digest: digest(&image.target?.digest)?,
        since: image.updated_at.map(|t| (t.seconds, t.nanos)),
    })
}

async fn follow(source: &Rc<Source>, line: &Line, event: Envelope) {
    let namespace = event.namespace.as_str();
    if namespace == DOCKER {
        return;
    }
    let body = event.event.map(|event| event.value).unwrap_or_default();
    let body = body.as_slice();
    // One that cannot be read says nothing, and the next list all.
    match event.topic.as_str() {
        "/containers/create" => {
            if let Ok(ContainerCreate { id, .. }) = Message::decode(body) {
                get(source, line, namespace, &id).await.ok();
            }
        }
        "/containers/update" => {
            if let Ok(ContainerUpdate { id, .. }) = Message::decode(body)
                && namespace != KUBERNETES
            {
                get(source, line, namespace, &id).await.ok();
            }
        }
        "/containers/delete" => {
            if let Ok(ContainerDelete { id }) = Message::decode(body) {
                source.removed(&id);
            }
        }
        "/tasks/start" => {
            if let Ok(TaskStart { container_id, pid }) = Message::decode(body) {
                source.detailed(Facts {
                    id: container_id.clone(),
                    pid: Some(pid),
                    ..Facts::default()
                });
                if namespace == KUBERNETES
                    && let Some(seat) = source.seat()
                {
                    let pod = pod(Rc::clone(source), line.clone(), container_id, seat);
                    tokio::task::spawn_local(pod);
                }
            }
        }
        "/tasks/exit" => {
            if let Ok(TaskExit {
                container_id, id, ..
            }) = Message::decode(body)
                && container_id == id
            {
                source.stopped(&id);
            }
        }
        _ => {}
    }
}

/// One container, from containerd itself.
async fn get(source: &Source, line: &Line, namespace: &str, id: &str) -> Result<(), Failure> {
    let question = GetContainerRequest { id: id.to_owned() };
    let answer: Result<GetContainerResponse, _> = line
        .grpc
        .ask(
            "/containerd.services.containers.v1.Containers/Get",
            inside(namespace, question)?,
        )
        .await;
    let container = match answer {
        Ok(answer) => answer.container,
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => return Err(status.into()),
    };
    let Some(container) = container.filter(|container| container.id == id) else {
        return Ok(());
    };
    let created = container.created_at.as_ref().map(|t| (t.seconds, t.nanos));
    let name = container.image.clone();
    source.changed(facts(namespace, container));
    if let Some(image) = image(line, namespace, &name).await {
        source.detailed(image.of(id.to_owned(), created));
    }
    Ok(())
}

/// One container or sandbox of Kubernetes' namespace, as soon as that interface has it. Nobody waits for that, so it waits for
/// its turn as long as it takes.
async fn pod(source: Rc<Source>, line: Line, id: String, _seat: OwnedSemaphorePermit) {
    for pause in SANDBOX {
        let Ok(turn) = source.at_once.acquire().await else {
            return;
        };
        if !matches!(cri::tell(&source, &line.cri, &id).await, Ok(false)) {
            return;
        }
        drop(turn);
        tokio::time::sleep(pause).await;
    }
}

/// A new container, while it starts. False: it is one of Kubernetes' that is not there yet in all its parts.
pub(super) async fn look_up(
    source: &Rc<Source>,
    id: &str,
    namespace: Option<&str>,
) -> Result<bool, Failure> {
    let Some(line) = source.line.borrow().clone() else {
        return Ok(true);
    };
    match namespace {
        Some(DOCKER) => {}
        Some(KUBERNETES) => {
            get(source, &line, KUBERNETES, id).await?;
            return Ok(cri::tell(source, &line.cri, id).await?);
        }
        Some(namespace) => get(source, &line, namespace, id).await?,
        None => get(source, &line, "default", id).await?,
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_image_when_the_container_was_made() {
        let image = Image {
            digest: "sha256:x".to_owned(),
            since: Some((100, 5)),
        };
        let of = |created| image.of("c".to_owned(), created).image_digest;
        assert!(of(Some((100, 5))).is_some());
        assert!(of(Some((100, 4))).is_none(), "the name was moved since");
        assert!(of(None).is_none());
    }

    #[test]
    fn a_cgroup_is_taken_from_the_specification_only_as_a_path() {
        let path = |text: &str| {
            let spec = format!("{{\"linux\": {{\"cgroupsPath\": \"{text}\"}}}}");
            cgroup(spec.as_bytes())
        };
        assert_eq!(path("/default/c1").as_deref(), Some("/default/c1"));
        assert_eq!(path("kubepods.slice:cri-containerd:id"), None);
        assert_eq!(cgroup(b"{}"), None);
        assert_eq!(cgroup(b"\xff"), None);
    }
}
