//! Lines are compared with exact texts, and with what another JSON reader makes of them.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{TimestampNanosecondType, UInt32Type};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int32Array, ListArray,
    RecordBatch, StructArray, UInt16Array, UInt32Array, UInt64Array,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::names::Passwd;
use crate::{Arch, Column, Table, text};

fn table(columns: &[(&str, &str, Kind)]) -> Arc<Table> {
    let columns = columns.iter().map(|(name, ty, kind)| Column {
        name: (*name).to_owned(),
        description: String::new(),
        data_type: ty.parse().unwrap(),
        kind: *kind,
        width: None,
        hidden: false,
        alias: None,
    });
    Arc::new(Table {
        name: "t".to_owned(),
        description: String::new(),
        columns: columns.collect(),
    })
}

fn words() -> Words {
    let names = Arc::new(Passwd::parse(b"root:x:0:0\nod\"d:x:7:7\n"));
    Words::new(names, Arch::X86_64, crate::Zone::UTC)
}

fn lines(columns: &[(&str, &str, Kind)], arrays: Vec<ArrayRef>) -> String {
    let table = table(columns);
    let len = arrays[0].len();
    let arrays = arrays.into_iter().map(Some).collect();
    let rows = Rows::new(Arc::clone(&table), arrays, len, 1_795_442_645_000_000_000).unwrap();
    let selected: Vec<usize> = (0..columns.len()).collect();
    let mut out = Vec::new();
    JsonWriter::new(&table, &selected, words()).write(&rows, &mut out);
    String::from_utf8(out).unwrap()
}

fn texts(values: &[&[u8]]) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(values))
}

#[test]
fn an_object_a_line() {
    let text = lines(
        &[
            ("pid", "u32", Kind::Pid),
            ("comm", "text", Kind::None),
            ("ret", "i32", Kind::None),
            ("big", "u64", Kind::None),
        ],
        vec![
            Arc::new(UInt32Array::from(vec![Some(1), None])),
            texts(&[b"init", b""]),
            Arc::new(Int32Array::from(vec![-2, i32::MIN])),
            Arc::new(UInt64Array::from(vec![u64::MAX, 0])),
        ],
    );
    assert_eq!(
        text,
        "{\"pid\":1,\"comm\":\"init\",\"ret\":-2,\"big\":18446744073709551615}\n\
         {\"pid\":null,\"comm\":\"\",\"ret\":-2147483648,\"big\":0}\n"
    );
}

#[test]
fn kinds_are_words() {
    let text = lines(
        &[
            ("time", "u64", Kind::Timestamp),
            ("error", "u32", Kind::Errno),
            ("flags", "i32", Kind::OpenFlags),
            ("mode", "u32", Kind::FileMode),
            ("user", "u32", Kind::User),
            ("addr", "i32", Kind::Hex),
            ("took", "u64", Kind::Duration),
        ],
        vec![
            Arc::new(UInt64Array::from(vec![123_456_789, 0, 1_000_000_000])),
            Arc::new(UInt32Array::from(vec![2, 0, 4_000])),
            Arc::new(Int32Array::from(vec![0o101, 0, i32::MIN])),
            Arc::new(UInt32Array::from(vec![0o644, 0, 0o4755])),
            Arc::new(UInt32Array::from(vec![0, 7, 1_000])),
            Arc::new(Int32Array::from(vec![255, 0, -1])),
            Arc::new(UInt64Array::from(vec![1_500, 0, 1])),
        ],
    );
    let want = [
        "{\"time\":\"2026-11-23T14:04:05.123456789Z\",\"error\":\"ENOENT\",\"error_raw\":2,\
         \"flags\":\"O_WRONLY|O_CREAT\",\"flags_raw\":65,\"mode\":\"0644\",\"user\":\"root\",\"user_raw\":0,\
         \"addr\":\"0xff\",\"took\":1500}",
        "{\"time\":\"2026-11-23T14:04:05.000000000Z\",\"error\":null,\"error_raw\":0,\
         \"flags\":\"O_RDONLY\",\"flags_raw\":0,\"mode\":\"0000\",\"user\":\"od\\\"d\",\"user_raw\":7,\
         \"addr\":\"0x0\",\"took\":0}",
        "{\"time\":\"2026-11-23T14:04:06.000000000Z\",\"error\":\"4000\",\"error_raw\":4000,\
         \"flags\":\"O_RDONLY|0x80000000\",\"flags_raw\":2147483648,\"mode\":\"04755\",\"user\":\"1000\",\"user_raw\":1000,\
         \"addr\":\"0xffffffff\",\"took\":1}",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), want);
}

