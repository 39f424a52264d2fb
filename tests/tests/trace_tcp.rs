//! `trace_tcp`, live: connections of this thread over the loopback, unless something else is said.

use ig_tests::{Finished, Ig, Running, bundle};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Where nobody listens: its connects are the sign that a run is attached.
const NOWHERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 1);

const FIELDS: &str = "+duration,+sent,+received,+netns,+tid";

/// A run that is attached.
struct Traced(Running);

impl Traced {
    /// Of this thread alone.
    fn start() -> Self {
        let link = std::fs::read_link("/proc/thread-self").expect("procfs");
        let tid = link.file_name().expect("a thread").to_owned();
        let ig = Ig::run(bundle("trace_tcp")).arg("--tid").arg(tid);
        Self::of(ig.args(&["--fields", FIELDS]))
    }

    /// Of those that `ig` asks for.
    fn of(ig: Ig) -> Self {
        let mut running = ig.json().start();
        let connects = || drop(TcpStream::connect(NOWHERE));
        running.provoke(connects, |line| line.contains("ECONNREFUSED"));
        Self(running)
    }

    /// The rows, without those of [`NOWHERE`]. All that is told of the loopback is told before the call returns that makes it
    /// happen, so nothing has to be waited for.
    fn end(self) -> (Vec<Value>, Finished) {
        self.0.signal("INT");
        let finished = self.0.wait();
        finished.expect_code(0);
        let mut rows = finished.rows();
        let n = rows.len();
        for line in [
            format!("records connections: {n} attempted = {n} accepted"),
            format!("rows connections: {n} emitted = {n} written"),
        ] {
            assert!(finished.stderr.contains(&line), "{}", finished.stderr);
        }
        rows.retain(|row| row["dst"]["port"] != NOWHERE.1);
        (rows, finished)
    }
}

fn endpoint(address: SocketAddr) -> Value {
    json!({"address": address.ip().to_canonical().to_string(), "port": address.port()})
}

/// What is told of one side of connections: what happened, the side, the other side, and the error.
fn told(rows: &[Value]) -> Vec<Value> {
    let told = |row: &Value| json!([row["event"], row["src"], row["dst"], row["error"]]);
    rows.iter().map(told).collect()
}

/// In an order of their own: the last close is the kernel's work, and may come when the next connection has begun.
fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}

/// Both sides of a connection of this thread.
fn pair(listener: &TcpListener, to: SocketAddr) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(to).expect("a connection");
    let (server, _) = listener.accept().expect("a connection");
    (client, server)
}

/// The four rows of a connection that nothing breaks.
fn whole(client: SocketAddr, server: SocketAddr, closes: [&str; 2]) -> Vec<Value> {
    let (client, server) = (endpoint(client), endpoint(server));
    let close = |side: &str| match side {
        "client" => json!(["close", client, server, null]),
        _ => json!(["close", server, client, null]),
    };
    vec![
        json!(["connect", client, server, null]),
        json!(["accept", server, client, null]),
        close(closes[0]),
        close(closes[1]),
    ]
}

#[test]
fn a_connection_is_told_from_both_sides_once_and_ends_once_whoever_closes_first() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = listener.local_addr().expect("an address");
    let traced = Traced::start();
    let mut expected = Vec::new();
    for first in ["client", "server"] {
        let (mut client, mut server) = pair(&listener, to);
        let from = client.local_addr().expect("an address");
        client.write_all(&[1; 1000]).expect("sent");
        server.read_exact(&mut [0; 1000]).expect("received");
        server.write_all(&[2; 77]).expect("sent");
        client.read_exact(&mut [0; 77]).expect("received");
        let (one, mut other) = match first {
            "client" => (client, server),
            _ => (server, client),
        };
        drop(one);
        assert_eq!(other.read(&mut [0]).expect("the end"), 0);
        drop(other);
        let last = if first == "client" {
            "server"
        } else {
            "client"
        };
        expected.extend(whole(from, to, [first, last]));
    }
    let (rows, _) = traced.end();
    assert_eq!(sorted(told(&rows)), sorted(expected));
    for row in &rows {
        assert_eq!(row["pid"], std::process::id());
        let (duration, bytes) = (&row["duration"], [&row["sent"], &row["received"]]);
        match (row["event"].as_str(), row["src"] == endpoint(to)) {
            (Some("close"), true) => assert_eq!(bytes, [77, 1000], "{row}"),
            (Some("close"), false) => assert_eq!(bytes, [1000, 77], "{row}"),
            _ => assert_eq!(bytes, [&Value::Null; 2], "{row}"),
        }
        assert_eq!(duration.is_null(), row["event"] == "accept", "{row}");
        assert_eq!(row["netns"], rows[0]["netns"]);
    }
    let ns = std::fs::read_link("/proc/self/ns/net").expect("procfs");
    let ns = ns.to_string_lossy();
    assert_eq!(ns, format!("net:[{}]", rows[0]["netns"]));
}

