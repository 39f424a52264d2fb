//! Outputs, from the arguments.

use crate::gadgets::Scope;
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

/// What stands for the gadget's name in that of a file.
pub const GADGET: &str = "{gadget}";

/// The outputs asked for, with a file for each gadget where its name is to be in that of the file.
fn of_gadget(specs: &[OutputSpec], gadget: &str) -> Vec<OutputSpec> {
    let mut specs = specs.to_vec();
    for spec in &mut specs {
        let own = spec.file.as_ref().and_then(|file| file.to_str());
        if let Some(own) = own.map(|file| file.replace(GADGET, gadget)) {
            spec.file = Some(PathBuf::from(own));
        }
    }
    specs
}

/// Whether each gadget has a file of its own.
fn is_own(spec: &OutputSpec) -> bool {
    let file = spec.file.as_ref().and_then(|file| file.to_str());
    file.is_some_and(|file| file.contains(GADGET))
}

/// Outputs that several gadgets share: all but those with a file for each.
pub fn shared(
    matches: &ArgMatches,
    specs: &[OutputSpec],
    terminal: Option<&TerminalSize>,
) -> io::Result<Vec<SinkOptions>> {
    let shared = specs.iter().filter(|spec| !is_own(spec));
    shared
        .map(|spec| sink(matches, spec.clone(), terminal))
        .collect()
}

/// Outputs of one gadget of several, as the engine wants them: it has part in those of [`shared`].
pub fn of_several(
    scope: Scope<'_>,
    specs: &[OutputSpec],
    gadget: &str,
) -> io::Result<OutputOptions> {
    let mut shared = 0;
    let own = specs.iter().zip(of_gadget(specs, gadget));
    let sinks = own.map(|(spec, own)| {
        if is_own(spec) {
            return sink(scope.matches, own, None);
        }
        shared += 1;
        Ok(SinkOptions {
            name: spec.to_string(),
            format: spec.format,
            place: Place::Shared(shared - 1),
        })
    });
    let sinks = sinks.collect::<io::Result<Vec<_>>>()?;
    chosen(scope, sinks)
}

/// Outputs of the only gadget, or of what is none, as the engine wants them. `terminal`: standard output is one.
pub fn options(
    scope: Scope<'_>,
    specs: &[OutputSpec],
    gadget: &str,
    terminal: Option<&TerminalSize>,
) -> io::Result<OutputOptions> {
    let sinks = of_gadget(specs, gadget).into_iter();
    let sinks = sinks.map(|spec| sink(scope.matches, spec, terminal));
    let sinks = sinks.collect::<io::Result<Vec<_>>>()?;
    chosen(scope, sinks)
}

fn sink(
    matches: &ArgMatches,
    spec: OutputSpec,
    terminal: Option<&TerminalSize>,
) -> io::Result<SinkOptions> {
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
                let terminal = match terminal.cloned() {
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
    sink(spec)
}

/// What is shown, in these outputs.
fn chosen(scope: Scope<'_>, sinks: Vec<SinkOptions>) -> io::Result<OutputOptions> {
    let mut sinks = sinks.into_iter();
    let main = sinks.next();
    let main = main.ok_or_else(|| io::Error::other("no output is asked for"))?;
    let fields = scope.get("fields", |listed| listed.fields.clone());
    Ok(OutputOptions {
        main,
        others: sinks.collect(),
        table: scope.get("table", |listed| listed.table.clone()),
        fields: fields.map_or(Fields::Shown, Fields::Named),
        filter: scope.get("filter", |listed| listed.filter.clone()),
        sort: scope.get("sort", |listed| listed.sort.clone()),
        max_rows: scope.get("max-rows", |listed| listed.max_rows),
        interval: scope.get("interval", |listed| listed.interval),
        redact: scope.redact(),
    })
}
