//! Whole screens are compared.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, ListBuilder};
use arrow_array::{Array as _, ArrayRef, BinaryArray, StructArray, UInt32Array, UInt64Array};
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::Arch;
use crate::names::Passwd;

fn table(columns: &[(&str, &str, Kind, Option<u16>)]) -> Arc<Table> {
    let columns = columns.iter().map(|(name, ty, kind, width)| Column {
        name: (*name).to_owned(),
        description: String::new(),
        data_type: ty.parse().unwrap(),
        kind: *kind,
        width: *width,
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
    let names = Arc::new(Passwd::parse(b"root:x:0:0\n"));
    Words::new(
        names,
        Arch::X86_64,
        jiff::tz::TimeZone::fixed(jiff::tz::offset(1)).into(),
    )
}

fn rows(table: &Arc<Table>, arrays: Vec<ArrayRef>) -> Rows {
    let len = arrays[0].len();
    let arrays = arrays.into_iter().map(Some).collect();
    Rows::new(Arc::clone(table), arrays, len, 1_795_442_645_000_000_000).unwrap()
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(values))
}

fn numbers(values: &[u32]) -> ArrayRef {
    Arc::new(UInt32Array::from(values.to_vec()))
}

fn writer(table: &Arc<Table>, width: Option<u16>) -> ColumnsWriter {
    let selected: Vec<usize> = (0..table.columns.len()).collect();
    let terminal = TerminalOptions {
        size: width.map(TerminalSize::new),
        color: false,
    };
    ColumnsWriter::new(table, &selected, words(), terminal)
}

fn screen(writer: &mut ColumnsWriter, rows: &Rows) -> String {
    let mut out = Vec::new();
    writer.write(rows, &mut out);
    String::from_utf8(out).unwrap()
}

fn open_table() -> Arc<Table> {
    table(&[
        ("time", "u64", Kind::Timestamp, None),
        ("comm", "text", Kind::None, Some(16)),
        ("pid", "u32", Kind::Pid, None),
        ("user", "u32", Kind::User, None),
        ("error", "u32", Kind::Errno, None),
        ("flags", "u32", Kind::OpenFlags, None),
        ("path", "text", Kind::None, None),
    ])
}

fn open_rows(table: &Arc<Table>, paths: &[&str]) -> Rows {
    let of = |values: [u32; 3]| numbers(&values[..paths.len()]);
    rows(
        table,
        vec![
            Arc::new(UInt64Array::from(
                vec![1_999_999, 0, 59_000_000_000][..paths.len()].to_vec(),
            )),
            texts(&["cat", "systemd-journal", ""][..paths.len()]),
            of([1, 4_194_304, 77]),
            of([0, 1_000, 0]),
            of([0, 2, 110]),
            of([0o2_000_000, 0o1_101, 0o2_000_000]),
            texts(paths),
        ],
    )
}

#[test]
fn eighty_columns() {
    let table = open_table();
    let rows = open_rows(
        &table,
        &["/etc/passwd", "/usr/lib/x86_64-linux-gnu/libc.so.6", "x"],
    );
    let text = screen(&mut writer(&table, Some(80)), &rows);
    assert_eq!(
        text,
        "\
TIME         COMM              PID USER     ERROR     FLAGS         PATH
15:04:05.001 cat                 1 root     -         O_RDONLY|O_C… /etc/passwd
15:04:05.000 systemd-jour… 4194304 1000     ENOENT    O_WRONLY|O_C… /usr/lib/x8…
15:05:04.000                    77 root     ETIMEDOUT O_RDONLY|O_C… x
"
    );
    for line in text.lines() {
        assert!(line.width() <= 80, "{line}");
    }
}

#[test]
fn no_terminal_cuts_nothing_and_pads_no_end() {
    let table = open_table();
    let long = "/".repeat(300);
    let rows = open_rows(&table, &["/etc/passwd", &long]);
    let text = screen(&mut writer(&table, None), &rows);
    assert_eq!(
        text,
        format!(
            "\
TIME         COMM                 PID USER     ERROR   FLAGS                    PATH
15:04:05.001 cat                    1 root     -       O_RDONLY|O_CLOEXEC       /etc/passwd
15:04:05.000 systemd-journal  4194304 1000     ENOENT  O_WRONLY|O_CREAT|O_TRUNC {long}
"
        )
    );
}

#[test]
fn one_header_whatever_happens() {
    let table = table(&[
        ("pid", "u32", Kind::Pid, None),
        ("comm", "text", Kind::None, None),
    ]);
    let size = TerminalSize::new(30);
    let terminal = TerminalOptions {
        size: Some(size.clone()),
        color: false,
    };
    let mut writer = ColumnsWriter::new(&table, &[0, 1], words(), terminal);
    let long = rows(
        &table,
        vec![numbers(&[1]), texts(&["a-name-of-exactly-thirty-cells"])],
    );
    let none = rows(&table, vec![numbers(&[]), texts(&[])]);
    assert!(writer.header_is_due());
    assert_eq!(screen(&mut writer, &none), "");
    assert!(writer.header_is_due());
    assert_eq!(
        screen(&mut writer, &long),
        "    PID COMM\n      1 a-name-of-exactly-thi…\n"
    );
    assert!(!writer.header_is_due());
    size.set(80);
    assert_eq!(
        screen(&mut writer, &long),
        "      1 a-name-of-exactly-thirty-cells\n"
    );
    size.set(12);
    assert_eq!(screen(&mut writer, &long), "      1 a-n…\n");
    // A terminal that does not know its size has 80 columns.
    size.set(0);
    assert_eq!(size.get(), 80);
}

#[test]
fn a_resize_fits_all_columns_anew() {
    let table = table(&[
        ("a", "text", Kind::None, Some(20)),
        ("b", "text", Kind::None, Some(20)),
    ]);
    let size = TerminalSize::new(21);
    let terminal = TerminalOptions {
        size: Some(size.clone()),
        color: false,
    };
    let mut writer = ColumnsWriter::new(&table, &[0, 1], words(), terminal);
    let rows = rows(
        &table,
        vec![texts(&["abcdefghijklmnop"]), texts(&["ABCDEFGHIJKLMNOP"])],
    );
    assert_eq!(
        screen(&mut writer, &rows),
        "A          B\nabcdefghi… ABCDEFGHI…\n"
    );
    size.set(41);
    assert_eq!(
        screen(&mut writer, &rows),
        "abcdefghijklmnop     ABCDEFGHIJKLMNOP\n"
    );
    size.set(21);
    assert_eq!(screen(&mut writer, &rows), "abcdefghi… ABCDEFGHI…\n");
}

#[test]
fn tiny_terminals_lose_the_right_end() {
    let table = open_table();
    let rows = open_rows(&table, &["/etc/passwd"]);
    for width in 1..60 {
        let text = screen(&mut writer(&table, Some(width)), &rows);
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            assert!(line.width() <= usize::from(width), "{width}: {line}");
            assert!(!line.ends_with(' '), "{width}: {line:?}");
        }
    }
}

