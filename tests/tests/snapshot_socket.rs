//! `snapshot_socket`, live: the sockets of network namespaces made here, each once, and none of those that are gone.

use ig_tests::{Ig, bundle};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

/// A program in a network namespace of its own, with the sockets of `SCRIPT`.
struct Apart {
    child: Child,
    inode: u64,
}

/// One listener of each family, a connection whose both ends are here, one that nobody has accepted, one that waits for
/// its end, and UDP with and without a peer. Says the ports of the clients.
const SCRIPT: &str = "
import socket, sys
def bound(family, kind, at):
    s = socket.socket(family, kind)
    s.bind(at)
    return s
four = bound(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', 8080)); four.listen()
six = bound(socket.AF_INET6, socket.SOCK_STREAM, ('::1', 8080)); six.listen()
client = socket.create_connection(('127.0.0.1', 8080)); server, _ = four.accept()
ended = socket.create_connection(('127.0.0.1', 8080)); other, _ = four.accept()
gone = ended.getsockname()[1]
ended.close(); other.close()
waits = socket.create_connection(('::1', 8080))
name = bound(socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', 53))
asks = bound(socket.AF_INET6, socket.SOCK_DGRAM, ('::1', 5353)); asks.connect(('::1', 53))
print(client.getsockname()[1], waits.getsockname()[1], gone, flush=True)
sys.stdin.read()
";

impl Apart {
    fn start() -> (Self, Vec<u64>) {
        let mut child = Command::new("unshare")
            .args([
                "-n",
                "sh",
                "-c",
                "ip link set lo up; exec python3 -c \"$0\"",
                SCRIPT,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("its ports");
        let namespace = format!("/proc/{}/ns/net", child.id());
        let inode = std::fs::metadata(namespace).expect("it is there").ino();
        let ports = line
            .split_whitespace()
            .map(|word| word.parse().expect("a port"));
        (Self { child, inode }, ports.collect())
    }

    fn pid(&self) -> u64 {
        self.child.id().into()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sockets of these namespaces, and of no other.
fn sockets_of(namespaces: &[u64], more: &[&str]) -> Vec<Value> {
    let filter: Vec<String> = namespaces.iter().map(|n| format!("netns == {n}")).collect();
    let finished = Ig::run(bundle("snapshot_socket"))
        .args(&[
            "--fields",
            "+netns,+uid,+inode",
            "--filter",
            &filter.join(" || "),
        ])
        .args(more)
        .json()
        .finish();
    finished.expect_code(0);
    finished.rows()
}

fn end(row: &Value, of: &str) -> (String, u64) {
    let address = row[of]["address"].as_str().expect("an address").to_owned();
    (address, row[of]["port"].as_u64().expect("a port"))
}

/// Protocol, state, both ends, and whether a process has it.
type Found = (String, String, (String, u64), (String, u64), bool);

fn found(row: &Value) -> Found {
    let text = |name: &str| row[name].as_str().expect(name).to_owned();
    let owned = row["pid"].as_u64().expect("a process id") != 0;
    (
        text("proto"),
        text("state"),
        end(row, "src"),
        end(row, "dst"),
        owned,
    )
}

fn wanted(ports: &[u64]) -> BTreeSet<Found> {
    let &[client, waits, gone] = ports else {
        panic!("three ports: {ports:?}");
    };
    let (four, six, any) = ("127.0.0.1", "::1", "0.0.0.0");
    let row = |proto: &str, state: &str, src: (&str, u64), dst: (&str, u64), owned| {
        let end = |(address, port): (&str, u64)| (address.to_owned(), port);
        (
            proto.to_owned(),
            state.to_owned(),
            end(src),
            end(dst),
            owned,
        )
    };
    BTreeSet::from([
        row("TCP", "LISTEN", (four, 8080), (any, 0), true),
        row("TCP", "LISTEN", (six, 8080), ("::", 0), true),
        row("TCP", "ESTABLISHED", (four, client), (four, 8080), true),
        row("TCP", "ESTABLISHED", (four, 8080), (four, client), true),
        row("TCP", "TIME_WAIT", (four, gone), (four, 8080), false),
        row("TCP", "ESTABLISHED", (six, waits), (six, 8080), true),
        row("TCP", "ESTABLISHED", (six, 8080), (six, waits), false),
        row("UDP", "UNCONNECTED", (four, 53), (any, 0), true),
        row("UDP", "CONNECTED", (six, 5353), (six, 53), true),
    ])
}

#[test]
fn every_socket_of_each_namespace_is_there_once_with_its_process() {
    let (first, first_ports) = Apart::start();
    let (second, second_ports) = Apart::start();
    let rows = sockets_of(&[first.inode, second.inode], &[]);
    for (apart, ports) in [(&first, first_ports), (&second, second_ports)] {
        let own: Vec<&Value> = rows
            .iter()
            .filter(|row| row["netns"] == apart.inode)
            .collect();
        let all: Vec<Found> = own.iter().map(|row| found(row)).collect();
        let distinct: BTreeSet<Found> = all.iter().cloned().collect();
        assert_eq!(distinct, wanted(&ports));
        assert_eq!(all.len(), distinct.len(), "each once: {all:#?}");
        let files = format!("/proc/{}/fd", apart.pid());
        let open: BTreeSet<String> = std::fs::read_dir(files)
            .expect("its files")
            .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
            .map(|link| link.display().to_string())
            .collect();
        for row in own {
            assert_eq!(row["frame"], 1);
            if row["pid"] != 0 {
                assert_eq!(
                    (&row["pid"], &row["comm"]),
                    (&apart.pid().into(), &"python3".into())
                );
                assert_eq!(row["uid"], 0);
                let socket = format!("socket:[{}]", row["inode"]);
                assert!(open.contains(&socket), "{socket} in {open:?}");
            } else {
                assert_eq!((&row["comm"], &row["inode"]), (&"".into(), &0.into()));
            }
        }
    }
}

#[test]
fn sockets_of_namespaces_that_are_gone_are_not_there() {
    let (first, _) = Apart::start();
    let (second, ports) = Apart::start();
    let gone = first.inode;
    drop(first);
    // Nobody else gets its number meanwhile: the second one was there before.
    let rows = sockets_of(&[gone, second.inode], &[]);
    assert!(rows.iter().all(|row| row["netns"] == second.inode));
    assert_eq!(rows.len(), wanted(&ports).len());
}

#[test]
fn a_mounted_namespace_without_a_process_is_looked_into() {
    let name = format!("ig-test-{}", std::process::id());
    let ip = |words: &[&str]| {
        let status = Command::new("ip").args(words).status().expect("ip runs");
        assert!(status.success(), "ip {words:?}");
    };
    ip(&["netns", "add", &name]);
    let path = format!("/run/netns/{name}");
    let inode = std::fs::metadata(&path).expect("it is mounted").ino();
    // A connection that waits for its end outlives its processes.
    let script = "ip link set lo up; exec python3 -c \"
import socket
four = socket.socket(); four.bind(('127.0.0.1', 8080)); four.listen()
ended = socket.create_connection(('127.0.0.1', 8080)); other, _ = four.accept()
ended.close(); other.close()\"";
    ip(&["netns", "exec", &name, "sh", "-c", script]);
    let rows = sockets_of(&[inode], &[]);
    ip(&["netns", "del", &name]);
    let states: Vec<&Value> = rows.iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["TIME_WAIT"]);
    assert_eq!(end(&rows[0], "dst"), ("127.0.0.1".to_owned(), 8080));
}

#[test]
fn processes_can_be_chosen() {
    let (apart, _) = Apart::start();
    let pid = apart.pid().to_string();
    let rows = sockets_of(&[apart.inode], &["--pid", &pid]);
    assert_eq!(
        rows.len(),
        7,
        "without those that no process has: {rows:#?}"
    );
    assert!(rows.iter().all(|row| row["pid"] == apart.pid()));
    assert_eq!(sockets_of(&[apart.inode], &["--comm", "nobody"]).len(), 0);
    assert_eq!(sockets_of(&[apart.inode], &["--uid", "65534"]).len(), 0);
}
