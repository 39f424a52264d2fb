//! Every form of file, as the runtimes write them.

use super::*;
use crate::owner::{Awaited, Pod};
use std::collections::BTreeMap;

const ID: &str = "3f4e1d2c3b4a59687706f5e4d3c2b1a0998877665544332211ffeeddccbbaa00";

struct Disk {
    folder: tempfile::TempDir,
    root: Root,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        Self { folder, root }
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn confirm(&self, id: &str, bundle: Option<&str>, path: &str) -> Result<Facts, Unconfirmed> {
        let claim = Claim {
            id: id.to_owned(),
            runtime: bundle.map(|_| Runtime::Runc),
            bundle: bundle.map(PathBuf::from),
            ..Claim::default()
        };
        confirm(&self.root, &Places::default(), &claim, path).map(|found| found.facts)
    }
}

fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

#[test]
fn docker_writes_names_labels_and_images_beside_its_containers() {
    let disk = Disk::new();
    let bundle = format!("/srv/exec/containerd/daemon/{TASKS}/moby/{ID}");
    let config = format!(
        r#"{{"ociVersion":"1.0.2","root":{{"path":"/srv/data/overlay2/ab/merged"}},"hostname":"3f4e1d2c3b4a",
        "linux":{{"cgroupsPath":"/docker/{ID}","namespaces":[{{"type":"mount"}},{{"type":"network","path":"/srv/exec/netns/default"}}]}}}}"#
    );
    disk.write(&format!("{bundle}/config.json"), config);
    disk.write(
        &format!("/srv/data/containers/{ID}/config.v2.json"),
        format!(
            r#"{{"State":{{"Running":false,"Pid":0}},"ID":"{ID}","Created":"2026-11-23T19:20:35.5Z","Name":"/web",
            "Config":{{"Image":"busybox:1.36","Labels":{{"app":"shop"}},"Env":null}},"Image":"sha256:{ID}","LogPath":""}}"#
        ),
    );
    disk.write(
        "/srv/data/image/overlay2/repositories.json",
        format!(
            r#"{{"Repositories":{{"other":{{"other:1":"sha256:00"}},"busybox":{{"busybox:1.36":"sha256:{ID}","busybox@sha256:77":"sha256:{ID}"}}}}}}"#
        ),
    );
    disk.write(
        &format!("/srv/data/containers/{ID}/hostconfig.json"),
        r#"{"NetworkMode":"host","CgroupParent":""}"#,
    );
    let facts = disk.confirm(ID, Some(&bundle), &format!("/docker/{ID}"));
    let expected = Facts {
        id: ID.to_owned(),
        runtime: Some(Runtime::Docker),
        name: Some("web".to_owned()),
        image: Some("busybox:1.36".to_owned()),
        image_id: Some(format!("sha256:{ID}")),
        image_digest: Some("sha256:77".to_owned()),
        started: time::parse("2026-11-23T19:20:35.5Z"),
        labels: Some(labels(&[("app", "shop")])),
        host_network: Some(true),
        awaited: Awaited::IMAGES,
        ..Facts::default()
    };
    assert_eq!(facts, Ok(expected));
    let other = disk.confirm(ID, Some(&bundle), "/docker/other");
    assert_eq!(other, Err(Unconfirmed::Others));
}

