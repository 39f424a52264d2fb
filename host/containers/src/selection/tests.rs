use super::*;
use crate::owner::{Facts, Pod};
use std::collections::BTreeMap;

fn parse(given: &[(Selector, &str)]) -> Selectors {
    Selectors::parse(given.iter().copied()).unwrap_or_else(|error| panic!("{error}"))
}

fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn sha(of: char) -> String {
    format!("sha256:{}", of.to_string().repeat(64))
}

/// A container of Docker's.
fn web() -> Owner {
    Owner {
        kind: Kind::Container,
        cgroup: "/system.slice/docker-abc.scope".to_owned(),
        unit: Some("docker-abc.scope".to_owned()),
        facts: Facts {
            id: "0123456789abcdef".repeat(4),
            runtime: Some(Runtime::Docker),
            name: Some("web".to_owned()),
            image: Some("nginx:1.27".to_owned()),
            image_id: Some(sha('a')),
            image_digest: Some(sha('b')),
            labels: Some(labels(&[
                ("app", "shop"),
                ("com.docker.compose.project", "x:y"),
            ])),
            ..Facts::default()
        },
    }
}

/// A container of a pod.
fn server() -> Owner {
    let pod = Pod {
        name: "web-7d9f".to_owned(),
        namespace: "shop".to_owned(),
        container: "server".to_owned(),
        labels: Some(labels(&[("app", "web"), ("tier", "front")])),
        sandbox: "s1".to_owned(),
        ..Pod::default()
    };
    Owner {
        kind: Kind::Container,
        cgroup: "/kubepods/burstable/podx/c1".to_owned(),
        unit: None,
        facts: Facts {
            id: "c1".to_owned(),
            runtime: Some(Runtime::Containerd),
            name: Some("server".to_owned()),
            image: Some("registry.k8s.io/pause:3.9".to_owned()),
            pod: Some(pod),
            ..Facts::default()
        },
    }
}

fn sandbox() -> Owner {
    let mut owner = server();
    owner.kind = Kind::Sandbox;
    owner.facts.id = "s1".to_owned();
    owner.facts.sandbox = true;
    owner.facts.name = Some("web-7d9f".to_owned());
    if let Some(pod) = &mut owner.facts.pod {
        pod.container.clear();
    }
    owner
}

fn service() -> Owner {
    Owner {
        kind: Kind::Unit,
        cgroup: "/system.slice/nginx.service".to_owned(),
        unit: Some("nginx.service".to_owned()),
        facts: Facts::default(),
    }
}

/// Which of them are wanted: w(eb), p(od's container), s(andbox), u(nit), h(ost).
fn wanted(given: &[(Selector, &str)]) -> String {
    let selectors = parse(given);
    let all = [
        ('w', web()),
        ('p', server()),
        ('s', sandbox()),
        ('u', service()),
        ('h', Owner::default()),
    ];
    all.iter()
        .filter(|(_, owner)| selectors.decide(owner) == Verdict::Yes)
        .map(|(name, _)| *name)
        .collect()
}

