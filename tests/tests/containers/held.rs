//! Records that come before it is known whose they are.

use super::crowd::Crowd;
use crate::ledgers::summary;
use ig_tests::{Ig, bundle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

const CONTAINERS: u32 = 24;

/// Programs that each container starts, one after the other.
const STEPS: &str = "i=1; while [ $i -le 20 ]; do /bin/echo $i $0; i=$((i + 1)); done";

/// While `ig` does not run, containers come and go: then all their records lie there together with the news of them, and it takes
/// far longer to find out whose they are than to read them.
#[test]
fn rows_of_one_container_stay_in_order_and_have_its_name() {
    let crowd = Crowd::doing(STEPS);
    let prefix = crowd.prefix();
    let path = crowd.place().at("summary.json");
    let mut running = Ig::run(bundle("trace_exec"))
        .args(&["--ignore-failed", "--fields", "args,container,scope,cgroup"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .start();
    let attached = format!("{prefix}attached");
    running.provoke(
        || {
            let status = Command::new("/bin/true").arg(&attached).status();
            assert!(status.expect("true runs").success());
        },
        |line| line.contains(&attached),
    );
    running.signal("STOP");
    crowd.run_all(0..CONTAINERS, 4);
    running.signal("CONT");
    let last = crowd.name(CONTAINERS);
    crowd.run(CONTAINERS);
    running.provoke(
        || (),
        |line| line.contains(&format!("\"20\",\"in:{last}\"")),
    );
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);

    let mut steps: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in finished.rows() {
        let args = row["args"].as_array().expect("arguments");
        let told = args.last().and_then(Value::as_str).unwrap_or_default();
        let Some(name) = told
            .strip_prefix("in:")
            .filter(|_| told.starts_with(&prefix))
        else {
            continue;
        };
        if told == attached {
            continue;
        }
        assert_eq!(row["container"], name, "{row}");
        if args[0] == "/bin/echo" {
            let step = args[1].as_str().and_then(|step| step.parse().ok());
            steps
                .entry(name.to_owned())
                .or_default()
                .push(step.expect("a number"));
        }
    }
    assert_eq!(steps.len() as u32, CONTAINERS + 1);
    for (name, steps) in steps {
        assert_eq!(steps, (1..=20).collect::<Vec<u64>>(), "{name}");
    }
    let summary = summary(&path);
    assert_eq!(summary["owner_undecided"].as_u64().unwrap_or(0), 0);
}
