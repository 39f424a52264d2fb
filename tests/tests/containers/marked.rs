//! A run of `trace_exec` that shows programs with a mark in their arguments, and no others of the machine; and cgroups to put
//! programs in.

use ig_tests::runtimes::Place;
use ig_tests::{Finished, Ig, Running, bundle};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Columns that tests look at.
const FIELDS: &str = "timestamp,args,pid,scope,runtime,container,container_id,container_pid,container_started,image,labels,unit,\
                      cgroup_path";

/// What is run in containers: any file that can be.
pub(super) const PROGRAM: &str = "/bin/true";

/// A run that is attached.
pub(super) struct Marked {
    running: Running,
    mark: String,
}

impl Marked {
    /// Of programs that have the place's name in their arguments.
    pub(super) fn start(place: &Place) -> Self {
        let words = Self::words(place);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Self::of(
            Ig::new().arg("run").arg(bundle("trace_exec")).args(&words),
            place,
        )
    }

    /// What follows `ig run trace_exec.oci`.
    pub(super) fn words(place: &Place) -> Vec<String> {
        let filter = format!("args ~ '{}'", place.name());
        ["--fields", FIELDS, "--filter", &filter, "-o", "json"]
            .map(str::to_owned)
            .to_vec()
    }

    /// The same, by an `ig` that is called in another way.
    pub(super) fn of(ig: Ig, place: &Place) -> Self {
        let mark = place.name().to_owned();
        let mut running = ig.start();
        let ready = format!("{mark}-ready");
        let act = || {
            Command::new(PROGRAM).arg(&ready).status().expect("it runs");
        };
        running.provoke(act, |line| line.contains(&ready));
        Self { running, mark }
    }

    /// An argument with the mark.
    pub(super) fn word(&self, word: &str) -> String {
        format!("{}-{word}", self.mark)
    }

    /// Waits for the row of the program [`PROGRAM`] with this word.
    pub(super) fn row(&mut self, word: &str) -> Value {
        let args = json!([PROGRAM, self.word(word)]);
        let parsed = |line: &str| serde_json::from_str::<Value>(line).ok();
        let wanted = |line: &str| parsed(line).is_some_and(|row| row["args"] == args);
        let line = self.running.provoke(|| {}, wanted);
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

/// Panics unless a row has these values.
#[track_caller]
pub(super) fn expect(row: &Value, expected: &[(&str, Option<&str>)]) {
    for (column, value) in expected {
        assert_eq!(row[column], json!(value), "{column} of {row:#}");
    }
}

/// Where version 2 of cgroups is mounted.
pub(super) fn unified() -> &'static Path {
    let hybrid = Path::new("/sys/fs/cgroup/unified");
    match hybrid.is_dir() {
        true => hybrid,
        false => Path::new("/sys/fs/cgroup"),
    }
}

/// Makes a cgroup below a place's own; gives its path from the root of the hierarchy and its folder.
pub(super) fn cgroup(place: &Place, inside: &str) -> (String, PathBuf) {
    let path = format!("/{}/{inside}", place.name());
    let folder = unified().join(path.trim_start_matches('/'));
    std::fs::create_dir_all(&folder).expect("a cgroup");
    (path, folder)
}

/// Runs [`PROGRAM`] with an argument in a cgroup.
pub(super) fn run_in(folder: &Path, word: &str) {
    let script = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
    let status = Command::new("sh")
        .args(["-c", script])
        .arg(folder)
        .args([PROGRAM, word])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{folder:?}");
}

/// What a program does whose command line says that it is runc, making a container of a bundle: its first argument, `create`, is
/// the script's name for perl.
pub(super) const RUNTIME: &str =
    "my @folders = split /:/, $ENV{FOLDERS};\nmkdir $_ or die \"$_: $!\" for @folders;\n";

/// Makes cgroups in this way.
pub(super) fn as_runtime(place: &Place, bundle: &str, id: &str, folders: &[&Path]) {
    std::fs::write(place.at("create"), RUNTIME).expect("a script");
    let folders: Vec<&str> = folders
        .iter()
        .filter_map(|folder| folder.to_str())
        .collect();
    let status = Command::new("perl")
        .arg0("runc")
        .args(["create", "--bundle", bundle, id])
        .env("FOLDERS", folders.join(":"))
        .current_dir(place.path())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{folders:?}");
}
