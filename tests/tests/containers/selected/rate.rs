//! One container that makes more records than anybody wants to see.

use super::{Story, UID, attached, ended};
use crate::ledgers::sum;
use ig_tests::runtimes::Runc;
use ig_tests::times;
use serde_json::json;
use std::time::Instant;

/// Records a second and container.
const RATE: u64 = 100;

/// Programs of the quiet one, with a program that waits behind each.
const STEPS: usize = 20;

/// What is too much of one is left out and counted; of the other nothing is.
#[test]
fn a_noisy_container_is_held_to_the_rate_and_a_quiet_one_is_whole() {
    let runc = Runc::new();
    let story = Story::of(runc.place());
    let [noisy, quiet] = ["noisy", "quiet"].map(|word| story.name(word));
    let many = u64::from(times(20_000));
    let storm = format!("i=0; while [ $i -lt {many} ]; do /bin/true; i=$((i + 1)); done");
    let calm = format!(
        "i=0; while [ $i -lt {STEPS} ]; do /bin/true $i; /bin/sleep 0.05; i=$((i + 1)); done"
    );
    for (name, script) in [(&noisy, &storm), (&quiet, &calm)] {
        runc.bundle_with(name, &["/bin/sh", "-c", script], |config| {
            config["process"]["user"] = json!({"uid": UID, "gid": UID});
        });
    }
    let names = format!("{noisy},{quiet}");
    let (rate, uid) = (RATE.to_string(), UID.to_string());
    let words = ["-c", &names, "--max-rate", &rate, "--uid", &uid];
    let (running, path) = attached(runc.place(), &words);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for name in [&noisy, &quiet] {
            let mut run = runc.attached(name);
            scope.spawn(move || {
                let status = run.status();
                assert!(status.expect("runc starts").success());
            });
        }
    });
    let seconds = begin.elapsed().as_secs();
    let (mut seen, records) = ended(running, &path);

    let mut of = |name: &str| seen.remove(&Some(name.to_owned())).unwrap_or_default();
    let (of_noisy, of_quiet) = (of(&noisy), of(&quiet));
    assert!(seen.is_empty(), "{seen:#?}");
    let args =
        |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let mut expected = vec![args(&["/bin/sh", "-c", &calm])];
    for step in 0..STEPS {
        expected.push(args(&["/bin/true", &step.to_string()]));
        expected.push(args(&["/bin/sleep", "0.05"]));
    }
    assert_eq!(of_quiet, expected, "{records:#}");

    // In any second at most so many, whenever it begins: two seconds may meet in one of the clock's.
    let shown = of_noisy.len() as u64;
    let most = RATE * (seconds + 2);
    assert!(
        (RATE.min(many)..=most).contains(&shown),
        "{shown} rows in {seconds} s: {records:#}"
    );
    assert_eq!(of_noisy[0], args(&["/bin/sh", "-c", &storm]));
    let excluded = &records["excluded_before_guest"];
    assert_eq!(sum(&excluded["rate"]), many + 1 - shown, "{records:#}");
    assert_eq!(sum(&excluded["selection"]), 0, "{records:#}");
    let all = many + 1 + expected.len() as u64;
    assert_eq!(records["attempted"], all, "{records:#}");
    println!(
        "{shown} of {} rows of the noisy one in {seconds} s",
        many + 1
    );
}