#[test]
fn numbers_are_never_cut_and_text_gives_way() {
    let table = table(&[
        ("id", "u32", Kind::Uid, None),
        ("comm", "text", Kind::None, Some(10)),
        ("n", "u32", Kind::Uid, None),
    ]);
    let mut writer = writer(&table, Some(30));
    let first = rows(
        &table,
        vec![numbers(&[1]), texts(&["short"]), numbers(&[2])],
    );
    assert_eq!(
        screen(&mut writer, &first),
        "   ID COMM           N\n    1 short          2\n"
    );
    let wide = rows(
        &table,
        vec![numbers(&[u32::MAX]), texts(&["abcdefghij"]), numbers(&[2])],
    );
    assert_eq!(screen(&mut writer, &wide), "4294967295 abcd…     2\n");
}

#[test]
fn wide_characters_take_two_cells() {
    let table = table(&[
        ("comm", "text", Kind::None, Some(8)),
        ("n", "u32", Kind::Uid, None),
    ]);
    let names = ["漢字", "漢字漢字漢", "e\u{301}tude", "🙂"];
    let rows = rows(&table, vec![texts(&names), numbers(&[1, 2, 3, 4])]);
    assert_eq!(
        screen(&mut writer(&table, Some(40)), &rows),
        "COMM         N\n漢字         1\n漢字漢…      2\ne\u{301}tude        3\n🙂           4\n"
    );
}