#[test]
fn a_side_that_is_shut_goes_on_until_the_other_ends_too() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = listener.local_addr().expect("an address");
    let traced = Traced::start();
    let mut expected = Vec::new();
    // The request has an end, and the answer comes after it.
    let (mut client, mut server) = pair(&listener, to);
    let half = client.local_addr().expect("an address");
    client.write_all(b"question").expect("sent");
    client.shutdown(Shutdown::Write).expect("half closed");
    server.read_to_end(&mut Vec::new()).expect("received");
    server.write_all(&[3; 5000]).expect("sent");
    drop(server);
    client.read_to_end(&mut Vec::new()).expect("received");
    drop(client);
    expected.extend(whole(half, to, ["server", "client"]));
    // Both directions at once are an end, and the file's is none.
    let (client, server) = pair(&listener, to);
    let both = client.local_addr().expect("an address");
    client.shutdown(Shutdown::Both).expect("closed");
    drop(server);
    drop(client);
    expected.extend(whole(both, to, ["client", "server"]));
    // Half, and then the file, before the other side has said anything.
    let (client, server) = pair(&listener, to);
    let early = client.local_addr().expect("an address");
    client.shutdown(Shutdown::Write).expect("half closed");
    drop(client);
    drop(server);
    expected.extend(whole(early, to, ["client", "server"]));
    let (rows, _) = traced.end();
    assert_eq!(sorted(told(&rows)), sorted(expected));
    let bytes = |from: SocketAddr, to: SocketAddr| {
        let is = |row: &&Value| row["src"] == endpoint(from) && row["dst"] == endpoint(to);
        let close = rows.iter().filter(is).find(|row| row["event"] == "close");
        let close = close.expect("a close");
        [close["sent"].clone(), close["received"].clone()]
    };
    assert_eq!(bytes(half, to), [8, 5000]);
    assert_eq!(bytes(to, half), [5000, 8]);
}

#[test]
fn a_connection_that_is_broken_says_by_what() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = listener.local_addr().expect("an address");
    let traced = Traced::start();
    // What was not read is a reset for who sent it.
    let (mut client, server) = pair(&listener, to);
    let from = client.local_addr().expect("an address");
    client.write_all(b"unread").expect("sent");
    server.peek(&mut [0; 6]).expect("it is there");
    drop(server);
    let reset = client.read(&mut [0]).expect_err("a reset").kind();
    assert_eq!(reset, ErrorKind::ConnectionReset);
    drop(client);
    let (rows, _) = traced.end();
    let (from, to) = (endpoint(from), endpoint(to));
    let expected = [
        json!(["connect", from, to, null]),
        json!(["accept", to, from, null]),
        json!(["close", to, from, null]),
        json!(["close", from, to, "ECONNRESET"]),
    ];
    assert_eq!(told(&rows), expected);
}

#[test]
fn connects_that_fail_are_told_once_with_their_error() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = free.local_addr().expect("an address");
    drop(free);
    let traced = Traced::start();
    TcpStream::connect(nobody).expect_err("nobody listens");
    // This one does not block, and asks for the error later.
    TcpStream::connect_timeout(&nobody, Duration::from_secs(60)).expect_err("nobody listens");
    // No packet is sent: there are no connections with many.
    let many: [SocketAddr; 2] = [
        (Ipv4Addr::new(224, 0, 0, 1), 80).into(),
        ("ff02::1".parse::<Ipv6Addr>().expect("an address"), 80).into(),
    ];
    for address in many {
        TcpStream::connect(address).expect_err("many");
    }
    let (rows, _) = traced.end();
    let seen: Vec<Value> = rows
        .iter()
        .map(|row| json!([row["event"], row["dst"], row["error"]]))
        .collect();
    let expected = [
        json!(["connect", endpoint(nobody), "ECONNREFUSED"]),
        json!(["connect", endpoint(nobody), "ECONNREFUSED"]),
        json!(["connect", endpoint(many[0]), "ENETUNREACH"]),
        json!(["connect", endpoint(many[1]), "ENETUNREACH"]),
    ];
    assert_eq!(seen, expected);
    // Where it would have come from nobody knows.
    for row in &rows {
        assert_eq!(row["src"].is_null(), row["error"] == "ENETUNREACH", "{row}");
        assert_eq!(row["pid"], std::process::id());
        assert!(row["sent"].is_null());
    }
}

#[test]
fn a_process_that_does_not_wait_for_the_answer_has_given_up() {
    // A network of its own in which nobody answers. The program is ended by an alarm, after a second.
    let finished = Ig::run(bundle("trace_tcp"))
        .json()
        .args(&["--", "unshare", "-n", "sh", "-c"])
        .arg(
            "ip link add near type veth peer name far; ip link set near up; ip link set far up
            ip addr add 192.0.2.1/24 dev near
            ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:09 dev near
            busybox nc -w 1 192.0.2.9 80; :",
        )
        .finish();
    finished.expect_code(0);
    let rows = finished.rows();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(rows[0]["event"], "connect");
    assert_eq!(rows[0]["error"], "ECANCELED");
    assert_eq!(rows[0]["src"]["address"], "192.0.2.1");
    assert_eq!(rows[0]["dst"], json!({"address": "192.0.2.9", "port": 80}));
}

