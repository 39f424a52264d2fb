mod any;
mod gadgets;
mod meaning;

use super::*;
use crate::span::{self, DISCARD};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int8Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, BinaryArray};
use ig_object::btf::{Element, Field, FieldType};
use proptest::prelude::*;

fn field(name: &str, offset: u32, size: u32, ty: FieldType) -> Field {
    Field {
        name: name.to_owned(),
        bit_offset: offset * 8,
        bit_size: None,
        size,
        ty,
        typedefs: Vec::new(),
    }
}

fn bits(name: &str, bit_offset: u32, bits: u32, ty: FieldType) -> Field {
    Field {
        bit_offset,
        bit_size: Some(bits),
        ..field(name, 0, 4, ty)
    }
}

fn int(name: &str, offset: u32, size: u32, signed: bool) -> Field {
    field(name, offset, size, FieldType::Int { signed })
}

fn array(name: &str, offset: u32, size: u32, ty: FieldType, len: u32) -> Field {
    let element = Box::new(Element {
        size,
        ty,
        typedefs: Vec::new(),
    });
    field(name, offset, size * len, FieldType::Array { element, len })
}

fn layout(name: &str, size: u32, fields: Vec<Field>) -> Layout {
    Layout {
        name: name.to_owned(),
        size,
        fields,
    }
}

/// 56 bytes and a flexible text.
fn event() -> Layout {
    let creds = layout(
        "creds",
        8,
        vec![int("uid", 0, 4, false), int("gid", 4, 4, false)],
    );
    let both = layout(
        "",
        4,
        vec![
            int("v4", 0, 4, false),
            array("v6", 0, 1, FieldType::Int { signed: false }, 4),
        ],
    );
    let color = FieldType::Enum {
        signed: true,
        variants: Vec::new(),
    };
    layout(
        "event",
        56,
        vec![
            int("time", 0, 8, false),
            int("result", 8, 4, true),
            array("comm", 12, 1, FieldType::Char, 8),
            field("creds", 20, 8, FieldType::Struct(creds)),
            field("", 28, 4, FieldType::Union(both)),
            field("color", 32, 4, color),
            bits("low", 36 * 8, 3, FieldType::Int { signed: false }),
            bits("high", 36 * 8 + 3, 13, FieldType::Int { signed: false }),
            bits("negative", 36 * 8 + 16, 5, FieldType::Int { signed: true }),
            field("ok", 40, 1, FieldType::Bool),
            field("tiny", 41, 1, FieldType::Int { signed: true }),
            array("ports", 42, 2, FieldType::Int { signed: false }, 3),
            field("ratio", 48, 8, FieldType::Float),
            array("path", 56, 1, FieldType::Char, 0),
        ],
    )
}

fn record(seed: u8, path: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((0x0102_0304_0506_0700 + u64::from(seed)).to_le_bytes());
    bytes.extend((-i32::from(seed)).to_le_bytes());
    bytes.extend(*b"comm\0xyz");
    bytes.extend((1000 + u32::from(seed)).to_le_bytes());
    bytes.extend(4_000_000_000_u32.to_le_bytes());
    bytes.extend([10, 0, 0, seed]);
    bytes.extend((-1_i32).to_le_bytes());
    let low: u32 = 5 | (0x1abc << 3) | (0b11101 << 16); // 5, 0x1abc, -3
    bytes.extend(low.to_le_bytes());
    bytes.extend([seed & 1, 0x80]);
    for port in [80_u16, 443, u16::from(seed)] {
        bytes.extend(port.to_le_bytes());
    }
    bytes.extend((f64::from(seed) / 2.0).to_le_bytes());
    bytes.extend(path);
    bytes
}

fn spec(path: &str, data_type: Option<DataType>) -> FieldSpec {
    FieldSpec {
        path: path.to_owned(),
        data_type,
        kind: Kind::None,
    }
}

fn decode(path: &str, data_type: Option<DataType>, records: &[Vec<u8>]) -> ArrayRef {
    let decoder = Decoder::new(&event(), &[spec(path, data_type)]).unwrap();
    let mut bytes = Vec::new();
    let origin: Vec<_> = records
        .iter()
        .map(|record| span::push(&mut bytes, &[record]).unwrap())
        .collect();
    let column = decoder.column(0, &bytes, &origin).unwrap();
    assert_eq!(column.data_type(), &decoder.data_type(0).unwrap().arrow());
    column
}

fn texts(column: &ArrayRef) -> Vec<Option<&[u8]>> {
    column.as_binary::<i32>().iter().collect()
}

