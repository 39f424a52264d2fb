//! Docker, by its API over bollard.
//!
//! At the start and after each return: one subscription, one list, then one inspect for each container that runs (its
//! process, its cgroup's parent, when it started) and one for each image (its digest), which is remembered. A new
//! container is looked up by a list of one, which answers while an inspect still waits for the start. Pods are what
//! cri-dockerd's labels say: a container has its pod's own labels from its sandbox.

use super::line::{Budget, CALL, Failure, MOST_CONTAINERS, Session, within};
use super::{Source, digest, is_digest, kubelet, some};
use crate::owner::{Facts, Runtime};
use bollard::Docker;
use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum, EventMessage,
};
use bollard::query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions};
use futures_util::StreamExt;
use futures_util::future::select;
use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

const NS: i64 = 1_000_000_000;

/// What a session and the questions beside it share.
pub(super) struct Client {
    docker: Docker,
    images: Images,
}

/// A client whose connections have this budget, each anew or all together.
async fn connect(source: &Source, shared: Option<Budget>) -> Result<Docker, Failure> {
    let path = source.path.clone();
    let transport = move |request| {
        let budget = shared.clone().unwrap_or_else(Budget::new);
        let sent = super::line::send(path.clone(), budget, request);
        async move { Ok(sent.await?) }
    };
    let docker = Docker::connect_with_custom_transport(
        transport,
        Some("http://localhost"),
        CALL.as_secs(),
        bollard::API_DEFAULT_VERSION,
    )?;
    within(docker.negotiate_version()).await
}

pub(super) async fn session(source: &Rc<Source>) -> Session {
    let client = Rc::new(Client {
        docker: connect(source, None).await?,
        images: Images::default(),
    });
    source.docker.replace(Some(Rc::clone(&client)));
    let Client { docker, images } = &*client;
    let budget = Budget::new();
    let listener = connect(source, Some(budget.clone())).await?;
    // From a little before the list on: the daemon keeps what happened, so nothing falls between the two.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = now.map_err(Failure::new)?.as_secs().saturating_sub(1);
    let events = listener.events(Some(EventsOptions {
        since: Some(since.to_string()),
        filters: Some(HashMap::from([(
            "type".to_owned(),
            vec!["container".to_owned(), "network".to_owned()],
        )])),
        ..EventsOptions::default()
    }));
    let mut events = std::pin::pin!(events);

    source.lists();
    let all = within(docker.list_containers(Some(ListContainersOptions {
        all: true,
        ..ListContainersOptions::default()
    })))
    .await?;
    let running: Vec<String> = all
        .iter()
        .filter(|container| container.state == Some(ContainerSummaryStateEnum::RUNNING))
        .filter_map(|container| container.id.clone())
        .collect();
    let mut listed: Vec<Facts> = all.into_iter().filter_map(facts).collect();
    learn_from_sandboxes(&mut listed);
    source.listed(listed.iter().cloned());
    let details = async {
        for id in &running {
            if let Ok(facts) = inspected(docker, id).await {
                source.detailed(facts);
            }
        }
        for facts in &listed {
            source.detailed(images.name(docker, facts).await);
        }
        source.settle();
        std::future::pending().await
    };
    let follow = async {
        while let Some(event) = events.next().await {
            budget.refill();
            follow(source, docker, images, event?).await;
        }
        Err::<Infallible, Failure>(Failure::new("its events have ended"))
    };
    let (details, follow) = (std::pin::pin!(details), std::pin::pin!(follow));
    select(details, follow).await.factor_first().0
}

async fn follow(source: &Rc<Source>, docker: &Docker, images: &Images, event: EventMessage) {
    let (Some(action), Some(actor)) = (event.action, event.actor) else {
        return;
    };
    let mut attributes = actor.attributes.unwrap_or_default();
    // Of a network the container is an attribute.
    let Some(id) = attributes.remove("container").or(actor.id) else {
        return;
    };
    match action.as_str() {
        "create" | "rename" | "update" => {
            if let Ok(Some(mut facts)) = told(source, docker, &id).await {
                // For a moment the list has both names, the old one first. In a pod neither is shown.
                if action == "rename" && facts.pod.is_none() {
                    facts.name = attributes.remove("name").and_then(some).or(facts.name);
                }
                source.changed(facts.clone());
                source.detailed(images.name(docker, &facts).await);
            }
        }
        "start" | "connect" | "disconnect" => {
            if let Ok(facts) = inspected(docker, &id).await {
                source.detailed(facts);
            }
        }
        "die" => source.stopped(&id),
        "destroy" => source.removed(&id),
        _ => {}
    }
}

/// A new container, while it starts.
pub(super) async fn look_up(source: &Source, id: &str) -> Result<(), Failure> {
    let Some(client) = source.docker.borrow().clone() else {
        return Ok(());
    };
    let Client { docker, images } = &*client;
    if let Some(facts) = told(source, docker, id).await? {
        source.changed(facts.clone());
        source.detailed(images.name(docker, &facts).await);
    }
    Ok(())
}