#[test]
fn addresses_of_ipv6_and_those_of_ipv4_in_them() {
    let listener = TcpListener::bind("[::]:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let traced = Traced::start();
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port));
    let mut expected = Vec::new();
    for to in [v6, v4, mapped] {
        let (client, server) = pair(&listener, to);
        let from = client.local_addr().expect("an address");
        drop(client);
        drop(server);
        expected.extend(whole(from, to, ["client", "server"]));
    }
    let (rows, _) = traced.end();
    assert_eq!(sorted(told(&rows)), sorted(expected));
    assert_eq!(rows[0]["src"]["address"], "::1");
    let of = |address: &str| {
        let both =
            |row: &&Value| row["src"]["address"] == address && row["dst"]["address"] == address;
        rows.iter().filter(both).count()
    };
    assert_eq!((of("::1"), of("127.0.0.1")), (4, 8));
}

#[test]
fn a_thousand_connections_are_a_thousand_of_each() {
    const NUMBER: usize = 1000;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = listener.local_addr().expect("an address");
    let traced = Traced::start();
    let mut froms = Vec::new();
    // Some at a time are open.
    for _ in 0..NUMBER / 50 {
        let pairs: Vec<_> = (0..50).map(|_| pair(&listener, to)).collect();
        let local = |(client, _): &(TcpStream, _)| client.local_addr().expect("an address");
        froms.extend(pairs.iter().map(local));
    }
    let (rows, finished) = traced.end();
    let mut counted = std::collections::BTreeMap::<(String, bool), usize>::new();
    for row in &rows {
        let event = row["event"].as_str().expect("a word").to_owned();
        *counted
            .entry((event, row["src"] == endpoint(to)))
            .or_default() += 1;
    }
    let count = |event: &str, server| ((event.to_owned(), server), NUMBER);
    let expected = [
        count("accept", true),
        count("close", false),
        count("close", true),
        count("connect", false),
    ];
    assert_eq!(counted, expected.into());
    assert!(!finished.stderr.contains("skipped"), "{}", finished.stderr);
    // Of each side of each connection one beginning and one end.
    for event in ["connect", "accept"] {
        let began = |row: &&Value| row["event"] == event;
        let side = |row: &Value| {
            let key = if event == "connect" { "src" } else { "dst" };
            row[key]["port"].as_u64().expect("a port")
        };
        let mut ports: Vec<u64> = rows.iter().filter(began).map(side).collect();
        let mut wanted: Vec<u64> = froms.iter().map(|from| from.port().into()).collect();
        ports.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(ports, wanted, "{event}");
    }
}

#[test]
fn connections_from_before_end_as_well_and_with_a_filter_only_those_that_are_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = listener.local_addr().expect("an address");
    let port = to.port();
    let before = || pair(&listener, to);
    let filter = format!(
        "src.port == {port} || dst.port == {port} || dst.port == {}",
        NOWHERE.1
    );
    let (client, server) = before();
    let from = client.local_addr().expect("an address");
    let ig = Ig::run(bundle("trace_tcp")).args(&["--filter", &filter, "--fields", FIELDS]);
    let mut running = ig.json().start();
    // One row of others may be among these; the filter leaves them out.
    running.provoke(
        || drop(TcpStream::connect(NOWHERE)),
        |line| line.contains("ECONNREFUSED"),
    );
    drop(client);
    drop(server);
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    let mut rows = finished.rows();
    rows.retain(|row| row["dst"]["port"] != NOWHERE.1);
    let (from, to) = (endpoint(from), endpoint(to));
    let ends = [
        json!(["close", from, to, null]),
        json!(["close", to, from, null]),
    ];
    assert_eq!(told(&rows), ends);
    for row in &rows {
        // It was closed by a call of this process. Since when it was there nobody knows.
        assert_eq!(row["pid"], std::process::id());
        assert!(row["duration"].is_null() && row["sent"].is_null(), "{row}");
    }
    // A filter that asks for somebody else takes none of them.
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("busybox-own");
    let found = ["/bin/busybox", "/usr/bin/busybox"].into_iter();
    let mut found = found.filter(|path| std::path::Path::new(path).is_file());
    let busybox = found
        .next()
        .expect("busybox-static; cargo xtask setup installs it");
    std::os::unix::fs::symlink(busybox, &own).expect("a link");
    let (client, server) = before();
    let mut other = Ig::run(bundle("trace_tcp"))
        .args(&["--comm", "busybox-own"])
        .json()
        .start();
    other.provoke(
        || {
            let mut nc = std::process::Command::new(&own);
            nc.args(["nc", "127.0.0.1", "1"]);
            nc.stderr(std::process::Stdio::null())
                .status()
                .expect("busybox");
        },
        |line| line.contains("ECONNREFUSED"),
    );
    drop(client);
    drop(server);
    drop(before());
    other.signal("INT");
    let finished = other.wait();
    finished.expect_code(0);
    let rows = finished.rows();
    assert!(rows.iter().all(|row| row["dst"]["port"] == 1), "{rows:#?}");
}
