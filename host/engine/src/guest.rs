//! What a guest may ask of the host during one call, and what it emitted in it.

use crate::owners::{AskedOwners, seen};
use crate::questions::{Ask, Maps};
use crate::timers::Timers;
use arrow_array::ArrayRef;
use ig_bundle::manifest::Access;
use ig_sandbox::{ColumnView, EmitError, Host, Level, MapError};
use ig_table::buffers;
use ig_table::schema::DataType;
use std::sync::Arc;

/// Says a word to the user, beside the rows: a guest's log, a program that was left out.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Log lines that a guest may write a second; more are counted.
const LOG_LINES_A_SECOND: u32 = 100;

/// What an emit, or the end of a frame, takes in the host for each column of its table, beside its bytes: rows that come one by one are dear,
/// and rows of nothing are not free.
const BYTES_PER_COLUMN: usize = 128;

/// What the guest may emit into one table.
#[derive(Debug)]
pub(crate) struct GuestTable {
    pub name: String,
    /// Its rows come in frames.
    pub has_frames: bool,
    /// By column index: the type of what the guest emits; None: the host decodes the column.
    pub columns: Vec<Option<DataType>>,
    /// By column index: somebody needs it.
    pub wanted: Vec<bool>,
}

/// A map that the manifest grants.
#[derive(Debug)]
pub(crate) struct Grant {
    pub name: String,
    pub access: Vec<Access>,
}

/// What a guest emitted, until the call in which it did returns.
#[derive(Debug)]
pub(crate) enum Emitted {
    /// Rows.
    Rows(Staged),
    /// The frame of the table with this index is complete.
    FrameEnd(usize),
}

/// Rows of one `emit`.
#[derive(Debug)]
pub(crate) struct Staged {
    pub table: usize,
    pub rows: usize,
    /// Empty, or the offset of each row's record in the span.
    pub origin: Vec<u32>,
    /// By column index.
    pub columns: Vec<Option<ArrayRef>>,
}

/// The host as one guest sees it.
pub(crate) struct GuestHost {
    pub tables: Vec<GuestTable>,
    /// By index in the manifest; None: it goes to the eBPF side alone.
    pub params: Vec<Option<String>>,
    pub grants: Vec<Grant>,
    /// Who answers about the maps of the grants, in their order.
    pub maps: Box<dyn Maps>,
    /// Who answers whose records are.
    pub owners: AskedOwners,
    pub timers: Timers,
    /// Boot and wall clock in nanoseconds, fixed within one call.
    pub now: (u64, u64),
    pub staged: Vec<Emitted>,
    /// A span is being processed: rows may point at its records.
    pub in_span: bool,
    pub log_suppressed: u64,
    staged_bytes: usize,
    staging_limit: usize,
    log_second: u64,
    log_lines: u32,
    gadget: String,
    say: Say,
    /// Show the guest's debug messages.
    pub debug: bool,
}

impl GuestHost {
    pub fn new(
        gadget: &str,
        tables: Vec<GuestTable>,
        params: Vec<Option<String>>,
        grants: Vec<Grant>,
        maps: Box<dyn Maps>,
        staging_limit: usize,
        say: Say,
    ) -> Self {
        Self {
            tables,
            params,
            grants,
            maps,
            owners: AskedOwners::nobody(),
            timers: Timers::default(),
            now: (0, 0),
            staged: Vec::new(),
            in_span: false,
            log_suppressed: 0,
            staged_bytes: 0,
            staging_limit,
            log_second: 0,
            log_lines: 0,
            gadget: gadget.to_owned(),
            say,
            debug: false,
        }
    }

    /// Before each call, perhaps with a span of a source: the clock stands still, nothing is staged.
    pub fn begin(&mut self, now: (u64, u64), span: Option<(usize, &[u8])>) {
        self.now = now;
        self.in_span = span.is_some();
        self.owners.begin(span);
        self.discard();
    }

    /// Forgets what the call staged.
    pub fn discard(&mut self) {
        self.staged.clear();
        self.staged_bytes = 0;
    }

    fn table(&self, table: u16) -> Result<(usize, &GuestTable), EmitError> {
        let at = usize::from(table);
        match self.tables.get(at) {
            Some(t) => Ok((at, t)),
            None => Err(EmitError::Broken(format!(
                "there is no table {table}; the manifest has {}",
                self.tables.len()
            ))),
        }
    }

