//! `ig run` and `ig record`: from the arguments to a running gadget, and from its end to an exit code.

use crate::args::{RecordOutput, SCOPED};
use crate::gadgets::{Gadget, Scope};
use crate::{Failure, args, caller, containers, exit, gadgets, replay, selectors, sinks};
use anyhow::{Context, anyhow, bail};
use clap::{ArgMatches, Command};
use ig_engine::Say;
use ig_engine::command::{CommandError, CommandSpec};
use ig_engine::options::{GadgetOptions, GuestLimits, RunError, RunOptions, SinkOptions, Target};
use ig_engine::output::{Format, OutputSpec, TerminalSize};
use ig_engine::record::RecordOptions;
use ig_engine::replay::ReplayOptions;
use ig_engine::run::{Outcome, RunEnd};
use ig_engine::several::Listed;
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
    let mut gadgets = gadgets::open(&definition, after)?;
    if gadgets.is_empty() {
        // Help, a usage error, or nothing to run: the plain definition knows what to say.
        args::program().get_matches_from(args);
        return Err(Failure::new(
            exit::USAGE,
            anyhow!("no bundle is given; see `ig {name} --help`"),
        ));
    }
    // The gadgets' own parameters stand beside the host's flags, so one definition parses, refuses and explains all.
    let definition = match gadgets.as_slice() {
        [only] => args::with_gadget(definition, &only.bundle.manifest, &only.tables),
        several if name == "record" => {
            let names: Vec<&str> = several.iter().map(|g| g.name.as_str()).collect();
            return Err(Failure::new(
                exit::USAGE,
                anyhow!(
                    "`ig record` records one gadget, and here are {}; run one `ig record` for each",
                    names.join(", ")
                ),
            ));
        }
        several => args::with_gadgets(definition, several),
    };
    let program = OsString::from(format!("ig {name}"));
    let matches =
        definition.get_matches_from(std::iter::once(program).chain(after.iter().cloned()));
    if let Some(recording) = replay_of(&name, &matches) {
        let Some(gadget) = gadgets.pop().filter(|_| gadgets.is_empty()) else {
            return Err(Failure::new(
                exit::USAGE,
                anyhow!("--replay: a recording is of one gadget, and here are several"),
            ));
        };
        return replayed(gadget, recording, &matches);
    }
    start(gadgets, &name, &matches)
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

/// What a run and a replay have in common, ready before either begins.
struct Ready {
    summary: Option<(PathBuf, File)>,
    stop: Arc<Stop>,
    specs: Vec<OutputSpec>,
    terminal: Option<TerminalSize>,
    say: Say,
}

impl Ready {
    fn new(rows: Vec<OutputSpec>, matches: &ArgMatches) -> Result<Self, Failure> {
        let other = |e: io::Error| Failure::new(exit::OTHER, e);
        // Opened before anything runs: a path that can't be written is an error now, not at the end.
        let summary = match matches.get_one::<PathBuf>("summary") {
            Some(path) => {
                let file = File::options()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(path);
                let file = file
                    .with_context(|| format!("--summary: can't write {}", path.display()))
                    .map_err(|e| Failure::new(exit::OTHER, e))?;
                Some((path.clone(), file))
            }
            None => None,
        };
        let stop = Arc::new(Stop::new().map_err(other)?);
        let stdout_is_terminal = io::stdout().is_terminal();
        let specs = sinks::specs(matches, rows, stdout_is_terminal);
        let specs = specs.map_err(|e| Failure::new(exit::USAGE, e))?;
        let terminal = stdout_is_terminal.then(|| TerminalSize::new(terminal_width()));
        listen(stop.clone(), terminal.clone()).map_err(other)?;
        let say: Say = Arc::new(|text: &str| {
            // Nobody to tell is no reason to stop.
            let _ = writeln!(io::stderr(), "ig: {text}");
        });
        Ok(Self {
            summary,
            stop,
            specs,
            terminal,
            say,
        })
    }
}

