//! Sources of iterators: read once or again and again, with and without a guest, recorded and replayed.

use crate::ledgers::summary;
use ig_tests::{Finished, Ig, gadget};
use serde_json::Value;
use std::path::Path;

/// What the test gadgets' iterator writes in each pass.
const ENTRIES: u64 = 3000;

fn number(row: &Value, name: &str) -> u64 {
    row[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {row}"))
}

fn ended_by_itself(finished: &Finished, path: &Path) -> Value {
    finished.expect_code(0);
    let summary = summary(path);
    assert_eq!(summary["ended_by"], "snapshot");
    summary
}

#[test]
fn a_snapshot_is_read_once_and_ends_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary");
    let finished = Ig::run(gadget("walked"))
        .args(&["--table", "once", "--summary"])
        .arg(format!("json:{}", path.display()))
        .json()
        .finish();
    let summary = ended_by_itself(&finished, &path);
    let records = &summary["records"]["entries"];
    assert_eq!(records["attempted"], ENTRIES);
    assert_eq!(
        (&records["not_reserved"], &records["accepted"]),
        (&0.into(), &ENTRIES.into())
    );
    assert_eq!(summary["rows"]["once"]["written"], ENTRIES);
    let rows = finished.rows();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                number(row, "frame"),
                number(row, "walk"),
                number(row, "sequence"),
            )
        })
        .collect();
    let wanted: Vec<_> = (0..ENTRIES).map(|sequence| (1, 0, sequence)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_live_view_is_read_again_and_again_and_each_reading_is_a_frame() {
    let mut running = Ig::run(gadget("walked"))
        .args(&["--table", "live", "--interval", "20ms", "--max-rows", "5"])
        .args(&["--sort", "-sequence"])
        .json()
        .start();
    running.provoke(|| {}, |line| line.contains("\"frame\":3,"));
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    // The run's end may have cut one short behind these.
    for (i, row) in finished.rows().iter().take(15).enumerate() {
        let (frame, place) = (i as u64 / 5, i as u64 % 5);
        let found = (
            number(row, "frame"),
            number(row, "walk"),
            number(row, "sequence"),
        );
        // Whole passes: the largest number is the last one.
        assert_eq!(found, (frame + 1, frame, ENTRIES - 1 - place));
    }
}

#[test]
fn a_guest_s_snapshot_is_complete_when_the_iterators_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary");
    let finished = Ig::run(gadget("walked_guest"))
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .finish();
    let summary = ended_by_itself(&finished, &path);
    let records = &summary["records"]["entries"];
    let half: Value = (ENTRIES / 2).into();
    assert_eq!(records["attempted"], ENTRIES);
    assert_eq!(
        (&records["accepted"], &records["dropped_by_guest"]),
        (&half, &half)
    );
    let rows = finished.rows();
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                number(row, "frame"),
                number(row, "sequence"),
                number(row, "half"),
            )
        })
        .collect();
    // It took several calls.
    let wanted: Vec<_> = (0..ENTRIES / 2).map(|half| (1, 2 * half, half)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn what_was_recorded_of_iterators_is_replayed_frame_by_frame() {
    for (name, table) in [("walked", "once"), ("walked_guest", "even")] {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let recorded = Ig::new()
            .args(&["record", "-o", &at("run.igrec")])
            .args(&["-o", &format!("json={}", at("live.json"))])
            .arg(gadget(name))
            .args(&["--table", table])
            .finish();
        recorded.expect_code(0);
        let live = std::fs::read_to_string(at("live.json")).expect("rows");
        assert!(live.lines().count() as u64 >= ENTRIES / 2);
        let replayed = Ig::new()
            .arg("run")
            .arg(gadget(name))
            .args(&["--replay", &at("run.igrec"), "--table", table])
            .json()
            .finish();
        replayed.expect_code(0);
        assert_eq!(replayed.stdout, live, "{name}");
    }
}

/// The limit is one of ring buffers: here it would do nothing.
#[test]
fn a_limit_for_containers_is_refused_where_nothing_comes_through_a_ring() {
    let words = ["--max-rate", "ring buffer", "without the flag"];
    let alone = Ig::run(gadget("walked"))
        .args(&["--max-rate", "5"])
        .finish();
    alone.expect_refusal(2, &words);
    let beside = Ig::run(gadget("plain"))
        .arg(gadget("walked"))
        .args(&["--max-rate", "5"])
        .finish();
    beside.expect_refusal(2, &["walked: --max-rate", "in an `ig` of its own"]);
}