#[test]
fn docker_writes_pods_as_labels_and_their_own_labels_at_the_sandbox() {
    let disk = Disk::new();
    let sandbox_id = ID.replace('3', "5");
    let of_pod = |name: &str, labels: &str| {
        format!(
            r#"{{"Name":"/k8s_{name}_web-0_prod_u-1_0","Config":{{"Labels":{{"io.kubernetes.pod.name":"web-0",
            "io.kubernetes.pod.namespace":"prod","io.kubernetes.pod.uid":"u-1",{labels}}}}},"ID":"#
        )
    };
    let sandbox = of_pod(
        "POD",
        r#""io.kubernetes.container.name":"POD","io.kubernetes.docker.type":"podsandbox","app":"web""#,
    );
    let app = of_pod(
        "app",
        &format!(
            r#""io.kubernetes.container.name":"app","io.kubernetes.docker.type":"container","io.kubernetes.sandbox.id":"{sandbox_id}""#
        ),
    );
    let write = |id: &str, container: &str, mode: &str| {
        let bundle = format!("/srv/exec/containerd/daemon/{TASKS}/moby/{id}");
        let config = format!(
            r#"{{"root":{{"path":"/srv/data/overlay2/ab/merged"}},"linux":{{"cgroupsPath":"/docker/{id}",
            "namespaces":[{{"type":"network","path":"/proc/1/ns/net"}}]}}}}"#
        );
        disk.write(&format!("{bundle}/config.json"), config);
        let own = format!("/srv/data/containers/{id}");
        disk.write(
            &format!("{own}/config.v2.json"),
            format!("{container}\"{id}\"}}"),
        );
        disk.write(
            &format!("{own}/hostconfig.json"),
            format!(r#"{{"NetworkMode":"{mode}"}}"#),
        );
    };
    let told = |id: &str| {
        let bundle = format!("/srv/exec/containerd/daemon/{TASKS}/moby/{id}");
        disk.confirm(id, Some(&bundle), &format!("/docker/{id}"))
            .unwrap()
    };
    // Before its sandbox can be read, the labels of the pod may still come.
    write(ID, &app, &format!("container:{sandbox_id}"));
    let facts = told(ID);
    assert_eq!(facts.pod.map(|pod| pod.labels), Some(None));
    assert_eq!(facts.awaited, Awaited::IMAGES.with(Awaited::POD_LABELS));
    write(&sandbox_id, &sandbox, "host");
    let facts = told(ID);
    let pod = Pod {
        name: "web-0".to_owned(),
        namespace: "prod".to_owned(),
        uid: "u-1".to_owned(),
        container: "app".to_owned(),
        labels: Some(labels(&[("app", "web")])),
        owner: None,
        sandbox: sandbox_id.clone(),
    };
    assert_eq!(facts.pod.as_ref(), Some(&pod));
    assert_eq!(facts.name.as_deref(), Some("app"));
    assert_eq!((facts.sandbox, facts.host_network), (false, Some(true)));
    assert_eq!(facts.awaited, Awaited::IMAGES);
    let facts = told(&sandbox_id);
    let pod = Pod {
        container: String::new(),
        ..pod
    };
    assert_eq!(facts.pod, Some(pod));
    assert_eq!((facts.sandbox, facts.host_network), (true, Some(true)));
    assert_eq!(facts.awaited, Awaited::IMAGES);
    // A label is no path.
    write(ID, &app.replace(&sandbox_id, "../containers/x"), "none");
    assert_eq!(told(ID).pod.map(|pod| pod.labels), Some(None), "of nobody");
}