/// `ig run --replay`.
fn replayed(gadget: Gadget, recording: &Path, matches: &ArgMatches) -> Result<u8, Failure> {
    // Before anything is opened for writing: what is replayed may be wrong.
    let (bundle, recording) = replay::open(recording, &gadget.file, gadget.bundle)?;
    let (_, rows) = asked("run", matches).map_err(|e| Failure::new(exit::USAGE, e))?;
    let Ready {
        summary,
        stop,
        specs,
        terminal,
        say,
    } = Ready::new(rows, matches)?;
    let scope = Scope {
        matches,
        gadget: None,
        listed: gadget.listed.as_ref(),
    };
    let output = sinks::options(scope, &specs, &gadget.name, terminal.as_ref());
    let mut params = gadget.params;
    params.extend(args::params(&bundle.manifest, matches));
    let outcome = ig_engine::replay::replay(ReplayOptions {
        params,
        bundle,
        limits: replay::limits(matches, guest_limits(matches), recording.limits(), &say),
        recording,
        output: output.map_err(|e| Failure::new(exit::OTHER, e))?,
        directory: None,
        cache: cache_folder(),
        verbose: matches.get_flag("verbose"),
        stop,
        say,
    });
    let said = [(gadget.name, gadget.listed)];
    let outcome = outcome.map_err(|e| refusal(told_where(e, &said, matches)));
    let end = RunEnd {
        gadgets: vec![outcome?],
        command: None,
    };
    tell(&end, summary)?;
    code(
        end,
        matches.get_flag("fail-on-loss"),
        matches.get_flag("strict"),
    )
}

/// `ig run` and `ig record`.
fn start(gadgets: Vec<Gadget>, name: &str, matches: &ArgMatches) -> Result<u8, Failure> {
    let usage = |e: anyhow::Error| Failure::new(exit::USAGE, e);
    let (recording, rows) = asked(name, matches).map_err(usage)?;
    let Ready {
        summary,
        stop,
        specs,
        terminal,
        say,
    } = Ready::new(rows, matches)?;
    let command = matches
        .get_many::<OsString>("command")
        .and_then(|mut words| {
            Some(CommandSpec {
                program: words.next()?.clone(),
                args: words.cloned().collect(),
                caller: caller::caller(),
                stdout_to_stderr: terminal.is_none() && sinks::take_stdout(&specs),
            })
        });
    let selectors = selectors::selectors(matches).map_err(|e| Failure::new(exit::USAGE, e))?;
    let params = gadgets::params(&gadgets, matches).map_err(usage)?;
    let said: Vec<(String, Option<Listed>)> = gadgets
        .iter()
        .map(|gadget| (gadget.name.clone(), gadget.listed.clone()))
        .collect();
    let options = options(
        gadgets,
        params,
        recording,
        &specs,
        terminal.as_ref(),
        matches,
    );
    let (gadgets, shared) = options.map_err(|e| Failure::new(exit::OTHER, e))?;
    let end = ig_engine::run::run(RunOptions {
        gadgets,
        shared,
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
        containers: containers::options(matches),
        cache: cache_folder(),
        verbose: matches.get_flag("verbose"),
        stop,
        say,
    });
    let end = end.map_err(|e| refusal(told_where(e, &said, matches)))?;
    tell(&end, summary)?;
    code(end, matches.get_flag("fail-on-loss"), false)
}

/// Each gadget's options, and the outputs that they share.
fn options(
    gadgets: Vec<Gadget>,
    params: Vec<Vec<(String, String)>>,
    mut recording: Option<PathBuf>,
    specs: &[OutputSpec],
    terminal: Option<&TerminalSize>,
    matches: &ArgMatches,
) -> io::Result<(Vec<GadgetOptions>, Vec<SinkOptions>)> {
    let several = gadgets.len() > 1;
    let shared = if several {
        sinks::shared(matches, specs, terminal)?
    } else {
        Vec::new()
    };
    let mut options = Vec::with_capacity(gadgets.len());
    for (gadget, params) in gadgets.into_iter().zip(params) {
        let scope = Scope {
            matches,
            gadget: several.then_some(gadget.name.as_str()),
            listed: gadget.listed.as_ref(),
        };
        let output = if several {
            sinks::of_several(scope, specs, &gadget.name)?
        } else {
            sinks::options(scope, specs, &gadget.name, terminal)?
        };
        options.push(GadgetOptions {
            name: Some(gadget.name),
            bundle: gadget.bundle,
            params,
            ring_size: matches.get_one("ring-size").copied(),
            record: recording.take().map(|path| RecordOptions {
                path,
                owner: caller::caller().map(|caller| (caller.uid, caller.gid)),
            }),
            limits: guest_limits(matches),
            output,
        });
    }
    Ok((options, shared))
}

