//! `ig test`: builds gadgets and replays their recordings.

use crate::{Failure, args, exit, image, print, replay, run};
use anyhow::anyhow;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use ig_engine::Say;
use ig_engine::options::GuestLimits;
use ig_engine::stop::{Reason, Stop};
use ig_engine::testing::{Test, TestOptions, Verdict};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Its definition.
pub fn command() -> Command {
    Command::new("test")
        .about("Builds gadgets and tests them against their recordings, without any right")
        .long_about(
            "Builds each gadget, replays every recording in its folder tests and compares the rows, all tables with all \
             columns, with those in tests/NAME.expected.jsonl. A trap, a malformed record, a question without an answer \
             and a count that does not add up fail a test, too. Under sudo all of it runs as the calling user.",
        )
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .required(true)
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("Folders of gadgets"),
        )
        .arg(
            Arg::new("bless")
                .long("bless")
                .action(ArgAction::SetTrue)
                .help("Accepts the rows as they are: writes them to tests/NAME.expected.jsonl"),
        )
        .after_help(
            "Exit codes: 0 all tests passed; 2 a gadget has no recordings; 120 a test failed; 123 a bundle was refused; \
             125 a gadget can't be built, or anything else. Of several, that of the first.",
        )
}

/// `ig test`.
pub fn main(matches: &ArgMatches) -> Result<u8, Failure> {
    let dirs: Vec<&PathBuf> = matches
        .get_many::<PathBuf>("dir")
        .into_iter()
        .flatten()
        .collect();
    let bless = matches.get_flag("bless");
    let mut arguments: Vec<&OsStr> = vec!["test".as_ref()];
    if bless {
        arguments.push("--bless".as_ref());
    }
    arguments.push("--".as_ref());
    arguments.extend(dirs.iter().map(|dir| dir.as_os_str()));
    // It needs no right at all, and what it writes is the author's.
    if let Some(code) = image::as_caller(&arguments)? {
        return Ok(code);
    }
    let stop = Arc::new(Stop::new().map_err(|e| Failure::new(exit::OTHER, e))?);
    run::listen(stop.clone(), None).map_err(|e| Failure::new(exit::OTHER, e))?;
    let mut tally = Tally::default();
    for dir in dirs {
        let failure = match gadget(dir, bless, &stop, &mut tally) {
            Ok(()) => continue,
            Err(failure) => failure,
        };
        if stop.reason() == Some(Reason::Signal) {
            return Err(failure);
        }
        tally.not_tested(&failure);
    }
    let Tally {
        passed,
        blessed,
        failed,
        code,
    } = tally;
    let mut told = format!("{passed} passed");
    for (n, what) in [(blessed, "blessed"), (failed, "failed")] {
        if n > 0 {
            told.push_str(&format!(", {n} {what}"));
        }
    }
    print(format!("{told}\n").as_bytes())?;
    Ok(code.unwrap_or(0))
}

/// What came of all of them.
#[derive(Default)]
struct Tally {
    passed: usize,
    blessed: usize,
    failed: usize,
    /// Of the first that failed.
    code: Option<u8>,
}

impl Tally {
    fn fail(&mut self, code: u8) {
        self.failed += 1;
        self.code.get_or_insert(code);
    }

    /// The others are tested all the same.
    fn not_tested(&mut self, failure: &Failure) {
        failure.tell();
        self.fail(failure.code);
    }
}

/// Builds and tests one gadget.
fn gadget(dir: &Path, bless: bool, stop: &Arc<Stop>, tally: &mut Tally) -> Result<(), Failure> {
    let tests = if dir.is_dir() {
        Test::all(dir).map_err(|e| Failure::new(exit::USAGE, e))?
    } else {
        return Err(Failure::new(
            exit::USAGE,
            anyhow!("{} is no folder of a gadget", dir.display()),
        ));
    };
    let bundle = dir.join(".ig").join("test.oci");
    image::build_to(dir, Some(&bundle), None, None, false)?;
    // As `ig run` has them by default.
    let defaults = args::run()
        .try_get_matches_from([OsStr::new("run"), dir.as_os_str()])
        .map_err(|e| Failure::new(exit::OTHER, e))?;
    let limits = |recorded: GuestLimits, say: &Say| {
        replay::limits(&defaults, run::guest_limits(&defaults), recorded, say)
    };
    let options = TestOptions {
        bundle: &bundle,
        limits: &limits,
        cache: run::cache_folder(),
        bless,
        stop: stop.clone(),
    };
    print(format!("{}\n", dir.display()).as_bytes())?;
    for test in tests {
        let verdict = test
            .run(&options)
            .map_err(|e| Failure::new(exit::OTHER, e))?;
        if stop.reason() == Some(Reason::Signal) {
            return Err(Failure::new(exit::OTHER, anyhow!("interrupted")));
        }
        let (what, told) = match verdict {
            Verdict::Passed { rows } => {
                tally.passed += 1;
                ("ok", format!(": {rows} rows"))
            }
            Verdict::Blessed { rows } => {
                tally.blessed += 1;
                ("blessed", format!(": {rows} rows"))
            }
            Verdict::Failed(lines) => {
                tally.fail(exit::LOSS);
                ("FAILED", format!("\n    {}", lines.join("\n    ")))
            }
        };
        let text = format!("  {what:7} {}{told}\n", test.name);
        print(text.as_bytes())?;
    }
    Ok(())
}
