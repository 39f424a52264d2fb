//! Containers that are judged anew while they run: by runs that go on, from one verdict to the next.

use super::{Story, attached, ended, texts};
use ig_tests::Running;
use ig_tests::runtimes::{Place, until};
use std::path::PathBuf;

/// Runs, and what each has to show.
pub(super) struct Judges<'a> {
    story: &'a Story,
    place: &'a Place,
    exec: &'a dyn Fn(&str, &str, &[&str]),
    judges: Vec<Judge>,
    number: u32,
    /// What was executed while a verdict was on its way: a run may have it, or not.
    between: Vec<[String; 2]>,
}

struct Judge {
    /// A container that it shows in any case.
    always: String,
    running: Running,
    summary: PathBuf,
    expected: Vec<[String; 2]>,
    /// The first programs of containers: each is there, or counted as undecided.
    firsts: Vec<[String; 2]>,
}

impl<'a> Judges<'a> {
    /// None yet. `exec` starts a program in a container, under a name of its own.
    pub(super) fn beside(
        story: &'a Story,
        place: &'a Place,
        exec: &'a dyn Fn(&str, &str, &[&str]),
    ) -> Self {
        Self {
            story,
            place,
            exec,
            judges: Vec::new(),
            number: 0,
            between: Vec::new(),
        }
    }

    /// One more, attached; it shows the container `always`, which is there.
    pub(super) fn add(&mut self, words: &[&str], always: &str) {
        let (mut running, summary) = attached(self.place, words);
        // From now on, that is: a runtime may take its time to say what only it knows.
        running.provoke(
            || {
                let words = self.execute(always);
                self.between.push(words);
            },
            |line| line.starts_with('{'),
        );
        self.judges.push(Judge {
            always: always.to_owned(),
            running,
            summary,
            expected: Vec::new(),
            firsts: Vec::new(),
        });
    }

    /// Starts a container: its first program is for those of them that are meant, and for no other. So is all that follows.
    pub(super) fn start(&mut self, name: &str, meant: &[bool], run: impl FnOnce(&[&str])) {
        let entry = self.story.entry();
        run(&texts(&entry));
        for judge in of(&mut self.judges, meant) {
            judge.firsts.push(entry.clone());
        }
        self.settle(name, meant);
    }

    /// Waits until what is executed in a container is shown by those of them that are meant, and by no other: then it has to be.
    pub(super) fn settle(&mut self, name: &str, meant: &[bool]) {
        until(&format!("{meant:?} for {name}"), || {
            let (words, shown) = self.show(name);
            self.between.push(words);
            (shown == meant).then_some(())
        });
        self.check(name, meant);
    }

    /// What is executed in a container is shown by those of them that are meant, and by no other.
    #[track_caller]
    pub(super) fn check(&mut self, name: &str, meant: &[bool]) {
        let (words, shown) = self.show(name);
        assert_eq!(shown, meant, "{words:?} of {name}");
        for judge in of(&mut self.judges, meant) {
            judge.expected.push(words.clone());
        }
    }

    /// What was executed in a container, and which of them show it.
    fn show(&mut self, name: &str) -> ([String; 2], Vec<bool>) {
        let own = self.execute(name);
        // What is shown is shown before what happens next in a container that is shown in any case.
        let mut always: Vec<String> = self.judges.iter().map(|one| one.always.clone()).collect();
        always.sort();
        always.dedup();
        let marks: Vec<_> = always.iter().map(|name| self.execute(name)).collect();
        let judges = self.judges.iter_mut();
        let shown = judges.map(|judge| {
            let mut marks = always.iter().zip(&marks);
            let of_its = marks.find(|(name, _)| **name == judge.always);
            let (_, mark) = of_its.expect("each has one");
            judge.running.provoke(|| {}, is(mark));
            judge.expected.push(mark.clone());
            judge.running.shown(is(&own))
        });
        let shown = shown.collect();
        (own, shown)
    }

    fn execute(&mut self, name: &str) -> [String; 2] {
        self.number += 1;
        let what = format!("{}-anew", self.number);
        let words = self.story.words(&what);
        (self.exec)(name, &what, &texts(&words));
        words
    }

    /// Ends all of them: nothing is missing, and nothing was shown late, twice, or of anybody else.
    pub(super) fn end(self) {
        for judge in self.judges {
            let (seen, records) = ended(judge.running, &judge.summary);
            let mut seen: Vec<_> = seen.into_values().flatten().collect();
            let mut take = |words: &[String; 2]| {
                let found = seen.iter().position(|one| one == words);
                found.map(|at| seen.swap_remove(at)).is_some()
            };
            for words in &judge.expected {
                assert!(take(words), "{words:?} is missing");
            }
            self.between.iter().for_each(|words| {
                take(words);
            });
            let missing = judge.firsts.iter().filter(|words| !take(words)).count();
            let undecided = &records["excluded_before_guest"]["undecided"];
            let undecided = undecided.as_u64().unwrap_or(0);
            assert!(missing as u64 <= undecided, "{missing} of {records:#}");
            assert!(seen.is_empty(), "nobody asked for {seen:?}");
        }
    }
}

/// Those that are meant.
fn of<'j>(judges: &'j mut [Judge], meant: &'j [bool]) -> impl Iterator<Item = &'j mut Judge> {
    assert_eq!(judges.len(), meant.len());
    let meant = judges.iter_mut().zip(meant).filter(|(_, meant)| **meant);
    meant.map(|(judge, _)| judge)
}

/// A line that shows the start of this program.
fn is(words: &[String; 2]) -> impl Fn(&str) -> bool + use<> {
    let told = format!("\"{}\"", words[1]);
    move |line: &str| line.contains(&told)
}
