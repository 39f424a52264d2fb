//! `ig run` and `ig record`: from the arguments to a running gadget, and from its end to an exit code.

use crate::args::RecordOutput;
use crate::{Failure, args, caller, containers, exit, replay, selectors, sinks};
use anyhow::{Context, anyhow, bail};
use clap::{ArgMatches, Command};
use ig_engine::Say;
use ig_engine::bundle::{Arch, Bundle};
use ig_engine::command::{CommandError, CommandSpec};
use ig_engine::options::{GuestLimits, RunError, RunOptions, Target};
use ig_engine::output::{Format, OutputSpec, TerminalSize};
use ig_engine::record::RecordOptions;
use ig_engine::replay::ReplayOptions;
use ig_engine::run::Outcome;
use ig_engine::stop::{Reason, Stop};
use signal_hook::consts::{SIGINT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs `ig run` or `ig record` with the whole command line.
pub fn main(args: &[OsString], definition: Command) -> Result<u8, Failure> {
    let after = args.get(2..).unwrap_or_default();
    let name = definition.get_name().to_owned();
    let Some(path) = args::find_bundle(&definition, after).map(PathBuf::from) else {
        // Help, a usage error, or nothing to run: the plain definition knows what to say.
        args::program().get_matches_from(args);
        return Err(Failure::new(
            exit::USAGE,
            anyhow!("no bundle is given; see `ig {name} --help`"),
        ));
    };
    let (file, bundle) = open(&path)?;
    // The gadget's own parameters stand beside the host's flags, so one definition parses, refuses and explains all.
    let tables = ig_engine::columns::tables(&bundle).map_err(refusal)?;
    let program = OsString::from(format!("ig {name}"));
    let matches = args::with_gadget(definition, &bundle.manifest, &tables)
        .get_matches_from(std::iter::once(program).chain(after.iter().cloned()));
    start(&file, bundle, &name, &matches)
}

/// The bundle and its file, built first when the path is a gadget's folder.
fn open(path: &Path) -> Result<(PathBuf, Bundle), Failure> {
    let file = if path.is_dir() {
        build(path)?
    } else {
        path.to_owned()
    };
    let bundle = Bundle::open(&file, Arch::host()).map_err(|e| Failure::new(exit::REFUSED, e))?;
    Ok((file, bundle))
}

fn build(dir: &Path) -> Result<PathBuf, Failure> {
    let out = dir.join(".ig").join("run.oci");
    crate::image::build_to(dir, Some(&out), None, None, false)?;
    Ok(out)
}

/// The recording and the rows that `-o` asks for.
fn asked(name: &str, matches: &ArgMatches) -> anyhow::Result<(Option<PathBuf>, Vec<OutputSpec>)> {
    if name != "record" {
        let rows = matches
            .get_many::<OutputSpec>("output")
            .into_iter()
            .flatten();
        return Ok((None, rows.cloned().collect()));
    }
    let (mut recordings, mut rows) = (Vec::new(), Vec::new());
    for output in matches
        .get_many::<RecordOutput>("output")
        .into_iter()
        .flatten()
    {
        match output {
            RecordOutput::Recording(path) => recordings.push(path.clone()),
            RecordOutput::Rows(spec) => rows.push(spec.clone()),
        }
    }
    if recordings.len() != 1 {
        bail!("`ig record` makes one recording; say which: -o FILE.igrec");
    }
    if rows.is_empty() && !matches.contains_id("output-file") {
        rows.push(OutputSpec {
            format: Format::None,
            file: None,
        });
    }
    Ok((recordings.pop(), rows))
}

fn start(file: &Path, bundle: Bundle, name: &str, matches: &ArgMatches) -> Result<u8, Failure> {
    let other = |e: io::Error| Failure::new(exit::OTHER, e);
    let usage = |e: anyhow::Error| Failure::new(exit::USAGE, e);
    let (recording, rows) = asked(name, matches).map_err(usage)?;
    // Before anything is opened for writing: what is replayed may be wrong.
    let (bundle, replayed) = match replay_of(name, matches) {
        Some(path) => {
            let (bundle, recording) = replay::open(path, file, bundle)?;
            (bundle, Some(recording))
        }
        None => (bundle, None),
    };
    // Opened before anything runs: a path that can't be written is an error now, not at the end.
    let summary_file = match matches.get_one::<PathBuf>("summary") {
        Some(path) => {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .open(path);
            Some((
                path,
                file.with_context(|| format!("--summary: can't write {}", path.display()))
                    .map_err(|e| Failure::new(exit::OTHER, e))?,
            ))
        }
        None => None,
    };
    let stop = Arc::new(Stop::new().map_err(other)?);
    let stdout_is_terminal = io::stdout().is_terminal();
    let specs = sinks::specs(matches, rows, stdout_is_terminal).map_err(usage)?;
    let terminal = stdout_is_terminal.then(|| TerminalSize::new(terminal_width()));
    listen(stop.clone(), terminal.clone()).map_err(other)?;
    let command = matches
        .get_many::<OsString>("command")
        .and_then(|mut words| {
            Some(CommandSpec {
                program: words.next()?.clone(),
                args: words.cloned().collect(),
                caller: caller::caller(),
                stdout_to_stderr: !stdout_is_terminal && sinks::take_stdout(&specs),
            })
        });
    let verbose = matches.get_flag("verbose");
    let selectors = selectors::selectors(matches).map_err(|e| Failure::new(exit::USAGE, e))?;
    let limits = guest_limits(matches);
    let output = sinks::options(matches, specs, terminal).map_err(other)?;
    let params = args::params(&bundle.manifest, matches);
    let cache = cache_folder();
    let say: Say = Arc::new(|text: &str| {
        // Nobody to tell is no reason to stop.
        let _ = writeln!(io::stderr(), "ig: {text}");
    });
    let outcome = match replayed {
        Some(recording) => ig_engine::replay::replay(ReplayOptions {
            params,
            bundle,
            limits: replay::limits(matches, limits, recording.limits(), &say),
            recording,
            output,
            directory: None,
            cache,
            verbose,
            stop,
            say,
        }),
        None => ig_engine::run::run(RunOptions {
            params,
            bundle,
            target: Target {
                pid: matches.get_one("pid").copied(),
                tid: matches.get_one("tid").copied(),
                comm: matches.get_one("comm").cloned(),
                uid: matches.get_one("uid").copied(),
                gid: matches.get_one("gid").copied(),
            },
            selectors,
            max_rate: matches.get_one("max-rate").copied(),
            command,
            timeout: matches.get_one("timeout").copied(),
            ring_size: matches.get_one("ring-size").copied(),
            record: recording.map(|path| RecordOptions {
                path,
                owner: caller::caller().map(|caller| (caller.uid, caller.gid)),
            }),
            limits,
            output,
            containers: containers::options(matches),
            cache,
            verbose,
            stop,
            say,
        }),
    };
    let outcome = outcome.map_err(refusal)?;
    // The summary never goes to standard output, so that a pipe to another program stays whole.
    let _ = write!(io::stderr(), "{}", outcome.summary);
    if let Some((path, mut file)) = summary_file {
        let json = outcome.summary.to_json();
        file.write_all(json.as_bytes())
            .with_context(|| format!("--summary: can't write {}", path.display()))
            .map_err(|e| Failure::new(exit::OTHER, e))?;
    }
    let strict = replay_of(name, matches).is_some() && matches.get_flag("strict");
    code(outcome, matches.get_flag("fail-on-loss"), strict)
}

/// What the guest may use.
pub fn guest_limits(matches: &ArgMatches) -> GuestLimits {
    GuestLimits {
        cpu_per_call: args::duration(matches, "guest-cpu-time"),
        memory: matches.get_one("guest-memory").copied().unwrap_or(0),
        host_calls: matches.get_one("guest-host-calls").copied().unwrap_or(0),
        staging: matches.get_one("guest-staging").copied().unwrap_or(0),
        max_traps: matches.get_one("max-traps").copied().unwrap_or(0),
    }
}

/// What to replay.
fn replay_of<'a>(name: &str, matches: &'a ArgMatches) -> Option<&'a PathBuf> {
    (name == "run").then(|| matches.get_one::<PathBuf>("replay"))?
}

