//! `cargo xtask`: set-up, demo, test, bench, fuzz and the checks, each one command on a fresh machine.
//!
//! Every command can be run again at any time: what is there already is left as it is. Whatever is
//! started is printed first, and a failure ends with one line that says what to do.

mod build;
mod check;
mod command;
mod fuzz;
mod place;
mod root;
mod setup;
mod verify;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND

  setup [--bench] [--check]  install what is missing (apt-get, rustup, pip); --bench: also what the
                             benches compare with; --check: also the pinned cargo-deny
  demo                       set up, build, and run trace_exec live over a few commands
  test [--full] [-- ARGS]    set up, build, and run every test, those that need root too
                             (through sudo when you are not root); ARGS go to `cargo test`
  bench [--quick]            set up, build, run the benches; writes target/bench.json
  fuzz [--full]              build and run every fuzz target, a minute each; --full: ten
  fmt                        format all Rust sources
  check                      formatting, clippy with warnings as errors, licences and sources
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        print!("{USAGE}");
        return Ok(());
    };
    // The runner of `cargo test` starts test binaries in their own folder: stay there.
    if command == "as-root" {
        return root::run_as_root(rest);
    }
    let (flags, passed) = match rest.iter().position(|argument| argument == "--") {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &rest[rest.len()..]),
    };
    let known: &[&str] = match command.as_str() {
        "setup" => &["--bench", "--check"],
        "test" | "fuzz" => &["--full"],
        "bench" => &["--quick"],
        _ => &[],
    };
    for flag in flags {
        if !known.contains(&flag.as_str()) {
            bail!("`{command}` does not take `{flag}`\n\n{USAGE}");
        }
    }
    if !passed.is_empty() && command != "test" {
        bail!("only `test` passes arguments on\n\n{USAGE}");
    }
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    let place = place::Place::find()?;
    match command.as_str() {
        "setup" => {
            setup::build_tools(&place)?;
            setup::componentize(&place)?;
            setup::runtimes()?;
            if has("--bench") {
                setup::bench_tools()?;
                setup::readers(&place)?;
            }
            if has("--check") {
                setup::cargo_deny(&place)?;
            }
            println!("xtask: all there");
            Ok(())
        }
        "demo" => verify::demo(&place),
        "test" => verify::test(&place, has("--full"), passed),
        "bench" => verify::bench(&place, has("--quick")),
        "fuzz" => fuzz::fuzz(&place, has("--full")),
        "fmt" => check::fmt(&place),
        "check" => check::check(&place),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no command `{other}`\n\n{USAGE}"),
    }
}
