//! runc and crun without anybody above them.

use super::{Chosen, Story, texts};
use ig_tests::runtimes::Runc;

#[test]
fn of_runc_alone_the_containers_that_were_asked_for_are_shown_and_nothing_else() {
    chosen(&Runc::new());
}

/// The fastest of all: 2 ms from its cgroup to its first program.
#[test]
fn of_crun_alone_the_containers_that_were_asked_for_are_shown_and_nothing_else() {
    chosen(&Runc::crun());
}

fn run(runc: &Runc, story: &mut Story, name: &str) {
    let entry = story.entry();
    // Of one that had this name before.
    std::fs::remove_dir_all(runc.place().at(name)).ok();
    runc.bundle(name, &texts(&entry));
    runc.start_as_usual(name);
    story.told(Some(name), &entry);
}

fn exec(runc: &Runc, story: &mut Story, name: &str, what: &str) {
    let words = story.words(what);
    runc.exec(name, &texts(&words));
    story.told(Some(name), &words);
}

fn chosen(runc: &Runc) {
    let place = runc.place();
    let mut story = Story::of(place);
    let name = |word: &str| format!("{}-{word}", place.name());
    let (early, web, other) = (name("early"), name("web"), name("other"));
    run(runc, &mut story, &early);
    story.begin();

    let mine = format!("{}-*", place.name());
    let mut chosen = Chosen::beside(place, None);
    chosen
        .only(&["--containername", &web], &[&web])
        .bare(
            &["--container-id", &format!("{web},{early}")],
            &[&web, &early],
        )
        .only(&["-c", &format!("{mine},!{web}")], &[&early, &other])
        .only(
            &["--runtime", runc.program(), "-c", &mine],
            &[&early, &web, &other],
        )
        .only(
            &["--runtime", &format!("!{}", runc.program()), "-c", &mine],
            &[],
        )
        .only(
            &[
                "--cgroup",
                &format!("{},/{}/x", runc.cgroup(&web), place.name()),
            ],
            &[&web],
        )
        .only(&["--image", "*", "-c", &mine], &[])
        .attached();

    exec(runc, &mut story, &early, "in-early");
    run(runc, &mut story, &other);
    run(runc, &mut story, &web);
    story.host("between");
    exec(runc, &mut story, &web, "in-web");
    exec(runc, &mut story, &other, "in-other");
    runc.remove(&web);
    run(runc, &mut story, &web);
    exec(runc, &mut story, &early, "in-early-again");
    chosen.expect(&story);
}
