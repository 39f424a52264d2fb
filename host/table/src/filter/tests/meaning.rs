//! What filters mean where the page has no room for it.

use arrow_array::builder::{BinaryBuilder, ListBuilder, UInt32Builder};
use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int64Array,
    ListArray, StructArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};

use super::*;
use crate::schema::{DataType, item_field, struct_fields};

/// Which values of one column `x` a filter takes.
fn among(data_type: &str, kind: Kind, array: impl Into<ArrayRef>, filter: &str) -> Vec<usize> {
    let table = table(&[("x", data_type, kind)]);
    let array = array.into();
    let len = array.len();
    let rows = Rows::new(Arc::clone(&table), vec![Some(array)], len, 1_000).unwrap();
    let filter = match Filter::parse(filter, &table, &words()) {
        Ok(filter) => filter,
        Err(error) => panic!("{error}"),
    };
    filter.apply(&rows).set_indices().collect()
}

fn array<A: arrow_array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

#[test]
fn numbers_compare_by_value_at_the_ends_of_their_types() {
    let taken = |filter| {
        let values = Int64Array::from(vec![i64::MIN, -1, 0, i64::MAX]);
        among("i64", Kind::None, array(values), filter)
    };
    assert_eq!(taken("x < 9223372036854775807"), [0, 1, 2]);
    assert_eq!(taken("x <= 9223372036854775807"), [0, 1, 2, 3]);
    assert!(taken("x > 9223372036854775807").is_empty());
    assert_eq!(taken("x < 9223372036854775808"), [0, 1, 2, 3]);
    assert_eq!(taken("x >= -9223372036854775808"), [0, 1, 2, 3]);
    assert_eq!(taken("x > -9223372036854775808"), [1, 2, 3]);
    assert!(taken("x == 18446744073709551615").is_empty());
    assert_eq!(taken("x != 18446744073709551615"), [0, 1, 2, 3]);
    let taken = |filter| {
        let values = UInt64Array::from(vec![0, 1 << 53, (1 << 53) + 1, u64::MAX]);
        among("u64", Kind::None, array(values), filter)
    };
    assert_eq!(taken("x == 9007199254740993"), [2]);
    assert_eq!(taken("x == 9007199254740992"), [1]);
    assert_eq!(taken("x > -1"), [0, 1, 2, 3]);
    assert_eq!(taken("x == 0xffffffffffffffff"), [3]);
    assert_eq!(taken("x in (-1, 0, 0xffffffffffffffff, 1e20)"), [0, 3]);
    let small = |filter| {
        among(
            "i8",
            Kind::None,
            array(Int8Array::from(vec![-128, -1, 0, 127])),
            filter,
        )
    };
    assert_eq!(small("x has 0x80"), [0, 1]);
    assert!(small("x has 0x180").is_empty());
    assert_eq!(small("x > -200 and x < 200"), [0, 1, 2, 3]);
}

#[test]
fn many_values_are_looked_up() {
    let values = UInt32Array::from_iter_values(0..1_000);
    let list: Vec<String> = (0..1_000).step_by(3).map(|n: u32| n.to_string()).collect();
    let filter = format!("x in ({})", list.join(","));
    let want: Vec<usize> = (0..1_000).step_by(3).collect();
    assert_eq!(among("u32", Kind::None, array(values), &filter), want);
}

#[test]
fn floats_are_compared_in_their_own_precision() {
    let taken = |filter| {
        let values = Float32Array::from(vec![0.1, -0.0, f32::NAN, f32::INFINITY]);
        among("f32", Kind::None, array(values), filter)
    };
    assert_eq!(taken("x == 0.1"), [0]);
    assert_eq!(taken("x == 0"), [1]);
    assert_eq!(taken("x != 0"), [0, 2, 3]);
    assert_eq!(taken("x < 1"), [0, 1]);
    assert_eq!(taken("not x < 1"), [2, 3]);
    assert_eq!(taken("x == inf"), [3]);
    assert_eq!(taken("x in (0.1, inf)"), [0, 3]);
    let double = Float64Array::from(vec![0.1, 1e300]);
    assert_eq!(among("f64", Kind::None, array(double), "x >= 1e300"), [1]);
}