#[test]
fn every_selector_picks_its_own() {
    use Selector as S;
    let full = "0123456789abcdef".repeat(4);
    let bare = "a".repeat(64);
    for (selector, value, expected) in [
        (S::Container, "web", "w"),
        (S::Container, "web,server", "wp"),
        (S::Container, "!web", "p"),
        (S::Container, "*,!web", "p"),
        (S::Container, " web , ! server ", "w"),
        (S::Container, "w[a-e]b", "w"),
        (S::Container, "[!w]*", "p"),
        (S::Container, "Web", ""),
        (S::ContainerId, full.as_str(), "w"),
        (S::ContainerId, "0123456789ab", "w"),
        (S::ContainerId, "0123456789a", ""),
        (S::ContainerId, "0123*", "w"),
        (S::ContainerId, "c1", "p"),
        (S::ContainerId, "!0123456789ab", "p"),
        (S::Image, "nginx", "w"),
        (S::Image, "nginx:1.28", ""),
        (S::Image, "docker.io/library/nginx:1.27", "w"),
        (S::Image, "!nginx", "p"),
        (S::Image, "registry.k8s.io/*", "p"),
        (S::ImageDigest, "bbbbbbbbbbbb", "w"),
        (S::ImageDigest, "sha256:bbbbbbbbbbbb", "w"),
        (S::ImageDigest, "!sha256:b*", "p"),
        (S::ImageId, bare.as_str(), "w"),
        (S::ImageId, "aaaaaaaaaaab", ""),
        (S::Runtime, "docker", "w"),
        (S::Runtime, "docker,containerd", "wp"),
        (S::Runtime, "!crio", "wp"),
        (S::Runtime, "c*", "p"),
        (S::Labels, "app=shop", "w"),
        (S::Labels, "com.docker.compose.project=x:y", "w"),
        (S::Labels, "!app", "p"),
        (S::Pod, "web-7d9f", "p"),
        (S::Pod, "web-*", "p"),
        (S::Pod, "!web-7d9f", "w"),
        (S::Namespace, "shop", "p"),
        (S::Namespace, "!kube-system", "wp"),
        (S::PodContainer, "server", "p"),
        (S::PodLabels, "app=web,tier in (front,back)", "p"),
        (S::PodLabels, "app!=web", "w"),
        (S::PodLabels, "!missing", "wp"),
        (S::Unit, "nginx", "u"),
        (S::Unit, "nginx.service", "u"),
        (S::Unit, "nginx*", "u"),
        (S::Unit, "docker-*.scope", "w"),
        (S::Unit, "!nginx", "wpsh"),
        (S::Cgroup, "/system.slice", "wu"),
        (S::Cgroup, "system.slice/nginx.service", "u"),
        (S::Cgroup, "/sys/fs/cgroup/system.slice/", "wu"),
        (S::Cgroup, "/sys/fs/cgroup/unified/kubepods", "ps"),
        (S::Cgroup, "/system", ""),
        (S::Cgroup, "/sys*", "wu"),
        (S::Cgroup, "/kubepods/*/podx", "ps"),
        (S::Cgroup, "!/system.slice", "psh"),
        (S::Cgroup, "/", "wpsuh"),
        (S::Cgroup, "/sys/fs/cgroup", "wpsuh"),
        (S::Scope, "all", "wpsuh"),
        (S::Scope, "containers", "wps"),
        (S::Scope, "host", "uh"),
    ] {
        assert_eq!(wanted(&[(selector, value)]), expected, "{selector} {value}");
    }
    assert_eq!(wanted(&[]), "wpsuh");
}

#[test]
fn several_selectors_all_hold_and_the_scope_widens_or_narrows() {
    use Selector as S;
    for (given, expected) in [
        (&[(S::Container, "web"), (S::Image, "nginx")][..], "w"),
        (&[(S::Container, "web"), (S::Image, "redis")], ""),
        (&[(S::Container, "web"), (S::Container, "server")], "wp"),
        (
            &[(S::PodLabels, "app=web"), (S::PodLabels, "tier=back")],
            "",
        ),
        (&[(S::Namespace, "shop"), (S::Scope, "containers")], "ps"),
        (&[(S::Container, "server"), (S::Scope, "containers")], "p"),
        (&[(S::Container, "web"), (S::Scope, "all")], "wuh"),
        (&[(S::Container, "!web"), (S::Scope, "all")], "psuh"),
        (&[(S::Unit, "nginx"), (S::Scope, "containers")], ""),
        (&[(S::Unit, "nginx,docker-*"), (S::Scope, "host")], "u"),
        (
            &[(S::Cgroup, "/system.slice"), (S::Scope, "containers")],
            "w",
        ),
        (&[(S::Cgroup, "/system.slice"), (S::Runtime, "*")], "w"),
    ] {
        assert_eq!(wanted(given), expected, "{given:?}");
    }
}

