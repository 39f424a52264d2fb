use super::*;
use crate::kinds::Kind;
use crate::schema::Column;
use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use arrow_array::{BinaryArray, UInt32Array};
use proptest::prelude::*;
use std::sync::Arc;

fn table() -> Arc<Table> {
    let column = |name: &str, data_type| Column {
        name: name.to_owned(),
        description: String::new(),
        data_type,
        kind: Kind::None,
        width: None,
        hidden: false,
        alias: None,
    };
    Arc::new(Table {
        name: "t".to_owned(),
        description: String::new(),
        columns: vec![
            column("n", DataType::U32),
            column("word", DataType::Text),
            column("args", DataType::List(Box::new(DataType::Text))),
        ],
    })
}

fn rows(values: &[(Option<u32>, &str)]) -> Rows {
    let n: UInt32Array = values.iter().map(|(n, _)| *n).collect();
    let word = BinaryArray::from_iter_values(values.iter().map(|(_, word)| word.as_bytes()));
    Rows::new(
        table(),
        vec![Some(Arc::new(n)), Some(Arc::new(word)), None],
        values.len(),
        7,
    )
    .unwrap()
}

fn values(rows: &Rows) -> Vec<(Option<u32>, String)> {
    let n = rows.columns[0]
        .as_ref()
        .unwrap()
        .as_primitive::<UInt32Type>();
    let word = rows.columns[1].as_ref().unwrap().as_binary::<i32>();
    assert_eq!((n.len(), word.len()), (rows.len, rows.len));
    n.iter()
        .zip(word.iter())
        .map(|(n, word)| (n, String::from_utf8_lossy(word.unwrap()).into_owned()))
        .collect()
}

fn ended(order: &str, max_rows: Option<usize>, batches: &[&[(Option<u32>, &str)]]) -> Frame {
    let keys = if order.is_empty() {
        Vec::new()
    } else {
        sort_keys(&table(), order).unwrap()
    };
    let mut frames = Frames::new(table(), keys, max_rows, FrameLimits::NONE);
    for batch in batches {
        assert_eq!(frames.push(rows(batch)), 0);
    }
    assert_eq!(frames.is_empty(), batches.is_empty());
    let frame = frames.end().unwrap();
    assert!(frames.is_empty());
    frame
}

fn words(frame: &Frame) -> String {
    values(&frame.rows)
        .into_iter()
        .map(|(_, word)| word)
        .collect()
}

#[test]
fn frames_are_sorted_by_several_columns_and_cut() {
    let batches: &[&[(Option<u32>, &str)]] = &[
        &[(Some(3), "a"), (Some(1), "b")],
        &[(None, "c"), (Some(3), "d"), (Some(2), "e")],
    ];
    for (order, expected) in [
        ("", "abcde"),
        ("n", "beadc"),
        ("+n", "beadc"),
        ("-n", "adebc"),
        ("-n,-word", "daebc"),
        ("word", "abcde"),
        ("-word", "edcba"),
    ] {
        let frame = ended(order, None, batches);
        assert_eq!(words(&frame), expected, "{order}");
        assert_eq!(frame.beyond_limit, 0);
    }
    for (order, most, expected, beyond) in [
        ("", 2, "ab", 3),
        ("-n", 3, "ade", 2),
        ("n", 9, "beadc", 0),
        ("n", 0, "", 5),
        ("", 0, "", 5),
    ] {
        let frame = ended(order, Some(most), batches);
        assert_eq!(words(&frame), expected, "{order} {most}");
        assert_eq!(frame.beyond_limit, beyond);
        assert_eq!(frame.rows.wall_offset, 7);
    }
    let empty = ended("-n", Some(1), &[]).rows;
    assert_eq!((empty.len, empty.frame), (0, 1));
}

#[test]
fn wrong_orders_say_what_is_right() {
    let error = |text| sort_keys(&table(), text).unwrap_err().to_string();
    assert_eq!(
        error("-wrd"),
        "table t has no column \"wrd\", did you mean \"word\"?; columns are n, word, args"
    );
    assert_eq!(
        error("n,,word"),
        "\"n,,word\" has an empty name; write a,-b for a rising and b falling"
    );
    assert_eq!(error("n,-n"), "column \"n\" comes twice");
    assert_eq!(
        error("args"),
        "column \"args\" is a list<text>, which has no order"
    );
}

/// What the host gathers is bounded: beyond it rows are lost by number, or not kept because nobody will see them.
#[test]
fn what_is_gathered_is_bounded() {
    let one = |n: u32| rows(&[(Some(n), "a"), (Some(n), "b")]);
    let limits = FrameLimits {
        rows: 10,
        bytes: usize::MAX,
    };
    let gathered = |order: &str, most, limits| {
        let keys = if order.is_empty() {
            Vec::new()
        } else {
            sort_keys(&table(), order).unwrap()
        };
        let mut frames = Frames::new(table(), keys, most, limits);
        let lost: u64 = (0..20).map(|n| frames.push(one(n))).sum();
        assert_eq!(frames.len() + lost, 40);
        let frame = frames.end().unwrap();
        let n = values(&frame.rows).into_iter().map(|(n, _)| n.unwrap());
        (n.collect::<Vec<_>>(), frame.beyond_limit, lost)
    };
    assert_eq!(
        gathered("", None, limits),
        (vec![0, 0, 1, 1, 2, 2, 3, 3, 4, 4], 0, 30)
    );
    // The first ones are the ones, and the rest is not kept.
    assert_eq!(gathered("", Some(3), limits), (vec![0, 0, 1], 37, 0));
    // The largest come last, and are found.
    assert_eq!(gathered("-n", Some(3), limits), (vec![19, 19, 18], 37, 0));
    assert_eq!(gathered("n", Some(5), limits), (vec![0, 0, 1, 1, 2], 35, 0));
    // Too many to be shown of what may be held: what does not fit is lost.
    let (shown, beyond, lost) = gathered("-n", Some(9), limits);
    assert_eq!(
        (shown, beyond, lost),
        (vec![4, 4, 3, 3, 2, 2, 1, 1, 0], 1, 30)
    );
    // Memory counts as well; a batch alone always fits.
    let little = FrameLimits {
        rows: usize::MAX,
        bytes: one(0).bytes() * 3 / 2,
    };
    assert_eq!(gathered("", None, little), (vec![0, 0], 0, 38));
}

