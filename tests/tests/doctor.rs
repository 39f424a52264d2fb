//! `ig doctor`: what it says, and that `ig run` then does as it said.

use ig_tests::{Finished, Ig, bundle};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The program and a bundle where anybody may run and read them.
struct Open {
    folder: tempfile::TempDir,
}

impl Open {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let open = Self { folder };
        let mode = |path: PathBuf, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
        };
        mode(open.folder.path().to_path_buf(), 0o755);
        ig_tests::build::copy_of_ig(&open.ig());
        std::fs::copy(bundle("trace_signal"), open.oci()).expect("a copy");
        mode(open.ig(), 0o755);
        mode(open.oci(), 0o644);
        open
    }

    fn ig(&self) -> PathBuf {
        self.folder.path().join("ig")
    }

    fn oci(&self) -> PathBuf {
        self.folder.path().join("trace_signal.oci")
    }

    /// What `ig doctor` says behind these words, which start it with less than root has; and how `ig run` then does.
    fn judged(&self, before: &[&str]) -> (Report, Finished) {
        let (program, before) = before.split_first().expect("a program");
        let start = || {
            Ig::of(program)
                .args(before)
                .arg(self.ig())
                .current_dir(self.folder.path())
                // Asked for its version, a rustup makes its folder there.
                .env("HOME", &self.folder.path().to_string_lossy())
        };
        let report = Report::of(start().args(&["doctor", "-o", "json"]).finish());
        let run = start().arg("run").arg(self.oci()).sh(":").finish();
        assert_eq!(
            report.works,
            run.code() == 0,
            "{:#?}\n{}",
            report.checks,
            run.stderr
        );
        (report, run)
    }
}

struct Report {
    works: bool,
    checks: Vec<Value>,
}

impl Report {
    fn of(finished: Finished) -> Self {
        assert_eq!(finished.stderr, "");
        let value: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let works = value["works"].as_bool().expect("a word");
        finished.expect_code(if works { 0 } else { 122 });
        let checks = value["checks"].as_array().expect("checks").clone();
        Self { works, checks }
    }

    fn check(&self, name: &str) -> &Value {
        let found = self.checks.iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {:#?}", self.checks))
    }

    fn missing(&self) -> Vec<&str> {
        self.checks
            .iter()
            .filter(|check| check["state"] == "missing")
            .map(|check| check["name"].as_str().expect("a name"))
            .collect()
    }
}

#[test]
fn as_root_it_says_that_gadgets_run_and_they_do() {
    let open = Open::new();
    let (report, run) = open.judged(&["env"]);
    assert!(report.works);
    assert!(run.stderr.contains("attempted"), "{}", run.stderr);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux");
    let kernel = report.check("kernel")["found"].as_str().expect("text");
    assert!(kernel.contains(release.trim()), "{kernel}");
    for name in [
        "privileges",
        "user-namespace",
        "btf",
        "tracefs",
        "ring-buffer",
        "task-storage",
        "tracepoint",
        "btf-tracepoint",
        "clang",
        "libbpf-headers",
    ] {
        assert_eq!(report.check(name)["state"], "ok", "{name}");
    }
    for name in [
        "uprobe",
        "kprobe",
        "fentry",
        "lsm",
        "lockdown",
        "cgroups",
        "docker",
        "containerd",
        "cri-o",
        "podman",
        "guest-toolchain",
        "guest-toolchain-c",
    ] {
        assert_ne!(report.check(name)["state"], "missing", "{name}");
    }
}

#[test]
fn a_line_a_check_and_a_last_word() {
    let finished = Ig::new().arg("doctor").finish();
    finished.expect_code(0);
    assert_eq!(finished.stderr, "");
    let lines: Vec<_> = finished.stdout.lines().collect();
    assert!(lines[0].starts_with("ok "), "{}", lines[0]);
    assert!(lines[0].contains(" kernel "), "{}", lines[0]);
    assert_eq!(lines.last(), Some(&"`ig run` will work here."));
    for line in &lines[..lines.len() - 1] {
        let word = line.split_whitespace().next().expect("a word");
        assert!(
            ["ok", "warning", "unknown", "info", "cure:"].contains(&word),
            "{line}"
        );
    }
    // A reader that has seen enough is no error.
    let finished = Ig::of("sh")
        .args(&["-c", "\"$0\" doctor | head -n 1"])
        .arg(ig_tests::ig())
        .finish();
    assert_eq!(finished.stderr, "");
    Ig::new()
        .args(&["doctor", "-o", "xml"])
        .finish()
        .expect_code(2);
}

#[test]
fn without_privileges_it_names_them() {
    let open = Open::new();
    let nobody = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--",
    ];
    let (report, run) = open.judged(&nobody);
    assert_eq!(report.missing(), ["privileges"]);
    let check = report.check("privileges");
    assert_eq!(
        check["found"],
        "the privilege to load eBPF programs (CAP_BPF and CAP_PERFMON); it has no capabilities"
    );
    assert!(
        check["cure"].as_str().expect("text").contains("sudo"),
        "{check}"
    );
    // What can be known without is told; what can't says so.
    assert_eq!(report.check("btf")["state"], "ok");
    assert_eq!(report.check("ring-buffer")["state"], "unknown");
    run.expect_refusal(122, &["CAP_BPF", "sudo"]);

