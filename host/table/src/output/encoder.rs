//! Rows as bytes of any format, and where in them rows end.

use super::{Format, OutputOptions, ShownTable};
use crate::arrow_stream::ArrowStreamWriter;
use crate::columns::{ColumnsWriter, text_width};
use crate::csv::{self, CsvWriter};
use crate::json::JsonWriter;
use crate::parquet_file::ParquetWriter;
use crate::schema::Rows;
use crate::yaml::{self, YamlWriter};

/// Bytes of a format, made in chunks: each begins where the last one ended.
#[derive(Debug)]
pub(super) struct Encoder {
    /// One a table, all of the same format; several only where each row names its table.
    writers: Vec<Kind>,
    /// Where in the chunk lines begin that are no rows.
    headers: Vec<usize>,
    /// Where in the chunk the rows of a batch end, where no look at the bytes tells.
    ends: Vec<(usize, u64)>,
}

#[derive(Debug)]
enum Kind {
    Columns(Box<ColumnsWriter>),
    Json(Box<JsonWriter>),
    JsonPretty(Box<JsonWriter>),
    Yaml(Box<YamlWriter>),
    Csv(Box<CsvWriter>),
    Arrow(Box<ArrowStreamWriter>),
    Parquet(Box<ParquetWriter>),
    None,
}

/// Why rows can't be made bytes: a fault of ours, not of the reader.
#[derive(Debug)]
pub(super) struct EncodeError(pub(super) String);

impl<E: std::error::Error> From<E> for EncodeError {
    fn from(error: E) -> Self {
        Self(format!("rows can't be encoded: {error}"))
    }
}

/// What of a chunk is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) rows: u64,
    /// Bytes up to the end of the last whole row.
    pub(super) bytes: usize,
}

