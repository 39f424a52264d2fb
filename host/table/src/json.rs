//! Rows as JSON, one object a line.
//!
//! - The object's keys are the selected columns, in their order. Every key is always there; a value
//!   that is not known is `null`.
//! - Where rows of several tables are written together, each row has its table's name as first key,
//!   `"table"`: see [`JsonWriter::named`]; with those of several gadgets it is `GADGET.TABLE`. Rows of a frame have its number, from 1, before their columns:
//!   `"frame"`. No column has one of these names: see [`crate::schema::RESERVED`].
//! - Numbers are plain numbers, also above 2^53: readers that keep numbers as f64 have to mind. A
//!   float that is not finite is `null`.
//! - `text` is a string; bytes in it that are not UTF-8 are `\xNN` (in the file: `"\\xff"`),
//!   unambiguously: see [`crate::text`]. Beside what JSON wants escaped, characters that a
//!   terminal obeys or that hide are `\uNNNN`; a JSON reader sees no difference.
//! - `bytes` is a string of two lower-case hex digits a byte.
//! - Lists are arrays, structs are objects.
//! - Kinds: see [`Kind`], also for the numbers that stand beside words as `NAME_raw`.
//!
//! With [`JsonWriter::pretty`] the same values stand indented by two spaces, an item a line.

mod line;
mod pretty;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;

use crate::cells::{Cells, Values, Wholes, items};
use crate::kinds::words::{Whole, Words};
use crate::kinds::{Form, Kind, address};
use crate::schema::{DataType, Rows, Table};
use crate::time::{RFC3339_LEN, Utc};
use line::Line;
use std::io::Write as _;

/// Writes rows as JSON lines.
#[derive(Debug)]
pub struct JsonWriter {
    /// The selected columns and their indexes in the table.
    nodes: Vec<(usize, Node)>,
    state: State,
    /// Bytes that rows took so far, for the next guess.
    bytes_per_row: usize,
    /// `{"table":"NAME"`; empty where rows don't name their table.
    table: Box<[u8]>,
    /// What stands before the columns of each row of a batch.
    lead: Vec<u8>,
    /// Compact lines, when they are to be made pretty.
    compact: Option<Vec<u8>>,
}

/// What all columns share.
#[derive(Debug)]
struct State {
    words: Words,
    clock: Utc,
    wall_offset: i64,
    /// Where a word is made before it is escaped.
    word: String,
}

/// One column, or one level inside of one: what is the same for all batches.
#[derive(Debug)]
struct Node {
    /// `{"name":` or `,"name":`; empty in a list.
    key: Key,
    kind: Kind,
    show: Show,
    words: WordCache,
    /// What stands for a value that is not known: `null`, also that of `NAME_raw`.
    nothing: Box<[u8]>,
    /// `,"NAME_raw":` where the number stands beside the word.
    raw: Option<Box<[u8]>>,
    /// The list of the numbers, where it stands beside that of the words.
    raw_list: Option<Box<Node>>,
    /// Of a list: the item. Of a struct: its fields.
    inner: Vec<Node>,
}

/// How a node's numbers are written, decided once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Number,
    Time,
    /// As a word of the number, or of its bits.
    Word,
    Bits,
    /// As a word that is made anew each time: addresses of code are many.
    Address,
    Truth,
}

/// A key with its punctuation, escaped.
#[derive(Debug)]
struct Key {
    /// The first bytes, copied whole.
    start: [u8; 32],
    len: usize,
    /// All bytes, when they are more.
    long: Option<Box<[u8]>>,
}

impl JsonWriter {
    /// A writer for the columns `selected` of a table, by index; an index outside is left out.
    #[must_use]
    pub fn new(table: &Table, selected: &[usize], words: Words) -> Self {
        let mut nodes: Vec<(usize, Node)> = Vec::with_capacity(selected.len());
        for index in selected {
            if let Some(column) = table.columns.get(*index) {
                let key = Key::new(nodes.is_empty(), &column.name);
                let mut node = Node::new(key, &column.data_type, column.kind);
                let raw = format!("{}_raw", column.name);
                if table.columns.iter().all(|other| other.name != raw) {
                    node.add_raw(&raw, &column.data_type);
                }
                nodes.push((*index, node));
            }
        }
        let state = State {
            words,
            clock: Utc::new(),
            wall_offset: 0,
            word: String::with_capacity(64),
        };
        let bytes_per_row = 32 * selected.len();
        Self {
            nodes,
            state,
            bytes_per_row,
            table: Box::default(),
            lead: Vec::new(),
            compact: None,
        }
    }

