//! Mistakes are told where they are; no text panics.

use proptest::prelude::*;

use super::*;

fn error(filter: &str) -> FilterError {
    let rows = documented::rows();
    match Filter::parse(filter, &rows.table, &words()) {
        Ok(read) => panic!("{filter} was read as {read:?}"),
        Err(error) => error,
    }
}

/// The wrong part of a filter, and why.
fn told(filter: &str) -> (String, String) {
    let error = error(filter);
    let part = filter.get(error.at()).unwrap().to_owned();
    (part, error.reason().to_owned())
}

#[test]
fn mistakes_are_where_they_are_told() {
    for (filter, part, reason) in [
        ("", "", "the filter is empty"),
        ("  ", "", "the filter is empty"),
        (
            "pid",
            "pid",
            "pid is u32, only a bool is a condition by itself",
        ),
        ("pid 3", "3", "expected an operator, found \"3\""),
        ("pid ==", "", "a value is missing at the end"),
        ("pid == == 3", "==", "expected a value, found \"==\""),
        ("pid == )", ")", "expected a value, found \")\""),
        ("pid == (row", "(", "this parenthesis is not closed"),
        ("pid == (row x)", "x", "expected `)`, found \"x\""),
        ("pid == (1)", "1", "expected a column, found \"1\""),
        (
            "comm == (cmm)",
            "cmm",
            "no column is named \"cmm\", did you mean \"comm\"?",
        ),
        (
            "pid == (\"row\")",
            "\"row\"",
            "expected a column, found \"\\\"row\\\"\"",
        ),
        (
            "pid < args",
            "args",
            "args is list<text>, which can't be compared with pid (u32, pid)",
        ),
        (
            "signal == syscall",
            "syscall",
            "syscall is u32, syscall, which can't be compared with signal (u32, signal)",
        ),
        ("raw < (dst)", "dst", "dst (bytes, address) has no order"),
        (
            "pid == 3 uid == 0",
            "uid",
            "expected `and`, `or`, a comma or the end, found \"uid\"",
        ),
        ("pid == 3)", ")", "this parenthesis closes nothing"),
        ("(pid == 3", "(", "this parenthesis is not closed"),
        (
            "(pid == 3 x",
            "x",
            "expected `and`, `or`, a comma or `)`, found \"x\"",
        ),
        ("pid == 3,", "", "expected a column, found the end"),
        ("and", "and", "no column is named \"and\""),
        ("== 3", "==", "expected a column, found \"==\""),
        ("comm == \"cat", "\"", "this quote is not closed"),
        ("comm == 'cat", "'", "this quote is not closed"),
        (
            "comm == \"cat\"x",
            "x",
            "this stands directly after a quoted value",
        ),
        (r#"comm == "a\db""#, r"\d", "this escape stands for nothing"),
        (
            r#"comm == "a\xg0""#,
            r"\x",
            "this escape stands for nothing",
        ),
        ("`comm == 1", "`", "this quote is not closed"),
        ("pid in 3", "3", "`in` without parentheses needs a network"),
        (
            "comm in cat",
            "cat",
            "`in` without parentheses needs a network",
        ),
        ("pid in ()", "()", "`in` needs at least one value"),
        ("pid in (1 2)", "2", "expected a comma or `)`, found \"2\""),
        ("pid in (1, 2", "(", "this parenthesis is not closed"),
        ("pid in (1, null)", "null", "nothing compares with null"),
        ("pid is 3", "3", "expected `null`, found \"3\""),
        ("pid not 3", "3", "expected an operator, found \"3\""),
        (
            "pid == cat",
            "cat",
            "\"cat\" is no number, and pid is u32, pid",
        ),
        ("pid == 1KiB", "1KiB", "pid (u32, pid) has no unit \"KiB\""),
        (
            "pid == 1e40",
            "1e40",
            "this number is too large, or has too many digits",
        ),
        (
            "load == nan",
            "nan",
            "\"nan\" is no number, and load is f64",
        ),
        (
            "pid has 1",
            "has",
            "`has` needs flags or a list, pid is u32, pid",
        ),
        (
            "pid has",
            "has",
            "`has` needs flags or a list, pid is u32, pid",
        ),
        (
            "pid contains 1",
            "contains",
            "`contains` needs text or a list, pid is u32, pid",
        ),
        (
            "write < true",
            "<",
            "`<` needs a number or text, write is bool",
        ),
        (
            "write == maybe",
            "maybe",
            "\"maybe\" is neither true nor false, and write is bool",
        ),
        ("write ~ t", "~", "`~` needs text, write is bool"),
        (
            "peer == 3",
            "==",
            "`==` needs a value, peer is struct<host: text, port: u16>",
        ),
        (
            "peer.prt == 3",
            "prt",
            "no field is named \"prt\", did you mean \"port\"?",
        ),
        ("pid.x == 3", "x", "pid is u32 and has no fields"),
        (
            "peer.port.x == 3",
            "x",
            "peer.port is u16 and has no fields",
        ),
        (
            "flags has O_CREATE",
            "O_CREATE",
            "no flag of open is named \"O_CREATE\", did you mean \"O_CREAT\"?",
        ),
        (
            "flags has O_TRUNC|CREAT",
            "CREAT",
            "no flag of open is named \"CREAT\"",
        ),
        (
            "flags has \"O_TRUNC | x\"",
            "x",
            "no flag of open is named \"x\"",
        ),
        ("flags has -1", "-1", "\"-1\" is no set of bits"),
        (
            "mode == 0888",
            "0888",
            "\"0888\" is no number, and mode is u16, file-mode",
        ),
        ("user == bob", "bob", "no user is named \"bob\""),
        (
            "error == enoent",
            "enoent",
            "no error number is named \"enoent\", did you mean \"ENOENT\"?",
        ),
        (
            "dst == db",
            "db",
            "\"db\" is no address, and dst is bytes, address",
        ),
        (
            "dst == 10.0.0.0/8",
            "10.0.0.0/8",
            "\"10.0.0.0/8\" is no address, and dst is bytes, address",
        ),
        (
            "dst in db",
            "db",
            "\"db\" is no address, and dst is bytes, address",
        ),
        (
            "dst > 10.0.0.1",
            ">",
            "`>` needs a number or text, dst is bytes, address",
        ),
        (
            "signal == SIGTERMM",
            "SIGTERMM",
            "no signal is named \"SIGTERMM\", did you mean \"SIGTERM\"?",
        ),
        (
            "syscall == opnat",
            "opnat",
            "no system call is named \"opnat\", did you mean \"openat\"?",
        ),
        ("time > 5", "5", "\"5\" is not a point in time"),
        (
            "time > 2026-13-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "\"2026-13-01T00:00:00Z\" is not a point in time",
        ),
        (
            "comm like \"[a\"",
            "[",
            "this class of characters is not closed, empty, or upside down",
        ),
        (
            "comm like [z-a]",
            "[",
            "this class of characters is not closed, empty, or upside down",
        ),
        (
            "comm ~ a(b",
            "(",
            "not a regular expression: unclosed group",
        ),
        (
            r#"comm ~ "\"x[b""#,
            "[",
            "not a regular expression: unclosed character class",
        ),
        (
            "comm ~ (a{1000}){1000}",
            "(a{1000}){1000}",
            "not a regular expression: it is too large",
        ),
        (
            "comm ~ \"(a{1000}){1000}\"",
            "\"(a{1000}){1000}\"",
            "not a regular expression: it is too large",
        ),
        ("raw == 0x0", "0x0", "these are no bytes in hex"),
        (
            "pid == 漢字",
            "漢字",
            "\"漢字\" is no number, and pid is u32, pid",
        ),
    ] {
        assert_eq!(
            told(filter),
            (part.to_owned(), reason.to_owned()),
            "{filter}"
        );
    }
}

#[test]
fn errors_list_what_is_right() {
    let possible = |filter| error(filter).possible().unwrap_or_default().to_owned();
    assert!(possible("x == 1").starts_with("columns are row, time, comm, "));
    assert_eq!(possible("peer.x == 1"), "fields are host, port");
    assert_eq!(
        possible("peer == 1"),
        "fields of peer are host, port; of the whole there is `is null`"
    );
    assert_eq!(possible("comm < "), "");
    assert_eq!(
        possible("comm has x"),
        "after comm (text) may come ==, !=, <, <=, >, >=, in, ~, !~, like, contains and `is null`"
    );
    assert_eq!(
        possible("flags ?"),
        "after flags (u32, open-flags) may come ==, !=, <, <=, >, >=, in, ~, !~, like, contains, has and `is null`"
    );
    assert_eq!(
        possible("args < 'x' x"),
        "a value that holds spaces or parentheses has to be in quotes"
    );
    assert!(possible("flags has x").ends_with("O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_APPEND, O_NONBLOCK, O_SYNC, O_DSYNC, O_ASYNC, O_TMPFILE, O_DIRECT, O_LARGEFILE, O_DIRECTORY, O_NOFOLLOW, O_NOATIME, O_CLOEXEC, O_PATH"));
    assert_eq!(
        possible("user == bob"),
        "user takes a number or the name of a user"
    );
    assert_eq!(possible("pid == 1ms"), "numbers of pid have no unit");
}

#[test]
fn nesting_ends_before_the_stack_does() {
    let deep = |n: usize| format!("{}write{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(taken(&deep(64)), [2, 3]);
    assert_eq!(
        told(&deep(65)).1,
        "more than 64 parentheses and negations in each other"
    );
    assert_eq!(taken(&format!("{} write", "not ".repeat(64))), [2, 3]);
    assert!(told(&"!".repeat(1_000_000)).1.starts_with("more than 64"));
    assert!(told(&"(".repeat(1_000_000)).1.starts_with("more than 64"));
    // Side by side there may be many.
    let many = vec!["(pid == 100)"; 10_000].join(" or ");
    assert_eq!(taken(&many), [1]);
}

/// Pieces of filters, so that random texts get past the first word.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "pid",
        "comm",
        "error",
        "flags",
        "args",
        "peer",
        "peer.port",
        "time",
        "took",
        "raw",
        "write",
        "from",
        " ",
        " ",
        "==",
        "!=",
        "<",
        ">=",
        "~",
        "!~",
        "=",
        "in",
        "not",
        "is",
        "null",
        "has",
        "like",
        "contains",
        "and",
        "or",
        "&&",
        "||",
        ",",
        "(",
        ")",
        "!",
        "\"",
        "'",
        "\\",
        "`",
        ".",
        "[",
        "]",
        "*",
        "?",
        "{",
        "}",
        "|",
        "^",
        "$",
        "-",
        "0",
        "1",
        "12ms",
        "4KiB",
        "0x",
        "1e9",
        "ENOENT",
        "O_CREAT",
        "10.0.0.0/8",
        "::1",
        "/",
        "true",
        "é",
        "漢",
        "\t",
        "\n",
        "\x1b",
        "2026-11-23T14:04:05Z",
        "99999999999999999999999999999999999999999",
        "e",
        "_",
    ];
    prop_oneof![
        9 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_a_filter_or_one_error(pieces in proptest::collection::vec(piece(), 0..14)) {
        let text = pieces.concat();
        let rows = documented::rows();
        match Filter::parse(&text, &rows.table, &words()) {
            Ok(filter) => prop_assert_eq!(filter.apply(&rows).len(), rows.len),
            Err(error) => {
                prop_assert!(text.get(error.at()).is_some());
                let shown = error.to_string();
                prop_assert!(shown.lines().count() <= 4, "{shown}");
                prop_assert!(!shown.replace('\n', "").contains(crate::text::is_hazardous));
            }
        }
    }
}
