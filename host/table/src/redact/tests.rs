use arrow_buffer::NullBuffer;

use super::*;
use crate::Kind;
use crate::json::JsonWriter;
use crate::kinds::words::Words;
use crate::sample::{self, texts};

fn json(rows: &Rows) -> String {
    let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
    let mut out = Vec::new();
    JsonWriter::new(&rows.table, &selected, Words::fixed()).write(rows, &mut out);
    String::from_utf8(out).unwrap()
}

fn rows() -> Rows {
    let table = sample::table(&[
        ("comm", "text", Kind::None),
        ("args", "list<text>", Kind::None),
        ("pid", "u32", Kind::Pid),
    ]);
    let columns: Vec<Option<ArrayRef>> = vec![
        Some(texts(&[Some(b"curl"), None, Some(b"\xff secret")])),
        Some(sample::lists(&[
            &[b"-H", b"token=abc&token=d"],
            &[],
            &[b"Token=x", b"plain"],
        ])),
        Some(Arc::new(arrow_array::UInt32Array::from(vec![1, 2, 3]))),
    ];
    Rows::new(table, columns, 3, 0).unwrap()
}

fn redacted(rules: &[&str]) -> String {
    let rows = rows();
    json(&Redactor::new(&rows.table, rules).unwrap().apply(rows))
}

#[test]
fn whole_values_or_what_matches() {
    assert_eq!(
        redacted(&["comm"]),
        "{\"comm\":\"***\",\"args\":[\"-H\",\"token=abc&token=d\"],\"pid\":1}\n\
         {\"comm\":null,\"args\":[],\"pid\":2}\n\
         {\"comm\":\"***\",\"args\":[\"Token=x\",\"plain\"],\"pid\":3}\n"
    );
    assert_eq!(
        redacted(&["args=(?i)token=[^&]*", "comm=secret"]),
        "{\"comm\":\"curl\",\"args\":[\"-H\",\"***&***\"],\"pid\":1}\n\
         {\"comm\":null,\"args\":[],\"pid\":2}\n\
         {\"comm\":\"\\\\xff ***\",\"args\":[\"***\",\"plain\"],\"pid\":3}\n"
    );
    // In their order; what stands for a match is literal, and a pattern may hold `=`.
    assert_eq!(
        redacted(&["comm=(cu)(rl)", "comm=[*]+", "args", "comm=(?-u:\\xff)"])
            .lines()
            .last(),
        Some("{\"comm\":\"*** secret\",\"args\":[\"***\",\"***\"],\"pid\":3}")
    );
}

#[test]
fn what_has_no_match_is_not_copied() {
    let rows = rows();
    let redactor = Redactor::new(&rows.table, ["comm=nothing", "args=nothing"]).unwrap();
    let after = redactor.apply(rows.clone());
    for (before, after) in rows.columns.iter().zip(&after.columns) {
        assert!(Arc::ptr_eq(
            before.as_ref().unwrap(),
            after.as_ref().unwrap()
        ));
    }
    assert!(!redactor.is_empty());
    assert!(Redactor::default().is_empty());
}

#[test]
fn text_in_structs() {
    let rows = sample::rows();
    let redactor = Redactor::new(&rows.table, ["at"]).unwrap();
    let text = json(&redactor.apply(rows));
    assert!(
        text.contains("\"at\":{\"line\":7,\"file\":\"***\"}"),
        "{text}"
    );
    assert!(text.contains("\"at\":{\"line\":0,\"file\":null}"), "{text}");
}

/// A null may have bytes beneath it, and Arrow sinks write memory as it is.
#[test]
fn nothing_secret_stays_in_memory() {
    let table = sample::table(&[("a", "text", Kind::None)]);
    let array = BinaryArray::new(
        OffsetBuffer::from_lengths([6, 2]),
        Buffer::from(b"secretok"),
        Some(NullBuffer::from(vec![false, true])),
    );
    for rule in ["a=secret", "a"] {
        let rows = Rows::new(
            Arc::clone(&table),
            vec![Some(Arc::new(array.clone()))],
            2,
            0,
        );
        let rows = Redactor::new(&table, [rule]).unwrap().apply(rows.unwrap());
        let array = rows.columns[0].as_ref().unwrap().as_binary::<i32>();
        assert!(array.is_null(0));
        assert!(!array.values().windows(6).any(|w| w == b"secret"), "{rule}");
    }
    // Neither does a row that was sliced away.
    let texts = texts(&[Some(b"secret 1"), Some(b"secret 2")]).slice(1, 1);
    let rows = Rows::new(Arc::clone(&table), vec![Some(texts)], 1, 0).unwrap();
    let rows = Redactor::new(&table, ["a"]).unwrap().apply(rows);
    assert_eq!(
        rows.columns[0]
            .as_ref()
            .unwrap()
            .as_binary::<i32>()
            .values()
            .as_slice(),
        b"***"
    );
}

#[test]
fn rules_that_can_not_be_followed() {
    let rows = rows();
    let error = |rule: &str| Redactor::new(&rows.table, [rule]).unwrap_err().to_string();
    assert_eq!(
        error("com"),
        "--redact: table sample has no column \"com\", did you mean \"comm\"?; columns are comm, args, pid"
    );
    assert_eq!(
        error("pid=1"),
        "--redact: column \"pid\" is u32, and only text can be redacted; leave the column out with --fields -pid"
    );
    let broken = error("comm=a(");
    assert!(
        broken.starts_with("--redact \"comm=a(\": regex parse error:"),
        "{broken}"
    );
}

#[test]
fn a_rule_is_for_every_table_that_has_the_column() {
    let all = sample::rows();
    let mut part = (*all.table).clone();
    part.name = "part".to_owned();
    part.columns.retain(|column| column.name != "args");
    let tables = [&*all.table, &part];
    let rules = |rules: &[&str]| {
        let redactors = Redactor::of_tables(&tables, rules)?;
        Ok(redactors.iter().map(|r| r.rules.len()).collect::<Vec<_>>())
    };
    let error = |rule: &str| rules(&[rule]).map_err(|e: RedactError| e.to_string());
    assert_eq!(rules(&["comm", "args=x"]), Ok(vec![2, 1]));
    assert_eq!(
        error("cmm"),
        Err(format!(
            "--redact: none of the tables {}, part has a column \"cmm\"",
            all.table.name
        ))
    );
    assert!(
        error("pid")
            .unwrap_err()
            .contains("only text can be redacted")
    );
}