    /// The same, indented.
    #[must_use]
    pub fn pretty(table: &Table, selected: &[usize], words: Words) -> Self {
        Self {
            compact: Some(Vec::new()),
            ..Self::new(table, selected, words)
        }
    }

    /// Each row has the name of its table as first key, if one is given.
    #[must_use]
    pub fn named(self, table: Option<&str>) -> Self {
        let table = table.map_or_else(Box::default, |name| {
            let mut text = vec![0; TABLE_KEY.len() + name.len() * 6 + 2];
            let mut line = Line::new(&mut text, 0);
            line.bytes(TABLE_KEY);
            line.escaped(name.as_bytes());
            line.byte(b'"');
            let len = line.at();
            text.truncate(len);
            text.into_boxed_slice()
        });
        Self { table, ..self }
    }

    /// Adds a line for each row at the end of `out`; with [`JsonWriter::pretty`] several lines.
    ///
    /// Allocates for the batch and for `out`, not for a row.
    pub fn write(&mut self, rows: &Rows, out: &mut Vec<u8>) {
        match self.compact.take() {
            None => self.write_compact(rows, out),
            Some(mut compact) => {
                compact.clear();
                self.write_compact(rows, &mut compact);
                pretty::write(&compact, out);
                self.compact = Some(compact);
            }
        }
    }

    fn write_compact(&mut self, rows: &Rows, out: &mut Vec<u8>) {
        let Self {
            nodes,
            state,
            bytes_per_row,
            table,
            lead,
            compact: _,
        } = self;
        lead.clear();
        lead.extend_from_slice(table);
        if rows.frame > 0 {
            lead.extend_from_slice(if lead.is_empty() { b"{" } else { b"," });
            lead.extend_from_slice(FRAME_KEY);
            // Writing to a vector does not fail.
            let _ = write!(lead, "{}", rows.frame);
        }
        state.wall_offset = rows.wall_offset;
        let mut columns: Vec<(&mut Node, Cells<'_>)> = nodes
            .iter_mut()
            .map(|(index, node)| {
                let array = rows.columns.get(*index).and_then(Option::as_deref);
                let cells = match rows.table.columns.get(*index) {
                    Some(column) => Cells::new(&column.data_type, array, rows.len),
                    None => Cells::new(&DataType::Bool, None, 0),
                };
                (node, cells)
            })
            .collect();
        let start = out.len();
        let mut at = start;
        out.resize(start + rows.len * *bytes_per_row + SLACK, 0);
        for row in 0..rows.len {
            loop {
                let mut line = Line::new(out, at);
                object(&mut line, &mut columns, state, row, lead);
                if !line.full() {
                    at = line.at();
                    break;
                }
                let left = (rows.len - row) * *bytes_per_row;
                out.resize(out.len() + left + out.len() / 2 + SLACK, 0);
            }
        }
        out.truncate(at);
        if let Some(mean) = (at - start).checked_div(rows.len) {
            *bytes_per_row = mean + mean / 16 + 1;
        }
    }
}

/// Room that fixed-length copies may touch behind the last line.
const SLACK: usize = 256;

impl Node {
    fn new(key: Key, ty: &DataType, kind: Kind) -> Self {
        let inner = match ty {
            DataType::List(item) => vec![Self::new(Key::none(), item, kind)],
            DataType::Struct(fields) => fields
                .iter()
                .enumerate()
                .map(|(i, (name, ty))| Self::new(Key::new(i == 0, name), ty, kind.of_field(name)))
                .collect(),
            _ => Vec::new(),
        };
        let kind = if kind.accepts(ty) { kind } else { Kind::None };
        let show = match kind.form() {
            Form::Number | Form::Quantity => Show::Number,
            Form::Time => Show::Time,
            Form::Name | Form::Spelling if kind.is_stack() => Show::Address,
            Form::Name | Form::Spelling if kind.is_bits() => Show::Bits,
            Form::Name | Form::Spelling => Show::Word,
            Form::Truth => Show::Truth,
        };
        Self {
            key,
            kind,
            show,
            words: WordCache::default(),
            nothing: Box::from(*b"null"),
            raw: None,
            raw_list: None,
            inner,
        }
    }