#[test]
fn times_are_moved_by_the_offset_of_the_rows() {
    let taken = |filter| {
        let values = UInt64Array::from(vec![0, 1, 999_000, u64::MAX]);
        among("u64", Kind::Timestamp, array(values), filter)
    };
    // The offset is 1,000 ns.
    assert_eq!(taken("x == 1970-01-01T00:00:00.000001Z"), [0]);
    assert_eq!(taken("x == 1970-01-01T00:00:00.001Z"), [2]);
    assert!(taken("x < 1970-01-01T00:00:00Z").is_empty());
    assert_eq!(taken("x in (1970-01-01T00:00:00.001Z)"), [2]);
    assert_eq!(taken("x >= 1970-01-01T00:00:00Z"), [0, 1, 2, 3]);
    assert_eq!(taken("x > 2500-01-01T00:00:00Z"), [3]);
}

#[test]
fn bits_of_flags() {
    let taken = |filter| {
        let flags = UInt32Array::from(vec![0, 0o1, 0o2, 0o3, 0o10_000, 0o4_010_000]);
        among("u32", Kind::OpenFlags, array(flags), filter)
    };
    assert_eq!(taken("x has O_RDONLY"), [0, 4, 5]);
    assert_eq!(taken("x has O_WRONLY"), [1]);
    assert_eq!(taken("x has O_RDWR"), [2]);
    assert_eq!(taken("x has O_DSYNC"), [4, 5]);
    assert_eq!(taken("x has O_SYNC"), [5]);
    assert_eq!(taken("x has 1"), [1, 3]);
    assert!(taken("x has \"O_SYNC | 0x10\"").is_empty());
    assert_eq!(taken("x not has O_SYNC"), [0, 1, 2, 3, 4]);
    assert_eq!(taken("x == 3"), [3]);
    assert_eq!(taken("x == O_RDONLY"), [0]);
    assert_eq!(taken("x in (O_WRONLY, O_RDWR)"), [1, 2]);
}

#[test]
fn errors_by_word_and_by_shown_text() {
    let taken = |filter| {
        let errors = UInt32Array::from(vec![0, 2, 11, 95, 4_000]);
        among("u32", Kind::Errno, array(errors), filter)
    };
    assert_eq!(taken("x == EWOULDBLOCK"), [2]);
    assert_eq!(taken("x == ENOTSUP"), [3]);
    assert_eq!(taken("x > EAGAIN"), [3, 4]);
    assert_eq!(taken("x ~ ^E"), [1, 2, 3]);
    assert_eq!(taken("x like \"4*\""), [4]);
    assert_eq!(taken("x is null"), [0]);
    assert_eq!(taken("x is not null and x !~ ^E"), [4]);
    assert_eq!(taken("x contains \"\""), [0, 1, 2, 3, 4]);
}

#[test]
fn nulls_are_unknown_however_they_are_asked() {
    let numbers = || array(UInt32Array::from(vec![Some(1), None, Some(2)]));
    let taken = |filter| among("u32", Kind::None, numbers(), filter);
    assert_eq!(taken("x == 1"), [0]);
    assert_eq!(taken("x != 1"), [2]);
    assert_eq!(taken("not x == 1"), [2]);
    assert_eq!(taken("not not x == 1"), [0]);
    assert_eq!(taken("x == 1 or not x == 1"), [0, 2]);
    assert_eq!(taken("not (x == 1 and x == 2)"), [0, 2]);
    assert_eq!(taken("x is null or x == 2"), [1, 2]);
    assert_eq!(taken("not x is null"), [0, 2]);
    // A null may lie over any bytes.
    let texts = || {
        let nulls = NullBuffer::from(vec![true, false, true]);
        array(BinaryArray::new(
            OffsetBuffer::new(vec![0, 3, 6, 6].into()),
            b"foofoo".to_vec().into(),
            Some(nulls),
        ))
    };
    assert_eq!(among("text", Kind::None, texts(), "x contains oo"), [0]);
    assert_eq!(among("text", Kind::None, texts(), "x not contains oo"), [2]);
}

