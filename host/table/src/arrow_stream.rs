//! Rows as an Arrow IPC stream, which pyarrow, pandas, DuckDB, Polars and others read while it is
//! being written.
//!
//! The schema comes first, before any row, so that a reader can open the stream at once; then
//! record batches of at most about a thousand rows, each with what there was when the writer had
//! time for it; at the end the mark of the end, without which a reader knows that the stream was cut
//! off. Types: `batches.rs`. Nothing is compressed, and buffers are aligned to 8 bytes.

use std::fmt;

use arrow_array::RecordBatch;
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;

use crate::batches::Batches;
use crate::schema::{Rows, Table};

/// Rows that are waited for at most before a batch is made of them.
const BATCH: usize = 1024;

/// Writes rows as an Arrow stream.
pub struct ArrowStreamWriter {
    batches: Batches,
    /// The stream that was begun; what it wrote is taken out of it at once.
    stream: Option<StreamWriter<Vec<u8>>>,
    /// Rows of which no batch was made yet.
    waiting: Vec<RecordBatch>,
    rows: usize,
}

impl fmt::Debug for ArrowStreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrowStreamWriter")
            .field("batches", &self.batches)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl ArrowStreamWriter {
    /// A writer for the columns `selected` of a table, by index; an index outside is left out. `frames`: whether the
    /// table's rows come in frames.
    #[must_use]
    pub fn new(table: &Table, selected: &[usize], frames: bool) -> Self {
        Self {
            batches: Batches::new(table, selected, frames),
            stream: None,
            waiting: Vec::new(),
            rows: 0,
        }
    }

    /// Begins a stream: adds its schema at the end of `out`.
    ///
    /// # Errors
    /// When the schema can't be written.
    pub fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
        let schema = self.batches.schema();
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), schema, options)?;
        out.append(stream.get_mut());
        self.stream = Some(stream);
        Ok(())
    }

    /// Takes rows; when there are enough, adds a batch at the end of `out` and gives how many rows
    /// it has.
    ///
    /// # Errors
    /// When they can't be encoded.
    pub fn write(&mut self, rows: &Rows, out: &mut Vec<u8>) -> Result<usize, ArrowError> {
        if rows.len > 0 {
            self.waiting.push(self.batches.batch(rows)?);
            self.rows += rows.len;
        }
        if self.rows < BATCH {
            return Ok(0);
        }
        self.flush(out)
    }

    /// Adds a batch of all rows that wait, if any, and gives how many it has.
    ///
    /// # Errors
    /// When they can't be encoded.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<usize, ArrowError> {
        let Some(stream) = self.stream.as_mut().filter(|_| self.rows > 0) else {
            return Ok(0);
        };
        match self.waiting.as_slice() {
            [one] => stream.write(one)?,
            several => stream.write(&concat_batches(self.batches.schema(), several)?)?,
        }
        self.waiting.clear();
        out.append(stream.get_mut());
        Ok(std::mem::take(&mut self.rows))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// When it can't be ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if let Some(stream) = &mut self.stream {
            stream.finish()?;
            out.append(stream.get_mut());
        }
        self.stream = None;
        Ok(())
    }
}
