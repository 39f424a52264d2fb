//! podman, with root.

use super::super::traced::Asked;
use super::{Chosen, Story, expect_listed, texts};
use ig_tests::runtimes::Podman;

fn run(podman: &Podman, story: &mut Story, name: &str) -> (String, [String; 2]) {
    let entry = story.entry();
    let id = podman.run(name, &[("igt", name)], &texts(&entry));
    story.told(Some(name), &entry);
    (id, entry)
}

fn exec(podman: &Podman, story: &mut Story, name: &str, what: &str) {
    let words = story.words(what);
    podman.exec(name, &texts(&words));
    story.told(Some(name), &words);
}

#[test]
fn of_podman_the_containers_that_were_asked_for_are_shown_and_nothing_else() {
    let podman = Podman::start();
    let socket = podman.socket();
    let asked = Asked {
        runtime: "podman",
        socket: &socket,
    };
    let place = podman.place();
    let mut story = Story::of(place);
    let name = |word: &str| format!("{}-{word}", place.name());
    let (early, web, other) = (name("early"), name("web"), name("other"));
    let (early_id, _) = run(&podman, &mut story, &early);
    story.begin();

    let mine = format!("{}-*", place.name());
    let mut chosen = Chosen::beside(place, Some(&asked));
    chosen
        .only(&["--containername", &web], &[&web])
        .bare(&["-c", &format!("{web},{early}")], &[&web, &early])
        .only(&["--container-id", &early_id], &[&early])
        .only(
            &["--image", Podman::IMAGE, "-c", &format!("{mine},!*-web")],
            &[&early, &other],
        )
        .only(
            &["--runtime", "podman", "-c", &mine],
            &[&early, &web, &other],
        )
        // Of labels its service alone knows.
        .only(
            &["--container-selector", &format!("igt in ({web},none)")],
            &[&web],
        )
        .only(
            &[
                "--container-selector",
                "igt",
                "-c",
                &format!("{mine},!{web}"),
            ],
            &[&early, &other],
        )
        .only(&["--runtime", "!podman", "-c", &mine], &[])
        .attached();

    exec(&podman, &mut story, &early, "in-early");
    run(&podman, &mut story, &other);
    run(&podman, &mut story, &web);
    story.host("between");
    exec(&podman, &mut story, &web, "in-web");
    expect_listed(
        &asked,
        place,
        &["-c", &format!("{mine},!*-web")],
        &[&early, &other],
    );
    podman.remove(&web);
    let (_, entry) = run(&podman, &mut story, &web);
    podman.restart(&web);
    story.told(Some(&web), &entry);
    exec(&podman, &mut story, &early, "in-early-again");
    chosen.expect(&story);
}
