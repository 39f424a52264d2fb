//! Tests of a gadget: its recordings are replayed, and the rows compared with those that were accepted before.
//!
//! A test is a file `DIR/tests/NAME.igrec` with `DIR/tests/NAME.expected.jsonl` beside it: every table with all of the
//! gadget's own columns, hidden ones too, as `-o json` writes them. The rows of the last time are kept in `DIR/.ig/test/NAME.jsonl`.

mod difference;

pub use difference::differences;

use crate::guest::Say;
use crate::ledger::Summary;
use crate::options::{Fields, GuestLimits, OutputOptions, Place, RunError, SinkOptions};
use crate::recording::{EXTENSION, Recording};
use crate::replay::{ReplayOptions, replay};
use crate::run::Outcome;
use crate::stop::{Reason, Stop};
use ig_bundle::{Bundle, build};
use ig_table::output::{FileOptions, Format};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// What the name of the expected rows ends with, in place of the recording's extension.
const EXPECTED: &str = "expected.jsonl";
/// The most lines of the guest and the host that are kept for one test.
const MOST_SAID: usize = 20;

/// One recording of a gadget and what it should give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name: the recording's file, without the extension.
    pub name: String,
    /// The recording.
    pub recording: PathBuf,
    /// The rows that were accepted, one a line.
    pub expected: PathBuf,
    /// Where the rows of this time go.
    pub rows: PathBuf,
}

/// Why a gadget can't be tested.
#[derive(Debug, Error)]
pub enum TestError {
    /// There is nothing to replay.
    #[error(
        "{dir}/tests has no recordings (*.{EXTENSION}); make one: mkdir -p {dir}/tests && sudo ig record {dir} -o {dir}/tests/first.{EXTENSION} -- CMD"
    )]
    None {
        /// The gadget's folder.
        dir: String,
    },
    /// A file can't be read or written.
    #[error("{action} {}: {cause}", path.display())]
    Io {
        /// `reading`, `writing`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl TestError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io {
            action,
            path,
            cause,
        }
    }
}

/// What came of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rows are as expected.
    Passed {
        /// How many.
        rows: usize,
    },
    /// The rows were accepted as those to expect from now on.
    Blessed {
        /// How many.
        rows: usize,
    },
    /// They are not, or the replay was not clean; why, line by line.
    Failed(Vec<String>),
}

/// How tests are run.
pub struct TestOptions<'a> {
    /// The gadget's bundle.
    pub bundle: &'a Path,
    /// What the guest may use, by what it could use when it was recorded.
    pub limits: &'a dyn Fn(GuestLimits, &Say) -> GuestLimits,
    /// Folder for compiled guests.
    pub cache: Option<PathBuf>,
    /// Accept the rows as they are.
    pub bless: bool,
    /// Ends a replay from outside.
    pub stop: Arc<Stop>,
}