#[test]
fn more_kinds_are_words() {
    let endpoint = StructArray::new(
        crate::schema::struct_fields(&[
            ("address".to_owned(), DataType::Bytes),
            ("port".to_owned(), DataType::U16),
        ]),
        vec![
            texts(&[&[10, 0, 0, 1], &[0; 16]]),
            Arc::new(UInt16Array::from(vec![443, 22])),
        ],
        None,
    );
    let numbers = |values: [u32; 2]| Arc::new(UInt32Array::from(values.to_vec())) as ArrayRef;
    let text = lines(
        &[
            ("sig", "u32", Kind::Signal),
            ("nr", "u32", Kind::Syscall),
            ("cap", "u32", Kind::Capability),
            ("caps", "u32", Kind::Capabilities),
            ("dev", "u32", Kind::Device),
            ("netns", "u32", Kind::NetNs),
            ("size", "u32", Kind::Bytes),
            ("v4", "u32", Kind::Address),
            ("ip", "bytes", Kind::Address),
            ("port", "u32", Kind::Port),
            ("mac", "bytes", Kind::Mac),
            ("ok", "u32", Kind::Bool),
            ("dst", "struct<address: bytes, port: u16>", Kind::Endpoint),
        ],
        vec![
            numbers([9, 0]),
            numbers([257, 9999]),
            numbers([12, 41]),
            numbers([3, 0]),
            numbers([8 << 20 | 1, 0]),
            numbers([4_026_531_840, 0]),
            numbers([4_096, 0]),
            numbers([0x0100_000a, 0]),
            texts(&[&[0; 16], b"xy"]),
            numbers([80, 0]),
            texts(&[&[2, 0x42, 0, 0, 0, 1], b""]),
            numbers([2, 0]),
            Arc::new(endpoint),
        ],
    );
    let want = [
        r#"{"sig":"SIGKILL","sig_raw":9,"nr":"openat","nr_raw":257,"cap":"CAP_NET_ADMIN","cap_raw":12,"#,
        r#""caps":"CAP_CHOWN|CAP_DAC_OVERRIDE","caps_raw":3,"dev":"8:1","netns":4026531840,"size":4096,"#,
        r#""v4":"10.0.0.1","ip":"::","port":80,"mac":"02:42:00:00:00:01","ok":true,"#,
        r#""dst":{"address":"10.0.0.1","port":443}}"#,
        "\n",
        r#"{"sig":"0","sig_raw":0,"nr":"9999","nr_raw":9999,"cap":"41","cap_raw":41,"#,
        r#""caps":"0","caps_raw":0,"dev":"0:0","netns":0,"size":0,"#,
        r#""v4":"0.0.0.0","ip":"7879","port":0,"mac":"","ok":false,"#,
        r#""dst":{"address":"::","port":22}}"#,
        "\n",
    ];
    assert_eq!(text, want.concat());
}

#[test]
fn the_number_beside_the_word_is_always_there() {
    let number = |value: Option<u32>| Arc::new(UInt32Array::from(vec![value])) as ArrayRef;
    let error = ("error", "u32", Kind::Errno);
    assert_eq!(
        lines(&[error], vec![number(None)]),
        "{\"error\":null,\"error_raw\":null}\n"
    );
    // The table's own column comes first.
    assert_eq!(
        lines(
            &[error, ("error_raw", "u32", Kind::None)],
            vec![number(Some(2)), number(Some(3))]
        ),
        "{\"error\":\"ENOENT\",\"error_raw\":3}\n"
    );
    // Of a list it is a list.
    let list = ListArray::from_iter_primitive::<UInt32Type, _, _>(vec![Some(vec![Some(9), None])]);
    assert_eq!(
        lines(&[("sigs", "list<u32>", Kind::Signal)], vec![Arc::new(list)]),
        "{\"sigs\":[\"SIGKILL\",null],\"sigs_raw\":[9,null]}\n"
    );
    let list = ListArray::from_iter_primitive::<UInt32Type, _, _>(vec![None::<Vec<Option<u32>>>]);
    assert_eq!(
        lines(&[("sigs", "list<u32>", Kind::Signal)], vec![Arc::new(list)]),
        "{\"sigs\":null,\"sigs_raw\":null}\n"
    );
    // Nobody computed the column; its name is as long as names get.
    let long = "a_column_whose_name_is_longer_than_what_is_copied_at_once";
    let table = table(&[(long, "u32", Kind::Signal)]);
    let mut out = Vec::new();
    for column in [None, Some(number(Some(9)))] {
        let rows = Rows::new(Arc::clone(&table), vec![column], 1, 0).unwrap();
        JsonWriter::new(&table, &[0], Words::fixed()).write(&rows, &mut out);
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!(
            "{{\"{long}\":null,\"{long}_raw\":null}}\n{{\"{long}\":\"SIGKILL\",\"{long}_raw\":9}}\n"
        )
    );
}

