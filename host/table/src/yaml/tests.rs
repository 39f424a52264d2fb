use super::*;
use crate::sample::{self, texts};
use crate::{Kind, Rows};

fn written(rows: &Rows) -> String {
    let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
    let mut out = Vec::new();
    YamlWriter::new(&rows.table, &selected, Words::fixed()).write(rows, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_type_in_block_style() {
    assert_eq!(
        written(&sample::rows()),
        r#"---
time: "2026-11-23T14:04:05.123456789Z"
pid: 42
error: ENOENT
error_raw: 2
ok: true
load: 1.0e+300
comm: "say \"a, b\"\n\\xff\u001b"
data: "00ff"
args:
  - ls
  - "-l"
  - "a b"
at:
  line: 7
  file: a.c
unknown: null
---
time: "2026-11-23T14:04:04.000000000Z"
pid: null
error: null
error_raw: 0
ok: false
load: 0.5
comm: ""
data: null
args: []
at:
  line: 0
  file: null
unknown: null
"#
    );
}

#[test]
fn text_is_bare_only_where_nobody_can_take_it_for_anything_else() {
    let quoted = |text: &str| {
        let mut out = Vec::new();
        scalar(text, &mut out);
        String::from_utf8(out).unwrap()
    };
    for bare in ["a", "/usr/bin/x-1.so", "_x", "nothing", "e3"] {
        assert_eq!(quoted(bare), bare);
    }
    for other in [
        "",
        "1",
        "-",
        "-a",
        ".inf",
        "1e3",
        "0x1",
        "null",
        "Null",
        "TRUE",
        "no",
        "Off",
        "y",
        "N",
        "a b",
        "a:",
        "a#",
        "a,",
        "[a]",
        "{}",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
        "~",
        "2026-11-23",
        "'a'",
        "=",
        "<<",
    ] {
        assert_eq!(quoted(other), format!("\"{other}\""));
    }
    // JSON's halves of a pair are one character here; what YAML forbids is escaped.
    assert_eq!(
        quoted("é\\udb40\\udc01\u{ffff}\\n"),
        "\"é\\U000e0001\\U0000ffff\\n\""
    );
    assert_eq!(quoted("\u{1f980}\\\"\\\\"), "\"\u{1f980}\\\"\\\\\"");
}

#[test]
fn lists_and_structs_nest() {
    let compact =
        b"{\"a\":[[1,2],[],[{\"x\":null,\"n\":[3]},{}]],\"b\":{\"c\":{\"d\":-0.0}}}\n{}\n";
    let mut out = Vec::new();
    let mut tokens = Tokens::new(compact);
    value(&mut tokens, 0, false, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\na:\n  - - 1\n    - 2\n  - []\n  - - x: null\n      \"n\":\n        - 3\n    - {}\nb:\n  c:\n    d: -0.0"
    );
}

#[test]
fn rows_end_at_the_next() {
    let table = sample::table(&[("a", "text", Kind::None)]);
    let column = texts(&[Some(b"---"), Some(b"x"), None]);
    let rows = Rows::new(table, vec![Some(column)], 3, 0).unwrap();
    let text = written(&rows);
    assert_eq!(text, "---\na: \"---\"\n---\na: x\n---\na: null\n");
    let ends: Vec<usize> = row_ends(text.as_bytes()).collect();
    assert_eq!(ends, [13, 22, 34]);
}
