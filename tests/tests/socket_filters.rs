//! Socket filters, live: the packets of network namespaces made here, of those that come and those that go.

use crate::ledgers::summary;
use ig_tests::runtimes::until;
use ig_tests::{Ig, Running, gadget};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Sends numbers from FIRST on, COUNT of them, over the loopback to PORT, for each line `FIRST COUNT`.
pub const SENDER: &str = "
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print('ready', flush=True)
for line in sys.stdin:
    first, count = map(int, line.split())
    for n in range(first, first + count):
        s.sendto(struct.pack('>I', n), ('127.0.0.1', int(sys.argv[1])))
    print('done', flush=True)
";

/// A program that sends packets in a network namespace.
pub struct Sender {
    child: Child,
    answers: BufReader<ChildStdout>,
    pub namespace: u64,
    sent: u64,
}

impl Sender {
    /// In a new namespace.
    pub fn apart(port: u16) -> Self {
        let script = "ip link set lo up; exec python3 -c \"$0\" $1";
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", script, SENDER, &port.to_string()]);
        Self::start(command)
    }

    /// In the namespace of a process.
    pub fn beside(pid: u32, port: u16) -> Self {
        let mut command = Command::new("nsenter");
        command.args(["-n", "-t", &pid.to_string(), "python3", "-c", SENDER]);
        command.arg(port.to_string());
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut sender = Self {
            namespace: 0,
            child,
            answers,
            sent: 0,
        };
        sender.answer();
        let path = format!("/proc/{}/ns/net", sender.pid());
        sender.namespace = std::fs::metadata(path).expect("it is there").ino();
        sender
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn answer(&mut self) {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        assert!(!line.is_empty(), "the sender has ended");
    }

    pub fn send(&mut self, first: u64, count: u64) {
        let pipe = self.child.stdin.as_mut().expect("a pipe");
        writeln!(pipe, "{first} {count}").expect("it listens");
        self.answer();
        self.sent += count;
    }

    /// Sends zeros until one is seen.
    pub fn until_seen(&mut self, running: &mut Running) {
        let namespace = format!("\"netns\":{},", self.namespace);
        running.provoke(|| self.send(0, 1), |line| line.contains(&namespace));
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn packets(port: u16) -> Ig {
    Ig::run(gadget("packets"))
        .args(&["--port", &port.to_string()])
        .json()
}

/// By namespace, number and direction: how often, without the zeros.
pub fn seen(rows: &[Value]) -> BTreeMap<(u64, u64, bool), u64> {
    let mut seen = BTreeMap::new();
    for row in rows {
        let number = row["number"].as_u64().expect("a number");
        let key = (
            row["netns"].as_u64().expect("a namespace"),
            number,
            row["outgoing"].as_bool().expect("a direction"),
        );
        if number != 0 {
            *seen.entry(key).or_default() += 1;
        }
    }
    seen
}

/// Each number once there and once back.
pub fn wanted(namespace: u64, numbers: std::ops::Range<u64>) -> BTreeMap<(u64, u64, bool), u64> {
    let both = numbers.flat_map(|n| [((namespace, n, true), 1), ((namespace, n, false), 1)]);
    both.collect()
}

fn ended(path: &Path, running: Running) -> (Vec<Value>, Value) {
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    (finished.rows(), summary(path))
}

#[test]
fn packets_of_each_namespace_are_seen_once_also_of_one_that_comes_later() {
    const PORT: u16 = 9191;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary");
    let mut first = Sender::apart(PORT);
    // Two programs in one namespace, as in a pod.
    let mut beside = Sender::beside(first.pid(), PORT);
    assert_eq!(first.namespace, beside.namespace);
    let mut running = packets(PORT)
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .start();
    first.until_seen(&mut running);
    let mut second = Sender::apart(PORT);
    second.until_seen(&mut running);
    first.send(1000, 300);
    beside.send(2000, 300);
    second.send(3000, 300);
    let (rows, summary) = ended(&path, running);
    let mut all = wanted(first.namespace, 1000..1300);
    all.extend(wanted(first.namespace, 2000..2300));
    all.extend(wanted(second.namespace, 3000..3300));
    assert!(seen(&rows) == all, "each once and nobody else's");
    let records = &summary["records"]["packets"];
    assert_eq!(records["attempted"], rows.len());
    assert_eq!(records["accepted"], rows.len(), "{summary:#}");
    assert_eq!(records["not_reserved"], 0);
    for row in &rows {
        assert_eq!(row["length"], 14 + 20 + 8 + 4);
    }
}

#[test]
fn a_namespace_that_nobody_is_in_any_more_is_let_go() {
    const PORT: u16 = 9192;
    let link = format!("igt{}", std::process::id());
    let mut stays = Sender::apart(PORT);
    let mut goes = Sender::apart(PORT);
    // When a namespace ends, its links do, and the other ends of those too.
    let status = Command::new("ip")
        .args(["link", "add", &link, "type", "veth", "peer", "name", "eth0"])
        .args(["netns", &goes.pid().to_string()])
        .status();
    assert!(status.expect("ip starts").success());
    let mut running = packets(PORT).start();
    goes.until_seen(&mut running);
    stays.until_seen(&mut running);
    drop(goes);
    let interface = format!("/sys/class/net/{link}");
    until("the end of the namespace", || {
        (!Path::new(&interface).exists()).then_some(())
    });
    stays.send(1, 100);
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    assert!(seen(&finished.rows()) == wanted(stays.namespace, 1..101));
}

#[test]
fn what_can_not_be_told_of_a_packet_is_refused() {
    for flags in [&["--pid", "1"][..], &["--uid", "0"], &["--comm", "nobody"]] {
        let finished = packets(9193).args(flags).finish();
        finished.expect_error(2, &[flags[0], "packet"]);
    }
    let finished = packets(9193).args(&["--", "true"]).finish();
    finished.expect_error(2, &["packet"]);
    let finished = packets(9193).args(&["--max-rate", "5"]).finish();
    assert_ne!(finished.code(), 0);
    assert!(finished.stderr.contains("without a limit"));
}