/// The pods of all that is listed.
fn learn_from_sandboxes(listed: &mut [Facts]) {
    let sandboxes = listed.iter().filter(|facts| facts.sandbox).cloned();
    let sandboxes: HashMap<String, Facts> = sandboxes.map(|f| (f.id.clone(), f)).collect();
    for facts in listed.iter_mut().filter(|facts| !facts.sandbox) {
        let sandbox = facts.pod.as_ref().map(|pod| pod.sandbox.as_str());
        if let Some(sandbox) = sandbox.and_then(|id| sandboxes.get(id)) {
            kubelet::learn_docker_sandbox(facts, sandbox);
        }
    }
}

/// One container, with what its sandbox says of its pod.
async fn told(source: &Source, docker: &Docker, id: &str) -> Result<Option<Facts>, Failure> {
    let Some(mut facts) = one(docker, id).await? else {
        return Ok(None);
    };
    if let Some(pod) = facts.pod.as_ref().filter(|_| !facts.sandbox)
        && !pod.sandbox.is_empty()
    {
        let known = source.with(&pod.sandbox, |sandbox| sandbox.clone());
        let sandbox = match known.filter(|known| known.sandbox) {
            // It came after the list, and its event is still to come.
            None => one(docker, &pod.sandbox).await.ok().flatten(),
            known => known,
        };
        if let Some(sandbox) = sandbox {
            kubelet::learn_docker_sandbox(&mut facts, &sandbox);
        }
    }
    Ok(Some(facts))
}

async fn one(docker: &Docker, id: &str) -> Result<Option<Facts>, Failure> {
    let answer = within(docker.list_containers(Some(ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("id".to_owned(), vec![id.to_owned()])])),
        ..ListContainersOptions::default()
    })))
    .await?;
    // The filter takes beginnings of ids, too.
    Ok(answer
        .into_iter()
        .filter_map(facts)
        .find(|facts| facts.id == id))
}

fn facts(container: ContainerSummary) -> Option<Facts> {
    let id = container.id.filter(|id| !id.is_empty())?;
    let name = container
        .names
        .unwrap_or_default()
        .into_iter()
        .find_map(|name| {
            // A link's name has a second slash.
            let name = name.strip_prefix('/').unwrap_or(&name).to_owned();
            (!name.contains('/')).then_some(name)
        });
    let networks = container
        .network_settings
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    let addresses: Vec<IpAddr> = networks
        .into_values()
        .flat_map(|network| [network.ip_address, network.global_ipv6_address])
        .filter_map(|text| text?.parse().ok())
        .collect();
    let mode = container.host_config.and_then(|config| config.network_mode);
    // One that has another's network has what that one has.
    let mode = mode.filter(|mode| !mode.starts_with("container:"));
    let mut facts = Facts {
        id,
        runtime: Some(Runtime::Docker),
        name: name.and_then(some),
        image: container.image.and_then(some),
        image_id: container.image_id.filter(|id| is_digest(id)),
        image_digest: container
            .image_manifest_descriptor
            .and_then(|descriptor| descriptor.digest)
            .and_then(|text| digest(&text)),
        started: container.created.map(|s| s.saturating_mul(NS)),
        // It says all of a container, and null where there are none.
        labels: Some(container.labels.unwrap_or_default().into_iter().collect()),
        host_network: mode.map(|mode| mode == "host"),
        // One that is starting may have none yet.
        addresses: Some(addresses).filter(|all| !all.is_empty()),
        ..Facts::default()
    };
    kubelet::learn_docker(&mut facts);
    Some(facts)
}

async fn inspected(docker: &Docker, id: &str) -> Result<Facts, Failure> {
    let answer: ContainerInspectResponse =
        within(docker.inspect_container(id, None::<InspectContainerOptions>)).await?;
    let state = answer.state.unwrap_or_default();
    let networks = answer
        .network_settings
        .and_then(|settings| settings.networks)
        .unwrap_or_default();
    let addresses: Vec<IpAddr> = networks
        .into_values()
        .flat_map(|network| [network.ip_address, network.global_ipv6_address])
        .filter_map(|text| text?.parse().ok())
        .collect();
    Ok(Facts {
        id: answer.id.unwrap_or_default(),
        pid: state
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0),
        started: state.started_at.as_deref().and_then(super::time::rfc3339),
        // Also none, where it has left its networks.
        addresses: Some(addresses),
        ..Facts::default()
    })
}

/// The digests of images by their ids, each asked for once.
#[derive(Default)]
struct Images(RefCell<HashMap<String, Option<String>>>);

impl Images {
    /// The digest of a container's image.
    async fn name(&self, docker: &Docker, of: &Facts) -> Facts {
        let mut facts = Facts {
            id: of.id.clone(),
            ..Facts::default()
        };
        let (Some(id), None) = (&of.image_id, &of.image_digest) else {
            return facts;
        };
        let known = self.0.borrow().get(id).cloned();
        if let Some(known) = known {
            facts.image_digest = known;
            return facts;
        }
        let Ok(image) = within(docker.inspect_image(id)).await else {
            return facts;
        };
        let all = image.repo_digests.unwrap_or_default();
        // The one that was asked for, if it has several names.
        let asked = of.image.as_deref().unwrap_or_default();
        let own = all.iter().find(|known| {
            let repository = known.split('@').next().unwrap_or_default();
            let rest = asked.strip_prefix(repository);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
        });
        let found = own.or(all.first());
        facts.image_digest = found.and_then(|reference| digest(reference));
        let mut known = self.0.borrow_mut();
        if known.len() < MOST_CONTAINERS {
            known.insert(id.clone(), facts.image_digest.clone());
        }
        facts
    }
}
