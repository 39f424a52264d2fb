//! The rules of the house: who may use whom, what may not be called what.

use ig_tests::sources;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each member, and the members that it may use, in any kind of dependency.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("ig-object", &[]),
    ("ig-table", &[]),
    // In tests alone: the fixtures that start the runtimes.
    ("ig-containers", &["ig-tests"]),
    ("ig-records", &["ig-object", "ig-table"]),
    ("ig-bundle", &["ig-object", "ig-table"]),
    ("ig-kernel", &["ig-object", "ig-records"]),
    ("ig-sandbox", &["ig-records"]),
    (
        "ig-engine",
        &[
            "ig-object",
            "ig-table",
            "ig-records",
            "ig-bundle",
            "ig-kernel",
            "ig-sandbox",
            "ig-containers",
        ],
    ),
    ("ig", &["ig-engine"]),
    // They stand outside: what they check is the program, and the harness believes none of it.
    ("ig-tests", &[]),
    ("xtask", &[]),
    // Measures rooms one by one.
    (
        "ig-bench",
        &[
            "ig-object",
            "ig-table",
            "ig-records",
            "ig-bundle",
            "ig-kernel",
            "ig-sandbox",
            "ig-containers",
            "ig-engine",
            "ig-tests",
        ],
    ),
    // The guest of the benches, natively.
    ("gadget-sdk", &[]),
];

/// Libraries, by the beginning of their names, and the only member that may stand on them.
/// Tests may compare with them anywhere.
const ONLY_IN: [(&str, &[&str]); 3] = [
    ("aya", &["ig-kernel"]),
    ("wasmtime", &["ig-sandbox"]),
    ("cranelift", &[]),
];

/// These make no privileged call: nothing that could make one may be reached directly.
const WITHOUT_SYSTEM_CALLS: [&str; 4] = ["ig-object", "ig-table", "ig-records", "ig-bundle"];
const SYSTEM_CALLS: [&str; 4] = ["libc", "nix", "rustix", "syscalls"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 10] = [
    "utils", "util", "common", "helpers", "helper", "misc", "core", "shared", "stuff", "tools",
];

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--locked",
            "--offline",
        ])
        .current_dir(sources::root())
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON of cargo metadata");
    metadata["packages"].as_array().expect("packages").clone()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().expect("a name")
}

fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
}

/// What breaks the rules, in words; apart from the tree, so that the rules are tested themselves.
fn trespasses(packages: &[Value]) -> Vec<String> {
    let may_use = BTreeMap::from(MAY_USE);
    let members: BTreeSet<&str> = packages.iter().map(name).collect();
    let mut found = Vec::new();
    for package in packages {
        let member = name(package);
        let Some(allowed) = may_use.get(member) else {
            found.push(format!(
                "{member} has no place in the house: give it one in MAY_USE"
            ));
            continue;
        };
        for dependency in dependencies(package) {
            let used = name(dependency);
            let for_tests = dependency["kind"] == "dev";
            if members.contains(used) && !allowed.contains(&used) {
                found.push(format!("{member} may not use {used}"));
            }
            for (library, only) in ONLY_IN {
                if used.starts_with(library) && !only.contains(&member) && !for_tests {
                    found.push(format!("{member} may not stand on {used}"));
                }
            }
            if WITHOUT_SYSTEM_CALLS.contains(&member) && SYSTEM_CALLS.contains(&used) && !for_tests
            {
                found.push(format!(
                    "{member} makes no system calls of its own: no {used}"
                ));
            }
        }
    }
    found
}

#[test]
fn no_crate_reaches_where_it_may_not() {
    let packages = packages();
    let members: BTreeSet<&str> = packages.iter().map(name).collect();
    for room in ["ig-object", "ig-kernel", "ig-sandbox", "ig-engine", "ig"] {
        assert!(
            members.contains(room),
            "{room} is gone; members: {members:?}"
        );
    }
    assert_eq!(trespasses(&packages), Vec::<String>::new());
}

