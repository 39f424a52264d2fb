//! Rows as a Parquet file, which has its index at the end: a file without it is none.
//!
//! Row groups of at most 131,072 rows or about 16 MiB, compressed with Snappy; the rows of the one
//! in progress are in memory. Types: `batches.rs`.

use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::batches::Batches;
use crate::schema::{Rows, Table};

/// Rows of a row group.
const GROUP_ROWS: usize = 128 << 10;
/// Encoded bytes of a row group, about.
const GROUP_BYTES: usize = 16 << 20;

/// Writes rows as a Parquet file.
#[derive(Debug)]
pub struct ParquetWriter {
    batches: Batches,
    /// The file that was begun; what it wrote is taken out of it at once.
    file: Option<ArrowWriter<Vec<u8>>>,
}

/// Why rows can't be encoded.
#[derive(Debug, thiserror::Error)]
pub enum ParquetWriteError {
    /// Rows can't be made a record batch.
    #[error(transparent)]
    Rows(#[from] ArrowError),
    /// A batch can't be made Parquet.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

impl ParquetWriter {
    /// A writer for the columns `selected` of a table, by index; an index outside is left out. `frames`: whether the
    /// table's rows come in frames.
    #[must_use]
    pub fn new(table: &Table, selected: &[usize], frames: bool) -> Self {
        Self {
            batches: Batches::new(table, selected, frames),
            file: None,
        }
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When Parquet has no way to hold the columns, such as a struct without fields.
    pub fn begin(&mut self) -> Result<(), ParquetWriteError> {
        let properties = WriterProperties::builder()
            .set_created_by(concat!("ig ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .build();
        let schema = self.batches.schema().clone();
        self.file = Some(ArrowWriter::try_new(Vec::new(), schema, Some(properties))?);
        Ok(())
    }

    /// Takes rows; adds what is complete at the end of `out`.
    ///
    /// # Errors
    /// When they can't be encoded.
    pub fn write(&mut self, rows: &Rows, out: &mut Vec<u8>) -> Result<(), ParquetWriteError> {
        if let Some(file) = &mut self.file {
            file.write(&self.batches.batch(rows)?)?;
            // Out of its buffer.
            file.sync().map_err(ParquetError::from)?;
            out.append(file.inner_mut());
        }
        Ok(())
    }

    /// Bytes of the row group in progress, about.
    #[must_use]
    pub fn in_progress(&self) -> usize {
        self.file.as_ref().map_or(0, ArrowWriter::in_progress_size)
    }

    /// Ends the file: adds the rest and the index.
    ///
    /// # Errors
    /// When they can't be encoded.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ParquetWriteError> {
        if let Some(mut file) = self.file.take() {
            file.finish()?;
            file.sync().map_err(ParquetError::from)?;
            out.append(file.inner_mut());
        }
        Ok(())
    }
}
