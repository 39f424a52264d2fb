//! Flags of who says whose records are.

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use ig_engine::containers::{ContainerOptions, Runtime};
use std::path::PathBuf;

/// The runtimes that have an API, with the flag of its socket.
const SOCKETS: [(Runtime, &str); 4] = [
    (Runtime::Docker, "docker-socketpath"),
    (Runtime::Containerd, "containerd-socketpath"),
    (Runtime::Crio, "crio-socketpath"),
    (Runtime::Podman, "podman-socketpath"),
];

/// The flags.
pub fn flags() -> [Arg; 5] {
    let socket = |(runtime, flag): (Runtime, &'static str)| {
        Arg::new(flag)
            .long(flag)
            .value_name("PATH")
            .value_parser(value_parser!(PathBuf))
            .help(format!(
                "Where {runtime} listens, if not where it usually does"
            ))
            .help_heading("Containers")
    };
    let [docker, containerd, crio, podman] = SOCKETS.map(socket);
    let runtimes = Arg::new("runtimes")
        .short('r')
        .long("runtimes")
        .value_name("NAMES")
        .action(ArgAction::Append)
        .value_delimiter(',')
        .value_parser(|name: &str| name.parse::<Runtime>())
        .help(
            "Only these container runtimes: docker, containerd, cri-o, podman, runc, crun \
             [default: all that are there]",
        )
        .help_heading("Containers");
    [runtimes, docker, containerd, crio, podman]
}

/// What they say.
pub fn options(matches: &ArgMatches) -> ContainerOptions {
    let mut options = ContainerOptions::default();
    if let Some(runtimes) = matches.get_many("runtimes") {
        options.runtimes = runtimes.copied().collect();
    }
    let sockets = SOCKETS.iter().filter_map(|(runtime, flag)| {
        let path = matches.get_one::<PathBuf>(flag)?;
        Some((*runtime, path.clone()))
    });
    options.sockets = sockets.collect();
    options
}
