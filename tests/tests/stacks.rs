//! Stacks: addresses of code in the record, functions in the table.

use ig_tests::{Finished, Ig, gadget};
use serde_json::Value;
use std::sync::LazyLock;

/// dash asks for its parent when it starts.
const CALL: &str = "sh -c :; :";

fn run(more: &[&str]) -> Finished {
    let finished = Ig::run(gadget("stack")).args(more).sh(CALL).finish();
    finished.expect_code(0);
    finished
}

fn list<'a>(row: &'a Value, column: &str) -> &'a [Value] {
    row[column]
        .as_array()
        .unwrap_or_else(|| panic!("{column} in {row:#}"))
}

/// The function that an address of the kernel lies in, by a reading of its own.
fn function(address: u64) -> String {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| std::fs::read_to_string("/proc/kallsyms").expect("/proc/kallsyms"));
    let functions = TEXT.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let start = u64::from_str_radix(words.next()?, 16).ok()?;
        let kind = words.next()?;
        let code = ["t", "T", "w", "W"].contains(&kind) && start <= address;
        code.then(|| (start, words.next().expect("a name").to_owned()))
    });
    // Of several names of one address the first.
    let nearest = functions.reduce(|best, next| if next.0 > best.0 { next } else { best });
    let (start, name) = nearest.expect("a function below the address");
    format!("{name}+{:#x}", address - start)
}

#[test]
fn a_stack_of_the_kernel_is_shown_as_functions_and_one_of_a_process_as_addresses() {
    let rows = run(&["--table", "calls", "-o", "json"]).rows();
    assert!(!rows.is_empty());
    for row in &rows {
        let (words, numbers) = (list(row, "kernel"), list(row, "kernel_raw"));
        assert_eq!(words.len(), numbers.len());
        assert!((1..32).contains(&words.len()), "{row:#}");
        for (word, number) in words.iter().zip(numbers) {
            let number = number.as_u64().expect("an address");
            assert_eq!(word, &Value::from(function(number)), "{number:#x}");
        }
        let user = list(row, "user");
        assert!(!user.is_empty(), "{row:#}");
        for word in user {
            let digits = word.as_str().and_then(|word| word.strip_prefix("0x"));
            let address = u64::from_str_radix(digits.expect("hex"), 16).expect("hex");
            assert!(address > 0 && address >> 63 == 0, "{word}");
        }
        assert!(row.get("user_raw").is_none());
    }
}

#[test]
fn a_stack_is_one_cell_and_can_be_filtered() {
    let finished = run(&[
        "--table",
        "calls",
        "--fields",
        "kernel",
        "--filter",
        "kernel ~ '^(do_syscall_64|el0_svc)'",
    ]);
    let mut lines = finished.stdout.lines();
    assert_eq!(lines.next(), Some("KERNEL"));
    let line = lines.next().expect("a row");
    let frames: Vec<&str> = line.split(';').collect();
    assert!(frames.len() > 1 && !line.contains(' '), "{line}");
    for frame in frames {
        assert!(frame.contains("+0x"), "{line}");
    }
    let nothing = "kernel ~ '^no_such_function'";
    let finished = run(&["--table", "calls", "--filter", nothing, "-o", "json"]);
    assert_eq!(finished.rows(), Vec::<Value>::new());
}

#[test]
fn columns_of_a_table_that_declares_none_are_inspected_as_a_run_makes_them() {
    let inspect = |more: &[&str]| {
        let finished = Ig::new()
            .args(&["image", "inspect"])
            .arg(gadget("stack"))
            .args(more)
            .finish();
        finished.expect_code(0);
        finished.stdout
    };
    let shown: Value = serde_json::from_str(&inspect(&["-o", "json"])).expect("JSON");
    let columns = shown["tables"][1]["columns"].as_array().expect("columns");
    let facts: Vec<_> = columns
        .iter()
        .map(|column| ["name", "type", "kind", "field"].map(|key| column[key].as_str().expect(key)))
        .collect();
    assert_eq!(
        facts,
        [
            ["pid", "u32", "pid", "pid"],
            ["__pad", "u32", "none", "__pad"],
            ["kernel_stack", "list<u64>", "kernel-stack", "kernel_stack"],
            ["user_stack", "list<u64>", "user-stack", "user_stack"],
        ]
    );
    let text = inspect(&[]);
    let (_, fields) = text
        .split_once("Table fields, from source calls")
        .expect(&text);
    assert!(
        fields.contains("kernel_stack  list<u64>, kernel-stack, field kernel_stack"),
        "{text}"
    );
    // And so a run has them.
    let rows = run(&["--table", "fields", "-o", "json"]).rows();
    let keys: Vec<_> = rows[0].as_object().expect("a row").keys().collect();
    for key in ["pid", "kernel_stack", "kernel_stack_raw", "user_stack"] {
        assert!(keys.iter().any(|name| *name == key), "no {key} in {keys:?}");
    }
}