#[test]
fn frames_are_numbered_whether_or_not_they_have_rows() {
    let mut frames = Frames::new(table(), Vec::new(), Some(1), FrameLimits::default());
    for number in 1..=3 {
        if number == 2 {
            assert_eq!(frames.push(rows(&[(None, "a")])), 0);
        }
        let frame = frames.end().unwrap();
        assert_eq!(
            (frame.rows.frame, frame.rows.len),
            (number, usize::from(number == 2))
        );
        assert_eq!((frames.ended(), frames.len()), (number, 0));
    }
}

proptest! {
    /// Whatever the order and the limit: what is left is the beginning of a stable sort of everything.
    #[test]
    fn a_limit_keeps_the_first_of_all(
        values_in in proptest::collection::vec((proptest::option::of(0u32..5), "[a-c]{0,2}"), 1..60),
        cut in 0usize..60,
        order in prop_oneof![Just("n"), Just("-n"), Just("word,-n"), Just("-word,n")],
        most in 0usize..70,
    ) {
        let all: Vec<(Option<u32>, &str)> = values_in.iter().map(|(n, w)| (*n, w.as_str())).collect();
        let (first, second) = all.split_at(cut.min(all.len()));
        let frame = ended(order, Some(most), &[first, second]);
        let mut expected = all.clone();
        let by_n = |a: &Option<u32>, b: &Option<u32>, falling: bool| match (a, b) {
            (Some(a), Some(b)) if falling => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        expected.sort_by(|a, b| match order {
            "n" => by_n(&a.0, &b.0, false),
            "-n" => by_n(&a.0, &b.0, true),
            "word,-n" => a.1.cmp(b.1).then_with(|| by_n(&a.0, &b.0, true)),
            _ => b.1.cmp(a.1).then_with(|| by_n(&a.0, &b.0, false)),
        });
        let beyond = expected.len().saturating_sub(most);
        expected.truncate(most);
        let got = values(&frame.rows);
        let expected: Vec<_> = expected.into_iter().map(|(n, w)| (n, w.to_owned())).collect();
        prop_assert_eq!(got, expected);
        prop_assert_eq!(frame.beyond_limit, beyond as u64);
    }
}

/// Programs see which rows belong together, people see one picture at a time.
#[test]
fn frames_are_numbered_in_json_and_drawn_over_each_other_on_a_terminal() {
    use crate::columns::{ColumnsWriter, TerminalOptions, TerminalSize};
    use crate::json::JsonWriter;
    use crate::kinds::words::Words;

    let table = table();
    let mut json = JsonWriter::new(&table, &[0, 1], Words::fixed());
    let mut none = JsonWriter::new(&table, &[], Words::fixed());
    let mut screen = ColumnsWriter::new(
        &table,
        &[0],
        Words::fixed(),
        TerminalOptions {
            size: Some(TerminalSize::new(80)),
            ..TerminalOptions::default()
        },
    );
    let mut frames = Frames::new(Arc::clone(&table), Vec::new(), None, FrameLimits::NONE);
    let (mut lines, mut empty, mut drawn) = (Vec::new(), Vec::new(), Vec::new());
    for n in [7, 8] {
        assert_eq!(frames.push(rows(&[(Some(n), "a")])), 0);
        let frame = frames.end().unwrap().rows;
        json.write(&frame, &mut lines);
        none.write(&frame, &mut empty);
        screen.write(&frame, &mut drawn);
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert_eq!(
        text(lines),
        "{\"frame\":1,\"n\":7,\"word\":\"a\"}\n{\"frame\":2,\"n\":8,\"word\":\"a\"}\n"
    );
    assert_eq!(text(empty), "{\"frame\":1}\n{\"frame\":2}\n");
    let drawn = text(drawn);
    let pictures: Vec<_> = drawn.split("\u{1b}[H\u{1b}[J").collect();
    assert_eq!(pictures.len(), 3, "{drawn:?}");
    assert_eq!((pictures[0], pictures[1].lines().count()), ("", 2));
    assert!(pictures[2].ends_with("8\n"), "{drawn:?}");
}

#[test]
fn a_column_without_values_in_one_batch_keeps_those_of_another() {
    let with = rows(&[(Some(1), "a"), (None, "b")]);
    let mut without = rows(&[(Some(3), "c")]);
    without.columns[0] = None;
    let mut frames = Frames::new(table(), Vec::new(), None, FrameLimits::NONE);
    for batch in [without.clone(), with, without] {
        assert_eq!(frames.push(batch), 0);
    }
    let rows = frames.end().unwrap().rows;
    let numbers: Vec<_> = values(&rows).into_iter().map(|(n, _)| n).collect();
    assert_eq!(numbers, [None, Some(1), None, None]);
    assert!(rows.columns[2].is_none());
}