impl Encoder {
    pub(super) fn new(options: &OutputOptions) -> Self {
        let shown = options.shown();
        let named = shown.len() > 1 || shown.iter().any(|shown| shown.gadget.is_some());
        // All gadgets' names are as wide, so that columns stand below each other.
        let gadgets = shown.iter().filter_map(|shown| shown.gadget.as_deref());
        let width = gadgets.map(text_width).max().unwrap_or(0);
        Self {
            writers: shown
                .iter()
                .map(|shown| Kind::new(options, shown, named, width))
                .collect(),
            headers: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Begins a file or stream: adds what stands before any row.
    pub(super) fn begin(&mut self, chunk: &mut Vec<u8>) -> Result<(), EncodeError> {
        for writer in &mut self.writers {
            match writer {
                // The header waits for the first rows: they decide how wide columns are.
                Kind::Columns(writer) => writer.begin_file(),
                Kind::Csv(writer) => writer.header(chunk),
                Kind::Arrow(writer) => writer.begin(chunk)?,
                Kind::Parquet(writer) => writer.begin()?,
                Kind::Json(_) | Kind::JsonPretty(_) | Kind::Yaml(_) | Kind::None => {}
            }
        }
        Ok(())
    }

    /// Adds rows of the table at this place to a chunk, or keeps them.
    pub(super) fn write(
        &mut self,
        table: usize,
        rows: &Rows,
        chunk: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let Some(writer) = self.writers.get_mut(table) else {
            return Ok(());
        };
        if chunk.is_empty() {
            self.headers.clear();
            self.ends.clear();
        }
        match writer {
            Kind::Columns(writer) => {
                let start = chunk.len();
                if writer.write(rows, chunk) {
                    self.headers.push(start);
                }
            }
            Kind::Json(writer) | Kind::JsonPretty(writer) => writer.write(rows, chunk),
            Kind::Yaml(writer) => writer.write(rows, chunk),
            Kind::Csv(writer) => writer.write(rows, chunk),
            Kind::Arrow(writer) => {
                let rows = writer.write(rows, chunk)?;
                self.batch(rows, chunk);
            }
            Kind::Parquet(writer) => writer.write(rows, chunk)?,
            Kind::None => {}
        }
        Ok(())
    }

    /// Adds rows that were kept and can go by themselves.
    pub(super) fn flush(&mut self, chunk: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let Some(Kind::Arrow(writer)) = self.writers.first_mut() {
            let rows = writer.flush(chunk)?;
            self.batch(rows, chunk);
        }
        Ok(())
    }

    fn batch(&mut self, rows: usize, chunk: &[u8]) {
        if rows > 0 {
            self.ends.push((chunk.len(), rows as u64));
        }
    }

    /// Ends a file or stream: adds what stands behind all rows.
    pub(super) fn finish(&mut self, chunk: &mut Vec<u8>) -> Result<(), EncodeError> {
        for writer in &mut self.writers {
            match writer {
                Kind::Arrow(writer) => writer.finish(chunk)?,
                Kind::Parquet(writer) => writer.finish(chunk)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether no row is written before the file is complete.
    pub(super) fn counts_at_the_end(&self) -> bool {
        matches!(self.writers.first(), Some(Kind::Parquet(_)))
    }

    /// Bytes that are kept and will be in the file.
    pub(super) fn kept(&self) -> usize {
        match self.writers.first() {
            Some(Kind::Parquet(writer)) => writer.in_progress(),
            _ => 0,
        }
    }

    /// The rows that end in the first `taken` bytes of a chunk.
    pub(super) fn whole(&self, chunk: &[u8], taken: usize) -> Whole {
        match self.writers.first() {
            Some(Kind::Columns(_)) => {
                let mut start = 0;
                let rows = lines(chunk, |_| true).filter(|end| {
                    let begins = std::mem::replace(&mut start, *end);
                    self.headers.binary_search(&begins).is_err()
                });
                count(rows, taken)
            }
            Some(Kind::Json(_)) => count(lines(chunk, |_| true), taken),
            // Only an object that is a row ends, or is empty, at the start of a line.
            Some(Kind::JsonPretty(_)) => {
                let ends = |line: &[u8]| matches!(line, [b'}', ..] | [b'{', b'}', ..]);
                count(lines(chunk, ends), taken)
            }
            Some(Kind::Yaml(_)) => count(yaml::row_ends(chunk), taken),
            Some(Kind::Csv(_)) => count(csv::row_ends(chunk), taken),
            Some(Kind::Arrow(_)) => self.ends.iter().take_while(|(end, _)| *end <= taken).fold(
                Whole::default(),
                |whole, (end, rows)| Whole {
                    rows: whole.rows + rows,
                    bytes: *end,
                },
            ),
            Some(Kind::Parquet(_) | Kind::None) | None => Whole::default(),
        }
    }
}

impl Kind {
    /// What writes the rows of one table. `named`: each row has the table's name; `width`: that of all gadgets' names.
    fn new(options: &OutputOptions, shown: &ShownTable, named: bool, width: usize) -> Self {
        let OutputOptions {
            format,
            tables: _,
            words,
            terminal,
            limits: _,
            when_full: _,
        } = options;
        let ShownTable {
            gadget,
            table,
            selected,
            frames,
            quiet,
            names,
        } = shown;
        let words = words.clone();
        let name = named.then(|| shown.name());
        let name = name.as_deref();
        match format {
            Format::Columns => Self::Columns(Box::new(
                ColumnsWriter::new(table, selected, words, terminal.clone())
                    .with_quiet(quiet)
                    .with_names(names)
                    .of_gadget(gadget.as_deref(), width),
            )),
            Format::Json => Self::Json(Box::new(
                JsonWriter::new(table, selected, words).named(name),
            )),
            Format::JsonPretty => Self::JsonPretty(Box::new(
                JsonWriter::pretty(table, selected, words).named(name),
            )),
            Format::Yaml => Self::Yaml(Box::new(
                YamlWriter::new(table, selected, words).named(name),
            )),
            Format::Csv => Self::Csv(Box::new(CsvWriter::new(
                table,
                selected,
                words,
                *frames,
                terminal.size.is_some(),
            ))),
            Format::Arrow => {
                Self::Arrow(Box::new(ArrowStreamWriter::new(table, selected, *frames)))
            }
            Format::Parquet => {
                Self::Parquet(Box::new(ParquetWriter::new(table, selected, *frames)))
            }
            Format::None => Self::None,
        }
    }
}

/// Where lines end that `ends` says end a row. No such format lets a line break into a value.
fn lines(chunk: &[u8], ends: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = usize> {
    let mut at = 0;
    chunk
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(move |line| {
            at += line.len();
            ends(line).then_some(at)
        })
}

fn count(ends: impl Iterator<Item = usize>, taken: usize) -> Whole {
    ends.take_while(|end| *end <= taken)
        .fold(Whole::default(), |whole, end| Whole {
            rows: whole.rows + 1,
            bytes: end,
        })
}