    /// Puts the number beside the word, when this is a kind that has it there.
    fn add_raw(&mut self, name: &str, ty: &DataType) {
        if self.kind.has_raw() {
            let key = Key::new(false, name).bytes();
            self.nothing = [b"null", &*key, b"null"].concat().into();
            if self.inner.is_empty() {
                self.raw = Some(key);
            } else {
                let list = Self::new(Key::new(false, name), ty, Kind::None);
                self.raw_list = Some(Box::new(list));
            }
        }
    }
}

impl Key {
    fn new(first: bool, name: &str) -> Self {
        // Six bytes is the longest that one byte becomes.
        let mut bytes = vec![0; name.len() * 6 + 8];
        let mut line = Line::new(&mut bytes, 0);
        line.bytes(if first { b"{\"" } else { b",\"" });
        line.escaped(name.as_bytes());
        line.bytes(b"\":");
        let len = line.at();
        bytes.truncate(len);
        let mut start = [0; 32];
        for (to, from) in start.iter_mut().zip(&bytes) {
            *to = *from;
        }
        let long = (len > start.len()).then(|| bytes.into_boxed_slice());
        Self { start, len, long }
    }

    fn none() -> Self {
        Self {
            start: [0; 32],
            len: 0,
            long: None,
        }
    }

    /// All of it.
    fn bytes(self) -> Box<[u8]> {
        match self.long {
            Some(long) => long,
            None => self.start.get(..self.len).unwrap_or_default().into(),
        }
    }