#[test]
fn numbers() {
    let records = [record(1, b""), record(7, b"")];
    let of = |path| decode(path, None, &records);
    assert_eq!(
        of("time").as_primitive::<UInt64Type>().values(),
        &[0x0102_0304_0506_0701, 0x0102_0304_0506_0707]
    );
    assert_eq!(of("result").as_primitive::<Int32Type>().values(), &[-1, -7]);
    assert_eq!(
        of("creds.uid").as_primitive::<UInt32Type>().values(),
        &[1001, 1007]
    );
    assert_eq!(
        of("creds.gid").as_primitive::<UInt32Type>().values(),
        &[4_000_000_000; 2]
    );
    assert_eq!(
        of("v4").as_primitive::<UInt32Type>().values(),
        &[0x0100_000a, 0x0700_000a]
    );
    assert_eq!(of("color").as_primitive::<Int32Type>().values(), &[-1, -1]);
    assert_eq!(
        of("tiny").as_primitive::<Int8Type>().values(),
        &[-128, -128]
    );
    assert_eq!(
        of("ratio").as_primitive::<Float64Type>().values(),
        &[0.5, 3.5]
    );
    assert_eq!(of("low").as_primitive::<UInt32Type>().values(), &[5, 5]);
    assert_eq!(
        of("high").as_primitive::<UInt32Type>().values(),
        &[0x1abc, 0x1abc]
    );
    assert_eq!(
        of("negative").as_primitive::<Int32Type>().values(),
        &[-3, -3]
    );
    let ok = of("ok");
    assert_eq!(
        (ok.as_boolean().value(0), ok.as_boolean().value(1)),
        (true, true)
    );
    assert!(!decode("ok", None, &[record(2, b"")]).as_boolean().value(0));
    assert_eq!(of("time").null_count(), 0);
}

#[test]
fn the_manifest_may_widen() {
    let records = [record(3, b"")];
    let of = |path, ty| decode(path, Some(ty), &records);
    assert_eq!(
        of("result", DataType::I64)
            .as_primitive::<Int64Type>()
            .values(),
        &[-3]
    );
    // Of the same size the bits count; a larger one without a sign would make -3 a large number.
    let wider = Decoder::new(&event(), &[spec("result", Some(DataType::U64))]);
    assert!(matches!(wider, Err(DecodeError::Type { .. })));
    assert_eq!(
        of("result", DataType::U32)
            .as_primitive::<UInt32Type>()
            .values(),
        &[(-3_i32).cast_unsigned()]
    );
    assert_eq!(
        of("creds.gid", DataType::I64)
            .as_primitive::<Int64Type>()
            .values(),
        &[4_000_000_000]
    );
    assert_eq!(
        of("tiny", DataType::I32)
            .as_primitive::<Int32Type>()
            .values(),
        &[-128]
    );
    assert_eq!(
        of("negative", DataType::I8)
            .as_primitive::<Int8Type>()
            .values(),
        &[-3]
    );
    assert_eq!(
        of("ok", DataType::U8).as_primitive::<UInt8Type>().values(),
        &[1]
    );
    assert!(of("result", DataType::Bool).as_boolean().value(0));
    assert!(of("low", DataType::Bool).as_boolean().value(0));
    assert_eq!(texts(&of("v6", DataType::Text)), [Some(b"\x0a".as_slice())]);
    assert_eq!(
        texts(&of("comm", DataType::Bytes)),
        [Some(b"comm\0xyz".as_slice())]
    );
    assert_eq!(
        texts(&of("v4", DataType::Bytes)),
        [Some([10, 0, 0, 3].as_slice())]
    );
    let list = of("ports", DataType::List(Box::new(DataType::U32)));
    assert_eq!(
        list.as_list::<i32>()
            .value(0)
            .as_primitive::<UInt32Type>()
            .values(),
        &[80, 443, 3]
    );
}

#[test]
fn text_ends_at_its_nul_or_its_size_or_the_record() {
    let long = [b'p'; 100];
    let records = [
        record(1, b"/bin/ls\0rest"),
        record(2, b""),
        record(3, &long),
        record(4, b"abc"),
    ];
    assert_eq!(
        texts(&decode("path", None, &records)),
        [
            Some(b"/bin/ls".as_slice()),
            Some(b""),
            Some(&long),
            Some(b"abc")
        ]
    );
    assert_eq!(
        texts(&decode("comm", None, &records)),
        [Some(b"comm".as_slice()); 4]
    );
    let mut full = record(1, b"");
    full[12..20].copy_from_slice(b"eight888");
    assert_eq!(
        texts(&decode("comm", None, &[full])),
        [Some(b"eight888".as_slice())]
    );
    assert_eq!(
        texts(&decode("v6", None, &records))[2],
        Some([10, 0, 0, 3].as_slice())
    );
}

