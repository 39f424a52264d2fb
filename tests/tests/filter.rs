//! `--filter`: only the rows asked for, the rest counted.

use crate::ledgers::{sum, summary};
use ig_tests::{Ig, bundle};

#[test]
fn only_rows_for_which_it_holds_are_shown_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    // What it looks at need not be shown.
    let finished = Ig::run(bundle("trace_open"))
        .args(&[
            "--filter",
            "error == ENOENT and path like '/no*' and pid > 0",
            "--fields",
            "path,error",
        ])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .args(&["--", "cat", "/nowhere", "/etc/hostname", "/nothing"])
        .finish();
    let rows = finished.rows();
    let expected =
        |path: &str| serde_json::json!({"path": path, "error": "ENOENT", "error_raw": 2});
    assert_eq!(rows, [expected("/nowhere"), expected("/nothing")]);
    let summary = summary(&path);
    let ledger = &summary["rows"]["open"];
    assert_eq!(ledger["written"], 2);
    // What fields of the record decide, the guest never saw.
    let records = &summary["records"]["open"];
    let excluded = records["excluded_before_guest"]["filter"].as_u64();
    assert!(excluded > Some(0), "{records:#}");
    assert_eq!(records["accepted"], 2);
    assert_eq!(
        Some(sum(records)),
        records["attempted"].as_u64().map(|records| 2 * records)
    );
    assert_eq!(
        Some(sum(ledger)),
        ledger["emitted"].as_u64().map(|rows| 2 * rows)
    );
}

/// The guest decides what an error is, so what is asked of it is asked of its rows.
#[test]
fn what_the_guest_says_is_filtered_behind_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let finished = Ig::run(bundle("trace_open"))
        .args(&["--filter", "error is not null", "--fields", "path"])
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .json()
        .args(&["--", "cat", "/nowhere", "/etc/hostname"])
        .finish();
    let rows = finished.rows();
    assert!(rows.contains(&serde_json::json!({"path": "/nowhere"})));
    assert!(!rows.contains(&serde_json::json!({"path": "/etc/hostname"})));
    let summary = summary(&path);
    let (records, ledger) = (&summary["records"]["open"], &summary["rows"]["open"]);
    assert_eq!(records["accepted"], records["attempted"]);
    assert!(ledger["filtered"].as_u64() > Some(0), "{ledger:#}");
}

#[test]
fn the_short_form_is_the_same() {
    let finished = Ig::run(bundle("trace_open"))
        .args(&["--filter", "error==ENOENT,path~^/no", "--fields", "path"])
        .json()
        .args(&["--", "cat", "/nowhere", "/etc/hostname"])
        .finish();
    finished.expect_code(1);
    assert_eq!(finished.rows(), [serde_json::json!({"path": "/nowhere"})]);
}

#[test]
fn a_mistake_is_shown_at_its_place() {
    for (filter, words) in [
        ("eror == ENOENT", &["eror == ENOENT", "^^^^", "error"][..]),
        ("error == ENOETN", &["^^^^^^", "ENOENT"][..]),
        ("path >", &["path >"][..]),
    ] {
        let finished = Ig::run(bundle("trace_open"))
            .args(&["--filter", filter, "--timeout", "1"])
            .finish();
        finished.expect_code(2);
        for word in words {
            assert!(finished.stderr.contains(word), "{}", finished.stderr);
        }
    }
}
