//! The commands that run what was built: demo, test, bench.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, run, shown};
use crate::place::Place;
use crate::root::{as_root, is_root};
use crate::{build, setup};

/// What the demo starts: a child, a child of a child, a pipe, a script, a program that is not there.
const DEMO: &str = "\
exec >/dev/null 2>&1
hostname
uname -sr; sleep 1
sh -c 'id -un; date -u \"+%H:%M\"'; sleep 1
seq 1000 | sort -rn | head -n 1; sleep 1
/no/such/command --anyway; sleep 1
ls -l /
";

/// `cargo xtask demo`.
pub fn demo(place: &Place) -> Result<()> {
    setup::build_tools(place)?;
    let ig = build::release(place)?;
    let bundle = build::bundle(place, &place.root.join("example-gadgets/trace_exec"))?;
    let script = place.target.join("demo.sh");
    std::fs::write(&script, DEMO).with_context(|| format!("can't write {}", script.display()))?;
    println!("\nxtask: everything below comes from the running kernel, for a few seconds\n");
    let bundle_shown = bundle.strip_prefix(&place.root).unwrap_or(&bundle);
    run(as_root(ig)?
        .arg("run")
        .arg(bundle_shown)
        .args(["--", "sh"])
        .arg(script.strip_prefix(&place.root).unwrap_or(&script)))?;
    let mut again = Command::new(place.ig().strip_prefix(&place.root).unwrap_or(&place.ig()));
    again.arg("run").arg(bundle_shown);
    println!(
        "\nxtask: to see what any other terminal starts, until Ctrl-C:\n  sudo {}",
        shown(&again)
    );
    Ok(())
}

/// `cargo xtask test`.
pub fn test(place: &Place, full: bool, passed: &[String]) -> Result<()> {
    setup::build_tools(place)?;
    setup::runtimes()?;
    let ig = build::release(place)?;
    build::bundles(place)?;
    let mut test = cargo();
    if !is_root() {
        // Test binaries are started by ourselves, through sudo; an array, because a path may
        // hold spaces.
        let own = std::env::current_exe().context("where this program is")?;
        let own = own.to_str().context("this program's path is not UTF-8")?;
        let runner = format!("target.'cfg(all())'.runner = [{own:?}, \"as-root\"]");
        test.args(["--config", &runner]);
    }
    test.args(["test", "--locked", "--no-fail-fast"]);
    let narrowed = |word: &String| word == "-p" || word.starts_with("--package");
    if !passed.iter().any(narrowed) {
        test.arg("--workspace");
    }
    test.args(passed);
    test.env("IG_BIN", ig);
    if full {
        test.env("IG_TEST_FULL", "1");
    }
    let tested = run(&mut test);
    if passed.is_empty() {
        // Not part of the others: `cargo test` alone needs no Python.
        run(cargo()
            .args(["test", "--locked", "--package", "ig-table"])
            .args(["--test", "readers", "--", "--ignored"])
            .env("IG_PYTHON", setup::readers(place)?))?;
    }
    tested
}

/// `cargo xtask bench`: the benches are a program of their own, the crate `ig-bench`.
pub fn bench(place: &Place, quick: bool) -> Result<()> {
    if !place.root.join("tests/bench/Cargo.toml").is_file() {
        bail!("there is no tests/bench in this tree: nothing to measure");
    }
    setup::build_tools(place)?;
    setup::bench_tools()?;
    let ig = build::release(place)?;
    build::bundles(place)?;
    let native = build::bench_guest(place)?;
    let python = setup::readers(place)?;
    run(cargo().args(["build", "--locked", "--release", "--package", "ig-bench"]))?;
    let mut bench = as_root("env")?;
    // The tests of the example gadgets build them.
    let mut path = OsString::from("PATH=");
    path.push(build::with_python_guests(place)?);
    bench
        .arg(format!("IG_BIN={}", ig.display()))
        .arg(format!(
            "IG_GADGETS={}",
            place.target.join("gadgets").display()
        ))
        .arg(path)
        .arg(format!("IG_BENCH_NATIVE={}", native.display()))
        .arg(format!("IG_PYTHON={}", python.display()))
        .arg(format!(
            "IG_BENCH_JSON={}",
            place.target.join("bench.json").display()
        ))
        .arg(place.target.join("release/ig-bench"));
    if quick {
        bench.arg("--quick");
    }
    run(&mut bench)
}