#[test]
fn containerd_writes_labels_as_annotations_and_kubernetes_its_own() {
    let disk = Disk::new();
    let bundle = |ns: &str, id: &str| format!("/run/containerd/{TASKS}/{ns}/{id}");
    let config = |path: &str, annotations: &str| {
        format!(
            r#"{{"linux":{{"cgroupsPath":"{path}","namespaces":[]}},"annotations":{annotations}}}"#
        )
    };
    disk.write(
        &format!("{}/config.json", bundle("default", "c1")),
        config("/default/c1", r#"{"app":"test"}"#),
    );
    let facts = disk.confirm("c1", None, "/default/c1").unwrap();
    assert_eq!(facts.labels, Some(labels(&[("app", "test")])));
    assert_eq!(facts.name.as_deref(), Some("c1"));
    assert_eq!(facts.runtime, Some(Runtime::Containerd));
    assert_eq!(facts.host_network, Some(true));
    let path = format!("/k.slice/cri-containerd-{ID}.scope");
    for (kind, container) in [("container", "app"), ("sandbox", "")] {
        let named = match container {
            "" => String::new(),
            name => format!(
                r#""io.kubernetes.cri.container-name":"{name}","io.kubernetes.cri.image-name":"shop:2","#
            ),
        };
        let annotations = format!(
            r#"{{{named}"io.kubernetes.cri.container-type":"{kind}","io.kubernetes.cri.sandbox-id":"{ID}",
            "io.kubernetes.cri.sandbox-name":"web-0","io.kubernetes.cri.sandbox-namespace":"prod","io.kubernetes.cri.sandbox-uid":"u-1"}}"#
        );
        disk.write(
            &format!("{}/config.json", bundle("k8s.io", ID)),
            config(&format!("k.slice:cri-containerd:{ID}"), &annotations),
        );
        let facts = disk.confirm(ID, None, &path).unwrap();
        assert_eq!(facts.sandbox, kind == "sandbox");
        let pod = Pod {
            name: "web-0".to_owned(),
            namespace: "prod".to_owned(),
            uid: "u-1".to_owned(),
            container: container.to_owned(),
            sandbox: ID.to_owned(),
            ..Pod::default()
        };
        assert_eq!(facts.pod, Some(pod));
        let name = if facts.sandbox { "web-0" } else { "app" };
        assert_eq!(facts.name.as_deref(), Some(name));
        assert_eq!(facts.image.as_deref(), (!facts.sandbox).then_some("shop:2"));
    }
}

#[test]
fn podman_writes_a_list_of_all_containers() {
    let disk = Disk::new();
    let storage = "/srv/graph/overlay-containers";
    let bundle = format!("{storage}/{ID}/userdata");
    disk.write(
        &format!("{bundle}/config.json"),
        format!(
            r#"{{"annotations":{{"io.container.manager":"libpod","io.kubernetes.cri-o.Created":"2026-11-23T19:20:35Z","mine":"1"}},
            "linux":{{"cgroupsPath":"/libpod_parent/libpod-{ID}"}}}}"#
        ),
    );
    let metadata = r#"{\"image-name\":\"localhost/busybox:test\",\"image-id\":\"IMAGE\",\"name\":\"web\",\"created-at\":1}"#
        .replace("IMAGE", ID);
    disk.write(
        &format!("{storage}/containers.json"),
        format!(
            r#"[{{"id":"other","names":["x"]}},{{"id":"{ID}","names":["web"],"image":"{ID}","metadata":"{metadata}","created":"2026-11-23T19:20:30Z"}}]"#
        ),
    );
    disk.write(
        "/srv/graph/overlay-images/images.json",
        format!(r#"[{{"id":"{ID}","digest":"sha256:99","names":["localhost/busybox:test"]}}]"#),
    );
    let path = format!("/libpod_parent/libpod-{ID}");
    let facts = disk.confirm(ID, Some(&bundle), &path);
    let expected = Facts {
        id: ID.to_owned(),
        runtime: Some(Runtime::Podman),
        name: Some("web".to_owned()),
        image: Some("localhost/busybox:test".to_owned()),
        image_id: Some(format!("sha256:{ID}")),
        image_digest: Some("sha256:99".to_owned()),
        started: time::parse("2026-11-23T19:20:35Z"),
        labels: Some(labels(&[("mine", "1")])),
        awaited: Awaited::ALL,
        ..Facts::default()
    };
    assert_eq!(facts, Ok(expected));
    // What holds a pod together is named by the pod.
    disk.write(
        &format!("{storage}/containers.json"),
        format!(r#"[{{"id":"{ID}","names":["0123456789ab-infra"]}}]"#),
    );
    let path = format!("/libpod_parent/0123456789abcdef/libpod-{ID}");
    disk.write(
        &format!("{bundle}/config.json"),
        format!(r#"{{"linux":{{"cgroupsPath":"{path}"}}}}"#),
    );
    assert!(disk.confirm(ID, Some(&bundle), &path).unwrap().sandbox);
}

#[test]
fn crio_writes_everything_as_annotations() {
    let disk = Disk::new();
    let storage = "/run/containers/storage/overlay-containers";
    disk.write(
        &format!("{storage}/{ID}/userdata/config.json"),
        format!(
            r#"{{"linux":{{"cgroupsPath":"k.slice:crio:{ID}"}},"annotations":{{"io.container.manager":"cri-o",
            "io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.ImageName":"quay.io/shop:2",
            "io.kubernetes.cri-o.ImageRef":"{ID}","io.kubernetes.cri-o.SandboxID":"5b",
            "io.kubernetes.cri-o.Created":"2026-11-23T19:20:35Z",
            "io.kubernetes.cri-o.Labels":"{{\"io.kubernetes.pod.name\":\"web-0\",\"io.kubernetes.pod.namespace\":\"prod\",\"io.kubernetes.pod.uid\":\"u-1\",\"io.kubernetes.container.name\":\"app\"}}"}}}}"#
        ),
    );
    let path = format!("/k.slice/crio-{ID}.scope");
    let facts = disk.confirm(ID, None, &path).unwrap();
    assert_eq!(facts.runtime, Some(Runtime::Crio));
    assert_eq!(facts.name.as_deref(), Some("app"));
    assert_eq!(facts.image.as_deref(), Some("quay.io/shop:2"));
    assert_eq!(facts.image_id, Some(format!("sha256:{ID}")));
    let pod = facts.pod.unwrap();
    assert_eq!(
        (pod.name.as_str(), pod.namespace.as_str()),
        ("web-0", "prod")
    );
    assert_eq!((pod.uid.as_str(), pod.sandbox.as_str()), ("u-1", "5b"));
    assert!(!facts.sandbox && facts.started.is_some());
}