#[test]
fn a_column_that_nobody_computed_is_null() {
    let table = table(&[("x", "u32", Kind::None)]);
    let rows = Rows::new(Arc::clone(&table), vec![None], 2, 0).unwrap();
    let taken = |filter: &str| {
        let filter = Filter::parse(filter, &table, &words()).unwrap();
        filter.apply(&rows).count_set_bits()
    };
    assert_eq!(taken("x == 1"), 0);
    assert_eq!(taken("x != 1"), 0);
    assert_eq!(taken("x is null"), 2);
    assert_eq!(taken("x is not null"), 0);
}

#[test]
fn what_is_found_across_two_values_is_not_found() {
    let texts = BinaryArray::from(vec![
        &b"li"[..],
        b"b",
        b"",
        b"lib",
        b"xlibx",
        b"l",
        b"i",
        b"blib",
        b"liblib",
    ]);
    let texts = array(texts);
    let taken = |texts: &ArrayRef, filter| among("text", Kind::None, Arc::clone(texts), filter);
    assert_eq!(taken(&texts, "x contains lib"), [3, 4, 7, 8]);
    // Of a slice, which does not begin at the first byte.
    assert_eq!(taken(&texts.slice(3, 5), "x contains lib"), [0, 1, 4]);
    assert!(taken(&texts.slice(0, 0), "x contains lib").is_empty());
    assert_eq!(taken(&texts, "x contains \"\"").len(), 9);
}

