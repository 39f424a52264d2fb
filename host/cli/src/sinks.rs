//! Outputs, from the arguments.

use anyhow::{Result, bail};
use clap::ArgMatches;
use ig_engine::options::{Fields, OutputOptions, Place, SinkOptions};
use ig_engine::output::{FileOptions, Format, OutputSpec, TerminalOptions, TerminalSize};
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// The outputs asked for, of which `-o` asked for these; each goes somewhere of its own.
pub fn specs(
    matches: &ArgMatches,
    asked: Vec<OutputSpec>,
    stdout_is_terminal: bool,
) -> Result<Vec<OutputSpec>> {
    let file = matches.get_one::<PathBuf>("output-file").cloned();
    let specs = OutputSpec::all(asked, file)?;
    if let Some(spec) = specs
        .iter()
        .find(|spec| stdout_is_terminal && spec.format.is_binary() && spec.file.is_none())
    {
        bail!(
            "{0} is not for a terminal; send it to a program or to a file: -o {0}=FILE",
            spec.format
        );
    }
    let rotates = ["rotate-size", "rotate-time"]
        .into_iter()
        .find(|flag| matches.contains_id(flag));
    if let Some(flag) = rotates.filter(|_| specs.iter().all(|spec| spec.file.is_none())) {
        bail!("--{flag} is for files, and no output goes to one; see --output-file");
    }
    Ok(specs)
}

/// Whether one of them goes to standard output.
pub fn take_stdout(specs: &[OutputSpec]) -> bool {
    specs
        .iter()
        .any(|spec| spec.file.is_none() && spec.format != Format::None)
}

/// What a flag says that not every command has.
fn known<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, flag: &str) -> Option<T> {
    matches.try_get_one(flag).ok().flatten().cloned()
}

/// Outputs as the engine wants them. `terminal`: standard output is one.
pub fn options(
    matches: &ArgMatches,
    specs: Vec<OutputSpec>,
    terminal: Option<TerminalSize>,
) -> io::Result<OutputOptions> {
    let sink = |spec: OutputSpec| -> io::Result<SinkOptions> {
        let name = spec.to_string();
        let OutputSpec { format, file } = spec;
        let place = match file {
            Some(path) => Place::File(FileOptions {
                path,
                rotate_size: matches.get_one("rotate-size").copied(),
                rotate_after: matches.get_one("rotate-time").copied(),
            }),
            None if format == Format::None => {
                Place::Writer(Box::new(io::sink()), TerminalOptions::default())
            }
            None => {
                // Not std's own handle: it holds lines back in a buffer of its own.
                let stdout = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
                let terminal = match terminal.clone() {
                    Some(size) => TerminalOptions::terminal(
                        size,
                        std::env::var_os("NO_COLOR").as_deref(),
                        std::env::var_os("TERM").as_deref(),
                    ),
                    None => TerminalOptions::default(),
                };
                Place::Writer(Box::new(File::from(stdout)), terminal)
            }
        };
        Ok(SinkOptions {
            name,
            format,
            place,
        })
    };
    let mut sinks = specs.into_iter().map(sink);
    let main = sinks
        .next()
        .unwrap_or_else(|| Err(io::Error::other("no output is asked for")))?;
    Ok(OutputOptions {
        main,
        others: sinks.collect::<io::Result<_>>()?,
        table: known(matches, "table"),
        fields: matches
            .get_one("fields")
            .cloned()
            .map_or(Fields::Shown, Fields::Named),
        filter: matches.get_one("filter").cloned(),
        sort: matches.get_one("sort").cloned(),
        max_rows: matches.get_one("max-rows").copied(),
        interval: known(matches, "interval"),
        redact: matches
            .get_many::<String>("redact")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
    })
}