/// What the exit code says about a run that was.
fn code(outcome: Outcome, fail_on_loss: bool, strict: bool) -> Result<u8, Failure> {
    let Outcome {
        summary,
        reason,
        write_error,
        command,
    } = outcome;
    let command = match command {
        Some(Err(e)) => {
            let code = match &e {
                CommandError::NotFound { .. } => exit::NOT_FOUND,
                CommandError::NotRunnable { .. } => exit::NOT_RUNNABLE,
                CommandError::Resources(_) => exit::OTHER,
            };
            return Err(Failure::new(code, e));
        }
        Some(Ok(ended)) => Some(ended),
        None => None,
    };
    if let Some(what) = write_error {
        return Err(Failure::new(exit::OTHER, anyhow!(what)));
    }
    if reason == Reason::Traps {
        return Err(Failure::new(
            exit::TRAPS,
            anyhow!("the guest trapped too often; --max-traps allows more"),
        ));
    }
    if fail_on_loss && summary.any_loss() {
        return Err(Failure::new(
            exit::LOSS,
            anyhow!("something was lost, and --fail-on-loss is set"),
        ));
    }
    if strict && !summary.unanswered.is_empty() {
        return Err(Failure::new(
            exit::LOSS,
            anyhow!("the guest asked what the recording has no answer to, and --strict is set"),
        ));
    }
    Ok(command.filter(|c| !c.by_us).map_or(0, |c| c.status))
}

pub fn refusal(error: RunError) -> Failure {
    let code = match &error {
        RunError::Usage(_) => exit::USAGE,
        RunError::Missing(_) | RunError::Kernel(_) => exit::KERNEL,
        RunError::Refused(_) | RunError::Recording(_) => exit::REFUSED,
        RunError::Init(_) => exit::TRAPS,
        RunError::Command(CommandError::NotFound { .. }) => exit::NOT_FOUND,
        RunError::Command(CommandError::NotRunnable { .. }) => exit::NOT_RUNNABLE,
        RunError::Command(CommandError::Resources(_)) | RunError::Host(_) => exit::OTHER,
    };
    Failure::new(code, error)
}

/// Signals become requests; the second one to end does not wait for the first.
pub fn listen(stop: Arc<Stop>, terminal: Option<TerminalSize>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGWINCH])?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGWINCH => {
                        if let Some(size) = &terminal {
                            size.set(terminal_width());
                        }
                    }
                    _ if stop.reason() == Some(Reason::Signal) => std::process::exit(128 + signal),
                    _ => stop.request(Reason::Signal),
                }
            }
        })?;
    Ok(())
}

/// Columns of the terminal; 80 when it does not say.
pub fn terminal_width() -> u16 {
    match rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col,
        _ => 80,
    }
}

/// Where compiled guests are kept: the system's cache for root, the user's own otherwise.
pub fn cache_folder() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/cache/ig/components"));
    }
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    base.is_absolute()
        .then(|| base.join("ig").join("components"))
}