#[test]
fn lists_of_lists_and_of_structs() {
    let numbers = ListArray::from_iter_primitive::<UInt32Type, _, _>(vec![
        Some(vec![Some(1), Some(80)]),
        Some(vec![]),
        None,
        Some(vec![None, Some(443)]),
    ]);
    let taken = |filter| among("list<u32>", Kind::None, array(numbers.clone()), filter);
    assert_eq!(taken("x has 80"), [0]);
    assert_eq!(taken("x contains 443"), [3]);
    assert_eq!(taken("x == 443"), [3]);
    assert_eq!(taken("x != 80"), [1, 3]);
    assert_eq!(taken("x > 100"), [3]);
    assert_eq!(taken("x in (1, 443)"), [0, 3]);
    assert_eq!(taken("x is null"), [2]);
    let sliced = array(numbers.slice(1, 3));
    assert_eq!(among("list<u32>", Kind::None, sliced, "x has 443"), [2]);

    let mut nested = ListBuilder::new(ListBuilder::new(UInt32Builder::new()));
    nested.append_value([Some(vec![Some(1)]), None, Some(vec![Some(7), Some(8)])]);
    nested.append_value([Some(vec![])]);
    let nested = array(nested.finish());
    assert_eq!(
        among(
            "list<list<u32>>",
            Kind::None,
            Arc::clone(&nested),
            "x has 8"
        ),
        [0]
    );
    assert_eq!(among("list<list<u32>>", Kind::None, nested, "x != 8"), [1]);

    let data_type = "list<struct<ip: text, port: u16>>";
    let DataType::List(item) = data_type.parse().unwrap() else {
        unreachable!()
    };
    let DataType::Struct(fields) = &*item else {
        unreachable!()
    };
    let structs = StructArray::new(
        struct_fields(fields),
        vec![
            array(BinaryArray::from(vec![&b"a"[..], b"b", b"c"])),
            array(UInt16Array::from(vec![Some(1), Some(2), None])),
        ],
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let lists = ListArray::new(
        item_field(&item),
        OffsetBuffer::new(vec![0, 2, 3].into()),
        array(structs),
        None,
    );
    let taken = |filter| among(data_type, Kind::None, array(lists.clone()), filter);
    assert_eq!(taken("x.ip == a"), [0]);
    assert!(taken("x.ip == b").is_empty());
    assert_eq!(taken("x.ip != b"), [0, 1]);
    assert_eq!(taken("x.port == 1"), [0]);
    assert!(taken("x.port > 0 and x.ip == c").is_empty());
}

#[test]
fn text_is_bytes() {
    let mut builder = BinaryBuilder::new();
    [&b"\xff\xfe"[..], "é".as_bytes(), b"a b", b"\\x", b"\n"]
        .iter()
        .for_each(|text| builder.append_value(text));
    let texts = array(builder.finish());
    let taken = |filter| among("text", Kind::None, Arc::clone(&texts), filter);
    assert_eq!(taken(r#"x == "\xff\xfe""#), [0]);
    assert_eq!(taken("x == é"), [1]);
    assert_eq!(taken(r"x == a\ b"), [2]);
    assert_eq!(taken("x == 'a b'"), [2]);
    assert_eq!(taken(r"x == \x"), [3]);
    assert_eq!(taken(r"x == '\x'"), [3]);
    assert_eq!(taken(r#"x == "\n""#), [4]);
    assert_eq!(taken(r#"x like "?""#), [1, 4]);
    assert_eq!(taken(r#"x ~ "^.$""#), [1]);
    assert_eq!(taken(r#"x ~ "(?-u:\xfe)$""#), [0]);
    assert_eq!(taken(r"x > '~'"), [0, 1]);
}

#[test]
fn columns_are_known_and_split() {
    let table = table(&[
        ("a", "u32", Kind::None),
        ("b", "u32", Kind::None),
        ("c.d", "text", Kind::None),
    ]);
    let parse = |filter| Filter::parse(filter, &table, &words()).unwrap();
    assert_eq!(parse("c.d == x and (a == 1 or a == 2)").columns(), [0, 2]);
    let (early, late) = parse("a == 1 and (b == 1 or a == 2), c.d == x, b > 2").split(|i| i == 0);
    assert_eq!(early.unwrap().columns(), [0]);
    assert_eq!(late.unwrap().columns(), [0, 1, 2]);
    let (early, late) = parse("a == 1 or b == 1").split(|i| i == 0);
    assert!(early.is_none());
    assert_eq!(late.unwrap().columns(), [0, 1]);
}

#[test]
fn rows_are_taken_with_the_wanted_columns() {
    let rows = documented::rows();
    let filter = Filter::parse("error == ENOENT", &rows.table, &words()).unwrap();
    let mask = filter.apply(&rows);
    let path = rows
        .table
        .columns
        .iter()
        .position(|c| c.name == "path")
        .unwrap();
    let some = rows.filtered(&mask, |column| column == path).unwrap();
    assert_eq!(some.len, 2);
    assert_eq!(some.columns.iter().flatten().count(), 1);
    let want: ArrayRef = array(BinaryArray::from_opt_vec(vec![
        Some(b"/usr/lib/libfoo.so"),
        None,
    ]));
    assert_eq!(some.columns[path].as_ref(), Some(&want));
    // What was taken is rows of the table again, with every type.
    let all = rows.filtered(&mask, |_| true).unwrap();
    let columns = all.columns.clone();
    Rows::new(Arc::clone(&all.table), columns, 2, all.wall_offset).unwrap();
    let everything = rows.filtered(&BooleanBuffer::new_set(5), |_| true).unwrap();
    assert_eq!(everything.len, 5);
    let nothing = rows
        .filtered(&BooleanBuffer::new_unset(5), |_| true)
        .unwrap();
    assert_eq!(nothing.len, 0);
    assert!(rows.filtered(&BooleanBuffer::new_set(4), |_| true).is_err());
}

#[test]
fn addresses_in_bytes_and_in_numbers() {
    let numbers = || {
        let of = |text: &str| crate::kinds::address::to_u32(text.parse().unwrap());
        array(UInt32Array::from(vec![
            of("10.0.0.1"),
            of("10.200.3.4"),
            of("11.0.0.1"),
        ]))
    };
    let bytes = || {
        array(BinaryArray::from(vec![
            &[10, 0, 0, 1][..],
            &[10, 200, 3, 4],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1],
            &[1, 2],
        ]))
    };
    let number = |filter| among("u32", Kind::Address, numbers(), filter);
    assert_eq!(number("x == 10.0.0.1"), [0]);
    assert_eq!(number("x != 10.0.0.1"), [1, 2]);
    assert_eq!(number("x in 10.0.0.0/8"), [0, 1]);
    assert_eq!(number("x in (10.128.0.0/9, 11.0.0.1)"), [1, 2]);
    assert!(number("x in fe80::/10").is_empty());
    assert_eq!(number("x like \"*.1\""), [0, 2]);
    let bytes = |filter| among("bytes", Kind::Address, bytes(), filter);
    assert_eq!(bytes("x == 10.0.0.1"), [0, 2]);
    assert_eq!(bytes("x in 10.0.0.0/8"), [0, 1, 2]);
    assert_eq!(bytes("x not in (10.0.0.0/24)"), [1, 3]);
    assert_eq!(bytes("x == 0x0102"), [3]);
    assert_eq!(bytes("x == \"10.0.0.1\""), [0, 2]);
    let macs = array(BinaryArray::from(vec![
        &b"\x00\x1a\x2b\x3c\x4d\x5e"[..],
        b"\0\0\0\0\0\0",
    ]));
    assert_eq!(
        among("bytes", Kind::Mac, macs, "x == 00:1A:2b:3c:4d:5e"),
        [0]
    );
}

#[test]
fn words_of_other_kinds() {
    let numbers = || array(UInt32Array::from(vec![0, 1, 9, 1 << 20]));
    let taken = |kind, filter| among("u32", kind, numbers(), filter);
    assert_eq!(taken(Kind::Bool, "x"), [1, 2, 3]);
    assert_eq!(taken(Kind::Bool, "not x"), [0]);
    assert_eq!(taken(Kind::Bool, "x == true"), [1, 2, 3]);
    assert_eq!(taken(Kind::Bool, "x != true"), [0]);
    assert_eq!(taken(Kind::Bool, "x == false"), [0]);
    assert_eq!(taken(Kind::Device, "x == 1:0"), [3]);
    assert_eq!(taken(Kind::Device, "x ~ ^0:"), [0, 1, 2]);
    assert_eq!(taken(Kind::Bytes, "x >= 1MiB"), [3]);
    assert_eq!(taken(Kind::Signal, "x == KILL"), [2]);
    assert_eq!(taken(Kind::Signal, "x ~ KILL"), [2]);
    assert_eq!(taken(Kind::Syscall, "x == write or x == mmap"), [1, 2]);
    assert_eq!(taken(Kind::Capability, "x == CAP_LINUX_IMMUTABLE"), [2]);
    assert_eq!(taken(Kind::Capabilities, "x has CAP_SYS_PACCT"), [3]);
    assert!(taken(Kind::Capabilities, "x == CHOWN|FSETID").is_empty());
    assert_eq!(taken(Kind::FileMode, "x == 11"), [2]);
}

#[test]
fn columns_are_compared_where_no_value_is_meant() {
    let both = |types: [&str; 2], kinds: [Kind; 2], arrays: [ArrayRef; 2], filter: &str| {
        let table = table(&[("x", types[0], kinds[0]), ("y", types[1], kinds[1])]);
        let filter = Filter::parse(filter, &table, &words()).unwrap();
        let len = arrays[0].len();
        let rows = Rows::new(table, arrays.map(Some).to_vec(), len, 0).unwrap();
        filter.apply(&rows).set_indices().collect::<Vec<_>>()
    };
    let numbers = |filter| {
        let left = UInt64Array::from(vec![0, u64::MAX, 5, 1 << 63]);
        let right = Int64Array::from(vec![-1, -1, 5, i64::MIN]);
        both(
            ["u64", "i64"],
            [Kind::None; 2],
            [Arc::new(left), Arc::new(right)],
            filter,
        )
    };
    assert_eq!(numbers("x == y"), [2]);
    assert_eq!(numbers("x > y"), [0, 1, 3]);
    assert_eq!(numbers("x >= (y) and y < 0"), [0, 1, 3]);
    let texts = |filter| {
        let left = BinaryArray::from(vec![&b"y"[..], b"a"]);
        let right = BinaryArray::from(vec![&b"z"[..], b"a"]);
        both(
            ["text", "text"],
            [Kind::None; 2],
            [Arc::new(left), Arc::new(right)],
            filter,
        )
    };
    assert_eq!(texts("x == y"), [0], "a text");
    assert_eq!(texts("x == (y)"), [1], "a column");
    assert_eq!(texts("x < (y)"), [0]);
    let truths = |filter| {
        let left = BooleanArray::from(vec![true, false, true]);
        let right = UInt8Array::from(vec![7, 0, 0]);
        both(
            ["bool", "u8"],
            [Kind::None, Kind::Bool],
            [Arc::new(left), Arc::new(right)],
            filter,
        )
    };
    assert_eq!(truths("x == y"), [0, 1]);
    assert_eq!(truths("x != y"), [2]);
    // Two columns to compute, and a column that nobody computed is null.
    let table = table(&[("x", "u8", Kind::None), ("y", "u8", Kind::None)]);
    let filter = Filter::parse("x != y", &table, &words()).unwrap();
    assert_eq!(filter.columns(), [0, 1]);
    let x: ArrayRef = Arc::new(UInt8Array::from(vec![1, 2]));
    let rows = Rows::new(table, vec![Some(x), None], 2, 0).unwrap();
    assert_eq!(filter.apply(&rows).count_set_bits(), 0);
}

#[test]
fn what_is_asked_of_one_number_twice_is_asked_once() {
    let parsed = |data_type, filter: &str| {
        let table = table(&[("x", data_type, Kind::None), ("y", data_type, Kind::None)]);
        format!("{:?}", Filter::parse(filter, &table, &words()).unwrap())
    };
    let leaves = |text: &str| text.matches("Leaf {").count();
    for filter in [
        "x > 1 and x < 9",
        "x == 1 or x > 5 and x != 7",
        "not (x > 3 or x in (1, 2))",
    ] {
        assert_eq!(leaves(&parsed("u32", filter)), 1, "{filter}");
    }
    // Another column, another test, or any element of a list.
    assert_eq!(leaves(&parsed("u32", "x > 1 and y < 9")), 2);
    assert_eq!(leaves(&parsed("u32", "x > 1 and x is not null")), 2);
    assert_eq!(leaves(&parsed("list<u32>", "x has 1 and x has 2")), 2);
    let taken = |filter| {
        let values: UInt32Array = (0..400_u32)
            .map(|i| (i % 10 != 4).then_some(i % 10))
            .collect();
        let mut taken = among("u32", Kind::None, array(values), filter);
        assert_eq!(taken.len() % 40, 0, "{filter}");
        taken.truncate(taken.len() / 40);
        taken
    };
    assert_eq!(taken("x > 1 and x < 6"), [2, 3, 5]);
    assert_eq!(taken("x < 2 or x == 4 or x > 7"), [0, 1, 8, 9]);
    assert_eq!(taken("not (x < 2 or x == 5 or x > 7)"), [2, 3, 6, 7]);
    assert_eq!(taken("x != 5 and x > 3 and x not in (8, 9)"), [6, 7]);
    assert_eq!(taken("x in (0, 2, 5, 7, 9)"), [0, 2, 5, 7, 9]);
    assert_eq!(
        taken("x <= 1 or x == 3 or x == 5 or x == 7 or x == 9"),
        [0, 1, 3, 5, 7, 9]
    );
    assert!(taken("x > 5 and x < 3").is_empty());
}

#[test]
fn one_of_several_texts() {
    let all = [
        "",
        "a",
        "ab",
        "abcdefgh",
        "abcdefgi",
        "abcdefghi",
        "abcdefghj",
        "bash",
        "base",
        "abcdefghijklmnop",
    ];
    // The last ones have no eight bytes behind them.
    let values: Vec<&str> = (0..130)
        .map(|i| all[i * 7 % 10])
        .chain(["", "sh"])
        .collect();
    for filter in [
        vec!["bash"],
        vec!["sh"],
        vec![""],
        vec!["abcdefgh"],
        vec!["abcdefghj"],
        vec!["", "sh", "a", "base"],
        vec!["abcdefghi", "abcdefgi", "abcdefghijklmnop", "x"],
        vec![
            "",
            "a",
            "ab",
            "abc",
            "bash",
            "abcde",
            "abcdefgh",
            "abcdefghj",
        ],
    ] {
        let list: Vec<String> = filter.iter().map(|text| format!("{text:?}")).collect();
        let text = format!("x in ({})", list.join(", "));
        let want: Vec<usize> = (0..values.len())
            .filter(|i| filter.contains(&values[*i]))
            .collect();
        let array = array(BinaryArray::from_iter_values(&values));
        assert_eq!(
            among("text", Kind::None, Arc::clone(&array), &text),
            want,
            "{text}"
        );
        let sliced: Vec<usize> = want
            .iter()
            .filter(|i| (3..70).contains(*i))
            .map(|i| i - 3)
            .collect();
        assert_eq!(
            among("text", Kind::None, array.slice(3, 67), &text),
            sliced,
            "{text}"
        );
    }
}
