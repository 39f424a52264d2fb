//! What one guest call emits is staged, and becomes rows when the call returns.

use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, make_array};
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;

use crate::schema::{Rows, RowsError, Table};

/// Rows of one table that a guest emitted in a call that has not returned yet.
///
/// A call may emit several times; [`Stage::take`] gives one [`Rows`]. With one emit, the normal
/// case, the arrays move through untouched.
#[derive(Debug)]
pub struct Stage {
    table: Arc<Table>,
    emits: Vec<Emit>,
    bytes: usize,
}

#[derive(Debug)]
struct Emit {
    rows: usize,
    columns: Vec<Option<ArrayRef>>,
}

/// What a staged row costs beside its values, so that rows of no columns can't be staged for free.
const ROW_COST: usize = 8;

impl Stage {
    /// An empty stage.
    #[must_use]
    pub fn new(table: Arc<Table>) -> Self {
        Self {
            table,
            emits: Vec::new(),
            bytes: 0,
        }
    }

    /// Adds what one emit brought: `rows` rows, a column by its index or `None`.
    ///
    /// # Errors
    /// When the arrays are not rows of the table, or when more than 2 GiB would be staged; nothing
    /// is added then.
    pub fn push(&mut self, rows: usize, columns: Vec<Option<ArrayRef>>) -> Result<(), RowsError> {
        let checked = Rows::new(Arc::clone(&self.table), columns, rows, 0)?;
        let bytes = self.bytes.saturating_add(Self::cost(rows, checked.bytes()));
        if i32::try_from(bytes).is_err() {
            return Err(RowsError::Large {
                table: self.table.name.clone(),
                bytes,
            });
        }
        self.bytes = bytes;
        self.emits.push(Emit {
            rows,
            columns: checked.columns,
        });
        Ok(())
    }

    /// The bytes that `rows` rows with arrays of `bytes` bytes count for in [`Stage::bytes`].
    #[must_use]
    pub fn cost(rows: usize, bytes: usize) -> usize {
        bytes.saturating_add(rows.saturating_mul(ROW_COST))
    }

    /// Memory that the staged rows hold, for the budget of a call: their arrays and 8 bytes a row.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many rows are staged.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.emits
            .iter()
            .fold(0, |sum, emit| sum.saturating_add(emit.rows))
    }

    /// Forgets everything staged, as after a trap. Gives how many rows that were.
    pub fn discard(&mut self) -> usize {
        let rows = self.rows();
        self.emits.clear();
        self.bytes = 0;
        rows
    }

    /// All staged rows in the order in which they were emitted; `None` when there are none.
    ///
    /// A column that only some of the emits brought is null in the rows of the others.
    #[must_use]
    pub fn take(&mut self, wall_offset: i64) -> Option<Rows> {
        self.bytes = 0;
        let len = self.rows();
        if len == 0 {
            self.emits.clear();
            return None;
        }
        let columns = if self.emits.len() == 1 {
            self.emits
                .pop()
                .map(|emit| emit.columns)
                .unwrap_or_default()
        } else {
            let columns = (0..self.table.columns.len())
                .map(|index| self.joined(index, len))
                .collect();
            self.emits.clear();
            columns
        };
        Some(Rows {
            table: Arc::clone(&self.table),
            columns,
            len,
            wall_offset,
        })
    }

    fn joined(&self, index: usize, len: usize) -> Option<ArrayRef> {
        let parts: Vec<(usize, Option<ArrayData>)> = self
            .emits
            .iter()
            .map(|emit| {
                let array = emit.columns.get(index).and_then(Option::as_ref);
                (emit.rows, array.map(|array| array.to_data()))
            })
            .collect();
        let sources: Vec<&ArrayData> = parts.iter().filter_map(|(_, data)| data.as_ref()).collect();
        if sources.is_empty() {
            return None;
        }
        let has_gap = sources.len() < parts.len();
        let mut joined = MutableArrayData::new(sources, has_gap, len);
        let mut source = 0;
        for (rows, data) in &parts {
            let extended = if data.is_some() {
                source += 1;
                joined.try_extend(source - 1, 0, *rows)
            } else {
                joined.try_extend_nulls(*rows)
            };
            // Offsets overflow at 2 GiB, and `push` stays below that.
            extended.ok()?;
        }
        Some(make_array(joined.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, DataType, Kind};
    use arrow_array::{BinaryArray, UInt32Array};

    fn stage() -> Stage {
        let column = |name: &str, data_type| Column {
            name: name.to_owned(),
            description: String::new(),
            data_type,
            kind: Kind::None,
            width: None,
            hidden: false,
        };
        Stage::new(Arc::new(Table {
            name: "t".to_owned(),
            description: String::new(),
            columns: vec![column("a", DataType::U32), column("b", DataType::Text)],
        }))
    }

    fn numbers(values: &[u32]) -> Option<ArrayRef> {
        Some(Arc::new(UInt32Array::from(values.to_vec())))
    }

    fn texts(values: &[&str]) -> Option<ArrayRef> {
        Some(Arc::new(BinaryArray::from_iter_values(values)))
    }

    #[test]
    fn one_emit_moves_through() {
        let mut stage = stage();
        let a = numbers(&[1, 2]);
        stage.push(2, vec![a.clone(), None]).unwrap();
        let rows = stage.take(7).unwrap();
        assert_eq!((rows.len, rows.wall_offset), (2, 7));
        assert!(Arc::ptr_eq(
            rows.columns[0].as_ref().unwrap(),
            a.as_ref().unwrap()
        ));
        assert!(rows.columns[1].is_none());
        assert!(stage.take(7).is_none());
        assert_eq!((stage.rows(), stage.bytes()), (0, 0));
    }

    #[test]
    fn several_emits_join_in_order() {
        let mut stage = stage();
        stage.push(2, vec![numbers(&[1, 2]), None]).unwrap();
        stage.push(1, vec![numbers(&[3]), texts(&["x"])]).unwrap();
        stage.push(0, vec![None, None]).unwrap();
        stage.push(1, vec![None, texts(&["yz"])]).unwrap();
        assert_eq!(stage.rows(), 4);
        let rows = stage.take(0).unwrap();
        let a: UInt32Array = vec![Some(1), Some(2), Some(3), None].into();
        let b: BinaryArray = vec![None, None, Some(&b"x"[..]), Some(b"yz")].into();
        assert_eq!(rows.columns[0].as_ref().unwrap().to_data(), a.to_data());
        assert_eq!(rows.columns[1].as_ref().unwrap().to_data(), b.to_data());
        assert!(Rows::new(rows.table, rows.columns, 4, 0).is_ok());
    }

    #[test]
    fn bytes_are_counted_and_discarded() {
        let mut stage = stage();
        stage.push(1_000_000, vec![None, None]).unwrap();
        assert_eq!(stage.bytes(), 8_000_000);
        stage.push(2, vec![numbers(&[1, 2]), None]).unwrap();
        assert!(stage.bytes() > 8_000_000 + 2 * 8 + 8);
        assert_eq!(stage.discard(), 1_000_002);
        assert_eq!(stage.bytes(), 0);
        assert!(stage.take(0).is_none());
        assert!(stage.push(1, vec![None]).is_err());
        assert_eq!(stage.rows(), 0);
    }
}
