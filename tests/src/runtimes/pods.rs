//! Pods, made as kubelet makes them: through the container runtime interface.

use super::{Containerd, until};
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, PodSandboxStatusRequest, RemoveContainerRequest, RemovePodSandboxRequest,
    RunPodSandboxRequest, StartContainerRequest, StopPodSandboxRequest, VersionRequest,
};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

/// A client of a runtime's interface for pods.
#[derive(Debug)]
pub struct Pods {
    executor: Runtime,
    client: RuntimeServiceClient<Channel>,
    parent: String,
    pods: Vec<String>,
}

impl Pods {
    /// Of a containerd.
    #[must_use]
    pub fn of(containerd: &Containerd) -> Self {
        Self::at(containerd.socket(), containerd.place().name())
    }

    fn at(socket: PathBuf, cgroup: &str) -> Self {
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let connector = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move {
                let stream = tokio::net::UnixStream::connect(socket).await?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        });
        let client = executor.block_on(async {
            let endpoint = Endpoint::from_static("http://localhost");
            RuntimeServiceClient::new(endpoint.connect_with_connector_lazy(connector))
        });
        let mut pods = Self {
            executor,
            client,
            parent: format!("/{cgroup}"),
            pods: Vec::new(),
        };
        // The socket is there before what answers on it.
        until("the container runtime interface", || {
            let call = pods.client.version(VersionRequest::default());
            pods.executor.block_on(call).ok()
        });
        pods
    }

    fn config(&self, namespace: &str, name: &str, labels: &[(&str, &str)]) -> PodSandboxConfig {
        let uid = format!("uid-of-{name}");
        let mut all = HashMap::from([
            ("io.kubernetes.pod.name".to_owned(), name.to_owned()),
            (
                "io.kubernetes.pod.namespace".to_owned(),
                namespace.to_owned(),
            ),
            ("io.kubernetes.pod.uid".to_owned(), uid.clone()),
        ]);
        all.extend(
            labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.to_owned(),
                uid,
                namespace: namespace.to_owned(),
                attempt: 0,
            }),
            hostname: name.to_owned(),
            labels: all,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("{}/pod-{name}", self.parent),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(NamespaceOption {
                        network: NamespaceMode::Pod as i32,
                        pid: NamespaceMode::Container as i32,
                        ..NamespaceOption::default()
                    }),
                    ..LinuxSandboxSecurityContext::default()
                }),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        }
    }

    /// Starts a pod's sandbox; gives its id.
    pub fn sandbox(&mut self, namespace: &str, name: &str, labels: &[(&str, &str)]) -> String {
        let request = RunPodSandboxRequest {
            config: Some(self.config(namespace, name, labels)),
            ..RunPodSandboxRequest::default()
        };
        let answer = self.executor.block_on(self.client.run_pod_sandbox(request));
        let id = answer.expect("RunPodSandbox").into_inner().pod_sandbox_id;
        self.pods.push(id.clone());
        id
    }

    /// The address of a pod, in a network of pods alone.
    pub fn address(&mut self, sandbox: &str) -> IpAddr {
        let request = PodSandboxStatusRequest {
            pod_sandbox_id: sandbox.to_owned(),
            verbose: false,
        };
        let answer = self
            .executor
            .block_on(self.client.pod_sandbox_status(request));
        let status = answer.expect("PodSandboxStatus").into_inner().status;
        let network = status.and_then(|status| status.network);
        let address = network.expect("a network").ip;
        address.parse().expect("an address")
    }

    /// Starts a container of a pod that was made so; gives its id.
    pub fn container(
        &mut self,
        sandbox: &str,
        (namespace, pod): (&str, &str),
        name: &str,
        words: &[&str],
    ) -> String {
        let sandbox_config = self.config(namespace, pod, &[]);
        let mut labels = sandbox_config.labels.clone();
        labels.insert("io.kubernetes.container.name".to_owned(), name.to_owned());
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(ContainerConfig {
                metadata: Some(ContainerMetadata {
                    name: name.to_owned(),
                    attempt: 0,
                }),
                image: Some(ImageSpec {
                    image: Containerd::IMAGE.to_owned(),
                    ..ImageSpec::default()
                }),
                command: words.iter().map(|word| (*word).to_owned()).collect(),
                labels,
                ..ContainerConfig::default()
            }),
            sandbox_config: Some(sandbox_config),
        };
        let answer = self
            .executor
            .block_on(self.client.create_container(request));
        let id = answer.expect("CreateContainer").into_inner().container_id;
        let request = StartContainerRequest {
            container_id: id.clone(),
        };
        let started = self.executor.block_on(self.client.start_container(request));
        started.expect("StartContainer");
        id
    }

    /// Removes a container, running or not.
    pub fn remove_container(&mut self, id: &str) {
        let request = RemoveContainerRequest {
            container_id: id.to_owned(),
        };
        let removed = self
            .executor
            .block_on(self.client.remove_container(request));
        removed.expect("RemoveContainer");
    }

    /// Removes a pod with all its containers.
    pub fn remove_sandbox(&mut self, id: &str) {
        self.pods.retain(|known| known != id);
        let stop = StopPodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        self.executor
            .block_on(self.client.stop_pod_sandbox(stop))
            .ok();
        let remove = RemovePodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        self.executor
            .block_on(self.client.remove_pod_sandbox(remove))
            .ok();
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        for id in std::mem::take(&mut self.pods) {
            self.remove_sandbox(&id);
        }
    }
}