#[test]
fn nothing_reaches_the_terminal_as_a_command() {
    let table = table(&[("t", "text", Kind::None, None)]);
    let bad = [
        "\x1b[2J\x07\n\r\t\x7f",
        "\u{9b}31m\u{85}",
        "\u{202e}txt.exe\u{2066}\u{200f}",
        "\u{feff}\u{e0041}\u{2028}",
    ];
    let rows1 = rows(&table, vec![texts(&bad)]);
    assert_eq!(
        screen(&mut writer(&table, None), &rows1),
        "T\n\
         \\x1b[2J\\x07\\n\\r\\t\\x7f\n\
         \\u009b31m\\u0085\n\
         \\u202etxt.exe\\u2066\\u200f\n\
         \\ufeff\\U000e0041\\u2028\n"
    );
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values([&b"a\xff\\n"[..]]));
    let rows2 = rows(&table, vec![bytes]);
    assert_eq!(screen(&mut writer(&table, None), &rows2), "T\na\\xff\\n\n");
}

#[test]
fn lists_stand_as_a_shell_takes_them() {
    let table = table(&[("args", "list<text>", Kind::None, None)]);
    let mut lists = ListBuilder::new(BinaryBuilder::new());
    let items: [&[u8]; 8] = [
        b"sh",
        b"-c",
        b"echo $HOME",
        b"",
        b"it's",
        b"a\nb\\",
        b"\xff",
        "naïve=1".as_bytes(),
    ];
    lists.append_value(items.map(Some));
    lists.append_value([None::<&[u8]>; 0]);
    lists.append_value([None, Some(&b"x"[..])]);
    lists.append_null();
    let rows = rows(&table, vec![Arc::new(lists.finish())]);
    assert_eq!(
        screen(&mut writer(&table, None), &rows),
        "ARGS\nsh -c 'echo $HOME' '' $'it\\'s' $'a\\nb\\\\' $'\\xff' naïve=1\n\n- x\n-\n"
    );
}

#[test]
fn structs_bytes_and_bools() {
    let ty = "struct<n: u32, s: text>";
    let table = table(&[
        ("s", ty, Kind::None, None),
        ("b", "bytes", Kind::None, None),
    ]);
    let DataType::Struct(fields) = ty.parse().unwrap() else {
        unreachable!()
    };
    let inner = StructArray::new(
        crate::schema::struct_fields(&fields),
        vec![numbers(&[1]), texts(&["a b"])],
        None,
    );
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values([&b"\x00\xfe"[..]]));
    let rows = rows(&table, vec![Arc::new(inner), bytes]);
    let text = screen(&mut writer(&table, Some(60)), &rows);
    assert_eq!(
        text,
        "S                        B\n{n=1 s='a b'}            00fe\n"
    );
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let size = || TerminalSize::new(80);
    let os = |text| Some(OsStr::new(text));
    assert!(TerminalOptions::terminal(size(), None, os("xterm")).color);
    assert!(TerminalOptions::terminal(size(), os(""), None).color);
    assert!(!TerminalOptions::terminal(size(), os("1"), os("xterm")).color);
    assert!(!TerminalOptions::terminal(size(), None, os("dumb")).color);
    assert!(!TerminalOptions::default().color);
    let table = table(&[("pid", "u32", Kind::Pid, None)]);
    let rows = rows(&table, vec![numbers(&[1])]);
    let bold = TerminalOptions::terminal(size(), None, None);
    let mut writer = ColumnsWriter::new(&table, &[0], words(), bold);
    assert_eq!(
        screen(&mut writer, &rows),
        "\x1b[1m    PID\x1b[0m\n      1\n"
    );
    // Someone asks for colour where no terminal is.
    let piped = TerminalOptions {
        size: None,
        color: true,
    };
    let mut writer = ColumnsWriter::new(&table, &[0], words(), piped);
    assert_eq!(screen(&mut writer, &rows), "    PID\n      1\n");
}

