//! More cgroups at once than anybody can be told of, and only some of them are asked for.

use super::super::many::{MANY, Units};
use super::{ATTACHED, is_step_of_runtime, parts};
use crate::ledgers::{assert_sums, sum, summary};
use ig_tests::runtimes::Storm;
use ig_tests::{Ig, Running, bundle};

/// Units that are asked for, and units that are not.
const WANTED: [u32; 3] = [0, MANY / 3, MANY - 2];
const OTHERS: [u32; 3] = [1, MANY / 2, MANY - 1];

/// Starts programs in the units until those that were asked for are shown.
fn enter(units: &Units, running: &mut Running, when: &str) {
    for (wanted, other) in WANTED.into_iter().zip(OTHERS) {
        let unit = units.name(wanted);
        let word = format!("{when}-of-{unit}");
        let enter = || {
            units.enter(other, &format!("{when}-of-{}", units.name(other)));
            units.enter(wanted, &word);
        };
        running.provoke(enter, |line| line.contains(&word));
    }
}

#[test]
fn of_ten_thousand_cgroups_at_once_those_that_were_asked_for_are_shown_and_nothing_else() {
    let _storm = Storm::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let wanted = WANTED.map(|number| format!("igt{}[cd]{number}.service", std::process::id()));
    let mut running = Ig::run(bundle("trace_exec"))
        .args(&["--unit", &wanted.join(",")])
        .args(&["--ignore-failed", "--fields", "args,unit"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .start();
    running.attached(ATTACHED);
    let first = Units::make("c");
    enter(&first, &mut running, "new");
    // While it can't listen there is no room for all of the news: it has to look for itself.
    running.signal("STOP");
    let second = Units::make("d");
    for number in WANTED.into_iter().chain(OTHERS) {
        second.enter(number, &format!("unseen-of-{}", second.name(number)));
    }
    running.signal("CONT");
    enter(&second, &mut running, "missed");
    enter(&first, &mut running, "old");
    drop(first);
    enter(&second, &mut running, "still");
    drop(second);
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    let summary = summary(&path);
    let records = &summary["records"]["exec"];
    println!("{records}");
    for row in finished.rows() {
        let (unit, args) = parts(&row);
        let unit = unit.unwrap_or_default();
        assert!(!is_step_of_runtime(&args));
        assert!(
            WANTED
                .iter()
                .any(|number| unit.ends_with(&format!("{number}.service"))),
            "{row}"
        );
        assert!(
            args.last()
                .is_some_and(|word| word.ends_with(&format!("-of-{unit}"))),
            "{row}"
        );
    }
    assert_sums(&summary);
    assert_eq!(sum(&records["undecided_at_exit"]), 0, "{records:#}");
}
