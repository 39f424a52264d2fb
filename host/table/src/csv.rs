//! Rows as comma-separated values (RFC 4180).
//!
//! - The first line of a file or stream holds the columns' names; a line ends with a line feed. Of a table whose rows
//!   come in frames the first column is the frame's number, `frame`.
//! - A cell is the value that [`crate::json`] writes, text without its quotes and escapes: numbers
//!   and words as they are, bytes in hex, text that is not UTF-8 with `\xNN` ([`crate::text`]).
//!   Lists and structs are their JSON text.
//! - A cell with a comma, a quote or a line break stands in quotes, quotes in it twice.
//! - What is not known (`null`) is empty; text that is empty is `""`. In a table of one column
//!   both are `""`, because most readers take an empty line for none.
//! - On a terminal, characters that it would obey ([`crate::text::is_hazardous`]) are U+FFFD; line
//!   breaks too. In a file or a pipe they are themselves.

use crate::json::JsonWriter;
use crate::json::tokens::{Token, Tokens, unescaped};
use crate::kinds::words::Words;
use crate::schema::{Rows, Table};
use crate::text::is_hazardous;
use std::sync::Arc;

/// Writes rows as comma-separated values.
#[derive(Debug)]
pub struct CsvWriter {
    json: JsonWriter,
    /// The rows as JSON.
    compact: Vec<u8>,
    /// The columns' names as a line.
    header: Vec<u8>,
    cell: Cell,
}

impl CsvWriter {
    /// A writer for the columns `selected` of a table, by index; an index outside is left out.
    /// `frames`: whether the table's rows come in frames. `terminal`: whether somebody looks at it.
    #[must_use]
    pub fn new(
        table: &Arc<Table>,
        selected: &[usize],
        words: Words,
        frames: bool,
        terminal: bool,
    ) -> Self {
        let mut json = JsonWriter::new(table, selected, words);
        let mut cell = Cell {
            terminal,
            alone: false,
            text: String::new(),
        };
        // The keys of a row are the columns; one of which nothing is known will do.
        let mut compact = Vec::new();
        let unknown = Rows {
            table: Arc::clone(table),
            columns: vec![None; table.columns.len()],
            len: 1,
            wall_offset: 0,
            frame: u64::from(frames),
        };
        json.write(&unknown, &mut compact);
        let mut header = Vec::new();
        let mut columns = 0;
        for token in Tokens::new(&compact) {
            if let Token::Text(name) = token {
                if columns > 0 {
                    header.push(b',');
                }
                cell.text(name, &mut header);
                columns += 1;
            }
        }
        header.push(b'\n');
        cell.alone = columns == 1;
        Self {
            json,
            compact,
            header,
            cell,
        }
    }

    /// Adds the line of names; it stands before the first row of each file.
    pub fn header(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header);
    }

    /// Adds a record for each row at the end of `out`.
    pub fn write(&mut self, rows: &Rows, out: &mut Vec<u8>) {
        let Self {
            json,
            compact,
            header: _,
            cell,
        } = self;
        compact.clear();
        json.write(rows, compact);
        let mut tokens = Tokens::new(compact);
        while let Some(token) = tokens.next() {
            match token {
                // The key is in the header.
                Token::Text(_) | Token::Object | Token::Close => {}
                Token::Comma => out.push(b','),
                Token::Break => out.push(b'\n'),
                Token::Colon => match tokens.peek() {
                    Some(Token::Text(text)) => {
                        tokens.next();
                        cell.text(text, out);
                    }
                    _ => cell.value(tokens.value(), out),
                },
                // Only behind a colon, and taken there.
                Token::List | Token::Plain(_) => {}
            }
        }
    }
}

/// Writes cells.
#[derive(Debug)]
struct Cell {
    terminal: bool,
    /// The table has one column.
    alone: bool,
    /// Where a cell is made.
    text: String,
}

impl Cell {
    /// A text, with JSON's escapes.
    fn text(&mut self, escaped: &str, out: &mut Vec<u8>) {
        if escaped.is_empty() {
            return out.extend_from_slice(b"\"\"");
        }
        if !escaped.contains('\\') {
            // No quote and nothing hazardous is in it, or it would be escaped.
            return quoted(escaped, out);
        }
        self.text.clear();
        let terminal = self.terminal;
        self.text.extend(unescaped(escaped).map(|c| {
            if terminal && is_hazardous(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        }));
        quoted(&self.text, out);
    }

    /// A value that is no text.
    fn value(&mut self, json: &str, out: &mut Vec<u8>) {
        match json {
            "null" if self.alone => out.extend_from_slice(b"\"\""),
            "null" => {}
            json => quoted(json, out),
        }
    }
}

/// Adds a cell, in quotes if it needs them.
fn quoted(text: &str, out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !text.as_bytes().iter().any(special) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// Where the rows end in what [`CsvWriter::write`] made, which may be cut anywhere.
pub(crate) fn row_ends(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    bytes.iter().enumerate().filter_map(move |(at, byte)| {
        match byte {
            // A quote in a cell stands twice, which changes nothing.
            b'"' => quoted = !quoted,
            b'\n' if !quoted => return Some(at + 1),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests;
