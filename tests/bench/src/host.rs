//! The host of the benches' guests: it takes rows as the program does, by one copy into Arrow's arrays, and refuses
//! everything else.

use arrow_array::ArrayRef;
use ig_sandbox::{ColumnView, EmitError, Host, Level, MapError};
use ig_table::DataType;
use ig_table::buffers;

/// Rows of one `emit`.
pub struct Staged {
    /// The table's place in the manifest.
    pub table: usize,
    /// The number of rows.
    pub rows: usize,
    /// Per row the offset of its record in the span, or empty.
    pub origin: Vec<u32>,
    /// By column index; none: not emitted.
    pub columns: Vec<Option<ArrayRef>>,
}

/// What one guest has of the host.
#[derive(Default)]
pub struct Staging {
    /// By table, by column: the type of what the guest emits; none: the host decodes it.
    pub tables: Vec<Vec<Option<DataType>>>,
    /// The value of every parameter.
    pub param: String,
    /// What was emitted since somebody took it.
    pub staged: Vec<Staged>,
    /// Nobody wants to read what it logs.
    pub quiet: bool,
}

impl Staging {
    /// The columns of a table that the guest computes: all of them are wanted.
    pub fn computed(&self, table: u16) -> Vec<u16> {
        let columns = self.tables.get(usize::from(table)).into_iter().flatten();
        let computed = columns.zip(0..).filter(|(column, _)| column.is_some());
        computed.map(|(_, index)| index).collect()
    }
}

fn none<T>() -> Result<T, EmitError> {
    Err(EmitError::Broken("not in this bench".into()))
}

impl Host for Staging {
    fn emit(
        &mut self,
        table: u16,
        rows: u32,
        origin: &[u8],
        columns: &[ColumnView<'_>],
    ) -> Result<(), EmitError> {
        let (table, rows) = (usize::from(table), rows as usize);
        let Some(types) = self.tables.get(table) else {
            return none();
        };
        let origin = origin.as_chunks::<4>().0.iter();
        let origin = origin.map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let mut arrays = vec![None; types.len()];
        for column in columns {
            let index = usize::from(column.index);
            let (Some(Some(data_type)), Some(slot)) = (types.get(index), arrays.get_mut(index))
            else {
                return none();
            };
            let array = buffers::build(data_type, rows, column.buffers);
            *slot = Some(array.map_err(|error| EmitError::Broken(error.to_string()))?);
        }
        self.staged.push(Staged {
            table,
            rows,
            origin,
            columns: arrays,
        });
        Ok(())
    }
    fn end_frame(&mut self, _: u16) -> Result<(), EmitError> {
        none()
    }
    fn wanted(&mut self, table: u16) -> Result<Vec<u16>, EmitError> {
        Ok(self.computed(table))
    }
    fn log(&mut self, level: Level, text: &str) {
        if !self.quiet {
            eprintln!("bench: the guest says ({level:?}): {text}");
        }
    }
    fn param(&mut self, _: u16) -> Result<String, EmitError> {
        Ok(self.param.clone())
    }
    fn boot(&mut self) -> u64 {
        0
    }
    fn wall(&mut self) -> u64 {
        0
    }
    fn map_lookup(&mut self, _: u16, _: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        Err(MapError::Unknown)
    }
    fn map_update(&mut self, _: u16, _: &[u8], _: &[u8]) -> Result<(), MapError> {
        Err(MapError::Unknown)
    }
    fn map_delete(&mut self, _: u16, _: &[u8]) -> Result<bool, MapError> {
        Err(MapError::Unknown)
    }
    fn map_read_all(&mut self, _: u16) -> Result<Vec<u8>, MapError> {
        Err(MapError::Unknown)
    }
    fn timer_every(&mut self, _: u64) -> Result<u32, String> {
        Err("not in this bench".into())
    }
    fn timer_once(&mut self, _: u64) -> Result<u32, String> {
        Err("not in this bench".into())
    }
    fn owners_of_records(&mut self, _: &[u32]) -> Result<Vec<u32>, EmitError> {
        none()
    }
    fn owners_by_cgroup(&mut self, cgroups: &[u64]) -> Vec<u32> {
        vec![0; cgroups.len()]
    }
    fn owner_by_mount_namespace(&mut self, _: u64, _: u64) -> u32 {
        0
    }
    fn owner_by_id(&mut self, _: &str) -> u32 {
        0
    }
    fn owner_fields(&mut self, _: &[u32], _: &str) -> Result<Vec<Option<String>>, String> {
        Err("not in this bench".to_owned())
    }
    fn timer_cancel(&mut self, _: u32) {}
}
