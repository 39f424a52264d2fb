//! The program: arguments, terminal, exit codes.

mod args;
mod caller;
mod completion;
mod containers;
mod doctor;
mod gadgets;
mod image;
mod list;
mod man;
mod new;
mod recording;
mod replay;
mod run;
mod selectors;
mod sinks;
mod test;
mod units;
mod version;

use clap::ArgMatches;
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Exit codes that are the program's own; docs/SPECIFICATION.md lists them all.
mod exit {
    pub const USAGE: u8 = 2;
    pub const LOSS: u8 = 120;
    pub const TRAPS: u8 = 121;
    pub const KERNEL: u8 = 122;
    pub const REFUSED: u8 = 123;
    pub const OTHER: u8 = 125;
    pub const NOT_RUNNABLE: u8 = 126;
    pub const NOT_FOUND: u8 = 127;
}

/// An error with the exit code that tells scripts what it was.
struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
        }
    }

    /// Says what went wrong, in one line.
    fn tell(&self) {
        eprintln!("ig: {}", told(&self.error));
    }
}

fn main() -> ExitCode {
    // Guests are compiled by this same program, confined: a process started for that does nothing else.
    if let Some(code) = ig_engine::compile_child() {
        return code;
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    let result = match args.get(1).and_then(|a| a.to_str()) {
        Some("run") => run::main(&args, args::run()),
        Some("record") => run::main(&args, args::record()),
        _ => {
            let matches = args::program().get_matches_from(args);
            subcommand(&matches)
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code)
        }
    }
}

/// The error and its causes, leaving out a cause that the text before it has told already.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    plain(&text)
}

/// Characters of an error that are shown: the mistakes of a manifest, each with long names, fit in.
const MOST_SHOWN: usize = 25_000;

/// Names in an error come from bundles: they are of any length, and a terminal obeys what they hold.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MOST_SHOWN));
    for c in text.chars().take(MOST_SHOWN) {
        if c.is_control() && c != '\n' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if text.chars().nth(MOST_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Writes to standard output; a reader that went away has seen what it wanted.
fn print(text: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().write_all(text) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::new(exit::OTHER, e)),
        _ => Ok(()),
    }
}

fn subcommand(matches: &ArgMatches) -> Result<u8, Failure> {
    match matches.subcommand() {
        Some(("image", image)) => match image.subcommand() {
            Some(("build", m)) => image::build(m),
            Some(("inspect", m)) => image::inspect(m),
            _ => Ok(exit::USAGE),
        },
        Some(("recording", recording)) => match recording.subcommand() {
            Some(("show", m)) => recording::show(m),
            _ => Ok(exit::USAGE),
        },
        Some(("new", m)) => new::main(m),
        Some(("list-containers", m)) => list::main(m),
        Some(("test", m)) => test::main(m),
        Some(("doctor", m)) => doctor::main(m),
        Some(("completion", m)) => completion::main(m),
        Some(("man", m)) => man::main(m),
        Some(("version", m)) => version::main(m),
        _ => Ok(exit::USAGE),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_error_moves_no_cursor() {
        let error = anyhow::anyhow!("`\x1b[2J\u{9b}`").context("two\nlines\r");
        assert_eq!(super::told(&error), "two\nlines\\r: `\\u{1b}[2J\\u{9b}`");
        let long = anyhow::anyhow!("x".repeat(1 << 20));
        assert_eq!(super::told(&long).len(), super::MOST_SHOWN + 3);
    }
}
