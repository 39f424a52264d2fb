//! Units of systemd, any cgroup, and the host.

use super::super::marked::{cgroup, run_in};
use super::{Chosen, NOBODY, Story, texts};
use ig_tests::runtimes::{Place, Runc, Systemd};
use serde_json::json;

fn run(place: &Place, story: &mut Story, inside: &str, unit: Option<&str>, what: &str) {
    let words = story.words(what);
    run_in(&cgroup(place, inside).1, &words[1]);
    story.told(unit, &words);
}

/// Cgroups as systemd makes them, by their names, and a container in one of them.
#[test]
fn units_cgroups_and_scopes_that_were_asked_for_are_shown_and_nothing_else() {
    let runc = Runc::new();
    let place = runc.place();
    let mut story = Story::of(place);
    let name = |word: &str| format!("{}-{word}", place.name());
    let [early, web, other] =
        ["early", "web", "other"].map(|word| name(&format!("{word}.service")));
    let inside = |unit: &str| format!("system.slice/{unit}");
    cgroup(place, &inside(&early));
    let mine = format!("{}-*.service", place.name());
    let whole = format!("/{}", place.name());
    let path = format!("{whole}/{}", inside(&web));
    let container = name("box");

    let mut chosen = Chosen::beside(place, None);
    chosen
        // What a unit runs is its own, containers, too.
        .only(&["--unit", &name("web")], &[&web, &container])
        .bare(
            &["--unit", &format!("{web},{early}"), "--scope", "host"],
            &[&web, &early],
        )
        .only(&["--unit", &format!("{mine},!{web}")], &[&early, &other])
        .only(&["--unit", &mine, "--scope", "containers"], &[&container])
        .only(&["--unit", &mine, "-c", &container], &[&container])
        .only(&["--cgroup", &path], &[&web, &container])
        .only(
            &["--cgroup", &format!("/sys/fs/cgroup{whole},!{path}")],
            &[&early, &other, NOBODY],
        )
        .only(
            &["--cgroup", &format!("{whole}/*/{}", name("[eo]*"))],
            &[&early, &other],
        )
        .only(
            &["--scope", "host", "--cgroup", &whole],
            &[&early, &web, &other, NOBODY],
        )
        .attached();

    run(place, &mut story, &inside(&early), Some(&early), "in-early");
    run(place, &mut story, &inside(&other), Some(&other), "in-other");
    // First of all in its cgroup, and in one below.
    run(place, &mut story, &inside(&web), Some(&web), "in-web");
    run(
        place,
        &mut story,
        &format!("{}/inner", inside(&web)),
        Some(&web),
        "below-web",
    );
    run(place, &mut story, "plain", Some(NOBODY), "in-plain");
    story.host("between");
    let entry = story.entry();
    runc.bundle_with(&container, &texts(&entry), |config| {
        config["linux"]["cgroupsPath"] = json!(format!("{path}/{container}"));
    });
    runc.start_as_usual(&container);
    story.told(Some(&container), &entry);
    let words = story.words("in-box");
    runc.exec(&container, &texts(&words));
    story.told(Some(&container), &words);
    run(
        place,
        &mut story,
        &inside(&early),
        Some(&early),
        "in-early-again",
    );
    chosen.expect(&story);
}

/// A unit of a system that systemd-nspawn booted; without one (see [`Systemd::boot`]) the test above has to do.
#[test]
fn a_unit_of_a_booted_system_is_shown_from_its_first_program_on() {
    let Some(booted) = Systemd::boot() else {
        return;
    };
    let place = booted.place();
    let mut story = Story::of(place);
    let [web, other] = ["web", "other"].map(|word| format!("{}-{word}.service", place.name()));
    let mut chosen = Chosen::beside(place, None);
    chosen
        .among(&["--unit", &web], &[&web])
        .among(
            &["--unit", &format!("{}-*,!{web}", place.name())],
            &[&other],
        )
        .attached();
    for unit in [&other, &web] {
        let words = story.words(unit);
        booted.run(unit, &texts(&words));
        story.told(Some(unit), &words);
    }
    chosen.expect(&story);
}
