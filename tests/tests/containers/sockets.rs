//! Sockets of containers, each in a network namespace of its own or in one of a pod.

use ig_tests::runtimes::{Containerd, Docker, Pods, until};
use ig_tests::{Ig, bundle};
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server in the image.
pub fn serves(port: &str) -> [&str; 5] {
    ["/bin/busybox", "httpd", "-f", "-p", port]
}

/// A process that has a network namespace, by a word of its cgroup's path and one of its command line.
pub fn process(cgroup: &str, argument: &str) -> u32 {
    until("a container's process", || {
        std::fs::read_dir("/proc").ok()?.find_map(|entry| {
            let folder = entry.ok()?.path();
            let read = |name: &str| std::fs::read(folder.join(name)).ok();
            let has = |bytes: Vec<u8>, word: &str| String::from_utf8_lossy(&bytes).contains(word);
            let its = has(read("cgroup")?, cgroup) && has(read("cmdline")?, argument);
            its.then(|| folder.file_name()?.to_str()?.parse().ok())
                .flatten()
        })
    })
}

/// The network namespace of a process.
pub fn namespace(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/ns/net");
    std::fs::metadata(path).expect("it is there").ino()
}

/// A process of the host in the namespace of another.
struct Visitor(Child);

impl Visitor {
    fn start(pid: u32, words: &[&str]) -> Self {
        let mut command = Command::new("nsenter");
        command.args(["-n", "-t", &pid.to_string()]).args(words);
        Self(
            command
                .stdin(Stdio::null())
                .spawn()
                .expect("nsenter starts"),
        )
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether somebody listens on the port.
pub fn listens(pid: u32, port: u16) -> Option<()> {
    let port = format!(":{port:04X} ");
    let tables =
        ["tcp", "tcp6"].map(|name| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")));
    let mut lines = tables.iter().flatten().flat_map(|table| table.lines());
    lines
        .any(|line| line.contains(&port) && line.contains(" 0A "))
        .then_some(())
}

/// The client of a connection that says first that it is over: then the kernel keeps that end for a minute, whatever the
/// server does, which may close before it has read all.
const CLIENT: &str = "\
    socket(S, PF_INET, SOCK_STREAM, 0) && connect(S, pack_sockaddr_in(shift, INADDR_LOOPBACK)) or die $!;\n\
    syswrite S, \"GET / HTTP/1.0\\r\\n\\r\\n\" or die $!;\n\
    shutdown S, 1; 1 while sysread S, $_, 4096;\n";

/// A connection to the port that is over, and waits in the kernel for nobody.
pub fn connect(pid: u32, port: u16) {
    until("a server", || listens(pid, port));
    let status = Command::new("nsenter")
        .args(["-n", "-t", &pid.to_string()])
        .args(["perl", "-MSocket", "-e", CLIENT, &port.to_string()])
        .status();
    assert!(status.expect("nsenter starts").success());
}

/// The sockets that are listed when the kernel has brought a connection to its end.
pub fn once_over(sockets: impl Fn() -> Vec<Value>) -> Vec<Value> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let rows = sockets();
        if rows.iter().any(|row| row["state"] == "TIME_WAIT") {
            return rows;
        }
        assert!(Instant::now() < end, "no connection is over: {rows:#?}");
    }
}

/// What follows `ig run snapshot_socket.oci`, for the sockets of these namespaces.
pub fn words(flags: &[&str], namespaces: &[u64]) -> Vec<String> {
    let filter: Vec<String> = namespaces.iter().map(|n| format!("netns == {n}")).collect();
    let fields = "netns,comm,pid,state,src,scope,runtime,container,container_id,namespace,pod";
    let words = [
        "--fields",
        fields,
        "--filter",
        &filter.join(" || "),
        "-o",
        "json",
    ];
    flags
        .iter()
        .chain(&words)
        .map(|word| (*word).to_owned())
        .collect()
}

fn sockets_of(flags: &[&str], namespaces: &[u64]) -> Vec<Value> {
    let words = words(flags, namespaces).into_iter();
    let finished = words
        .fold(Ig::run(bundle("snapshot_socket")), Ig::arg)
        .finish();
    finished.expect_code(0);
    finished.rows()
}

/// The one socket of a port.
pub fn on_port(rows: &[Value], namespace: u64, port: u16, state: &str) -> Value {
    let mut found = rows.iter().filter(|row| {
        row["netns"] == namespace && row["src"]["port"] == port && row["state"] == state
    });
    let row = found
        .next()
        .unwrap_or_else(|| panic!("no {state} on {port} in {rows:#?}"));
    assert!(found.next().is_none(), "once: {rows:#?}");
    row.clone()
}

#[test]
fn sockets_have_the_container_of_their_process_or_of_their_namespace() {
    let docker = Docker::start();
    let socket = docker.socket().display().to_string();
    let names = ["one", "two"];
    let ids = names.map(|name| {
        let words = serves("8080");
        docker.run(name, &[], &[&["--"], &words[..]].concat())
    });
    let pids = ids.each_ref().map(|id| process(id, "httpd"));
    let namespaces = pids.map(namespace);
    // Who is in there and is no container's is the host's.
    let busybox = serves("9090");
    let visitor = Visitor::start(
        pids[1],
        &["busybox", busybox[1], busybox[2], busybox[3], busybox[4]],
    );
    until("the visitor", || listens(pids[1], 9090));

    let flags = ["-r", "docker", "--docker-socketpath", &socket];
    connect(pids[0], 8080);
    let rows = once_over(|| sockets_of(&flags, &namespaces));
    for ((name, id), (pid, namespace)) in names.iter().zip(&ids).zip(pids.iter().zip(namespaces)) {
        let row = on_port(&rows, namespace, 8080, "LISTEN");
        assert_eq!(
            (&row["pid"], &row["comm"]),
            (&(*pid).into(), &"busybox".into())
        );
        assert_eq!(
            (&row["scope"], &row["runtime"]),
            (&"container".into(), &"docker".into())
        );
        assert_eq!(
            (&row["container"], &row["container_id"]),
            (&(*name).into(), &id.as_str().into())
        );
    }
    let over = rows.iter().find(|row| row["state"] == "TIME_WAIT");
    let over = over.unwrap_or_else(|| panic!("no connection that is over in {rows:#?}"));
    assert_eq!(
        (&over["pid"], &over["container"]),
        (&0.into(), &"one".into())
    );
    let other = on_port(&rows, namespaces[1], 9090, "LISTEN");
    assert_eq!(
        (&other["pid"], &other["container"]),
        (&visitor.0.id().into(), &Value::Null)
    );
    assert_ne!(other["scope"], "container");

    // Only one of them: also what no process has is its own.
    let only = sockets_of(&[&flags[..], &["-c", "one"]].concat(), &namespaces);
    on_port(&only, namespaces[0], 8080, "LISTEN");
    assert!(
        only.iter().any(|row| row["state"] == "TIME_WAIT"),
        "{only:#?}"
    );
    assert!(
        only.iter().all(|row| row["container"] == "one"),
        "{only:#?}"
    );

    // What has ended is not there any more.
    docker.remove("one");
    let rows = sockets_of(&flags, &namespaces);
    assert!(
        rows.iter().all(|row| row["netns"] == namespaces[1]),
        "{rows:#?}"
    );
    on_port(&rows, namespaces[1], 8080, "LISTEN");
}

#[test]
fn containers_of_a_pod_share_a_namespace_and_what_nobody_has_is_the_pod_s() {
    let containerd = Containerd::start();
    let mut pods = Pods::of(&containerd);
    let sandbox = pods.sandbox("shops", "cart", &[]);
    let web = pods.container(&sandbox, ("shops", "cart"), "web", &serves("8080"));
    let side = pods.container(&sandbox, ("shops", "cart"), "side", &serves("8081"));
    let pids = [&web, &side].map(|id| process(id, "httpd"));
    let namespaces = pids.map(namespace);
    assert_eq!(namespaces[0], namespaces[1]);
    until("the other server", || listens(pids[1], 8081));
    let socket = containerd.socket().display().to_string();
    let flags = ["-r", "containerd", "--containerd-socketpath", &socket];
    connect(pids[0], 8080);
    let rows = once_over(|| sockets_of(&flags, &namespaces[..1]));
    for (name, port, pid) in [("web", 8080, pids[0]), ("side", 8081, pids[1])] {
        let row = on_port(&rows, namespaces[0], port, "LISTEN");
        assert_eq!(row["pid"], pid);
        assert_eq!(
            (&row["container"], &row["pod"]),
            (&name.into(), &"cart".into())
        );
    }
    let over = rows.iter().find(|row| row["state"] == "TIME_WAIT");
    let over = over.unwrap_or_else(|| panic!("no connection that is over in {rows:#?}"));
    assert_eq!((&over["pid"], &over["pod"]), (&0.into(), &"cart".into()));
    assert_eq!(over["namespace"], "shops");
    pods.remove_sandbox(&sandbox);
}
