//! `ig new`: the folder of a gadget to begin with.

use crate::{Failure, exit, image, print};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use ig_engine::build::template::{self, TemplateError};
use std::ffi::OsStr;
use std::path::Path;

/// Its definition.
pub fn command() -> Command {
    Command::new("new")
        .about("Makes the folder of a new gadget, which builds, runs and has a test")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help("The gadget's name, and its folder's: lower-case letters, digits, _ and -"),
        )
        .arg(
            Arg::new("lang")
                .long("lang")
                .value_name("LANGUAGE")
                .value_parser(PossibleValuesParser::new(template::languages()))
                .default_value("none")
                .help("What its guest is written in; none: the host decodes the records by itself"),
        )
}

/// `ig new`.
pub fn main(matches: &ArgMatches) -> Result<u8, Failure> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let (name, language) = (text("name"), text("lang"));
    // It is the calling user's.
    let arguments = ["new", "--lang", language, "--", name].map(OsStr::new);
    if let Some(code) = image::as_caller(&arguments)? {
        return Ok(code);
    }
    template::create(Path::new("."), name, language).map_err(|e| match e {
        TemplateError::Name(_) | TemplateError::Language(_) | TemplateError::Taken(_) => {
            Failure::new(exit::USAGE, e)
        }
        _ => Failure::new(exit::OTHER, e),
    })?;
    print(
        format!(
            "{name}/README.md says what there is. Try it:\n  ig test {name}\n  sudo ig run ./{name} -- ls /\n"
        )
        .as_bytes(),
    )?;
    Ok(0)
}
