//! Docker.

use super::super::traced::Asked;
use super::{Chosen, Story, expect_listed, texts};
use ig_tests::runtimes::Docker;

fn run(docker: &Docker, story: &mut Story, image: &str, name: &str) -> [String; 2] {
    let entry = story.entry();
    docker.run_of(image, name, &[("igt", name)], &texts(&entry));
    story.told(Some(name), &entry);
    entry
}

fn exec(docker: &Docker, story: &mut Story, name: &str, what: &str) {
    let words = story.words(what);
    docker.exec(name, &texts(&words));
    story.told(Some(name), &words);
}

/// One that was there before, one that was made and not started, and some that come.
#[test]
fn of_docker_the_containers_that_were_asked_for_are_shown_and_nothing_else() {
    let docker = Docker::start();
    let socket = docker.socket();
    let asked = Asked {
        runtime: "docker",
        socket: &socket,
    };
    let mut story = Story::of(docker.place());
    let (image, digest) = docker.pull();
    let name = |word: &str| format!("{}-{word}", docker.place().name());
    let (early, made, web, other) = (name("early"), name("made"), name("web"), name("other"));
    run(&docker, &mut story, Docker::IMAGE, &early);
    let early_id = docker.id(&early);
    story.begin();
    let entry = story.entry();
    let made_id = docker.create(&made, &texts(&entry));

    let of_web = format!("{}-w*", docker.place().name());
    let mut chosen = Chosen::beside(docker.place(), Some(&asked));
    chosen
        // As the issue has it: before there is such a container.
        .only(&["--containername", &web], &[&web])
        .bare(&["-c", &of_web], &[&web])
        .only(&["-c", &format!("{web},{early}")], &[&web, &early])
        .only(
            &[
                "--runtime-containername",
                &format!("{}-*,!{web},!*-other", docker.place().name()),
            ],
            &[&early, &made],
        )
        .only(
            &["--container-id", &format!("{early_id},{}", &made_id[..12])],
            &[&early, &made],
        )
        .only(
            &[
                "--runtime-containerimage-digest",
                &digest,
                "-c",
                // Containers of other tests have the same image.
                &format!("{}-*,!{other}", docker.place().name()),
            ],
            &[&web],
        )
        .among(&["--image", &image], &[&web, &other])
        .among(
            &[
                "--runtime-containerimage-name",
                &format!("!{image}"),
                "--runtime",
                "docker",
            ],
            &[&early, &made],
        )
        .only(
            &["--container-selector", &format!("igt=={other},!none")],
            &[&other],
        )
        .only(&["--runtime", "podman", "-c", &web], &[])
        .among(&["--scope", "containers"], &[&early, &made, &web, &other])
        .with_host(&["--scope", "host"], &[])
        .with_host(&["--host"], &[&early, &made, &web, &other])
        .attached();

    story.host("before");
    exec(&docker, &mut story, &early, "in-early");
    run(&docker, &mut story, &image, &other);
    docker.start_made(&made);
    story.told(Some(&made), &entry);
    exec(&docker, &mut story, &other, "in-other");
    run(&docker, &mut story, &image, &web);
    story.host("between");
    exec(&docker, &mut story, &web, "in-web");
    exec(&docker, &mut story, &made, "in-made");
    expect_listed(&asked, docker.place(), &["-c", &of_web], &[&web]);
    expect_listed(
        &asked,
        docker.place(),
        &["--image", &image, "-c", &format!("!{web}")],
        &[&other],
    );
    expect_listed(&asked, docker.place(), &["--runtime", "podman"], &[]);
    docker.remove(&web);
    // Again under the same name, it is another one; started again, it is the same in another cgroup.
    let entry = run(&docker, &mut story, &image, &web);
    docker.restart(&web);
    story.told(Some(&web), &entry);
    story.host("after");
    exec(&docker, &mut story, &early, "in-early-again");
    chosen.expect(&story);
}
