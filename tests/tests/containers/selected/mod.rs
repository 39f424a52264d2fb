//! Runs that are asked for some containers only: these are there from their first program on, and nothing else is.
//!
//! What a test does is written down as a [`Story`]; each run has to show exactly the part of it that its selectors mean.

mod alone;
mod anew;
mod connections;
mod containerd;
mod docker;
mod flood;
mod half;
mod hung;
mod killed;
mod podman;
mod pods;
mod rate;
mod recorded;
mod relabelled;
mod renamed;
mod units;

use super::traced::Asked;
use crate::ledgers::{assert_sums, summary};
use ig_tests::runtimes::{Place, until};
use ig_tests::{Finished, Ig, Running, bundle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is run beside the entrypoints.
const PROGRAM: &str = "/bin/true";

/// Who runs what is counted to the record: nobody else on the machine has it.
const UID: u32 = 47_111;

/// The eBPF program of `trace_exec` that sees programs start.
const ATTACHED: &str = "exec_started";

/// Whose what runs in a cgroup is that is neither a container's nor a unit's: a selector may mean that cgroup, but not the host.
pub(super) const NOBODY: &str = "nobody";

/// What happened, in the order of each container.
pub(super) struct Story {
    mark: String,
    number: AtomicU32,
    told: Vec<Told>,
}

/// One program that was started.
struct Told {
    /// The container or, where there is none, the unit.
    container: Option<String>,
    args: Vec<String>,
}

impl Story {
    /// Of the containers of one place.
    pub(super) fn of(place: &Place) -> Self {
        Self {
            mark: place.name().to_owned(),
            number: AtomicU32::new(0),
            told: Vec::new(),
        }
    }

    /// The name of a container that no other test has.
    pub(super) fn name(&self, word: &str) -> String {
        format!("{}-{word}", self.mark)
    }

    /// The entrypoint of one that stays; it says whose it is, and is the only program of its container.
    pub(super) fn entry(&self) -> [String; 2] {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        ["/bin/sleep".to_owned(), format!("{}{number}", self.token())]
    }

    /// What no other test's `sleep` begins with: seconds.
    fn token(&self) -> String {
        let mut numbers = self
            .mark
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty());
        let mut next = || numbers.next().unwrap_or_default();
        format!("1000.{:0>8}{:0>6}", next(), next())
    }

    /// Whoever runs from now on has not seen what happened so far.
    pub(super) fn begin(&mut self) {
        self.told.clear();
    }

    /// The words of a program that is started beside an entrypoint.
    pub(super) fn words(&self, what: &str) -> [String; 2] {
        [PROGRAM.to_owned(), self.name(what)]
    }

    /// It was started in this container, or else unit, or in none.
    pub(super) fn told(&mut self, container: Option<&str>, args: &[String]) {
        self.told.push(Told {
            container: container.map(str::to_owned),
            args: args.to_vec(),
        });
    }

    /// Starts a program of the host.
    pub(super) fn host(&mut self, what: &str) {
        let words = self.words(what);
        let status = Command::new(&words[0]).arg(&words[1]).status();
        assert!(status.expect("it runs").success());
        self.told(None, &words);
    }

    fn is_ours(&self, args: &[String]) -> bool {
        let token = self.token();
        match args {
            [program, word] if program == PROGRAM => word.starts_with(&self.name("")),
            [_, word] => word.starts_with(&token),
            _ => false,
        }
    }
}

/// Starts of programs by the container: their arguments, in order.
type Seen = BTreeMap<Option<String>, Vec<Vec<String>>>;

/// Runs beside one runtime, each with selectors of its own.
pub(super) struct Chosen<'a> {
    place: &'a Place,
    flags: Vec<String>,
    runs: Vec<Run>,
}

struct Run {
    selectors: Vec<String>,
    /// The containers that are meant; the host's programs are `None`.
    meant: Vec<Option<String>>,
    /// Others of the machine may be meant, too.
    open: bool,
    /// Without a column that says whose a row is.
    bare: bool,
    running: Running,
    summary: PathBuf,
}

impl<'a> Chosen<'a> {
    /// None yet.
    pub(super) fn beside(place: &'a Place, asked: Option<&Asked>) -> Self {
        Self {
            place,
            flags: asked.map(Asked::flags).unwrap_or_default(),
            runs: Vec::new(),
        }
    }

    /// One that shows these containers, and nothing else at all.
    pub(super) fn only(&mut self, selectors: &[&str], meant: &[&str]) -> &mut Self {
        let meant = meant.iter().map(|name| Some((*name).to_owned())).collect();
        self.start(selectors, meant, false, false)
    }

    /// The same, of a run that is not asked whose its rows are.
    pub(super) fn bare(&mut self, selectors: &[&str], meant: &[&str]) -> &mut Self {
        let meant = meant.iter().map(|name| Some((*name).to_owned())).collect();
        self.start(selectors, meant, false, true)
    }

    /// One that shows these containers, and perhaps some that are not of this test.
    pub(super) fn among(&mut self, selectors: &[&str], meant: &[&str]) -> &mut Self {
        let meant = meant.iter().map(|name| Some((*name).to_owned())).collect();
        self.start(selectors, meant, true, false)
    }

