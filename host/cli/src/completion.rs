//! `ig completion`: what a shell needs to complete command lines, from the one definition of them.

use crate::{Failure, args, exit, print};
use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;

/// Its part of the one definition.
pub fn command() -> Command {
    Command::new("completion")
        .about("Prints completions for a shell")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(["bash", "zsh", "fish"])
                .help("The shell"),
        )
        .after_help(
            "To have them in every shell, as root:\n\n  \
             ig completion bash > /usr/share/bash-completion/completions/ig\n  \
             ig completion zsh > /usr/share/zsh/vendor-completions/_ig\n  \
             ig completion fish > /usr/share/fish/vendor_completions.d/ig.fish\n\n\
             In this bash alone:\n\n  \
             source <(ig completion bash)",
        )
}

/// `ig completion`.
pub fn main(matches: &ArgMatches) -> Result<u8, Failure> {
    let Some(shell) = matches.get_one::<String>("shell").and_then(|s| shell(s)) else {
        return Ok(exit::USAGE);
    };
    print(&script(shell)).map(|()| 0)
}

fn shell(name: &str) -> Option<Shell> {
    match name {
        "bash" => Some(Shell::Bash),
        "zsh" => Some(Shell::Zsh),
        "fish" => Some(Shell::Fish),
        _ => None,
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut program = args::program();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "ig", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All names of subcommands and long flags, at any depth.
    fn words(command: &Command, found: &mut Vec<String>) {
        found.extend(
            command
                .get_arguments()
                .filter_map(|arg| arg.get_long().map(str::to_owned)),
        );
        for below in command.get_subcommands() {
            found.push(below.get_name().to_owned());
            words(below, found);
        }
    }

    #[test]
    fn every_subcommand_and_flag_is_in_the_script_of_each_shell() {
        let mut expected = Vec::new();
        words(&args::program(), &mut expected);
        assert!(expected.len() > 20, "{expected:?}");
        for name in ["bash", "zsh", "fish"] {
            let script = String::from_utf8(script(shell(name).unwrap())).unwrap();
            for word in &expected {
                assert!(script.contains(word.as_str()), "no {word} for {name}");
            }
        }
    }
}