/// What a gadget refuses is told with its place, if a file of gadgets says it. A flag that not every gadget can take can
/// be said for one of them.
fn told_where(
    error: RunError,
    said: &[(String, Option<Listed>)],
    matches: &ArgMatches,
) -> RunError {
    let RunError::Usage(what) = error else {
        return error;
    };
    let flag = SCOPED
        .into_iter()
        .find(|flag| what.contains(&format!("--{flag}")));
    let Some(flag) = flag else {
        return RunError::Usage(what);
    };
    for (name, listed) in said {
        let several = said.len() > 1;
        let scope = Scope {
            matches,
            gadget: several.then_some(name.as_str()),
            listed: listed.as_ref(),
        };
        if (!several || what.starts_with(&format!("{name}: ")))
            && let Some(place) = scope.place(flag)
        {
            return RunError::Usage(format!("{place}: {what}"));
        }
    }
    RunError::Usage(match said {
        [_] => what,
        _ => format!("{what}\n--{flag} is for every gadget; for one alone write --GADGET.{flag}"),
    })
}

/// Writes the summary. It never goes to standard output, so that a pipe to another program stays whole.
fn tell(end: &RunEnd, file: Option<(PathBuf, File)>) -> Result<(), Failure> {
    let _ = write!(io::stderr(), "{end}");
    if let Some((path, mut file)) = file {
        file.write_all(end.to_json().as_bytes())
            .with_context(|| format!("--summary: can't write {}", path.display()))
            .map_err(|e| Failure::new(exit::OTHER, e))?;
    }
    Ok(())
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

/// What the exit code says about a run that was. Of several gadgets the worst counts, in the order below.
fn code(end: RunEnd, fail_on_loss: bool, strict: bool) -> Result<u8, Failure> {
    let RunEnd { gadgets, command } = end;
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
    let of = |which: &dyn Fn(&Outcome) -> Option<String>| {
        let what = gadgets.iter().filter_map(|gadget| {
            let what = which(gadget)?;
            Some(match gadgets.len() {
                1 => what,
                _ => format!("{}: {what}", gadget.name),
            })
        });
        let what: Vec<String> = what.collect();
        (!what.is_empty()).then(|| anyhow!(what.join("; ")))
    };
    let says = |yes: bool, what: &str| yes.then(|| what.to_owned());
    if let Some(what) = of(&|gadget| gadget.write_error.clone()) {
        return Err(Failure::new(exit::OTHER, what));
    }
    if let Some(what) = of(&|gadget| gadget.summary.failure.clone()) {
        return Err(Failure::new(exit::OTHER, what));
    }
    let trapped = of(&|gadget| {
        says(
            gadget.reason == Reason::Traps,
            "the guest trapped too often; --max-traps allows more",
        )
    });
    if let Some(what) = trapped {
        return Err(Failure::new(exit::TRAPS, what));
    }
    let lost = of(&|gadget| {
        says(
            fail_on_loss && gadget.summary.any_loss(),
            "something was lost, and --fail-on-loss is set",
        )
    });
    if let Some(what) = lost {
        return Err(Failure::new(exit::LOSS, what));
    }
    let unanswered = of(&|gadget| {
        says(
            strict && !gadget.summary.unanswered.is_empty(),
            "the guest asked what the recording has no answer to, and --strict is set",
        )
    });
    if let Some(what) = unanswered {
        return Err(Failure::new(exit::LOSS, what));
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