#[test]
fn text_is_escaped() {
    let text = |bytes: &[u8]| {
        let line = lines(&[("t", "text", Kind::None)], vec![texts(&[bytes])]);
        line.strip_prefix("{\"t\":")
            .unwrap()
            .strip_suffix("}\n")
            .unwrap()
            .to_owned()
    };
    assert_eq!(text(b"say \"hi\" \\ now"), r#""say \"hi\" \\ now""#);
    assert_eq!(
        text(b"a\n\r\t\x00\x1b[2J\x7f"),
        r#""a\n\r\t\u0000\u001b[2J\u007f""#
    );
    assert_eq!(text(b"a\xffb\xe2\x82"), r#""a\\xffb\\xe2\\x82""#);
    // The same text spelled out is another one.
    assert_eq!(text(b"a\\xffb"), r#""a\\x5cxffb""#);
    assert_eq!(text("é漢🙂".as_bytes()), "\"é漢🙂\"");
    assert_eq!(
        text("\u{9b}1m\u{202e}\u{2028}\u{e0041}".as_bytes()),
        r#""\u009b1m\u202e\u2028\udb40\udc41""#
    );
}

#[test]
fn lists_structs_bytes_and_floats() {
    let list = ListArray::from_iter_primitive::<UInt32Type, _, _>(vec![
        Some(vec![Some(1), None, Some(3)]),
        Some(vec![]),
        None,
    ]);
    let fields = "struct<a b: u32>".parse::<DataType>();
    assert!(fields.is_err(), "a name with a space is no name");
    let ty: DataType = "struct<n: u32, s: text>".parse().unwrap();
    let DataType::Struct(fields) = &ty else {
        unreachable!()
    };
    let inner = StructArray::new(
        crate::schema::struct_fields(fields),
        vec![
            Arc::new(UInt32Array::from(vec![1, 2, 3])) as ArrayRef,
            texts(&[b"x", b"\"", b""]),
        ],
        Some(vec![true, true, false].into()),
    );
    let text = lines(
        &[
            ("l", "list<u32>", Kind::Hex),
            ("s", "struct<n: u32, s: text>", Kind::None),
            ("b", "bytes", Kind::None),
            ("f", "f64", Kind::None),
            ("ok", "bool", Kind::None),
        ],
        vec![
            Arc::new(list),
            Arc::new(inner),
            texts(&[b"\x00\xab", b"", b"\x7f"]),
            Arc::new(Float64Array::from(vec![0.5, f64::NAN, -1e300])),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        ],
    );
    assert_eq!(
        text,
        "{\"l\":[\"0x1\",null,\"0x3\"],\"s\":{\"n\":1,\"s\":\"x\"},\"b\":\"00ab\",\"f\":0.5,\"ok\":true}\n\
         {\"l\":[],\"s\":{\"n\":2,\"s\":\"\\\"\"},\"b\":\"\",\"f\":null,\"ok\":false}\n\
         {\"l\":null,\"s\":null,\"b\":\"7f\",\"f\":-1e+300,\"ok\":null}\n"
    );
}

#[test]
fn columns_are_chosen_and_unknown_ones_are_null() {
    let table = table(&[
        ("a", "u32", Kind::None),
        ("a key \"longer\" than thirty-two bytes", "u32", Kind::None),
        ("c", "u32", Kind::None),
    ]);
    let number: ArrayRef = Arc::new(UInt32Array::from(vec![5]));
    let rows = |columns| Rows {
        table: Arc::clone(&table),
        columns,
        len: 1,
        wall_offset: 0,
        frame: 0,
    };
    let write = |selected: &[usize], rows: &Rows| {
        let mut out = b"before\n".to_vec();
        JsonWriter::new(&table, selected, Words::fixed()).write(rows, &mut out);
        String::from_utf8(out).unwrap()
    };
    let good = rows(vec![Some(number.clone()), Some(number.clone()), None]);
    assert_eq!(
        write(&[2, 1, 9], &good),
        "before\n{\"c\":null,\"a key \\\"longer\\\" than thirty-two bytes\":5}\n"
    );
    assert_eq!(write(&[], &good), "before\n{}\n");
    // Rows made without a check, of another type or too short, are not believed.
    let wrong = rows(vec![Some(texts(&[b"x"])), Some(number.slice(0, 0))]);
    assert_eq!(
        write(&[0, 1, 2], &wrong),
        "before\n{\"a\":null,\"a key \\\"longer\\\" than thirty-two bytes\":null,\"c\":null}\n"
    );
}

#[test]
fn a_line_that_does_not_fit_is_written_again() {
    let table = table(&[("n", "u32", Kind::None), ("t", "text", Kind::None)]);
    let mut writer = JsonWriter::new(&table, &[0, 1], Words::fixed());
    let mut out = Vec::new();
    let mut want = String::new();
    for size in [0, 1, 500, 3, 100_000, 0, 70, 33, 31, 64] {
        let texts = texts(&[&vec![b'x'; size], &vec![b'\n'; size / 10]]);
        let numbers: ArrayRef = Arc::new(UInt32Array::from(vec![1, 2]));
        let rows = Rows::new(Arc::clone(&table), vec![Some(numbers), Some(texts)], 2, 0).unwrap();
        writer.write(&rows, &mut out);
        want += &format!("{{\"n\":1,\"t\":\"{}\"}}\n", "x".repeat(size));
        want += &format!("{{\"n\":2,\"t\":\"{}\"}}\n", "\\n".repeat(size / 10));
    }
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn pretty_lines() {
    let table = table(&[
        ("a", "u32", Kind::None),
        ("t", "text", Kind::None),
        ("l", "list<u32>", Kind::None),
    ]);
    let list = ListArray::from_iter_primitive::<UInt32Type, _, _>(vec![
        Some(vec![Some(1), Some(2)]),
        Some(vec![]),
    ]);
    let arrays: Vec<Option<ArrayRef>> = vec![
        Some(Arc::new(UInt32Array::from(vec![7, 8]))),
        Some(texts(&[b"{\"x\",[\\", b""])),
        Some(Arc::new(list)),
    ];
    let rows = Rows::new(Arc::clone(&table), arrays, 2, 0).unwrap();
    let mut out = Vec::new();
    JsonWriter::pretty(&table, &[0, 1, 2], Words::fixed()).write(&rows, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\n  \"a\": 7,\n  \"t\": \"{\\\"x\\\",[\\\\\",\n  \"l\": [\n    1,\n    2\n  ]\n}\n\
         {\n  \"a\": 8,\n  \"t\": \"\",\n  \"l\": []\n}\n"
    );
    let mut out = Vec::new();
    JsonWriter::pretty(&table, &[], Words::fixed()).write(&rows, &mut out);
    assert_eq!(out, b"{}\n{}\n");
}

/// One row of the table below.
type Row = (
    Option<u64>,
    i32,
    Option<Vec<u8>>,
    f64,
    bool,
    Option<Vec<Option<Vec<u8>>>>,
    Vec<u8>,
);

fn row() -> impl Strategy<Value = Row> {
    let text = || {
        let byte =
            prop_oneof![4 => 0x20..0x7f_u8, 1 => any::<u8>(), 1 => Just(b'\\'), 1 => Just(b'x')];
        prop_oneof![
            proptest::collection::vec(byte, 0..70),
            any::<String>().prop_map(String::into_bytes)
        ]
    };
    (
        any::<Option<u64>>(),
        any::<i32>(),
        proptest::option::of(text()),
        // Exact in few digits: this reader rounds the last digit of others.
        any::<i16>().prop_map(|n| f64::from(n) / 16.0),
        any::<bool>(),
        proptest::option::of(proptest::collection::vec(
            proptest::option::of(text()),
            0..4,
        )),
        proptest::collection::vec(any::<u8>(), 0..5),
    )
}

/// What Arrow's own writer makes of the same rows.
fn arrow_json(rows: &Rows) -> Vec<Value> {
    let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
    let batches = crate::batches::Batches::new(&rows.table, &selected, false);
    let mut writer = arrow_json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow_json::writer::LineDelimited>(Vec::new());
    let batch = batches.batch(rows).unwrap();
    // It knows no names of zones.
    let schema = batch.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let column = match column.as_primitive_opt::<TimestampNanosecondType>() {
                Some(times) => Arc::new(times.clone().with_timezone("+00:00")) as ArrayRef,
                None => Arc::clone(column),
            };
            (field.name().clone(), column, true)
        });
    let batch = RecordBatch::try_from_iter_with_nullable(columns.collect::<Vec<_>>()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let lines = writer.into_inner();
    let lines = serde_json::Deserializer::from_slice(&lines).into_iter();
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn arrow_s_writer_has_the_same_but_for_words() {
    let rows = crate::sample::rows();
    let selected: Vec<usize> = (0..rows.table.columns.len()).collect();
    let mut out = Vec::new();
    JsonWriter::new(&rows.table, &selected, Words::fixed()).write(&rows, &mut out);
    let ours = serde_json::Deserializer::from_slice(&out).into_iter();
    let mut ours: Vec<Value> = ours.collect::<Result<_, _>>().unwrap();
    let theirs = arrow_json(&rows);
    assert_eq!(ours[0]["error"], "ENOENT");
    assert_eq!(
        (&theirs[0]["error"], &theirs[1]["error"]),
        (&json!(2), &json!(0))
    );
    for row in &mut ours {
        row["error"] = row.as_object_mut().unwrap().remove("error_raw").unwrap();
    }
    // It writes as many digits as there are, in threes.
    assert_eq!(theirs[1]["time"], "2026-11-23T14:04:04Z");
    ours[1]["time"] = json!("2026-11-23T14:04:04Z");
    assert_eq!(ours, theirs);
}

proptest! {
    #[test]
    fn floats_come_back_exactly(value: f64, small: f32) {
        let line = |array: ArrayRef, ty| {
            let line = lines(&[("f", ty, Kind::None)], vec![array]);
            line.strip_prefix("{\"f\":").unwrap().strip_suffix("}\n").unwrap().to_owned()
        };
        let text = line(Arc::new(Float64Array::from(vec![value])), "f64");
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
        let text = line(Arc::new(Float32Array::from(vec![small])), "f32");
        prop_assert_eq!(text.parse::<f32>().unwrap().to_bits(), small.to_bits());
    }

    #[test]
    fn another_reader_reads_the_same(rows in proptest::collection::vec(row(), 0..12)) {
        let columns = [
            ("n\"u", "u64", Kind::None),
            ("i", "i32", Kind::None),
            ("t", "text", Kind::None),
            ("f", "f64", Kind::None),
            ("b", "bool", Kind::None),
            ("l", "list<text>", Kind::None),
            ("x", "bytes", Kind::None),
        ];
        let table = table(&columns);
        let mut lists = arrow_array::builder::ListBuilder::new(arrow_array::builder::BinaryBuilder::new());
        for row in &rows {
            lists.append_option(row.5.clone());
        }
        let arrays: Vec<Option<ArrayRef>> = vec![
            Some(Arc::new(UInt64Array::from_iter(rows.iter().map(|row| row.0)))),
            Some(Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.1)))),
            Some(Arc::new(BinaryArray::from_iter(rows.iter().map(|row| row.2.clone())))),
            Some(Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.3)))),
            Some(Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.4))))),
            Some(Arc::new(lists.finish())),
            Some(Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.6)))),
        ];
        let batch = Rows::new(Arc::clone(&table), arrays, rows.len(), 0).unwrap();
        let utf8 = |bytes: &Vec<u8>| Value::from(text::to_utf8(bytes));
        let want: Vec<Value> = rows
            .iter()
            .map(|row| {
                let list = row.5.as_ref().map(|items| {
                    items.iter().map(|item| item.as_ref().map_or(Value::Null, utf8)).collect::<Vec<_>>()
                });
                let mut object = Map::new();
                object.insert("n\"u".to_owned(), json!(row.0));
                object.insert("i".to_owned(), json!(row.1));
                object.insert("t".to_owned(), row.2.as_ref().map_or(Value::Null, utf8));
                object.insert("f".to_owned(), json!(row.3));
                object.insert("b".to_owned(), json!(row.4));
                object.insert("l".to_owned(), json!(list));
                let hex: String = row.6.iter().map(|byte| format!("{byte:02x}")).collect();
                object.insert("x".to_owned(), json!(hex));
                Value::Object(object)
            })
            .collect();
        let selected: Vec<usize> = (0..columns.len()).collect();
        for mut writer in [
            JsonWriter::new(&table, &selected, Words::fixed()),
            JsonWriter::pretty(&table, &selected, Words::fixed()),
        ] {
            let mut out = Vec::new();
            writer.write(&batch, &mut out);
            let got: Result<Vec<Value>, _> =
                serde_json::Deserializer::from_slice(&out).into_iter().collect();
            prop_assert_eq!(&got.unwrap(), &want);
        }
        prop_assert_eq!(arrow_json(&batch), want);
    }
}