    #[inline(always)]
    fn write(&self, line: &mut Line<'_>) {
        match &self.long {
            None => line.fill::<32>(|window| {
                *window = self.start;
                self.len
            }),
            Some(long) => line.bytes(long),
        }
    }
}

const TABLE_KEY: &[u8] = b"{\"table\":\"";
const FRAME_KEY: &[u8] = b"\"frame\":";

#[inline]
fn object(
    line: &mut Line<'_>,
    columns: &mut [(&mut Node, Cells<'_>)],
    state: &mut State,
    row: usize,
    lead: &[u8],
) {
    if !lead.is_empty() {
        line.bytes(lead);
    }
    let first = line.at();
    if columns.is_empty() && lead.is_empty() {
        line.byte(b'{');
    }
    for (node, cells) in columns {
        node.key.write(line);
        value(line, node, cells, state, row);
    }
    if !lead.is_empty() {
        // The first key brings the brace that is there already.
        line.replace(first, b',');
    }
    line.bytes(b"}\n");
}

#[inline(always)]
fn value(line: &mut Line<'_>, node: &mut Node, cells: &Cells<'_>, state: &mut State, row: usize) {
    if cells.is_null(row) {
        return line.bytes(&node.nothing);
    }
    match &cells.values {
        Values::Whole(values) => whole(line, node, *values, state, row),
        Values::Text(text) => {
            line.byte(b'"');
            let (start, end) = text.range(row);
            if text.clean {
                line.part(text.data(), start, end);
            } else {
                one_text(line, text.get(row));
            }
            line.byte(b'"');
        }
        _ => other(line, node, cells, state, row),
    }
}

#[inline(always)]
fn whole(line: &mut Line<'_>, node: &mut Node, values: Wholes<'_>, state: &mut State, row: usize) {
    match node.show {
        Show::Time => {
            let wall = values.get(row).wide() + i128::from(state.wall_offset);
            let text = state.clock.write(wall);
            line.fill::<40>(|window| {
                let [quote, rest @ ..] = window;
                *quote = b'"';
                if let Some(place) = rest.first_chunk_mut() {
                    *place = text;
                }
                rest[RFC3339_LEN] = b'"';
                RFC3339_LEN + 2
            });
        }
        Show::Bits => word(line, node, values.bits(row).into(), state),
        Show::Word => word(line, node, values.get(row), state),
        Show::Address => address_of_code(line, node, values.bits(row), state),
        Show::Number => {
            let Whole {
                negative,
                magnitude,
            } = values.get(row);
            line.number(negative, magnitude);
        }
        Show::Truth => truth(line, values.bits(row) != 0),
    }
}

#[inline(always)]
fn word(line: &mut Line<'_>, node: &mut Node, of: Whole, state: &mut State) {
    let word = node.words.get(node.kind, of, node.raw.as_deref(), state);
    line.part(word.text, 0, word.len);
}

/// An address of code as a word, which is not kept, with the number beside it where it belongs.
fn address_of_code(line: &mut Line<'_>, node: &Node, address: u64, state: &mut State) {
    let State { words, word, .. } = state;
    word.clear();
    words.push(node.kind, address.into(), word);
    line.byte(b'"');
    line.escaped(word.as_bytes());
    line.byte(b'"');
    if let Some(key) = &node.raw {
        line.bytes(key);
        line.number(false, address);
    }
}

fn truth(line: &mut Line<'_>, value: bool) {
    line.bytes(if value { b"true" } else { b"false" });
}

/// A text of a column in which some need escapes.
#[inline(never)]
fn one_text(line: &mut Line<'_>, text: &[u8]) {
    if crate::cells::is_clean(text) {
        line.bytes(text);
    } else {
        line.escaped(text);
    }
}

#[inline(never)]
fn other(line: &mut Line<'_>, node: &mut Node, cells: &Cells<'_>, state: &mut State, row: usize) {
    match &cells.values {
        Values::Bool(values) => {
            truth(line, row < values.len() && values.value(row));
        }
        Values::F32(values) => float(line, crate::cells::at(values, row)),
        Values::F64(values) => float(line, crate::cells::at(values, row)),
        Values::Bytes(values) => {
            line.byte(b'"');
            match node.kind {
                Kind::Address | Kind::AddressLe | Kind::Mac => {
                    let State { word, .. } = state;
                    word.clear();
                    match node.kind {
                        Kind::Mac => address::push_mac(values.get(row), word),
                        _ => address::push(values.get(row), word),
                    }
                    line.bytes(word.as_bytes());
                }
                _ => {
                    for byte in values.get(row) {
                        line.bytes(&crate::text::hex(*byte));
                    }
                }
            }
            line.byte(b'"');
        }
        Values::List {
            offsets,
            items: item_cells,
        } => {
            line.byte(b'[');
            if let Some(node) = node.inner.first_mut() {
                for (i, item) in items(offsets, row).enumerate() {
                    if i > 0 {
                        line.byte(b',');
                    }
                    value(line, node, item_cells, state, item);
                }
            }
            line.byte(b']');
            if let Some(raw) = &mut node.raw_list {
                raw.key.write(line);
                value(line, raw, cells, state, row);
            }
        }
        Values::Struct(fields) => {
            for (node, (_, cells)) in node.inner.iter_mut().zip(fields) {
                node.key.write(line);
                value(line, node, cells, state, row);
            }
            line.byte(b'}');
        }
        // Whole numbers and text are written by the caller.
        Values::Unknown | Values::Whole(_) | Values::Text(_) => line.bytes(&node.nothing),
    }
}

fn float<F: zmij::Float + Into<f64>>(line: &mut Line<'_>, value: F) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        line.bytes(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        line.bytes(b"null");
    }
}

/// The words of numbers seen lately, as JSON with the number beside it where it belongs: a column
/// has few different flags, errors and users.
#[derive(Debug, Default)]
struct WordCache {
    entries: [Option<Word>; 16],
}

#[derive(Debug)]
struct Word {
    of: Whole,
    len: usize,
    /// Longer than the word, so that it is copied at once.
    text: Vec<u8>,
}

struct Found<'a> {
    text: &'a [u8],
    len: usize,
}

impl WordCache {
    #[inline(always)]
    fn get(&mut self, kind: Kind, of: Whole, raw: Option<&[u8]>, state: &mut State) -> Found<'_> {
        let slot = (of.magnitude.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize & 15;
        let entry = &mut self.entries[slot];
        if !matches!(entry, Some(word) if word.of == of) {
            *entry = Some(Word::new(kind, of, raw, state));
        }
        match entry {
            Some(word) => Found {
                text: &word.text,
                len: word.len,
            },
            None => Found {
                text: b"null",
                len: 4,
            },
        }
    }
}

impl Word {
    #[cold]
    fn new(kind: Kind, of: Whole, raw: Option<&[u8]>, state: &mut State) -> Self {
        let State { words, word, .. } = state;
        word.clear();
        let known = words.push(kind, of, word);
        // A byte becomes six at most, a number has 20 digits at most.
        let mut text = vec![0; word.len() * 6 + raw.map_or(0, <[u8]>::len) + 32];
        let mut line = Line::new(&mut text, 0);
        if known {
            line.byte(b'"');
            line.escaped(word.as_bytes());
            line.byte(b'"');
        } else {
            line.bytes(b"null");
        }
        if let Some(key) = raw {
            line.bytes(key);
            word.clear();
            of.push(word);
            line.bytes(word.as_bytes());
        }
        let len = line.at();
        text.truncate(len);
        Self {
            of,
            len,
            text: pad(text),
        }
    }
}

fn pad(mut text: Vec<u8>) -> Vec<u8> {
    let copied = if text.len() <= 32 {
        32
    } else {
        text.len().next_multiple_of(64)
    };
    text.resize(copied, 0);
    text
}