    let text = Ig::of(nobody[0])
        .args(&nobody[1..])
        .arg(open.ig())
        .arg("doctor")
        .current_dir(open.folder.path())
        .finish();
    text.expect_code(122);
    assert!(
        text.stdout.contains("\nmissing  privileges"),
        "{}",
        text.stdout
    );
    assert!(
        text.stdout
            .ends_with("`ig run` will not work here; missing: privileges.\n"),
        "{}",
        text.stdout
    );
}

#[test]
fn with_too_few_capabilities_it_says_which_one_is_left_to_add() {
    let open = Open::new();
    let with = |more: &str| {
        let capabilities = format!("+bpf,+perfmon{more}");
        let start = [
            "setpriv",
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--inh-caps",
            &capabilities,
            "--ambient-caps",
            &capabilities,
            "--",
        ];
        open.judged(&start)
    };
    let (report, run) = with("");
    assert_eq!(report.missing(), ["tracefs"]);
    assert_eq!(report.check("privileges")["found"], "CAP_PERFMON, CAP_BPF");
    assert_eq!(report.check("ring-buffer")["state"], "ok");
    run.expect_refusal(122, &["tracefs"]);
    // With what it takes to read tracefs, or to mount it where nobody did.
    let (report, _) = with(",+dac_read_search,+sys_admin");
    assert_eq!(report.missing(), Vec::<&str>::new());
}

#[test]
fn what_a_container_hides_is_named() {
    let open = Open::new();
    let (report, run) = open.judged(&["unshare", "--user", "--map-root-user", "--"]);
    assert_eq!(report.missing(), ["user-namespace"]);
    run.expect_refusal(122, &["user namespace"]);

    let mount = ["unshare", "--mount", "--propagation", "private", "sh", "-c"];
    let hidden = |what: &str| {
        let script = format!("{what}; exec \"$0\" \"$@\"");
        let mut start = mount.to_vec();
        start.push(&script);
        open.judged(&start)
    };
    let (report, run) = hidden("mount -t tmpfs none /sys/kernel/btf");
    assert_eq!(report.missing(), ["btf"]);
    assert_eq!(report.check("btf-tracepoint")["state"], "warning");
    run.expect_refusal(122, &["/sys/kernel/btf/vmlinux"]);

    let (report, _) = hidden(
        "umount /sys/kernel/tracing 2>/dev/null; umount /sys/kernel/debug/tracing 2>/dev/null
        umount /sys/kernel/debug 2>/dev/null",
    );
    let tracefs = report.check("tracefs");
    assert_eq!(tracefs["state"], "ok");
    assert!(
        tracefs["found"]
            .as_str()
            .expect("text")
            .starts_with("not mounted"),
        "{tracefs}"
    );
}

#[test]
fn without_compilers_gadgets_run_all_the_same() {
    let finished = Ig::new()
        .args(&["doctor", "-o", "json"])
        .env("PATH", "/nonexistent")
        .env("CLANG", "")
        .env("CARGO", "")
        .finish();
    let report = Report::of(finished);
    assert!(report.works);
    for name in [
        "clang",
        "libbpf-headers",
        "guest-toolchain",
        "guest-toolchain-c",
    ] {
        let check = report.check(name);
        assert_eq!(check["state"], "info", "{check}");
        assert!(!check["cure"].is_null(), "{check}");
    }
}
