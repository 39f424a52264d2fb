//! Connections between pods of two namespaces, of which one is asked for.

use super::super::sockets::{listens, process};
use super::super::traced::Asked;
use crate::ledgers::{assert_sums, sum, summary};
use ig_tests::runtimes::{Containerd, Pods, until};
use ig_tests::{Ig, Running, bundle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

const FIELDS: &str = "event,namespace,pod,container,src,src.name,dst,dst.name,error";

/// Where every pod has a server.
const SERVED: u16 = 8080;

/// Where nobody listens: these connects say that a run is attached and knows whose the addresses are.
const PROBED: u16 = 1;

/// Where nobody listens either.
const CLOSED: u16 = 81;

/// What a container becomes that has nothing more to do; not what its script says.
const RESTS: (&str, &str) = ("exec /bin/sleep $((990 + 9))", "/bin/sleep\0999");

/// Pods, each with one container.
struct Village<'a> {
    containerd: &'a Containerd,
    pods: Pods,
    all: Vec<Pod>,
    execs: u32,
    /// What happened: who connected to whom on which port, by their place in `all`.
    told: Vec<(usize, usize, u16)>,
}

struct Pod {
    namespace: String,
    name: &'static str,
    address: String,
    container: String,
}

impl Village<'_> {
    /// One whose container does what is said; gives its place.
    fn pod(&mut self, namespace: &str, name: &'static str, words: &[&str]) -> usize {
        let sandbox = self.pods.sandbox(namespace, name, &[]);
        let address = self.pods.address(&sandbox).to_string();
        let of = (namespace, name);
        let container = self.pods.container(&sandbox, of, "main", words);
        self.all.push(Pod {
            namespace: namespace.to_owned(),
            name,
            address,
            container,
        });
        self.all.len() - 1
    }

    /// One that serves and stays.
    fn served(&mut self, namespace: &str, name: &'static str) -> usize {
        let port = SERVED.to_string();
        let serve = ["/bin/busybox", "nc", "-ll", "-p", &port, "-e", "/bin/cat"];
        let place = self.pod(namespace, name, &serve);
        let pid = process(&self.all[place].container, &port);
        until("a server", || listens(pid, SERVED));
        place
    }

    /// A shell's words for a connection that carries two bytes there and back, or is refused.
    fn connect(&self, to: usize, port: u16) -> String {
        let address = &self.all[to].address;
        format!("echo hi | /bin/busybox nc -w 20 {address} {port} || true")
    }

    /// Connects from a pod that is there, and comes back when that is over.
    fn connects(&mut self, from: usize, to: &[(usize, u16)]) {
        let each = to.iter().map(|(to, port)| self.connect(*to, *port));
        let script = each.collect::<Vec<_>>().join("; ");
        self.execs += 1;
        let exec = format!("exec-{}", self.execs);
        let mut command = self.containerd.ctr("k8s.io");
        command.args(["tasks", "exec", "--exec-id", &exec]);
        command.args([&self.all[from].container, "/bin/sh", "-c", &script]);
        let output = command.output().expect("ctr starts");
        assert!(output.status.success(), "{output:?}");
        self.told
            .extend(to.iter().map(|(to, port)| (from, *to, *port)));
    }

    /// One whose first instructions connect; over when it comes back.
    fn newcomer(&mut self, namespace: &str, name: &'static str, to: usize) {
        let script = format!("{}; {}", self.connect(to, SERVED), RESTS.0);
        let from = self.pod(namespace, name, &["/bin/sh", "-c", &script]);
        process(&self.all[from].container, RESTS.1);
        self.told.push((from, to, SERVED));
    }

    /// The place of the pod with an address.
    fn at(&self, address: &Value) -> usize {
        let mut all = self.all.iter();
        let place = all.position(|pod| *address == *pod.address);
        place.unwrap_or_else(|| panic!("nobody's: {address}"))
    }

    /// Panics unless this side of a connection has its pod's name; a newcomer's address may not be known yet.
    fn expect_named(&self, row: &Value, side: &str, newcomers: usize) {
        let place = self.at(&row[side]["address"]);
        let Pod {
            namespace, name, ..
        } = &self.all[place];
        let expected = format!("p/{namespace}/{name}:{}", row[side]["port"]);
        let named = &row[format!("{side}.name")];
        assert!(
            *named == *expected || named.is_null() && place >= newcomers,
            "{side} is {expected}: {row:#}"
        );
    }
}

/// One side of connections: whose it is, who is at the other end, which of the two ports is served, and what happened.
type Side = (String, usize, u16, Vec<String>);

/// A run that is asked for one namespace.
struct Run {
    namespace: String,
    running: Running,
    summary: PathBuf,
}

impl Run {
    fn start(asked: &Asked<'_>, village: &Village<'_>, namespace: &str) -> Self {
        let summary = village.containerd.place().at(namespace);
        let flags = asked.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let running = Ig::run(bundle("trace_tcp"))
            .args(&flags)
            .args(&["--k8s-namespace", namespace, "--fields", FIELDS])
            .arg("--summary")
            .arg(format!("json:{}", summary.display()))
            .json()
            .start();
        Self {
            namespace: namespace.to_owned(),
            running,
            summary,
        }
    }

