//! What comes out: columns, JSON, fields, help, closed pipes.

use ig_tests::{Ig, bundle};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn columns_have_one_header_and_a_line_a_row() {
    let finished = Ig::run(bundle("trace_exec"))
        .sh("for i in 1 2 3; do /bin/true; sleep 0.1; done; :")
        .finish();
    finished.expect_code(0);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let headers = lines.iter().filter(|line| line.contains("COMM")).count();
    assert_eq!(headers, 1, "{}", finished.stdout);
    assert!(
        lines
            .first()
            .is_some_and(|line| line.contains("COMM") && line.contains("ARGS"))
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("/bin/true"))
            .count(),
        4,
        "{}",
        finished.stdout
    );
    // No terminal: no colour and no cursor movements.
    assert!(!finished.stdout.contains('\u{1b}'), "{:?}", finished.stdout);
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let finished = Ig::run(bundle("trace_exec"))
        .sh("/bin/true \"$(printf 'a\\033[31mred\\007\\nb')\"; :")
        .finish();
    finished.expect_code(0);
    let odd: Vec<char> = finished
        .stdout
        .chars()
        .filter(|c| c.is_control() && *c != '\n')
        .collect();
    assert_eq!(odd, [], "{:?}", finished.stdout);
    let lines = finished
        .stdout
        .lines()
        .filter(|line| line.contains("red"))
        .count();
    assert!(lines >= 1, "{:?}", finished.stdout);
}

#[test]
fn fields_choose_add_and_leave_out() {
    let keys = |fields: &str| -> Vec<String> {
        let finished = Ig::run(bundle("trace_exec"))
            .args(&["--fields", fields])
            .json()
            .sh("/bin/true; :")
            .finish();
        finished.expect_code(0);
        let rows = finished.rows();
        let row = rows.last().and_then(Value::as_object).expect("a row");
        row.keys().cloned().collect()
    };
    let mut chosen = keys("comm,pid");
    chosen.sort();
    assert_eq!(chosen, ["comm", "pid"]);
    let less = keys("-comm");
    assert!(
        !less.contains(&"comm".to_owned()) && less.contains(&"pid".to_owned()),
        "{less:?}"
    );
    let more = keys("+cwd");
    assert!(
        more.contains(&"cwd".to_owned()) && more.contains(&"comm".to_owned()),
        "{more:?}"
    );

    let unknown = Ig::run(bundle("trace_exec"))
        .args(&["--fields", "com"])
        .sh(":")
        .finish();
    unknown.expect_error(2, &["com", "comm"]);

    let columns = Ig::run(bundle("trace_exec"))
        .args(&["--fields", "comm,pid"])
        .sh("/bin/true")
        .finish();
    let header = columns.stdout.lines().next().unwrap_or_default();
    assert_eq!(
        header.split_whitespace().collect::<Vec<_>>(),
        ["COMM", "PID"]
    );
}

#[test]
fn jsonpretty_is_the_same_rows_over_several_lines() {
    let finished = Ig::run(bundle("trace_exec"))
        .args(&["-o", "jsonpretty"])
        .sh("/bin/true; :")
        .finish();
    finished.expect_code(0);
    let rows: Vec<Value> = serde_json::Deserializer::from_str(&finished.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("JSON values one after the other");
    assert_eq!(rows.len(), 2, "{}", finished.stdout);
    assert!(finished.stdout.lines().count() > 4);
}

#[test]
fn help_lists_parameters_and_columns_without_running_the_guest() {
    // Not even root is needed: nothing is loaded, nothing is compiled.
    let folder = tempfile::tempdir().expect("a folder");
    let finished = Ig::run(bundle("trace_open"))
        .arg("--help")
        .env("XDG_CACHE_HOME", folder.path().to_str().expect("UTF-8"))
        .finish();
    finished.expect_code(0);
    for word in [
        "--failed-only",
        "path",
        "flags",
        "error",
        "--timeout",
        "--fields",
    ] {
        assert!(
            finished.stdout.contains(word),
            "no {word} in:\n{}",
            finished.stdout
        );
    }
    assert!(finished.held.programs.is_empty());
    let longest = finished
        .stdout
        .lines()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0);
    assert!(longest <= 120, "a line of {longest} characters");
}