#[test]
fn what_may_still_come_is_waited_for_and_nothing_else() {
    use Selector as S;
    let mut owner = web();
    owner.facts = Facts {
        id: "c2".to_owned(),
        name: Some("c2".to_owned()),
        runtime: Some(Runtime::Containerd),
        awaited: Awaited::ALL,
        ..Facts::default()
    };
    let open = [
        (S::Container, "web"),
        (S::Container, "!web"),
        // By this name it is called only until it has another.
        (S::Container, "c2"),
        (S::Image, "nginx"),
        (S::Image, "!nginx"),
        (S::ImageDigest, "!sha256:b*"),
        (S::ImageId, "sha256:b*"),
        (S::Labels, "app"),
        (S::Labels, "!app"),
        (S::Pod, "!x"),
        (S::Namespace, "shop"),
        (S::PodContainer, "x"),
        (S::PodLabels, "app!=x"),
        (S::PodLabels, "!app"),
    ];
    for given in open {
        assert_eq!(parse(&[given]).decide(&owner), Verdict::Later, "{given:?}");
    }
    for (given, verdict) in [
        ((S::ContainerId, "c2"), Verdict::Yes),
        ((S::Runtime, "docker"), Verdict::No),
        ((S::Unit, "!nginx"), Verdict::Yes),
        ((S::Scope, "host"), Verdict::No),
    ] {
        assert_eq!(parse(&[given]).decide(&owner), verdict, "{given:?}");
    }
    // What is decided by something that is known hangs on nothing.
    let both = parse(&[(S::Container, "web"), (S::Runtime, "docker")]);
    assert_eq!(both.decide(&owner), Verdict::No);
    owner.facts.name = Some("web".to_owned());
    assert_eq!(parse(&[(S::Container, "web")]).decide(&owner), Verdict::Yes);
    assert_eq!(parse(&[(S::Container, "!web")]).decide(&owner), Verdict::No);
    // Nothing more comes.
    owner.facts.awaited = Awaited::NONE;
    owner.facts.name = Some("c2".to_owned());
    for given in open {
        let expected = given.1.contains('!') || given == (S::Container, "c2");
        assert_eq!(parse(&[given]).decide(&owner), expected.into(), "{given:?}");
    }
}

#[test]
fn errors_name_flag_place_and_cure() {
    use Selector as S;
    for (given, words) in [
        (
            (S::Container, "web,,x"),
            ["--containername", "character 5", "leave out the comma"],
        ),
        (
            (S::Container, ""),
            ["--containername", "character 1", "missing"],
        ),
        (
            (S::Container, "a,!"),
            ["--containername", "character 3", "missing"],
        ),
        ((S::Image, "ä,[x"), ["--image", "character 3", "add ]"]),
        (
            (S::ImageDigest, "abc"),
            ["--image-digest", "character 1", "abc*"],
        ),
        (
            (S::Runtime, "dokcer"),
            ["--runtime", "no runtime", "podman"],
        ),
        (
            (S::Unit, "a,user.slice"),
            ["--unit", "character 3", "--cgroup"],
        ),
        (
            (S::Cgroup, "/a/../b"),
            ["--cgroup", "character 1", "from the root"],
        ),
        (
            (S::PodLabels, "app=web,tier in x"),
            ["--k8s-selector", "character 17", "(a, b)"],
        ),
        (
            (S::Scope, "pods"),
            ["--scope", "character 1", "containers and host"],
        ),
    ] {
        let error = Selectors::parse([given]).map_err(|error| error.to_string());
        let error = error.err().unwrap_or_default();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let error = Selectors::parse([(S::Scope, "host"), (S::Pod, "x")]);
    assert_eq!(error, Err(SelectorError::NoContainers("k8s-podname")));
}

#[test]
fn flags_have_names_of_their_own_and_those_of_inspektor_gadget() {
    let mut names: Vec<&str> = Selector::ALL
        .into_iter()
        .flat_map(|s| s.aliases().iter().copied().chain([s.flag()]))
        .collect();
    for selector in Selector::ALL {
        assert_eq!(Selector::of_flag(selector.flag()), Some(selector));
        for alias in selector.aliases() {
            assert_eq!(Selector::of_flag(alias), Some(selector));
        }
    }
    names.sort_unstable();
    assert!(names.windows(2).all(|two| two[0] != two[1]));
    assert_eq!(Selector::of_flag("nothing"), None);
    assert!(parse(&[]).is_empty() && parse(&[(Selector::Scope, "all")]).is_empty());
    assert!(!parse(&[(Selector::Scope, "host")]).is_empty());
    assert!(!parse(&[(Selector::Pod, "x")]).is_empty());
    let by_cgroup = |given: &[_]| parse(given).picks_by_cgroup();
    let (unit, cgroup) = ((Selector::Unit, "x"), (Selector::Cgroup, "/x"));
    assert_eq!(by_cgroup(&[cgroup, unit]), Some("unit"));
    assert_eq!(by_cgroup(&[cgroup]), Some("cgroup"));
    assert_eq!(by_cgroup(&[cgroup, (Selector::Scope, "containers")]), None);
    assert_eq!(by_cgroup(&[unit, (Selector::Container, "web")]), None);
    assert_eq!(by_cgroup(&[(Selector::Scope, "host")]), None);
    assert!(parse(&[(Selector::Pod, "x")]).only_containers());
    assert!(!parse(&[(Selector::Unit, "x")]).only_containers());
}
