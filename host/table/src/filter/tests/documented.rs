//! `docs/filters.md` is run: its rows are built, its examples and mistakes compared.

use arrow_array::builder::{BinaryBuilder, ListBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StructArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::NullBuffer;
use serde_json::Value as Json;

use super::super::number::exact;
use super::super::vocabulary::{Units, is_octal, word};
use super::*;
use crate::schema::{DataType, struct_fields};

const PAGE: &str = include_str!("../../../../../docs/filters.md");

/// The cells of a line of a table in Markdown.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix("| ")?.strip_suffix('|')?;
    let inner = inner.replace("\\|", "\0");
    let cells = inner.split('|').map(|cell| cell.trim().replace('\0', "|"));
    Some(cells.collect())
}

/// What stands in backticks.
fn code(cell: &str) -> Option<&str> {
    let double = cell
        .strip_prefix("`` ")
        .and_then(|cell| cell.strip_suffix(" ``"));
    double.or_else(|| cell.strip_prefix('`')?.strip_suffix('`'))
}

/// Text in which `\xNN` is a byte.
fn bytes(cell: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut parts = cell.split("\\x");
    out.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        out.push(u8::from_str_radix(&part[..2], 16).unwrap());
        out.extend(part[2..].bytes());
    }
    out
}

fn number(cell: &str, kind: Kind) -> i128 {
    if kind == Kind::Timestamp {
        let time: jiff::Timestamp = format!("2026-11-23T{cell}Z").parse().unwrap();
        return time.as_nanosecond() - i128::from(WALL_OFFSET);
    }
    let single = |text: &str| {
        let number = exact(text, Units::of(kind), is_octal(kind));
        let number = number.ok().and_then(|number| number.as_whole());
        number.unwrap_or_else(|| word(kind, text, &words()).unwrap().value.into())
    };
    cell.split('|').map(single).fold(0, |all, one| all | one)
}

fn array(data_type: &DataType, kind: Kind, cells: &[Option<&str>]) -> ArrayRef {
    macro_rules! whole {
        ($array:ty) => {{
            let numbers = cells
                .iter()
                .map(|cell| cell.map(|cell| number(cell, kind).try_into().unwrap()));
            Arc::new(numbers.collect::<$array>())
        }};
    }
    match data_type {
        DataType::U8 => whole!(UInt8Array),
        DataType::U16 => whole!(UInt16Array),
        DataType::U32 => whole!(UInt32Array),
        DataType::U64 => whole!(UInt64Array),
        DataType::I64 => whole!(Int64Array),
        DataType::Bool => {
            let values = cells.iter().map(|cell| cell.map(|cell| cell == "true"));
            Arc::new(values.collect::<BooleanArray>())
        }
        DataType::F64 => {
            let values = cells
                .iter()
                .map(|cell| cell.map(|cell| cell.parse().unwrap()));
            Arc::new(values.collect::<Float64Array>())
        }
        DataType::Bytes if kind == Kind::Address => {
            let values = cells.iter().map(|cell| {
                cell.map(|cell| match cell.parse().unwrap() {
                    std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
                    std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
                })
            });
            Arc::new(BinaryArray::from_iter(values))
        }
        DataType::Text | DataType::Bytes => Arc::new(BinaryArray::from_iter(
            cells.iter().map(|cell| cell.map(bytes)),
        )),
        DataType::List(_) => {
            let mut lists = ListBuilder::new(BinaryBuilder::new());
            for cell in cells {
                let items: Option<Vec<String>> =
                    cell.map(|cell| serde_json::from_str(cell).unwrap());
                lists.append_option(items.map(|items| items.into_iter().map(Some)));
            }
            Arc::new(lists.finish())
        }
        DataType::Struct(fields) => {
            let objects: Vec<Option<Json>> = cells
                .iter()
                .map(|cell| cell.map(|cell| serde_json::from_str(cell).unwrap()))
                .collect();
            let columns = fields.iter().map(|(name, data_type)| {
                let texts: Vec<Option<String>> = objects
                    .iter()
                    .map(|object| match object.as_ref().map(|object| &object[name]) {
                        None | Some(Json::Null) => None,
                        Some(Json::String(text)) => Some(text.clone()),
                        Some(other) => Some(other.to_string()),
                    })
                    .collect();
                let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
                array(data_type, Kind::None, &texts)
            });
            let present = objects.iter().map(Option::is_some).collect::<Vec<_>>();
            Arc::new(StructArray::new(
                struct_fields(fields),
                columns.collect(),
                Some(NullBuffer::from(present)),
            ))
        }
        other => panic!("no sample of type {other}"),
    }
}

const WALL_OFFSET: i64 = 1_795_442_644_000_000_000;

/// The table of the page's beginning.
pub(super) fn rows() -> Rows {
    let lines = PAGE
        .lines()
        .skip_while(|line| !line.starts_with("| column |"));
    let mut columns = Vec::new();
    let mut arrays = Vec::new();
    for line in lines.skip(2).map_while(cells) {
        let name = code(&line[0]).unwrap().to_owned();
        let data_type: DataType = code(&line[1]).unwrap().parse().unwrap();
        let kind = match line[2].as_str() {
            "" => Kind::None,
            kind => kind.parse().unwrap(),
        };
        assert!(kind.accepts(&data_type), "{name}");
        let values: Vec<Option<&str>> = line[3..]
            .iter()
            .map(|cell| match cell.as_str() {
                "null" => None,
                cell => Some(code(cell).unwrap()),
            })
            .collect();
        arrays.push(Some(array(&data_type, kind, &values)));
        columns.push(Column {
            name,
            description: String::new(),
            data_type,
            kind,
            width: None,
            hidden: false,
            alias: None,
        });
    }
    let table = Table {
        name: "files".to_owned(),
        description: String::new(),
        columns,
    };
    Rows::new(Arc::new(table), arrays, 5, WALL_OFFSET).unwrap()
}

#[test]
fn every_example_of_the_page_takes_its_rows() {
    let rows = rows();
    assert_eq!(rows.table.columns.len(), 22);
    let mut examples = 0;
    let mut within = false;
    for line in PAGE.lines() {
        if line.starts_with("| filter | rows |") {
            within = true;
            continue;
        }
        let cells = cells(line);
        let Some(cells) = cells.filter(|_| within && !line.starts_with("|---")) else {
            within = within && line.starts_with('|');
            continue;
        };
        let filter = code(&cells[0]).unwrap();
        let parsed = Filter::parse(filter, &rows.table, &words());
        examples += 1;
        if cells[1] == "error" {
            assert!(parsed.is_err(), "{filter}");
            continue;
        }
        let want: Vec<usize> = match cells[1].as_str() {
            "none" => Vec::new(),
            some => some.split(", ").map(|row| row.parse().unwrap()).collect(),
        };
        assert_eq!(taken(filter), want, "{filter}");
    }
    assert!(examples > 100, "{examples} examples were found");
}

#[test]
fn every_mistake_of_the_page_is_told_so() {
    let rows = rows();
    let mut mistakes = 0;
    for block in PAGE.split("```text\n").skip(1) {
        let (block, _) = block.split_once("\n```").unwrap();
        let (first, want) = block.split_once('\n').unwrap();
        let filter = first
            .strip_prefix("--filter '")
            .and_then(|f| f.strip_suffix('\''));
        let error = Filter::parse(filter.unwrap(), &rows.table, &words()).unwrap_err();
        assert_eq!(error.to_string(), want);
        mistakes += 1;
    }
    assert_eq!(mistakes, 8);
}
