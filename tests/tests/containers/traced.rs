//! A run of `trace_exec` beside a runtime, and what `ig list-containers` says of it; of other programs and containers on
//! the machine nothing is shown.

use ig_tests::runtimes::Place;
use ig_tests::{Finished, Ig, Running, bundle};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Columns that tests look at.
pub(super) const FIELDS: &str = "args,scope,runtime,container,container_id,image,image_digest,labels,namespace,pod,\
                                 pod_uid,pod_container,pod_labels";

/// A runtime's name, and the flag and the path of its socket.
pub(super) struct Asked<'a> {
    pub runtime: &'a str,
    pub socket: &'a Path,
}

impl Asked<'_> {
    pub(super) fn flags(&self) -> Vec<String> {
        let Self { runtime, socket } = self;
        vec![
            "-r".to_owned(),
            (*runtime).to_owned(),
            format!("--{runtime}-socketpath"),
            socket.display().to_string(),
        ]
    }

    /// All that is listed of this place's containers. A process id that is told is that of a process of the container.
    pub(super) fn list(&self, place: &Place) -> Vec<Value> {
        let fields =
            "+scope,+labels,+image_digest,+container_pid,+pod_uid,+pod_container,+cgroup_path";
        let listed = self.listing(place, &["--fields", fields]).finish();
        listed.expect_code(0);
        let rows = listed.rows();
        for row in &rows {
            let path = row["cgroup_path"].as_str().expect("a path");
            let of = std::fs::read_to_string(format!("/proc/{}/cgroup", row["container_pid"]));
            // It may have ended by now.
            let own = of.map_or(true, |of| of.lines().any(|line| line.ends_with(path)));
            assert!(own, "the process of another: {row:#}");
        }
        rows
    }

    /// `ig list-containers`, of this place's.
    pub(super) fn listing(&self, place: &Place, more: &[&str]) -> Ig {
        let flags = self.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Ig::new()
            .arg("list-containers")
            .args(&flags)
            .args(&["--filter", &format!("cgroup_path ~ '^/{}/'", place.name())])
            .args(more)
            .json()
    }
}

/// A run as people see it: with the columns that are shown when nobody chooses.
pub(super) fn shown(asked: &Asked, word: &str) -> Running {
    let flags = asked.flags();
    let mut running = Ig::run(bundle("trace_exec"))
        .args(&flags.iter().map(String::as_str).collect::<Vec<_>>())
        .args(&["--filter", &format!("args ~ '{word}'")])
        .start();
    running.provoke(|| probe(word), |line| line.contains(word));
    running
}

/// Waits for the row that holds all of `cells`; panics unless the header above it has all of `names`.
#[track_caller]
pub(super) fn expect_shown(mut running: Running, cells: &[&str], names: &[&str]) {
    let wanted = |line: &str| cells.iter().all(|cell| line.contains(cell));
    running.provoke(|| {}, wanted);
    running.signal("INT");
    let shown = running.wait();
    shown.expect_code(0);
    let before = shown.stdout.lines().take_while(|line| !wanted(line));
    let header = before.filter(|line| line.contains("PCOMM")).last();
    let header: Vec<&str> = header.unwrap_or_default().split_whitespace().collect();
    for name in names {
        assert!(header.contains(name), "no {name} in:\n{}", shown.stdout);
    }
}

fn probe(word: &str) {
    let status = Command::new("/bin/true").arg(word).status();
    status.expect("true runs");
}

/// A run that is attached.
pub(super) struct Traced {
    running: Running,
}

impl Traced {
    /// Of programs that have `word` in their arguments.
    pub(super) fn start(asked: &Asked, word: &str) -> Self {
        let flags = asked.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Self::with(
            &flags,
            word,
            &["--fields", FIELDS, "--filter", &format!("args ~ '{word}'")],
        )
    }

    /// The same, with all that is asked for.
    pub(super) fn with(flags: &[&str], word: &str, more: &[&str]) -> Self {
        let ig = Ig::run(bundle("trace_exec")).args(flags).args(more).json();
        Self::attached(ig, || probe(word))
    }

    /// Waits for the first row of what `act` does.
    pub(super) fn attached(ig: Ig, act: impl FnMut()) -> Self {
        let mut running = ig.start();
        running.provoke(act, |line| line.starts_with('{'));
        Self { running }
    }

    /// One that is attached soon, or is already.
    pub(super) fn of_running(running: Running) -> Self {
        Self { running }
    }

    /// The run itself.
    pub(super) fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Waits for a row that `wanted` takes.
    pub(super) fn row(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.provoke(|| {}, wanted)
    }

    /// Waits for the first row with these arguments.
    pub(super) fn of(&mut self, args: &[&str]) -> Value {
        let args = json!(args);
        self.row(|row| row["args"] == args)
    }

    /// Does something until a row that `wanted` takes is there.
    pub(super) fn provoke(&mut self, act: impl FnMut(), wanted: impl Fn(&Value) -> bool) -> Value {
        let parsed = |line: &str| serde_json::from_str::<Value>(line).ok();
        let line = self
            .running
            .provoke(act, |line| parsed(line).is_some_and(|row| wanted(&row)));
        parsed(&line).expect("it was parsed before")
    }

    /// Ends it in order.
    pub(super) fn end(self) -> Finished {
        self.running.signal("INT");
        let finished = self.running.wait();
        finished.expect_code(0);
        finished
    }
}

/// What a shell in a container does when all it has to do is to be there.
pub(super) fn stays(word: &str) -> [String; 3] {
    let script = format!(": {word}; exec sleep 1000");
    ["/bin/sh".to_owned(), "-c".to_owned(), script]
}

/// The same as texts.
pub(super) fn words(words: &[String; 3]) -> [&str; 3] {
    words.each_ref().map(String::as_str)
}

/// Panics unless a row has these values.
#[track_caller]
pub(super) fn expect(row: &Value, expected: &[(&str, &str)]) {
    for (column, value) in expected {
        assert_eq!(row[column], *value, "{column} of {row:#}");
    }
}