impl Test {
    /// The tests of the gadget in `dir`, by name.
    ///
    /// # Errors
    /// There are none, or the folder can't be read.
    pub fn all(dir: &Path) -> Result<Vec<Self>, TestError> {
        let folder = dir.join(build::TESTS);
        let none = || TestError::None {
            dir: dir.display().to_string(),
        };
        let entries = match fs::read_dir(&folder) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(none()),
            entries => entries.map_err(TestError::io("reading", &folder))?,
        };
        let mut tests = Vec::new();
        for entry in entries {
            let path = entry.map_err(TestError::io("reading", &folder))?.path();
            let name = path.file_stem().map(|name| name.to_string_lossy());
            if let Some(name) = name
                && path.extension().is_some_and(|e| e == EXTENSION)
            {
                tests.push(Self {
                    expected: path.with_extension(EXPECTED),
                    rows: dir.join(".ig/test").join(format!("{name}.jsonl")),
                    name: name.into_owned(),
                    recording: path,
                });
            }
        }
        if tests.is_empty() {
            return Err(none());
        }
        tests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tests)
    }

    /// Replays the recording and looks at what comes of it.
    ///
    /// # Errors
    /// The rows can't be written, or the expected ones not be read. What is wrong with the gadget or its recording is
    /// in the verdict.
    pub fn run(&self, options: &TestOptions<'_>) -> Result<Verdict, TestError> {
        let said = Said::default();
        if let Some(folder) = self.rows.parent() {
            fs::create_dir_all(folder).map_err(TestError::io("making", folder))?;
        }
        let mut wrong = match self.replayed(options, &said.say()) {
            Ok(outcome) => faults(&outcome),
            Err(error) => vec![error.to_string()],
        };
        if !wrong.is_empty() {
            wrong.extend(said.lines());
            return Ok(Verdict::Failed(wrong));
        }
        let now = fs::read(&self.rows).map_err(TestError::io("reading", &self.rows))?;
        let expected = match fs::read(&self.expected) {
            Ok(expected) => Some(expected),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(TestError::io("reading", &self.expected)(cause)),
        };
        let rows = now.iter().filter(|byte| **byte == b'\n').count();
        if expected.as_ref() == Some(&now) {
            return Ok(Verdict::Passed { rows });
        }
        if options.bless {
            self.bless(&now)?;
            return Ok(Verdict::Blessed { rows });
        }
        let mut lines = match expected {
            Some(expected) => differences(&expected, &now),
            None => vec![format!(
                "there is no {}; look at the {rows} rows in {}, and accept them: --bless",
                self.expected.display(),
                self.rows.display()
            )],
        };
        lines.extend(said.lines());
        Ok(Verdict::Failed(lines))
    }

    fn replayed(&self, options: &TestOptions<'_>, say: &Say) -> Result<Outcome, RunError> {
        let recording = Recording::open(&self.recording)?;
        let bundle = Bundle::open(options.bundle, recording.architecture()?)
            .map_err(|e| RunError::Refused(e.to_string()))?;
        // What an earlier time left would pass for the rows of this one.
        match fs::remove_file(&self.rows) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                let path = self.rows.display();
                return Err(RunError::Host(format!("can't replace {path}: {e}")));
            }
            _ => {}
        }
        let output = OutputOptions {
            main: SinkOptions {
                name: "json".to_owned(),
                format: Format::Json,
                place: Place::File(FileOptions {
                    path: self.rows.clone(),
                    ..FileOptions::default()
                }),
            },
            others: Vec::new(),
            table: None,
            fields: Fields::Own,
            filter: None,
            sort: None,
            max_rows: None,
            interval: None,
            redact: Vec::new(),
        };
        replay(ReplayOptions {
            bundle,
            params: Vec::new(),
            limits: (options.limits)(recording.limits(), say),
            recording,
            output,
            directory: None,
            cache: options.cache.clone(),
            verbose: false,
            stop: options.stop.clone(),
            say: say.clone(),
        })
    }

    /// The rows become the expected ones: wholly or not at all.
    fn bless(&self, rows: &[u8]) -> Result<(), TestError> {
        let mut partial = self.expected.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        fs::write(&partial, rows).map_err(TestError::io("writing", &partial))?;
        fs::rename(&partial, &self.expected).map_err(TestError::io("writing", &self.expected))
    }
}

/// What keeps a replay from being one that can be relied on.
fn faults(outcome: &Outcome) -> Vec<String> {
    let Outcome {
        name: _,
        summary,
        reason,
        write_error,
    } = outcome;
    let mut faults = of_summary(summary);
    if let Some(what) = write_error {
        faults.push(what.clone());
    }
    if !matches!(reason, Reason::Recording | Reason::Traps) {
        faults.push(format!("ended before its recording: {}", reason.as_str()));
    }
    faults
}

fn of_summary(summary: &Summary) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(guest) = summary.guest.as_ref().filter(|guest| guest.traps > 0) {
        let last = guest.last_trap.as_deref().unwrap_or_default();
        faults.push(format!("the guest trapped {} times: {last}", guest.traps));
    }
    for (source, ledger) in &summary.records {
        if ledger.malformed > 0 {
            faults.push(format!(
                "source {source}: the guest called {} records malformed",
                ledger.malformed
            ));
        }
        let accounted = ledger.accounted();
        if let Some(attempted) = ledger.attempted.filter(|all| *all != accounted) {
            faults.push(format!(
                "source {source}: {attempted} records were attempted, and {accounted} are accounted for"
            ));
        }
    }
    for (table, ledger) in &summary.rows {
        let lost: u64 = ledger.lost.values().sum();
        if ledger.emitted != ledger.accounted() || lost > 0 {
            faults.push(format!(
                "table {table}: of {} rows {} were written and {lost} lost",
                ledger.emitted, ledger.written
            ));
        }
    }
    for (question, times) in &summary.unanswered {
        faults.push(format!(
            "the recording has no answer to {question}, asked {times} times; record it anew"
        ));
    }
    faults
}