#[test]
fn lists_and_structs() {
    let records = [record(1, b""), record(9, b"")];
    let ports = decode("ports", None, &records);
    assert_eq!(
        ports
            .as_list::<i32>()
            .value(1)
            .as_primitive::<UInt16Type>()
            .values(),
        &[80, 443, 9]
    );
    let creds = decode("creds", None, &records);
    let creds = creds.as_struct();
    assert_eq!(
        creds
            .column_by_name("uid")
            .unwrap()
            .as_primitive::<UInt32Type>()
            .values(),
        &[1001, 1009]
    );
    assert_eq!(
        creds
            .column_by_name("gid")
            .unwrap()
            .as_primitive::<UInt32Type>()
            .values(),
        &[4_000_000_000; 2]
    );
}

#[test]
fn a_flexible_list_takes_what_fits() {
    let inner = layout(
        "pair",
        4,
        vec![int("a", 0, 2, false), int("b", 2, 2, false)],
    );
    let layout = layout(
        "tail",
        4,
        vec![
            int("n", 0, 4, false),
            array("pairs", 4, 4, FieldType::Struct(inner), 0),
        ],
    );
    let decoder = Decoder::new(&layout, &[spec("pairs", None)]).unwrap();
    let mut bytes = Vec::new();
    let origin = [
        span::push(&mut bytes, &[&[0; 4], &[1, 0, 2, 0, 3, 0, 4, 0, 9, 9]]).unwrap(),
        span::push(&mut bytes, &[&[0; 4]]).unwrap(),
        span::push(&mut bytes, &[&[0; 3]]).unwrap(),
    ];
    let pairs = decoder.column(0, &bytes, &origin).unwrap();
    let pairs = pairs.as_list::<i32>();
    assert_eq!(
        pairs
            .value(0)
            .as_struct()
            .column(1)
            .as_primitive::<UInt16Type>()
            .values(),
        &[2, 4]
    );
    assert_eq!((pairs.value_length(1), pairs.is_null(1)), (0, false));
    assert!(pairs.is_null(2), "the list begins beyond the record");
}

#[test]
fn short_records_are_null_where_they_end() {
    let whole = record(1, b"tail");
    let records = [
        whole.clone(),
        whole[..14].to_vec(),
        whole[..10].to_vec(),
        Vec::new(),
    ];
    let valid = |path: &str| {
        let column = decode(path, None, &records);
        (0..4).map(|row| column.is_valid(row)).collect::<Vec<_>>()
    };
    assert_eq!(valid("time"), [true, true, true, false]);
    assert_eq!(valid("result"), [true, true, false, false]);
    assert_eq!(valid("comm"), [true, true, false, false]);
    assert_eq!(
        texts(&decode("comm", None, &records))[1],
        Some(b"co".as_slice())
    );
    for path in [
        "creds",
        "creds.uid",
        "v6",
        "ports",
        "ok",
        "low",
        "negative",
        "ratio",
        "path",
    ] {
        assert_eq!(valid(path), [true, false, false, false], "{path}");
    }
}

#[test]
fn what_cannot_be_decoded_is_said() {
    let of = |path: &str, ty: Option<DataType>, kind| {
        let field = FieldSpec {
            path: path.to_owned(),
            data_type: ty,
            kind,
        };
        Decoder::new(&event(), &[field]).unwrap_err().to_string()
    };
    assert_eq!(
        of("creds.uit", None, Kind::None),
        "struct `event` has no field `creds.uit`: did you mean `creds.uid`?"
    );
    assert_eq!(
        of("time", Some(DataType::U32), Kind::None),
        "field `time` of struct `event` is u64 and cannot be a column of type u32"
    );
    assert_eq!(
        of("comm", None, Kind::Pid),
        "field `comm` of struct `event` is of type text, which cannot be of kind pid"
    );
    let huge = layout(
        "huge",
        0,
        vec![array("many", 0, 8, FieldType::Pointer, 1 << 21)],
    );
    assert!(matches!(
        Decoder::new(&huge, &[spec("many", None)]),
        Err(DecodeError::TooMany { .. })
    ));
    assert_eq!(
        inferred(&event(), "creds").unwrap().to_string(),
        "struct<uid: u32, gid: u32>"
    );
}

fn three_records() -> Vec<u8> {
    let mut bytes = Vec::new();
    for seed in [1, 2, 3] {
        span::push(&mut bytes, &[&record(seed, b"")]).unwrap();
    }
    bytes[64..68].copy_from_slice(&(56 | DISCARD).to_le_bytes());
    bytes
}