    /// The same, with what is in no container.
    pub(super) fn with_host(&mut self, selectors: &[&str], meant: &[&str]) -> &mut Self {
        let all = meant.iter().map(|name| Some((*name).to_owned()));
        self.start(selectors, all.chain([None]).collect(), true, false)
    }

    fn start(
        &mut self,
        selectors: &[&str],
        meant: Vec<Option<String>>,
        open: bool,
        bare: bool,
    ) -> &mut Self {
        let summary = self.place.at(&format!("summary-{}.json", self.runs.len()));
        let fields = if bare { "args" } else { "args,container,unit" };
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let running = Ig::run(bundle("trace_exec"))
            .args(&flags)
            .args(selectors)
            .args(&["--ignore-failed", "--fields", fields])
            .arg("--summary")
            .arg(format!("json:{}", summary.display()))
            .json()
            .start();
        self.runs.push(Run {
            selectors: selectors.iter().map(|word| (*word).to_owned()).collect(),
            meant,
            open,
            bare,
            running,
            summary,
        });
        self
    }

    /// Waits until all of them are attached.
    pub(super) fn attached(&mut self) {
        for run in &mut self.runs {
            run.running.attached(ATTACHED);
        }
    }

    /// Ends all of them, and compares what they showed with what happened.
    pub(super) fn expect(self, story: &Story) {
        for run in &self.runs {
            run.running.signal("INT");
        }
        for run in self.runs {
            let finished = run.running.wait();
            finished.expect_code(0);
            let mut seen = Seen::new();
            for row in finished.rows() {
                let (container, args) = parts(&row);
                if is_step_of_runtime(&args) || run.open && !story.is_ours(&args) {
                    continue;
                }
                seen.entry(container).or_default().push(args);
            }
            let mut expected = Seen::new();
            for told in &story.told {
                if run.meant.contains(&told.container) {
                    let whose = told.container.clone();
                    let whose = whose.filter(|whose| !run.bare && whose != NOBODY);
                    expected.entry(whose).or_default().push(told.args.clone());
                }
            }
            if run.bare {
                // Those of several containers.
                seen.values_mut().for_each(|all| all.sort());
                expected.values_mut().for_each(|all| all.sort());
            }
            let summary = summary(&run.summary);
            let excluded = &summary["records"]["exec"]["excluded_before_guest"];
            assert_eq!(
                seen, expected,
                "of {:?}; left out: {excluded}\n{}",
                run.selectors, finished.stderr
            );
            assert_sums(&summary);
        }
    }
}

/// Whose a row is, and the arguments.
fn parts(row: &Value) -> (Option<String>, Vec<String>) {
    let whose = row["container"].as_str().or(row["unit"].as_str());
    let args = row["args"].as_array().map_or(&[][..], Vec::as_slice);
    let args = args.iter().filter_map(Value::as_str).map(str::to_owned);
    (whose.map(str::to_owned), args.collect())
}

/// A runtime executes itself once more when it may be in the new container's cgroup already: then it is that container's.
fn is_step_of_runtime(args: &[String]) -> bool {
    matches!(args, [program, step] if step == "init" && program.ends_with("runc"))
}

/// One run with these words that shows `args` and `container`, attached, and where its summary will be.
fn attached(place: &Place, words: &[&str]) -> (Running, PathBuf) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let summary = place.at(&format!("summary-{number}.json"));
    let mut running = Ig::run(bundle("trace_exec"))
        .args(words)
        .args(&["--ignore-failed", "--fields", "args,container"])
        .arg("--summary")
        .arg(format!("json:{}", summary.display()))
        .json()
        .start();
    running.attached(ATTACHED);
    (running, summary)
}

/// Ends a run in order; what it showed of each container, in order, and its exact ledger of records.
fn ended(running: Running, path: &Path) -> (Seen, Value) {
    running.signal("INT");
    let finished = running.wait();
    finished.expect_code(0);
    let mut seen = Seen::new();
    for row in finished.rows() {
        let (container, args) = parts(&row);
        if !is_step_of_runtime(&args) {
            seen.entry(container).or_default().push(args);
        }
    }
    let summary = summary(path);
    assert_sums(&summary);
    (seen, summary["records"]["exec"].clone())
}

/// The containers of this place that `ig list-containers` has, with selectors.
#[track_caller]
pub(super) fn expect_listed(asked: &Asked, place: &Place, selectors: &[&str], meant: &[&str]) {
    let listed: Finished = until("a list with all that the runtime says", || {
        let listed = asked.listing(place, selectors).finish();
        listed.expect_code(0);
        (!listed.stderr.contains("runtime does not answer")).then_some(listed)
    });
    let rows = listed.rows();
    let mut names: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["container"].as_str())
        .collect();
    names.sort_unstable();
    let mut meant = meant.to_vec();
    meant.sort_unstable();
    assert_eq!(names, meant, "with {selectors:?}");
}

/// As texts.
pub(super) fn texts<const N: usize>(words: &[String; N]) -> [&str; N] {
    words.each_ref().map(String::as_str)
}
