//! `ig` ends without a word while it is not yet known whose records are.

use super::super::crowd::Crowd;
use super::super::kills::{Stopped, kill, moment, traces};
use super::{attached, ended, is_step_of_runtime, parts};
use ig_tests::runtimes::until;
use ig_tests::times;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Panics if a row is of another container than was asked for: of those with an even number.
fn expect_even(rows: &[Value], crowd: &Crowd) -> usize {
    let mut right = 0;
    for row in rows {
        let (container, args) = parts(row);
        if is_step_of_runtime(&args) {
            continue;
        }
        let name = container.unwrap_or_default();
        let number = name.strip_prefix(crowd.place().name());
        let number = number.and_then(|rest| rest.strip_prefix('-')?.parse::<u32>().ok());
        assert!(
            number.is_some_and(|number| number.is_multiple_of(2)),
            "{row}"
        );
        if args.last().is_some_and(|last| last.starts_with("in:")) {
            assert_eq!(args.last(), Some(&format!("in:{name}")), "{row}");
        }
        right += 1;
    }
    right
}

#[test]
fn after_kill_9_with_pending_containers_the_next_run_is_clean_and_right() {
    let crowd = Crowd::of_crun();
    let before = traces();
    let (stop, number) = (AtomicBool::new(false), AtomicU32::new(0));
    let even = format!("{}-*[02468]", crowd.place().name());
    let (mut kills, mut right) = (0, 0);
    std::thread::scope(|scope| {
        let stopped = Stopped(&stop);
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    crowd.run(number.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
        for _ in 0..times(30) {
            let (mut running, _) = attached(crowd.place(), &["-c", &even]);
            running.provoke(|| {}, |line| line.starts_with('{'));
            std::thread::sleep(moment(200));
            // Those that are made now stay pending.
            running.signal("STOP");
            let made = number.load(Ordering::Relaxed);
            until("two more containers", || {
                (number.load(Ordering::Relaxed) > made + 4).then_some(())
            });
            right += expect_even(&kill(running, &before), &crowd);
            kills += 1;
        }
        drop(stopped);
    });
    // Nobody else is there: one of each.
    let (mut running, path) = attached(crowd.place(), &["-c", &even]);
    let next = number.load(Ordering::Relaxed).next_multiple_of(2);
    crowd.run(next + 1);
    crowd.run(next);
    let last = format!("in:{}\"]", crowd.name(next));
    running.provoke(
        || {},
        |line| line.contains("/bin/echo") && line.contains(&last),
    );
    let (seen, records) = ended(running, &path);
    println!("{kills} kills beside {next} containers, {right} rows, none wrong");
    let names: Vec<_> = seen.keys().collect();
    assert_eq!(names, [&Some(crowd.name(next))], "{records:#}");
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 3, "{seen:#?}");
}