#[test]
fn a_build_step_is_dockers() {
    let disk = Disk::new();
    let bundle = "/var/lib/docker/buildkit/executor/abcdefghijklmnopqrstuvwxy";
    let path = "/docker/buildkit/abcdefghijklmnopqrstuvwxy";
    let config = format!(r#"{{"linux":{{"cgroupsPath":"{path}"}}}}"#);
    disk.write(&format!("{bundle}/config.json"), config);
    let facts = disk.confirm("abcdefghijklmnopqrstuvwxy", Some(bundle), path);
    assert_eq!(facts.unwrap().runtime, Some(Runtime::Docker));
}

#[test]
fn runc_and_crun_keep_the_cgroup_and_the_first_process() {
    let disk = Disk::new();
    disk.write(
        "/run/runc/a/state.json",
        r#"{"id":"a","init_process_pid":131,"init_process_start":3642496,"created":"2026-11-23T19:20:35.873250058Z","rootless":false,
        "cgroup_paths":{"":"/sys/fs/cgroup/unified/a","name=systemd":"/sys/fs/cgroup/systemd/b"},
        "config":{"rootfs":"/r","labels":["x=y","bundle=/srv/b"]}}"#,
    );
    disk.write(
        "/run/runc/c/status",
        r#"{"pid":7,"process-start-time":9,"cgroup-path":"/c","scope":"","bundle":"/srv/c","created":"2026-11-23T19:20:35Z"}"#,
    );
    // Another's id, and what is neither.
    disk.write(
        "/run/runc/d/state.json",
        r#"{"id":"a","cgroup_paths":{"":"/a"}}"#,
    );
    disk.write("/run/runc/e/state.json", "[[[[");
    disk.write("/run/runc/f/other", "");
    let read = |line: &str| {
        let mut all = states(&disk.root, Path::new("/run/runc"), line, &|_| false);
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    };
    let all = read("");
    assert_eq!(all.len(), 2);
    assert_eq!(
        (all[0].id.as_str(), all[0].crun, all[0].pid),
        ("a", false, 131)
    );
    assert_eq!(all[0].start, 3_642_496);
    assert_eq!(all[0].bundle.as_deref(), Some(Path::new("/srv/b")));
    assert!(all[0].paths("").any(|path| path == "/a"));
    assert_eq!(
        (all[1].id.as_str(), all[1].crun, all[1].pid),
        ("c", true, 7)
    );
    assert_eq!(all[1].paths("").collect::<Vec<_>>(), ["/c"]);
    assert!(
        read("name=systemd")[0]
            .paths("name=systemd")
            .any(|path| path == "/b")
    );
    let known = states(&disk.root, Path::new("/run/runc"), "", &|id| id == "a");
    assert_eq!(known.len(), 1);
}

