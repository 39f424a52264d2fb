//! `ig list-containers`.

use crate::{Failure, args, containers, exit, run, sinks};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use ig_engine::Say;
use ig_engine::containers::Runtime;
use ig_engine::listing::{ContainerField, ListOptions, list};
use ig_engine::output::{OutputSpec, TerminalSize};
use ig_engine::stop::Stop;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

/// Flags of `ig run` that say where rows go and how they look, and are the same here.
const OUTPUT: [&str; 9] = [
    "output",
    "output-file",
    "rotate-size",
    "rotate-time",
    "redact",
    "fields",
    "filter",
    "sort",
    "max-rows",
];

/// Flags that choose containers by what they have.
const ONLY: [(&str, ContainerField); 4] = [
    ("runtime", ContainerField::Runtime),
    ("containername", ContainerField::Container),
    ("k8s-namespace", ContainerField::Namespace),
    ("k8s-podname", ContainerField::Pod),
];

/// Its part of the one definition.
pub fn command() -> Command {
    let only = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("NAME")
            .value_parser(value_parser!(String))
            .help(help)
    };
    let run = args::run();
    let output = run
        .get_arguments()
        .filter(|arg| OUTPUT.contains(&arg.get_id().as_str()));
    Command::new("list-containers")
        .about("Lists the containers that are there, and with --watch those that come and go")
        .arg(
            Arg::new("watch")
                .short('w')
                .long("watch")
                .action(ArgAction::SetTrue)
                .help("Goes on: the column `event` says existing, added, changed or removed"),
        )
        .arg(
            only("runtime", "Only those of this runtime")
                .value_parser(|name: &str| name.parse::<Runtime>().map(|r| r.to_string())),
        )
        .arg(only("containername", "Only those of this name").short('c'))
        .arg(only("k8s-namespace", "Only those of pods in this namespace").short('n'))
        .arg(only("k8s-podname", "Only those of pods of this name").short('p'))
        .args(output.cloned())
        .args(containers::flags())
        .after_help(
            "Names are exact; --filter has patterns and all columns: --filter 'image ~ \"^nginx\"'.\n\
             All columns: --fields scope,runtime,namespace,pod,container,image,container_id,container_pid,\
             container_started,image_id,image_digest,labels,pod_uid,pod_container,pod_labels,pod_owner_kind,pod_owner,\
             host_network,unit,cgroup_path",
        )
}

/// `ig list-containers`.
pub fn main(matches: &ArgMatches) -> Result<u8, Failure> {
    let other = |e: io::Error| Failure::new(exit::OTHER, e);
    let stdout_is_terminal = io::stdout().is_terminal();
    let asked = matches.get_many::<OutputSpec>("output");
    let asked = asked.into_iter().flatten().cloned().collect();
    let specs = sinks::specs(matches, asked, stdout_is_terminal)
        .map_err(|e| Failure::new(exit::USAGE, e))?;
    let stop = Arc::new(Stop::new().map_err(other)?);
    let terminal = stdout_is_terminal.then(|| TerminalSize::new(run::terminal_width()));
    run::listen(stop.clone(), terminal.clone()).map_err(other)?;
    let only = ONLY.iter().filter_map(|(flag, field)| {
        let value = matches.get_one::<String>(flag)?;
        Some((*field, value.clone()))
    });
    let say: Say = Arc::new(|text: &str| {
        // Nobody to tell is no reason to stop.
        let _ = writeln!(io::stderr(), "ig: {text}");
    });
    let listed = list(ListOptions {
        containers: containers::options(matches),
        watch: matches.get_flag("watch"),
        only: only.collect(),
        output: sinks::options(matches, specs, terminal).map_err(other)?,
        stop,
        say,
    });
    listed.map(|()| 0).map_err(run::refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_named_in_the_help() {
        let help = command().render_long_help().to_string();
        for field in ContainerField::ALL {
            assert!(help.contains(field.name()), "{}", field.name());
        }
        for flag in OUTPUT {
            assert!(help.contains(&format!("--{flag}")), "{flag}");
        }
    }
}
