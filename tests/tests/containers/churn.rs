//! Containers that come and go all the time: whose a row is stays right, however late it comes.

use super::crowd::{Crowd, LIFE};
use crate::ledgers::summary;
use ig_tests::runtimes::Containerd;
use ig_tests::{Ig, full, gadget, times};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// What ends the last argument of a program that is in no container.
const OUTSIDE: &str = "attached";

/// The last argument, by which a program says whose it is.
fn told(row: &Value) -> &str {
    let args = row["args"].as_array().expect("arguments");
    let last = args.last().and_then(Value::as_str).unwrap_or_default();
    last.trim_start_matches("in:")
}

/// Programs beside the containers: of this test, and `ctr`, which is called with what is to run.
fn is_outside(row: &Value) -> bool {
    row["args"][0] == "ctr" || told(row).ends_with(OUTSIDE)
}

/// How the rows of one table are named.
#[derive(Debug, Default)]
struct Named {
    rows: u32,
    right: u32,
    wrong: Vec<String>,
}

impl Named {
    fn share(&self) -> f64 {
        f64::from(self.right) / f64::from(self.rows)
    }
}

/// The figures of one table; a row that has no name is neither right nor wrong.
fn named(rows: &[Value], table: &str) -> Named {
    let mut named = Named::default();
    for row in rows.iter().filter(|row| row["table"] == table) {
        let whose = told(row);
        let outside = is_outside(row);
        let container = row["container"].as_str();
        named.rows += u32::from(!outside);
        match container {
            Some(name) if name == whose && !outside => named.right += 1,
            Some(name) => named.wrong.push(format!("{whose} is called {name}: {row}")),
            None => {}
        }
    }
    named
}

/// Of each mount namespace's number the containers that had it, one after the other.
fn numbers(rows: &[Value]) -> BTreeMap<u64, BTreeSet<String>> {
    let mut numbers: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["table"] == "by_cgroup") {
        let whose = told(row);
        if !is_outside(row) {
            let number = row["mntns"].as_u64().expect("a number");
            numbers.entry(number).or_default().insert(whose.to_owned());
        }
    }
    numbers
}

#[test]
fn rows_that_come_late_are_those_of_containers_that_are_long_gone() {
    let count = times(3000);
    let crowd = Crowd::new();
    let containerd = Containerd::start();
    let prefix = crowd.prefix();
    let delay = if full() { 5 } else { 1 };
    let path = crowd.place().at("summary.json");
    let mut running = Ig::run(gadget("late"))
        .args(&["--delay", &format!("{delay}s"), "--prefix", &prefix])
        .arg("--containerd-socketpath")
        .arg(containerd.socket())
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .start();
    let attached = format!("{prefix}{OUTSIDE}");
    running.provoke(
        || {
            let status = Command::new("/bin/true").arg(&attached).status();
            assert!(status.expect("true runs").success());
        },
        |line| line.contains(&attached),
    );

    // One of a hundred is containerd's.
    let (done, managed) = (AtomicBool::new(false), count / 100);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut number = 0;
            while number < managed && !done.load(Ordering::Relaxed) {
                let name = format!("{}-c{number}", crowd.place().name());
                let told = format!("in:{name}");
                let mut ctr = containerd.ctr(containerd.namespace());
                ctr.args(["run", "--rm", Containerd::IMAGE, &name]);
                let status = ctr.args(["sh", "-c", LIFE, &told]).output();
                assert!(status.expect("ctr starts").status.success(), "{name}");
                number += 1;
            }
            number
        });
        crowd.run_all(0..count, 4);
        done.store(true, Ordering::Relaxed);
        println!("{} of containerd", others.join().expect("ctr runs"));
    });
    let last = crowd.name(count);
    crowd.run(count);
    running.provoke(
        || (),
        |line| line.contains(&last) && line.contains("by_mntns") && line.contains("[\"/bin/echo\""),
    );
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);

    let rows = finished.rows();
    let whose: BTreeSet<&str> = rows.iter().map(told).collect();
    for number in 0..=count {
        let name = crowd.name(number);
        assert!(whose.contains(name.as_str()), "no row of {name}");
    }
    let early = rows
        .iter()
        .filter(|row| row["age"].as_u64() < Some(delay * 1_000_000_000));
    let early: Vec<_> = early.filter(|row| row["table"] == "by_cgroup").collect();
    assert!(early.is_empty(), "{early:?}");
    let numbers = numbers(&rows);
    let reused: usize = numbers.values().map(|names| names.len() - 1).sum();
    let by_cgroup = named(&rows, "by_cgroup");
    let by_mntns = named(&rows, "by_mntns");
    let summary = summary(&path);
    println!(
        "{} containers, {} mount namespace numbers, {reused} containers had another's; of {} rows \
         {:.2} % named by cgroup, {:.2} % by mount namespace and time; {} undecided",
        whose.len() - 1,
        numbers.len(),
        by_cgroup.rows,
        100.0 * by_cgroup.share(),
        100.0 * by_mntns.share(),
        summary["owner_undecided"].as_u64().unwrap_or(0),
    );
    assert_eq!(by_cgroup.wrong, Vec::<String>::new());
    assert_eq!(by_mntns.wrong, Vec::<String>::new());
    assert!(reused > 0, "no number came back");
    // The short form runs beside other tests, which may hold this run up for longer than records wait.
    let named = if full() { 0.999 } else { 0.97 };
    assert!(by_cgroup.share() >= named, "{by_cgroup:?}");
    in_order(&rows);
}

/// Whatever waited for a decision, the rows of one container are in the order in which they came to be.
fn in_order(rows: &[Value]) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["table"] == "by_cgroup") {
        let number = |column: &str| row[column].as_u64().expect("a number");
        let at = row["boot"].as_u64().expect("a number");
        let before = last.insert(number("cgroup"), at).unwrap_or(0);
        assert!(before <= at, "out of order: {row}");
    }
}