    fn ask_map(
        &mut self,
        grant: u16,
        access: Access,
        ask: Ask,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<Vec<u8>>, MapError> {
        let map = usize::from(grant);
        let g = self.grants.get(map).ok_or(MapError::Unknown)?;
        if !g.access.contains(&access) {
            return Err(MapError::Denied(format!(
                "the manifest does not grant {access:?} on map {}",
                g.name
            )));
        }
        self.maps.ask(map, ask, key, value, self.staging_limit)
    }
}

impl Host for GuestHost {
    fn emit(
        &mut self,
        table: u16,
        rows: u32,
        origin: &[u8],
        columns: &[ColumnView<'_>],
    ) -> Result<(), EmitError> {
        let (at, t) = self.table(table)?;
        let rows = rows as usize;
        let broken = |what: String| EmitError::Broken(format!("table {}: {what}", t.name));
        let size = rows * 8
            + t.columns.len() * BYTES_PER_COLUMN
            + origin.len()
            + columns
                .iter()
                .flat_map(|c| c.buffers)
                .map(|b| b.len())
                .sum::<usize>();
        if size > self.staging_limit.saturating_sub(self.staged_bytes) {
            return Err(EmitError::OverBudget(format!(
                "one call may emit {} bytes; {} are staged and this would add {size}",
                self.staging_limit, self.staged_bytes
            )));
        }
        if !origin.is_empty() {
            if !self.in_span {
                return Err(broken(
                    "an origin outside of process: there is no span to point into".to_owned(),
                ));
            }
            if origin.len() != rows * 4 {
                return Err(broken(format!(
                    "{rows} rows with {} origins",
                    origin.len() / 4
                )));
            }
        }
        let origin = origin
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| u32::from_le_bytes(*b))
            .collect();
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; t.columns.len()];
        let mut seen = vec![false; t.columns.len()];
        for column in columns {
            let index = usize::from(column.index);
            if seen.get(index) == Some(&true) {
                return Err(broken(format!("column {index} comes twice")));
            }
            let data_type = match t.columns.get(index) {
                Some(Some(data_type)) => data_type,
                Some(None) => {
                    return Err(broken(format!(
                        "column {index} is decoded by the host; the guest can't emit it"
                    )));
                }
                None => {
                    return Err(broken(format!(
                        "there is no column {index}; the table has {}",
                        t.columns.len()
                    )));
                }
            };
            let array = buffers::build(data_type, rows, column.buffers)
                .map_err(|e| broken(format!("column {index}: {e}")))?;
            if let (Some(slot), Some(seen), Some(wanted)) = (
                arrays.get_mut(index),
                seen.get_mut(index),
                t.wanted.get(index),
            ) {
                *seen = true;
                // What nobody asked for is checked and thrown away.
                *slot = wanted.then_some(array);
            }
        }
        self.staged_bytes += size;
        self.staged.push(Emitted::Rows(Staged {
            table: at,
            rows,
            origin,
            columns: arrays,
        }));
        Ok(())
    }

    fn end_frame(&mut self, table: u16) -> Result<(), EmitError> {
        let (at, t) = self.table(table)?;
        // A stream has no frames, so its end says nothing; the index must be right all the same.
        if t.has_frames {
            let size = t.columns.len() * BYTES_PER_COLUMN;
            if size > self.staging_limit.saturating_sub(self.staged_bytes) {
                return Err(EmitError::Broken(format!(
                    "table {}: ends more frames in one call than {} bytes allow",
                    t.name, self.staging_limit
                )));
            }
            self.staged_bytes += size;
            self.staged.push(Emitted::FrameEnd(at));
        }
        Ok(())
    }

    fn wanted(&mut self, table: u16) -> Result<Vec<u16>, EmitError> {
        let (_, t) = self.table(table)?;
        let columns = t.wanted.iter().zip(&t.columns).enumerate();
        let guests = columns.filter(|(_, (wanted, data_type))| **wanted && data_type.is_some());
        Ok(guests.filter_map(|(i, _)| u16::try_from(i).ok()).collect())
    }

    fn log(&mut self, level: Level, text: &str) {
        if level == Level::Debug && !self.debug {
            return;
        }
        let second = self.now.0 / 1_000_000_000;
        if second != self.log_second {
            self.log_second = second;
            self.log_lines = 0;
        }
        if self.log_lines >= LOG_LINES_A_SECOND {
            self.log_suppressed += 1;
            return;
        }
        self.log_lines += 1;
        let text: String = text.chars().flat_map(printable).collect();
        (self.say)(&format!("{}: {}: {text}", self.gadget, word(level)));
    }