proptest! {
    #[test]
    fn lines_fit_and_carry_no_commands(
        first in proptest::collection::vec(any::<u8>(), 0..60),
        second in any::<String>(),
        number: u32,
        width in 1..120_u16,
        on_terminal: bool,
    ) {
        let table = table(&[
            ("a", "text", Kind::None, None),
            ("n", "u32", Kind::Hex, None),
            ("b", "list<text>", Kind::None, Some(9)),
            ("c", "text", Kind::None, None),
        ]);
        let bytes = |bytes: &[u8]| -> ArrayRef { Arc::new(BinaryArray::from_iter_values([bytes])) };
        let mut lists = ListBuilder::new(BinaryBuilder::new());
        lists.append_value([Some(&first[..]), Some(second.as_bytes())]);
        let rows = rows(&table, vec![
            bytes(&first),
            numbers(&[number]),
            Arc::new(lists.finish()),
            bytes(second.as_bytes()),
        ]);
        let text = screen(&mut writer(&table, on_terminal.then_some(width)), &rows);
        prop_assert_eq!(text.matches('\n').count(), 2);
        for line in text.lines() {
            prop_assert!(!line.contains(crate::text::is_hazardous), "{:?}", line);
            prop_assert!(!line.ends_with(' '));
            if on_terminal {
                prop_assert!(super::text_width(line) <= usize::from(width), "{:?}", line);
            }
        }
    }
}

#[test]
fn more_kinds_are_words() {
    let table = table(&[
        ("size", "u32", Kind::Bytes, None),
        ("sig", "u32", Kind::Signal, None),
        ("nr", "u32", Kind::Syscall, None),
        ("dev", "u32", Kind::Device, None),
        ("ok", "u32", Kind::Bool, None),
        ("ip", "bytes", Kind::Address, None),
        ("mac", "bytes", Kind::Mac, None),
        (
            "dst",
            "struct<address: bytes, port: u16>",
            Kind::Endpoint,
            None,
        ),
        ("ips", "list<u32>", Kind::Address, None),
    ]);
    let addresses = || {
        let values: [&[u8]; 2] = [&[10, 0, 0, 1], &[0; 16]];
        Arc::new(BinaryArray::from_iter(
            values.into_iter().map(Some).chain([None]),
        )) as ArrayRef
    };
    let DataType::Struct(fields) = Kind::endpoint_type() else {
        unreachable!()
    };
    let ports: ArrayRef = Arc::new(arrow_array::UInt16Array::from(vec![443, 22, 1]));
    let endpoint = StructArray::new(
        crate::schema::struct_fields(&fields),
        vec![addresses(), ports],
        None,
    );
    let lists =
        arrow_array::ListArray::from_iter_primitive::<arrow_array::types::UInt32Type, _, _>(vec![
            Some(vec![Some(1), Some(0x0100_000a)]),
            Some(vec![]),
            None,
        ]);
    let macs: [&[u8]; 3] = [&[2, 0x42, 0, 0, 0, 1], b"", b"\xff"];
    let rows = rows(
        &table,
        vec![
            numbers(&[4_096, 17, 3_000_000]),
            numbers(&[9, 0, 34]),
            numbers(&[257, 0, 9_999]),
            numbers(&[8 << 20 | 1, 0, 0]),
            numbers(&[0, 1, 2]),
            addresses(),
            Arc::new(BinaryArray::from_iter_values(macs)),
            Arc::new(endpoint),
            Arc::new(lists),
        ],
    );
    assert_eq!(
        screen(&mut writer(&table, None), &rows),
        "     SIZE SIG      NR           DEV     OK    IP              MAC               DST                   IPS
   4.0KiB SIGKILL  openat       8:1     false 10.0.0.1        02:42:00:00:00:01 10.0.0.1:443          1.0.0.0 10.0.0.1
      17B 0        read         0:0     true  ::                                [::]:22
   2.8MiB SIGRTMIN 9999         0:0     true  -               ff                -:1                   -
"
    );
}