    /// Waits until it shows connects of `from`, and the names of both ends.
    fn ready(&mut self, village: &mut Village<'_>, from: usize, to: &[usize]) {
        for place in to {
            let address = format!("\"{}\"", village.all[*place].address);
            let named = |line: &str| {
                let row: Value = serde_json::from_str(line).unwrap_or_default();
                row["src.name"].is_string() && row["dst.name"].is_string()
            };
            self.running.provoke(
                || village.connects(from, &[(*place, PROBED)]),
                |line| line.contains(&address) && named(line),
            );
        }
    }

    /// Ends it, and compares what it showed with what happened. `left_out`: records of these pods that the kernel let pass, and
    /// the host did not.
    fn expect(self, village: &Village<'_>, newcomers: usize, left_out: u64) {
        self.running.signal("INT");
        let finished = self.running.wait();
        finished.expect_code(0);
        let mut sides: BTreeMap<(String, String), Side> = BTreeMap::new();
        for row in finished.rows() {
            let whose = [&row["namespace"], &row["container"]];
            assert_eq!(whose, [self.namespace.as_str(), "main"], "{row:#}");
            let near = &village.all[village.at(&row["src"]["address"])];
            assert_eq!(row["pod"], near.name, "{row:#}");
            if row["dst"]["port"] == PROBED {
                continue;
            }
            village.expect_named(&row, "src", newcomers);
            village.expect_named(&row, "dst", newcomers);
            let event = [&row["event"], &row["error"]].map(|cell| cell.as_str());
            let event = event.into_iter().flatten().collect::<Vec<_>>().join(" ");
            let served = if event.starts_with("accept") {
                "src"
            } else {
                "dst"
            };
            let port = row[served]["port"].as_u64().expect("a port");
            let key = (row["src"].to_string(), row["dst"].to_string());
            let side = sides.entry(key).or_insert_with(|| {
                let far = village.at(&row["dst"]["address"]);
                (near.name.to_owned(), far, port as u16, Vec::new())
            });
            side.3.push(event);
        }
        let mut seen: Vec<Side> = sides.into_values().collect();
        let mut expected = Vec::new();
        for (from, to, port) in &village.told {
            let mut add = |near: usize, far: usize, events: &[&str]| {
                let Pod {
                    namespace, name, ..
                } = &village.all[near];
                let events = events.iter().map(|event| (*event).to_owned()).collect();
                if *namespace == self.namespace {
                    expected.push(((*name).to_owned(), far, *port, events));
                }
            };
            match *port {
                PROBED => {}
                CLOSED => add(*from, *to, &["connect ECONNREFUSED"]),
                _ => {
                    add(*from, *to, &["connect", "close"]);
                    add(*to, *from, &["accept", "close"]);
                }
            }
        }
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected, "of {}\n{}", self.namespace, finished.stderr);
        let summary = summary(&self.summary);
        assert_sums(&summary);
        let excluded = &summary["records"]["connections"]["excluded_before_guest"];
        // Newcomers of other tests may be among them.
        assert!(sum(excluded) >= left_out, "{summary:#}");
    }
}

/// Each side of a connection is its own pod's, whoever is on the CPU when it changes, and whoever is at the other end.
#[test]
fn of_connections_between_pods_the_sides_of_the_namespace_that_was_asked_for_are_shown_and_nothing_else()
 {
    let containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let [shops, farms] =
        ["shops", "farms"].map(|word| format!("{word}-{}", containerd.namespace()));
    let mut village = Village {
        pods: Pods::of(&containerd),
        containerd: &containerd,
        all: Vec::new(),
        execs: 0,
        told: Vec::new(),
    };
    let shop = village.served(&shops, "shop");
    let farm = village.served(&farms, "farm");
    let mill = village.served(&farms, "mill");
    let newcomers = village.all.len();
    let mut of_shops = Run::start(&asked, &village, &shops);
    let mut of_farms = Run::start(&asked, &village, &farms);
    of_shops.ready(&mut village, shop, &[farm, mill]);
    of_farms.ready(&mut village, farm, &[shop, mill]);

    let to = |place: usize, times: usize| vec![(place, SERVED); times];
    village.connects(
        shop,
        &[to(farm, 3), to(shop, 2), vec![(farm, CLOSED)]].concat(),
    );
    village.connects(
        farm,
        &[to(shop, 4), to(mill, 3), vec![(shop, CLOSED)]].concat(),
    );
    village.connects(mill, &to(shop, 2));

    // While nobody listens, whoever is new passes the kernel, and the host has to tell whose all of it is.
    let signal = |name: &str| {
        for run in [&of_shops, &of_farms] {
            run.running.signal(name);
        }
    };
    signal("STOP");
    village.newcomer(&shops, "till", farm);
    village.newcomer(&farms, "barn", shop);
    signal("CONT");
    // What comes now is shown behind that.
    village.connects(shop, &to(farm, 1));
    village.connects(farm, &to(shop, 1));
    for (run, pod) in [(&mut of_shops, "till"), (&mut of_farms, "barn")] {
        run.running.provoke(
            || {},
            |line| line.contains(&format!("\"{pod}\"")) && line.contains("\"close\""),
        );
    }
    // Beginning and end of a newcomer of the other namespace.
    of_shops.expect(&village, newcomers, 2);
    of_farms.expect(&village, newcomers, 2);
}
