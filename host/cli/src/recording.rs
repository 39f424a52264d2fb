//! `ig recording`: looking at recordings.

use crate::{Failure, args, exit, print, run};
use clap::{Arg, ArgMatches, Command, value_parser};
use ig_engine::recording::Contents;
use std::path::PathBuf;

/// Its definition.
pub fn command() -> Command {
    Command::new("recording")
        .about("Looks at recordings that `ig record` made")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("show")
                .about("Shows what a recording is of and what is in it")
                .arg(
                    Arg::new("file")
                        .value_name("FILE.igrec")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("The recording"),
                )
                .arg(args::text_or_json()),
        )
}

/// `ig recording show`.
pub fn show(matches: &ArgMatches) -> Result<u8, Failure> {
    let Some(path) = matches.get_one::<PathBuf>("file") else {
        return Ok(exit::USAGE);
    };
    let contents = Contents::read(path).map_err(run::refusal)?;
    let text = match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => contents.to_json(),
        _ => contents.to_string(),
    };
    print(text.as_bytes())?;
    Ok(0)
}