/// `ig ... | head -1`: the reader goes away, and so does `ig`, without a word of a broken pipe.
#[test]
fn a_closed_pipe_ends_the_run() {
    let mut head = Command::new("head")
        .arg("-1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("head starts");
    let to = head.stdin.take().expect("a pipe");
    let running = Ig::run(bundle("trace_exec")).json().stdout(to).start();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let maker = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                Command::new("/bin/true").status().expect("true runs");
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    });
    let finished = running.wait();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    maker.join().expect("the maker ends");
    let output = head.wait_with_output().expect("head ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
    finished.expect_code(0);
    assert!(
        !finished.stderr.to_lowercase().contains("broken pipe"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_full_disk_loses_rows_by_that_name() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("summary.json");
    let finished = Ig::run(bundle("trace_exec"))
        .json()
        .arg("--summary")
        .arg(format!("json:{}", path.display()))
        .stdout(full)
        .sh("/bin/true; /bin/true; :")
        .finish();
    let summary = super::ledgers::summary(&path);
    let rows = &summary["rows"]["exec"];
    assert_eq!(rows["written"], 0, "{summary:#}\n{}", finished.stderr);
    let emitted = rows["emitted"].as_u64().expect("a number");
    assert!(emitted >= 1, "{summary:#}");
    assert_eq!(super::ledgers::sum(&rows["lost"]), emitted);
    // Unlike a reader that went away, this is a failure.
    finished.expect_code(125);
}

/// A disk that fills up in the middle: what was written before is whole rows, under a name that says so, and each of the
/// others is counted.
#[test]
fn a_disk_that_fills_up_leaves_whole_rows() {
    let disk = Disk::of_size("64k");
    let (rows, summary) = (disk.path().join("rows.csv"), tempfile::tempdir());
    let summary = summary.expect("a folder");
    let summary = summary.path().join("summary.json");
    let finished = Ig::run(bundle("trace_open"))
        .args(&["-o", "csv", "--output-file"])
        .arg(&rows)
        .arg("--summary")
        .arg(format!("json:{}", summary.display()))
        .sh("i=0; while [ $i -lt 3000 ]; do : < /dev/null; i=$((i+1)); done")
        .finish();
    let counted = &super::ledgers::summary(&summary)["rows"]["open"];
    let number = |name: &str| counted[name].as_u64().expect("a number");
    let lost = super::ledgers::sum(&counted["lost"]);
    assert!(lost > 0 && number("written") > 0, "{counted:#}");
    assert_eq!(number("emitted"), number("written") + lost, "{counted:#}");
    assert!(!rows.exists());
    let text = std::fs::read_to_string(disk.path().join("rows.csv.partial")).expect("the file");
    assert!(text.ends_with('\n'), "{text:?}");
    assert_eq!(text.lines().count() as u64, 1 + number("written"));
    finished.expect_error(125, &["rows.csv", "No space left on device"]);
}

/// A file system of its own, taken away again when this goes.
struct Disk(tempfile::TempDir);

impl Disk {
    fn of_size(size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(mounted.expect("mount starts").success());
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

/// Two files and standard output at once: the same rows in each, each with its own ledger.
#[test]
fn several_outputs_get_the_same_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let summary = at("summary.json");
    let csv = format!("csv={}", at("rows.csv").display());
    let parquet = format!("parquet={}", at("rows.parquet").display());
    let finished = Ig::run(bundle("trace_exec"))
        .json()
        .args(&["-o", &csv, "-o", &parquet, "--fields", "comm,args"])
        .args(&["--redact", "args=(?i)token=\\S+"])
        .arg("--summary")
        .arg(format!("json:{}", summary.display()))
        .sh("/bin/true token=secret 'a,b'; :")
        .finish();
    finished.expect_code(0);
    let row = finished.rows().pop().expect("a row");
    assert_eq!(row["args"], serde_json::json!(["/bin/true", "***", "a,b"]));
    let text = std::fs::read_to_string(at("rows.csv")).expect("the file");
    assert_eq!(
        text.lines().last(),
        Some("true,\"[\"\"/bin/true\"\",\"\"***\"\",\"\"a,b\"\"]\"")
    );
    let parquet_bytes = std::fs::read(at("rows.parquet")).expect("the file");
    assert!(parquet_bytes.starts_with(b"PAR1") && parquet_bytes.ends_with(b"PAR1"));
    assert!(!parquet_bytes.windows(6).any(|bytes| bytes == b"secret"));
    let rows = &super::ledgers::summary(&summary)["rows"]["exec"];
    assert_eq!(rows["emitted"], rows["written"]);
    for name in [csv, parquet] {
        assert_eq!(
            rows["outputs"][&name]["written"], rows["emitted"],
            "{rows:#}"
        );
    }
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["rows.csv", "rows.parquet", "summary.json"]);
}

#[test]
fn outputs_that_can_not_be_had() {
    let error = |arguments: &[&str], code: i32, words: &[&str]| {
        Ig::run(bundle("trace_exec"))
            .args(arguments)
            .sh(":")
            .finish()
            .expect_error(code, words);
    };
    let unknown = Ig::run(bundle("trace_exec")).args(&["-o", "xml"]).finish();
    unknown.expect_code(2);
    let words = "no output format is named \"xml\"; formats are columns, json,";
    assert!(unknown.stderr.contains(words), "{}", unknown.stderr);
    error(&["-o", "parquet"], 2, &["parquet=FILE"]);
    error(
        &["-o", "json", "-o", "csv"],
        2,
        &["both go to standard output"],
    );
    error(&["--rotate-size", "1M"], 2, &["--rotate-size is for files"]);
    error(&["--redact", "arg"], 2, &["--redact", "\"args\""]);
    error(&["--redact", "args=("], 2, &["--redact", "regex"]);
    error(
        &["--output-file", "/no/such/folder/x"],
        125,
        &["can't write /no/such/folder/x"],
    );
}
