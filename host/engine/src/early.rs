//! What `--filter` can decide by fields of the record alone is decided before the guest, where the manifest says that no
//! record changes what the guest makes of another: what is filtered out then costs neither a copy nor a call.

use crate::plan::PlannedTable;
use ig_records::decode::Picked;
use ig_records::span::{self, Span};
use ig_table::Rows;

/// Leaves records out of spans.
#[derive(Debug, Default)]
pub(crate) struct Early {
    /// The records that are left, framed like a span.
    kept: Vec<u8>,
}

/// What is left of a span.
pub(crate) enum Left<'a> {
    /// Everything.
    All,
    /// These records, framed like a span, and how many they are.
    Some(&'a [u8], u32),
}

impl Early {
    /// Holds the part of the filter that may run early against the records of a span.
    ///
    /// # Errors
    /// The span or the fields can't be read.
    pub fn narrow(
        &mut self,
        plan: &PlannedTable,
        span: &[u8],
        wall_offset: i64,
    ) -> Result<Left<'_>, String> {
        let (Some(filter), Some(decoder)) = (&plan.early, &plan.decoder) else {
            return Ok(Left::All);
        };
        let picked = Picked::all(span).map_err(|e| e.to_string())?;
        let mut columns = vec![None; plan.wanted.len()];
        for (column, index) in &plan.decoded {
            if !filter.columns().contains(column) {
                continue;
            }
            let array = decoder.decode(*index, &picked).map_err(|e| e.to_string())?;
            if let Some(slot) = columns.get_mut(*column) {
                *slot = Some(array);
            }
        }
        let rows = Rows {
            table: plan.table.clone(),
            columns,
            len: picked.len(),
            wall_offset,
            frame: 0,
        };
        let mask = filter.apply(&rows);
        let count = mask.count_set_bits();
        if count == picked.len() {
            return Ok(Left::All);
        }
        self.kept.clear();
        let records = Span(span).iter().filter(|record| !record.discarded);
        for (record, wanted) in records.zip(&mask) {
            if wanted {
                span::push(&mut self.kept, &[record.payload]).map_err(|e| e.to_string())?;
            }
        }
        Ok(Left::Some(
            &self.kept,
            u32::try_from(count).unwrap_or(u32::MAX),
        ))
    }
}
