//! `trace_exec_py`, live: the same gadget with its guest in Python says the same.

use ig_tests::{Ig, bundle};
use serde_json::Value;

const FIELDS: &str = "comm,pcomm,uid,ret,error,file,cwd,args,args_count,args_truncated";

fn rows(gadget: &str, script: &str) -> Vec<Value> {
    let finished = Ig::run(bundle(gadget))
        .args(&["--fields", FIELDS])
        .json()
        .sh(script)
        .finish();
    finished.expect_code(0);
    finished.rows()
}

#[test]
fn a_guest_in_python_says_what_the_one_in_rust_says() {
    let script = "cd /usr; /bin/echo hi \"there you\" ''; /no/such/command with words; \
                  (cd bin; /bin/true \"$(printf 'x\\377y')\" \"$(printf 'l\\nm')\"); exit 0";
    let python = rows("trace_exec_py", script);
    assert_eq!(python, rows("trace_exec", script));
    assert_eq!(python.len(), 4, "{python:#?}");
    assert_eq!(python[1]["args"][2], "there you");
    assert_eq!(python[2]["error"], "ENOENT");
    assert_eq!(python[3]["cwd"], "/usr/bin");
}

#[test]
fn a_guest_in_python_has_no_wasi() {
    let finished = Ig::new()
        .args(&["image", "inspect"])
        .arg(bundle("trace_exec_py"))
        .args(&["-o", "json"])
        .finish();
    finished.expect_code(0);
    assert!(finished.stdout.contains("ig:gadget/tables@0.1.0"));
    assert!(!finished.stdout.contains("wasi:"), "{}", finished.stdout);
}