#[test]
fn quiet_columns_come_into_sight_with_their_first_value() {
    let table = table(&[
        ("pid", "u32", Kind::Pid, None),
        ("container", "text", Kind::None, None),
        ("image", "text", Kind::None, None),
        ("pod", "text", Kind::None, None),
    ]);
    let names = |values: [Option<&str>; 2]| -> Option<ArrayRef> {
        Some(Arc::new(BinaryArray::from_iter(
            values.iter().map(|v| v.map(str::as_bytes)),
        )))
    };
    let batch = |container, image, pod| {
        let pids = Some(numbers(&[1, 2]));
        Rows::new(Arc::clone(&table), vec![pids, container, image, pod], 2, 0).unwrap()
    };
    let quiet = [vec![1, 2], vec![3]];
    let mut writer = writer(&table, None).with_quiet(&quiet);
    // Nobody looked, and nothing was found: the same.
    let mut text = screen(&mut writer, &batch(None, None, names([None, None])));
    assert!(!writer.header_is_due());
    text += &screen(&mut writer, &batch(names([None, Some("web")]), None, None));
    text += &screen(
        &mut writer,
        &batch(None, names([Some("busybox"), None]), None),
    );
    text += &screen(&mut writer, &batch(None, None, names([Some("p"), None])));
    let expected = "    PID\n      1\n      2\n\
        CONTAINER        IMAGE                PID\n\
        -                -                      1\n\
        web              -                      2\n\
        -                busybox                1\n\
        -                -                      2\n\
        CONTAINER        IMAGE            POD                  PID\n\
        -                -                p                      1\n\
        -                -                -                      2\n";
    assert_eq!(text, expected);
}

#[test]
fn an_endpoint_is_shown_by_its_name_where_it_has_one() {
    let table = table(&[
        (
            "dst",
            "struct<address: bytes, port: u16>",
            Kind::Endpoint,
            None,
        ),
        ("dst.name", "text", Kind::None, None),
    ]);
    let empty = arrow_array::new_empty_array(&Kind::endpoint_type().arrow());
    let fields = arrow_array::cast::AsArray::as_struct(&empty)
        .fields()
        .clone();
    let addresses: ArrayRef = Arc::new(BinaryArray::from_iter_values([
        [10, 0, 0, 1],
        [10, 0, 0, 2],
    ]));
    let ports: ArrayRef = Arc::new(arrow_array::UInt16Array::from(vec![80, 443]));
    let dst: ArrayRef =
        Arc::new(StructArray::try_new(fields, vec![addresses, ports], None).unwrap());
    let batch = |names: Option<[Option<&str>; 2]>| {
        let names = names.map(|names| -> ArrayRef {
            Arc::new(BinaryArray::from_iter(names.map(|v| v.map(str::as_bytes))))
        });
        Rows::new(Arc::clone(&table), vec![Some(dst.clone()), names], 2, 0).unwrap()
    };
    let shown = |selected: &[usize], names: &[(usize, usize)]| {
        let terminal = TerminalOptions::default();
        let mut writer = ColumnsWriter::new(&table, selected, words(), terminal).with_names(names);
        let mut text = screen(&mut writer, &batch(None));
        text += &screen(
            &mut writer,
            &batch(Some([None, Some("p/shop/c\u{1b}art:443")])),
        );
        text
    };
    let bare = "DST\n10.0.0.1:80\n10.0.0.2:443\n";
    assert_eq!(
        shown(&[0], &[(0, 1)]),
        format!("{bare}10.0.0.1:80\np/shop/c\\x1bart:443\n"),
        "and nothing of it is a command"
    );
    assert_eq!(
        shown(&[0], &[]),
        format!("{bare}10.0.0.1:80\n10.0.0.2:443\n")
    );
}
