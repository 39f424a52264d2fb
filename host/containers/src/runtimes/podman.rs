//! podman with root, by its own API: Docker's, which it has as well, does not know pods.
//!
//! Each call about a container waits for that container's lock, and constant asking delays podman's own work. So each
//! is inspected once when it is listed, looked up or started, and never again and again.

use super::line::{Failure, Lines, Session, get};
use super::{Source, digest, is_digest, some};
use crate::owner::{Facts, Pod};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The oldest version of the API that has all of this; newer servers know it, too.
const API: &str = "/v4.0.0/libpod";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Listed {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    labels: Option<BTreeMap<String, String>>,
    pid: i64,
    pod: String,
    pod_name: String,
    is_infra: bool,
    state: String,
    started_at: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Inspected {
    id: String,
    name: String,
    image: String,
    image_name: String,
    image_digest: String,
    pod: String,
    is_infra: bool,
    created: String,
    state: State,
    config: Option<Config>,
    host_config: HostConfig,
    network_settings: NetworkSettings,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    pid: i64,
    started_at: String,
    cgroup_path: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    #[serde(rename = "IPAddress")]
    address: String,
    #[serde(rename = "GlobalIPv6Address")]
    address6: String,
    networks: Option<HashMap<String, Network>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Network {
    #[serde(rename = "IPAddress")]
    address: String,
    #[serde(rename = "GlobalIPv6Address")]
    address6: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    digest: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct PodInspected {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    action: String,
    actor: Actor,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
}

/// What an address answers; none if there is no such thing.
async fn ask<T: DeserializeOwned>(source: &Source, what: &str) -> Result<Option<T>, Failure> {
    let (status, body) = get(&source.path, &format!("{API}{what}")).await?;
    match status {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => {
            let answer = serde_json::from_slice(&body);
            answer.map(Some).map_err(Failure::new)
        }
        status => Err(Failure::new(format_args!("it answers {status}"))),
    }
}

pub(super) async fn session(source: &Rc<Source>) -> Session {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = now.map_err(Failure::new)?.as_secs().saturating_sub(1);
    // From a little before the list on, so that nothing falls between the two.
    let events = format!(
        "{API}/events?stream=true&since={since}&filters=%7B%22type%22%3A%5B%22container%22%5D%7D"
    );
    let mut events = Lines::open(&source.path, &events).await?;
    source.lists();
    let all: Vec<Listed> = ask(source, "/containers/json?all=true")
        .await?
        .unwrap_or_default();
    let ids: Vec<String> = all.iter().map(|container| container.id.clone()).collect();
    source.listed(all.into_iter().map(facts));
    let mut names = Names::default();
    for id in &ids {
        if let Ok(Some(facts)) = inspect(source, &mut names, id).await {
            source.detailed(facts);
        }
    }
    source.settle();
    while let Some(line) = events.next().await? {
        // One that cannot be read says nothing, and the next list all.
        if let Ok(event) = serde_json::from_slice::<Event>(&line) {
            follow(source, &mut names, event).await;
        }
    }
    Err(Failure::new("its events have ended"))
}

async fn follow(source: &Rc<Source>, names: &mut Names, event: Event) {
    let id = event.actor.id;
    if event.kind != "container" || id.is_empty() {
        return;
    }
    match event.action.as_str() {
        "start" | "rename" | "restart" => {
            // Whoever looked it up while it started knows all.
            let running = source.with(&id, |known| known.pid.is_some() && known.image.is_some());
            if (event.action == "rename" || running != Some(true))
                && let Ok(Some(facts)) = inspect(source, names, &id).await
            {
                source.changed(facts);
            }
        }
        "died" | "die" => source.stopped(&id),
        "remove" => source.removed(&id),
        _ => {}
    }
}

/// A new container, while it starts: the answer comes when its entrypoint runs.
pub(super) async fn look_up(source: &Source, id: &str) -> Result<(), Failure> {
    if let Some(facts) = inspect(source, &mut Names::default(), id).await? {
        source.changed(facts);
    }
    Ok(())
}

/// What was asked for once: names of pods, digests of images.
#[derive(Default)]
struct Names {
    pods: HashMap<String, String>,
    images: HashMap<String, String>,
}

impl Names {
    async fn pod(&mut self, source: &Source, id: &str) -> String {
        if let Some(name) = self.pods.get(id) {
            return name.clone();
        }
        let answer = ask::<PodInspected>(source, &format!("/pods/{id}/json")).await;
        let name = answer.ok().flatten().unwrap_or_default().name;
        keep(&mut self.pods, id, &name);
        name
    }

    async fn digest(&mut self, source: &Source, image: &str) -> String {
        if let Some(digest) = self.images.get(image) {
            return digest.clone();
        }
        let answer = ask::<Image>(source, &format!("/images/{image}/json")).await;
        let digest = answer.ok().flatten().unwrap_or_default().digest;
        keep(&mut self.images, image, &digest);
        digest
    }
}

fn keep(known: &mut HashMap<String, String>, id: &str, name: &str) {
    if known.len() < super::MOST_CONTAINERS && !name.is_empty() {
        known.insert(id.to_owned(), name.to_owned());
    }
}

/// It is put into a path.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// As the others have it, with its kind.
fn image_id(hex: &str) -> Option<String> {
    let id = format!("sha256:{}", hex.trim_start_matches("sha256:"));
    is_digest(&id).then_some(id)
}

fn facts(container: Listed) -> Facts {
    let pod = Pod {
        name: container.pod_name,
        uid: container.pod,
        ..Pod::default()
    };
    Facts {
        id: container.id,
        name: container.names.unwrap_or_default().into_iter().next(),
        image: some(container.image),
        image_id: image_id(&container.image_id),
        pid: process(container.pid).filter(|_| container.state == "running"),
        started: container
            .started_at
            .checked_mul(1_000_000_000)
            .filter(|ns| *ns > 0),
        labels: Some(container.labels.unwrap_or_default()),
        pod: Some(pod).filter(|pod| !pod.uid.is_empty()),
        sandbox: container.is_infra,
        ..Facts::default()
    }
}

fn process(pid: i64) -> Option<u32> {
    u32::try_from(pid).ok().filter(|pid| *pid > 0)
}

async fn inspect(source: &Source, names: &mut Names, id: &str) -> Result<Option<Facts>, Failure> {
    if !is_id(id) {
        return Ok(None);
    }
    let answer: Option<Inspected> = ask(source, &format!("/containers/{id}/json")).await?;
    let Some(found) = answer.filter(|found| found.id == id) else {
        return Ok(None);
    };
    let mut pod = None;
    if is_id(&found.pod) {
        pod = Some(Pod {
            name: names.pod(source, &found.pod).await,
            uid: found.pod,
            ..Pod::default()
        });
    }
    let image_id = image_id(&found.image);
    let mut image_digest = digest(&found.image_digest);
    if let (Some(id), None) = (&image_id, &image_digest) {
        image_digest = digest(&names.digest(source, id.trim_start_matches("sha256:")).await);
    }
    let network = found.network_settings;
    let networks = network.networks.unwrap_or_default().into_values();
    let texts = [network.address, network.address6]
        .into_iter()
        .chain(networks.flat_map(|n| [n.address, n.address6]));
    let mut addresses: Vec<_> = texts.filter_map(|text| text.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(Some(Facts {
        id: found.id,
        name: some(found.name),
        image: some(found.image_name),
        image_id,
        image_digest,
        pid: process(found.state.pid),
        started: [&found.state.started_at, &found.created]
            .into_iter()
            .find_map(|text| super::time::rfc3339(text)),
        labels: found.config.map(|own| own.labels.unwrap_or_default()),
        pod,
        sandbox: found.is_infra,
        host_network: some(found.host_config.network_mode).map(|mode| mode == "host"),
        addresses: Some(addresses),
        cgroup: some(found.state.cgroup_path),
        ..Facts::default()
    }))
}