#[test]
fn hostile_metadata_is_cut_or_refused() {
    let disk = Disk::new();
    let config = |more: &str| format!(r#"{{"linux":{{"cgroupsPath":"/a"}}{more}}}"#);
    // Control characters stay what they are here: who shows them escapes them.
    disk.write(
        "/b/config.json",
        config(r#","annotations":{"k\u001b[2J":"\u0000\n"}"#),
    );
    let facts = disk.confirm("a", Some("/b"), "/a").unwrap();
    assert_eq!(facts.labels, Some(labels(&[("k\u{1b}[2J", "\0\n")])));
    let many: Vec<String> = (0..20_000).map(|i| format!(r#""{i}":"{i}""#)).collect();
    disk.write(
        "/b/config.json",
        config(&format!(r#","annotations":{{{}}}"#, many.join(","))),
    );
    let facts = disk.confirm("a", Some("/b"), "/a").unwrap();
    assert!(facts.labels.is_some_and(|labels| labels.len() <= 512));
    let deep = format!(r#","x":{}1{}"#, "[".repeat(100_000), "]".repeat(100_000));
    disk.write("/b/config.json", config(&deep));
    // What nobody asks for may be as deep as it likes.
    let deep = disk.confirm("a", Some("/b"), "/a");
    assert!(deep.is_ok() || deep == Err(Unconfirmed::NotThere));
    let large = vec![b' '; (crate::files::ONE + 1) as usize];
    disk.write("/b/config.json", large);
    assert_eq!(
        disk.confirm("a", Some("/b"), "/a"),
        Err(Unconfirmed::Others)
    );
    let pipe = disk.folder.path().join("b/config.json");
    std::fs::remove_file(&pipe).unwrap();
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, 0o600.into(), 0).unwrap();
    assert_eq!(
        disk.confirm("a", Some("/b"), "/a"),
        Err(Unconfirmed::Others)
    );
    std::fs::remove_file(&pipe).unwrap();
    std::os::unix::fs::symlink("/proc/self/environ", &pipe).unwrap();
    assert_eq!(
        disk.confirm("a", Some("/b"), "/a"),
        Err(Unconfirmed::NotThere)
    );
    // An id that would lead elsewhere.
    disk.write("/x/config.json", config(""));
    assert_eq!(disk.confirm("../x", None, "/a"), Err(Unconfirmed::Others));
}

#[test]
fn places_are_learned_from_bundles_and_roots() {
    let mut places = Places::default();
    let before = places.clone();
    places.learn_bundle(Path::new(
        "/run/containerd/io.containerd.runtime.v2.task/default/a",
    ));
    places.learn_bundle(Path::new("/somewhere/else"));
    places.learn_bundle(Path::new("relative/overlay-containers/a/userdata"));
    places.learn_state(Path::new("/run/containerd/runc/default"));
    places.learn_state(Path::new("/a/../b"));
    assert_eq!(places, before);
    places.learn_bundle(Path::new("/g/overlay-containers/a/userdata"));
    places.learn_state(Path::new("/my/runc"));
    assert!(places.storages.contains(Path::new("/g/overlay-containers")));
    assert!(places.states.contains(Path::new("/my/runc")));
    for i in 0..1000 {
        places.learn_state(Path::new(&format!("/r/{i}")));
    }
    assert_eq!(places.states.len(), MOST_PLACES);
}
