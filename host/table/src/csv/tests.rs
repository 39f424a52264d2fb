use super::*;
use crate::Kind;
use crate::sample::{self, texts};

fn written(rows: &Rows, terminal: bool) -> String {
    let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
    let mut writer = CsvWriter::new(
        &rows.table,
        &selected,
        Words::fixed(),
        rows.frame > 0,
        terminal,
    );
    let mut out = Vec::new();
    writer.header(&mut out);
    writer.write(rows, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_type_in_a_cell() {
    assert_eq!(
        written(&sample::rows(), false),
        "time,pid,error,error_raw,ok,load,comm,data,args,at,unknown\n\
         2026-11-23T14:04:05.123456789Z,42,ENOENT,2,true,1e+300,\"say \"\"a, b\"\"\n\\xff\u{1b}\",00ff,\
         \"[\"\"ls\"\",\"\"-l\"\",\"\"a b\"\"]\",\"{\"\"line\"\":7,\"\"file\"\":\"\"a.c\"\"}\",\n\
         2026-11-23T14:04:04.000000000Z,,,0,false,0.5,\"\",,[],\"{\"\"line\"\":0,\"\"file\"\":null}\",\n"
    );
}

#[test]
fn a_terminal_gets_nothing_to_obey() {
    let text = written(&sample::rows(), true);
    assert!(
        text.contains("\"say \"\"a, b\"\"\u{fffd}\\xff\u{fffd}\""),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn one_column_has_no_empty_lines() {
    let table = sample::table(&[("a,b", "text", Kind::None)]);
    let column = texts(&[Some(b"x"), None, Some(b""), Some(b"\r")]);
    let rows = Rows::new(table, vec![Some(column)], 4, 0).unwrap();
    assert_eq!(written(&rows, false), "\"a,b\"\nx\n\"\"\n\"\"\n\"\r\"\n");
}

#[test]
fn nothing_selected_is_empty_lines() {
    let table = sample::table(&[]);
    let rows = Rows::new(table, vec![], 2, 0).unwrap();
    assert_eq!(written(&rows, false), "\n\n\n");
}

#[test]
fn rows_end_outside_of_quotes() {
    let text = b"a,\"x\n\"\"\ny\"\nb\n";
    let ends: Vec<usize> = row_ends(text).collect();
    assert_eq!(ends, [11, 13]);
}