    fn param(&mut self, index: u16) -> Result<String, EmitError> {
        match self.params.get(usize::from(index)) {
            Some(Some(value)) => Ok(value.clone()),
            Some(None) => Err(EmitError::Broken(format!(
                "parameter {index} goes to the eBPF side, not to the guest"
            ))),
            None => Err(EmitError::Broken(format!(
                "there is no parameter {index}; the manifest has {}",
                self.params.len()
            ))),
        }
    }

    fn boot(&mut self) -> u64 {
        self.now.0
    }

    fn wall(&mut self) -> u64 {
        self.now.1
    }

    fn map_lookup(&mut self, grant: u16, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        self.ask_map(grant, Access::Lookup, Ask::Lookup, key, &[])
    }

    fn map_update(&mut self, grant: u16, key: &[u8], value: &[u8]) -> Result<(), MapError> {
        self.ask_map(grant, Access::Update, Ask::Update, key, value)
            .map(drop)
    }

    fn map_delete(&mut self, grant: u16, key: &[u8]) -> Result<bool, MapError> {
        let there = self.ask_map(grant, Access::Delete, Ask::Delete, key, &[])?;
        Ok(there.is_some())
    }

    fn map_read_all(&mut self, grant: u16) -> Result<Vec<u8>, MapError> {
        let entries = self.ask_map(grant, Access::ReadAll, Ask::ReadAll, &[], &[])?;
        Ok(entries.unwrap_or_default())
    }

    fn timer_every(&mut self, period_ns: u64) -> Result<u32, String> {
        self.timers.start(self.now.0, period_ns, true)
    }

    fn timer_once(&mut self, delay_ns: u64) -> Result<u32, String> {
        self.timers.start(self.now.0, delay_ns, false)
    }

    fn timer_cancel(&mut self, timer: u32) {
        self.timers.cancel(timer);
    }

    fn owners_of_records(&mut self, offsets: &[u32]) -> Result<Vec<u32>, EmitError> {
        let found = self.owners.of_records(offsets, self.now.0);
        found.map_err(EmitError::Broken)
    }

    fn owners_by_cgroup(&mut self, cgroups: &[u64]) -> Vec<u32> {
        let owners = &mut self.owners.owners;
        let cgroups = cgroups.iter();
        cgroups
            .map(|cgroup| seen(owners.by_cgroup(*cgroup)))
            .collect()
    }

    fn owner_by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32 {
        self.owners.owners.by_mount_namespace(namespace, at)
    }

    fn owner_by_id(&mut self, id: &str) -> u32 {
        self.owners.owners.by_id(id)
    }

    fn owner_fields(&mut self, owners: &[u32], name: &str) -> Result<Vec<Option<String>>, String> {
        self.owners.fields(owners, name)
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

/// A guest's text can't move the cursor or start an escape sequence.
fn printable(c: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if c.is_control() && c != '\t' {
        (None, Some(c.escape_unicode()))
    } else {
        (Some(c), None)
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::{Answers, RecordedMaps};

    /// Without it a guest that emits nothing, 100,000 times a call, would fill gigabytes.
    #[test]
    fn an_emit_of_nothing_uses_up_the_budget_too() {
        let table = GuestTable {
            name: "wide".to_owned(),
            has_frames: true,
            columns: vec![None; 1024],
            wanted: vec![true; 1024],
        };
        let maps = Box::new(RecordedMaps {
            names: Vec::new(),
            answers: Answers::default(),
        });
        let (params, grants) = (Vec::new(), Vec::new());
        let say: Say = Arc::new(|_| {});
        let mut host = GuestHost::new("g", vec![table], params, grants, maps, 8 << 20, say);
        host.begin((0, 0), Some((0, &[])));
        let taken = (0..1000)
            .take_while(|_| host.emit(0, 0, &[], &[]).is_ok())
            .count();
        assert_eq!(taken, 64);
        assert!(matches!(
            host.emit(0, 0, &[], &[]),
            Err(EmitError::OverBudget(_))
        ));
        // and what was emitted before is still there
        assert_eq!(host.staged.len(), 64);

        // frames of nothing are no better
        host.begin((0, 0), Some((0, &[])));
        let ended = (0..1000).take_while(|_| host.end_frame(0).is_ok()).count();
        assert_eq!(ended, 64);
    }
}
