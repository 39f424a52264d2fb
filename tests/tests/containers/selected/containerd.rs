//! containerd, used through `ctr`.

use super::super::traced::Asked;
use super::{Chosen, Story, expect_listed, texts};
use ig_tests::runtimes::Containerd;

fn run(containerd: &Containerd, story: &mut Story, name: &str) {
    let entry = story.entry();
    containerd.run(name, &[("igt", name)], &texts(&entry));
    story.told(Some(name), &entry);
}

fn exec(containerd: &Containerd, story: &mut Story, name: &str, what: &str) {
    let words = story.words(what);
    containerd.exec(name, what, &texts(&words));
    story.told(Some(name), &words);
}

/// containerd alone knows the image: what is asked for by that is known only when it has answered.
#[test]
fn of_containerd_the_containers_that_were_asked_for_are_shown_and_nothing_else() {
    let containerd = Containerd::start();
    let socket = containerd.socket();
    let asked = Asked {
        runtime: "containerd",
        socket: &socket,
    };
    let place = containerd.place();
    let mut story = Story::of(place);
    let name = |word: &str| format!("{}-{word}", place.name());
    let (early, web, other) = (name("early"), name("web"), name("other"));
    run(&containerd, &mut story, &early);
    story.begin();

    let mine = format!("{}-*", place.name());
    let not_web = format!("!{web}");
    let mut chosen = Chosen::beside(place, Some(&asked));
    chosen
        .only(&["--containername", &web], &[&web])
        .bare(
            &["--container-id", &format!("{web},{early}")],
            &[&web, &early],
        )
        .only(
            &["--image", Containerd::IMAGE, "-c", &mine],
            &[&early, &web, &other],
        )
        .only(
            &[
                "--runtime-containerimage-digest",
                containerd.digest(),
                "-c",
                &format!("{mine},{not_web}"),
            ],
            &[&early, &other],
        )
        .only(
            &[
                "--runtime",
                "!docker,!podman",
                "-c",
                &format!("{},{other}", name("we?")),
            ],
            &[&web, &other],
        )
        .only(
            &[
                "--container-selector",
                &format!("igt notin ({web}),igt in ({web},{other})"),
            ],
            &[&other],
        )
        .only(&["--image", "!localhost/*", "-c", &mine], &[])
        .only(&["--cgroup", &format!("/{}/{web}", place.name())], &[&web])
        .among(&["--container-id", &not_web], &[&early, &other])
        .attached();

    exec(&containerd, &mut story, &early, "in-early");
    run(&containerd, &mut story, &other);
    run(&containerd, &mut story, &web);
    story.host("between");
    exec(&containerd, &mut story, &other, "in-other");
    exec(&containerd, &mut story, &web, "in-web");
    expect_listed(
        &asked,
        place,
        &["--image", Containerd::IMAGE],
        &[&early, &web, &other],
    );
    expect_listed(
        &asked,
        place,
        &["--container-id", &not_web],
        &[&early, &other],
    );
    containerd.remove(&web);
    run(&containerd, &mut story, &web);
    exec(&containerd, &mut story, &early, "in-early-again");
    chosen.expect(&story);
}
