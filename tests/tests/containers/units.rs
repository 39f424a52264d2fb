//! Units of systemd and sessions of users.

use super::marked::{Marked, PROGRAM, cgroup, expect, run_in};
use ig_tests::runtimes::{Place, Systemd};

/// Cgroups as systemd makes them, by their names: units need no more.
#[test]
fn what_runs_in_a_unit_or_a_session_is_named() {
    let place = Place::new();
    let unit = format!("ig-test-{}.service", place.name());
    let old = cgroup(&place, &format!("system.slice/{unit}"));
    let mut traced = Marked::start(&place);
    let session = "session-7.scope";
    let new = |path: &str| cgroup(&place, path);
    let cases = [
        ("old-unit", old.clone(), "unit", Some(unit.as_str())),
        (
            "below",
            new(&format!("system.slice/{unit}/inner")),
            "unit",
            Some(&unit),
        ),
        (
            "new-unit",
            new("system.slice/ig-test-new.service"),
            "unit",
            Some("ig-test-new.service"),
        ),
        (
            "scope",
            new("user.slice/ig-test.scope"),
            "unit",
            Some("ig-test.scope"),
        ),
        (
            "session",
            new(&format!("user.slice/user-1000.slice/{session}")),
            "session",
            Some(session),
        ),
        (
            "manager",
            new("user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service"),
            "session",
            Some("user@1000.service"),
        ),
        ("slice", new("system.slice"), "host", None),
    ];
    for (word, (_, folder), scope, unit) in &cases {
        run_in(folder, &traced.word(word));
        let row = traced.row(word);
        expect(&row, &[("scope", Some(*scope)), ("unit", *unit)]);
        expect(&row, &[("container", None), ("runtime", None)]);
    }
    let _ = traced.end();
}

/// The units of a system that systemd-nspawn booted. Where its root file system was not made (see [`Systemd::boot`]), cgroups of
/// the same names stand in.
#[test]
fn units_of_a_booted_system_are_named() {
    let Some(booted) = Systemd::boot() else {
        let place = Place::new();
        let mut traced = Marked::start(&place);
        let (_, folder) = cgroup(&place, "nspawn/payload/system.slice/ig-test.service");
        run_in(&folder, &traced.word("unit"));
        expect_unit(&traced.row("unit"), "ig-test.service");
        let _ = traced.end();
        return;
    };
    let place = booted.place();
    let mut traced = Marked::start(place);
    booted.run("ig-test.service", &[PROGRAM, &traced.word("unit")]);
    expect_unit(&traced.row("unit"), "ig-test.service");
    let slice = ["--slice", "ig-test.slice", PROGRAM, &traced.word("slice")];
    booted.run("ig-test-2.service", &slice);
    expect_unit(&traced.row("slice"), "ig-test-2.service");
    let _ = traced.end();
}

#[track_caller]
fn expect_unit(row: &serde_json::Value, unit: &str) {
    let nobody = [("container", None), ("runtime", None)];
    expect(row, &nobody);
    expect(row, &[("scope", Some("unit")), ("unit", Some(unit))]);
}
