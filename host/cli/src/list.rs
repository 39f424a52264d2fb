//! `ig list-containers`.

use crate::gadgets::Scope;
use crate::{Failure, args, containers, exit, run, selectors, sinks};
use clap::{Arg, ArgAction, ArgMatches, Command};
use ig_engine::Say;
use ig_engine::listing::{ListOptions, list};
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

/// Its part of the one definition.
pub fn command() -> Command {
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
        .args(selectors::flags().map(own))
        .args(output.cloned())
        .args(containers::flags())
        .after_help(
            "--filter has all columns and regular expressions: --filter 'image ~ \"^nginx\"'.\n\
             All columns: --fields scope,runtime,namespace,pod,container,image,container_id,container_pid,\
             container_started,image_id,image_digest,labels,pod_uid,pod_container,pod_labels,pod_owner_kind,pod_owner,\
             host_network,unit,cgroup_path",
        )
}

/// What selectors have of their own here: letters that are other flags' in `ig run`, and what there is of a scope.
fn own(flag: Arg) -> Arg {
    match flag.get_id().as_str() {
        "k8s-namespace" => flag.short('n'),
        "k8s-podname" => flag.short('p'),
        "scope" => {
            flag.help("containers or all: the sandboxes of pods too, which are left out without it")
        }
        _ => flag,
    }
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
    let selectors = selectors::selectors(matches).map_err(|e| Failure::new(exit::USAGE, e))?;
    let say: Say = Arc::new(|text: &str| {
        // Nobody to tell is no reason to stop.
        let _ = writeln!(io::stderr(), "ig: {text}");
    });
    let scope = Scope {
        matches,
        gadget: None,
        listed: None,
    };
    let listed = list(ListOptions {
        containers: containers::options(matches),
        watch: matches.get_flag("watch"),
        selectors,
        output: sinks::options(scope, &specs, sinks::GADGET, terminal.as_ref()).map_err(other)?,
        stop,
        say,
    });
    listed.map(|()| 0).map_err(run::refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ig_engine::listing::ContainerField;

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