/// What the guest and the host say while a test runs.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    fn say(&self) -> Say {
        let Self(lines) = self.clone();
        Arc::new(move |text: &str| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() < MOST_SAID {
                lines.push(format!("ig: {text}"));
            }
        })
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{GuestSummary, RecordLedger, RowLedger};
    use std::collections::BTreeMap;

    #[test]
    fn tests_are_found_by_their_recordings() {
        let dir = tempfile::tempdir().unwrap();
        let none = Test::all(dir.path()).unwrap_err().to_string();
        assert!(none.contains("ig record"), "{none}");
        assert!(none.contains("tests/first.igrec"), "{none}");
        let folder = dir.path().join("tests");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("b.expected.jsonl"), "").unwrap();
        assert!(matches!(Test::all(dir.path()), Err(TestError::None { .. })));
        for name in ["b.igrec", "a.b.igrec", "notes.md"] {
            fs::write(folder.join(name), "").unwrap();
        }
        let tests = Test::all(dir.path()).unwrap();
        let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names, ["a.b", "b"]);
        assert_eq!(tests[0].expected, folder.join("a.b.expected.jsonl"));
        assert_eq!(tests[1].rows, dir.path().join(".ig/test/b.jsonl"));
    }

    #[test]
    fn whatever_is_not_clean_is_told() {
        let clean = Summary {
            records: BTreeMap::from([(
                "opens".to_owned(),
                RecordLedger {
                    attempted: Some(3),
                    accepted: 2,
                    dropped_by_guest: 1,
                    ..RecordLedger::default()
                },
            )]),
            rows: BTreeMap::from([(
                "opens".to_owned(),
                RowLedger {
                    emitted: 2,
                    written: 2,
                    ..RowLedger::default()
                },
            )]),
            guest: Some(GuestSummary::default()),
            ..Summary::default()
        };
        assert_eq!(of_summary(&clean), Vec::<String>::new());
        let changed = |change: &dyn Fn(&mut Summary)| {
            let mut summary = clean.clone();
            change(&mut summary);
            let faults = of_summary(&summary);
            assert_eq!(faults.len(), 1, "{faults:?}");
            faults.concat()
        };
        let trapped = changed(&|summary| {
            summary.guest = Some(GuestSummary {
                traps: 1,
                last_trap: Some("unreachable in open".to_owned()),
                ..GuestSummary::default()
            });
        });
        assert!(trapped.contains("unreachable in open"), "{trapped}");
        let records = |change: &dyn Fn(&mut RecordLedger)| {
            changed(&|summary| summary.records.values_mut().for_each(change))
        };
        let malformed = records(&|ledger| {
            ledger.malformed = 1;
            ledger.accepted = 1;
        });
        assert!(malformed.contains("1 records malformed"), "{malformed}");
        let missing = records(&|ledger| ledger.accepted = 1);
        assert!(
            missing.contains("3 records were attempted, and 2"),
            "{missing}"
        );
        let rows = |change: &dyn Fn(&mut RowLedger)| {
            changed(&|summary| summary.rows.values_mut().for_each(change))
        };
        rows(&|ledger| ledger.written = 1);
        let lost = rows(&|ledger| {
            ledger.written = 1;
            ledger.lost.insert("no space".to_owned(), 1);
        });
        assert!(lost.contains("1 were written and 1 lost"), "{lost}");
        let unanswered = changed(&|summary| {
            summary
                .unanswered
                .insert("map counts: lookup".to_owned(), 2);
        });
        assert!(unanswered.contains("map counts: lookup"), "{unanswered}");
    }
}