#[test]
fn the_rules_catch_each_kind_of_trespass() {
    let package = |name: &str, uses: &str, kind: Value| serde_json::json!({"name": name, "dependencies": [{"name": uses, "kind": kind}]});
    let tree = [
        package("ig-table", "ig-object", Value::Null),
        package("ig-object", "aya-obj", Value::Null),
        package("ig-records", "ig-table", Value::Null),
        package("ig-kernel", "ig-sandbox", "dev".into()),
        package("ig-sandbox", "wasmtime", Value::Null),
        package("ig-bundle", "libc", Value::Null),
        package("ig-engine", "wasmtime-environ", "build".into()),
        package("ig-stuff", "serde", Value::Null),
        package("ig", "aya", "dev".into()),
    ];
    assert_eq!(
        trespasses(&tree),
        [
            "ig-table may not use ig-object",
            "ig-object may not stand on aya-obj",
            "ig-kernel may not use ig-sandbox",
            "ig-bundle makes no system calls of its own: no libc",
            "ig-engine may not stand on wasmtime-environ",
            "ig-stuff has no place in the house: give it one in MAY_USE",
        ]
    );
}

#[test]
fn no_crate_or_module_has_an_empty_name() {
    let mut found: Vec<String> = packages()
        .iter()
        .map(|package| name(package).to_owned())
        .filter(|name| {
            EMPTY_NAMES
                .iter()
                .any(|empty| name.ends_with(&format!("-{empty}")))
        })
        .collect();
    for folder in ["host", "guest-sdk", "example-gadgets", "tests", "xtask"] {
        let folder = sources::root().join(folder);
        for path in sources::files(&folder, &[".rs"]) {
            let inside = path.strip_prefix(&folder).expect("a file of that folder");
            let module = inside.with_extension("");
            let words = module.iter().map(|word| word.to_string_lossy());
            if words.into_iter().any(|word| EMPTY_NAMES.contains(&&*word)) {
                found.push(path.display().to_string());
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            for line in text.lines() {
                let line = line.trim_start().trim_start_matches("pub ").trim_start();
                let inline = line
                    .strip_prefix("mod ")
                    .and_then(|rest| rest.split([' ', ';', '{']).next());
                if inline.is_some_and(|module| EMPTY_NAMES.contains(&module)) {
                    found.push(format!(
                        "{}: mod {}",
                        path.display(),
                        inline.unwrap_or_default()
                    ));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_member_follows_the_workspace_s_lints() {
    for package in packages() {
        let manifest = package["manifest_path"].as_str().expect("a path");
        let text = std::fs::read_to_string(manifest).expect("a manifest");
        let lints: String = text
            .split("[lints]")
            .nth(1)
            .unwrap_or_default()
            .lines()
            .take_while(|line| !line.starts_with('['))
            .collect();
        assert_eq!(lints.trim(), "workspace = true", "[lints] of {manifest}");
        assert_eq!(package["license"], "Apache-2.0", "license of {manifest}");
        assert_eq!(
            package["publish"],
            serde_json::json!([]),
            "publish of {manifest}"
        );
    }
}

/// Unsafe code is for the two rooms that talk to the kernel and to machine code, and for the
/// harness that asks the kernel itself.
#[test]
fn unsafe_code_stays_where_it_belongs() {
    let allowed = [
        "host/kernel/",
        "host/sandbox/",
        "host/engine/src/command.rs",
        "tests/src/loaded.rs",
        "tests/bench/",
    ];
    let root = sources::root();
    for folder in ["host", "tests", "xtask"] {
        for path in sources::files(&root.join(folder), &[".rs"]) {
            let shown = path
                .strip_prefix(&root)
                .expect("a file of the tree")
                .display()
                .to_string();
            let text = std::fs::read_to_string(&path).expect("a source file");
            // Put together here, so that this file does not hold it.
            let exception = ["allow(\n    unsafe", "allow(unsafe", "expect(unsafe"]
                .iter()
                .any(|start| text.contains(&format!("{start}_code")));
            let may = allowed.iter().any(|start| shown.starts_with(start));
            assert!(!exception || may, "{shown} allows itself unsafe code");
        }
    }
}