#[test]
fn origin_names_records_that_exist() {
    let bytes = three_records();
    let decoder = Decoder::new(&event(), &[spec("result", None)]).unwrap();
    let of = |origin: &[u32]| {
        let column = decoder.column(0, &bytes, origin)?;
        Ok(column.as_primitive::<Int32Type>().values().to_vec())
    };
    assert_eq!(of(&[0, 128]), Ok(vec![-1, -3]));
    assert_eq!(
        of(&[0, 0, 128, 128]),
        Ok(vec![-1, -1, -3, -3]),
        "several rows of one record"
    );
    assert_eq!(of(&[128, 0]), Ok(vec![-3, -1]), "any order");
    assert_eq!(of(&[]), Ok(vec![]));
    assert_eq!(
        of(&[64]),
        Err(OriginError::Discarded { row: 0, origin: 64 })
    );
    assert_eq!(
        of(&[128, 64]),
        Err(OriginError::Discarded { row: 1, origin: 64 })
    );
    for wrong in [4, 8, 63, 120, 192, 200, u32::MAX] {
        assert_eq!(
            of(&[0, wrong]),
            Err(OriginError::NoRecord {
                row: 1,
                origin: wrong
            })
        );
        assert_eq!(
            of(&[128, 0, wrong]),
            Err(OriginError::NoRecord {
                row: 2,
                origin: wrong
            })
        );
    }
    let all = Picked::all(&bytes).unwrap();
    assert_eq!(all.len(), 2);
    let results = decoder.decode(0, &all).unwrap();
    assert_eq!(results.as_primitive::<Int32Type>().values(), &[-1, -3]);
    assert_eq!(
        decoder.decode(1, &all).unwrap_err(),
        OriginError::NoColumn { column: 1 }
    );
}

#[test]
fn one_record_cannot_be_named_without_end() {
    let mut bytes = Vec::new();
    span::push(&mut bytes, &[&[b'x'; 1 << 16]]).unwrap();
    let origin = vec![0; (64 << 20 >> 16) + 1];
    assert_eq!(
        Picked::origins(&bytes, &origin).unwrap_err(),
        OriginError::TooMuch { rows: 1025 }
    );
}

/// The same by hand: what the fast path has to agree with.
fn slow_text(record: &[u8], offset: usize, size: Option<usize>) -> Option<Vec<u8>> {
    let rest = record.get(offset..)?;
    let rest = &rest[..size.unwrap_or(rest.len()).min(rest.len())];
    Some(rest.iter().copied().take_while(|byte| *byte != 0).collect())
}

proptest! {
    #[test]
    fn text_of_any_length_is_whole(
        paths in prop::collection::vec(prop::collection::vec(prop_oneof![9 => 1_u8..255, 1 => Just(0_u8)], 0..200), 1..40),
        cut in 0_usize..56,
    ) {
        let mut records: Vec<_> = paths.iter().map(|path| record(1, path)).collect();
        records[0].truncate(cut.max(8));
        for (path, offset, size) in [("path", 56, None), ("comm", 12, Some(8))] {
            let column = decode(path, None, &records);
            let expected: Vec<_> = records.iter().map(|record| slow_text(record, offset, size)).collect();
            let found = column.as_any().downcast_ref::<BinaryArray>().unwrap();
            prop_assert_eq!(found.iter().map(|text| text.map(<[u8]>::to_vec)).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn any_span_and_origin_give_columns_or_an_error(
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(8), any::<u8>()], 0..400),
        origin in prop::collection::vec((0_u32..52).prop_map(|word| word * 8), 0..8),
    ) {
        let paths = event().paths();
        let specs: Vec<_> = paths.iter().map(|path| spec(path, None)).chain([spec("creds", None)]).collect();
        let decoder = Decoder::new(&event(), &specs).unwrap();
        for column in 0..decoder.len() {
            if let Ok(array) = decoder.column(column, &bytes, &origin) {
                prop_assert_eq!(array.len(), origin.len());
                prop_assert!(array.to_data().validate_full().is_ok());
            }
        }
    }
}

/// Outputs have `frame` and `table` beside the columns.
#[test]
fn no_default_column_has_a_name_that_outputs_have() {
    let inner = layout("inner", 8, vec![int("table", 0, 8, false)]);
    let fields = vec![
        int("frame", 0, 8, false),
        field("inner", 8, 8, FieldType::Struct(inner)),
    ];
    let columns = default_columns(&layout("event", 16, fields));
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["frame_2", "inner_table"]);
}
