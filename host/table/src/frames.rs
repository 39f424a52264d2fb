//! Frames: rows that belong together, sorted and cut to a limit.
//!
//! A stream has no end, so there is nothing to sort; tables of the other modes ([`Mode`]) say where a frame ends, and
//! only then `--sort` and `--max-rows` can act: on whole frames.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_ord::sort::{LexicographicalComparator, SortColumn, SortOptions};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::take::take;

use crate::schema::{DataType, Rows, Table};
use crate::select::nearest;

/// When rows of a table are complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Each row by itself, as it happens.
    #[default]
    Stream,
    /// Frame after frame, each the state of an interval; the next one replaces it.
    Interval,
    /// One frame: what is there now.
    Snapshot,
    /// One frame, when the run ends.
    Final,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Stream, Self::Interval, Self::Snapshot, Self::Final];

    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Interval => "interval",
            Self::Snapshot => "snapshot",
            Self::Final => "final",
        }
    }

    /// Whether its rows come in frames.
    #[must_use]
    pub fn has_frames(self) -> bool {
        self != Self::Stream
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No mode has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no mode is named {0:?}; modes are stream, interval, snapshot, final")]
pub struct ModeError(pub String);

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| ModeError(text.to_owned()))
    }
}

/// One column of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// Index of the column.
    pub column: usize,
    /// Largest first.
    pub descending: bool,
}

/// Why an order is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SortError {
    /// The table has no such column.
    #[error(
        "table {table} has no column {name:?}{}; columns are {all}",
        .nearest.as_ref().map(|name| format!(", did you mean {name:?}?")).unwrap_or_default()
    )]
    Unknown {
        /// The table's name.
        table: String,
        /// The name asked for.
        name: String,
        /// The column whose name is most like it.
        nearest: Option<String>,
        /// All columns, for the message.
        all: String,
    },
    /// A comma too many, or a sign without a name.
    #[error("{0:?} has an empty name; write a,-b for a rising and b falling")]
    Empty(String),
    /// The same column twice.
    #[error("column {0:?} comes twice")]
    Twice(String),
    /// A list or a struct has no order.
    #[error("column {column:?} is a {data_type}, which has no order")]
    NoOrder {
        /// The column's name.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// The table's rows come one by one.
    #[error(
        "table {0} is a stream: its rows are shown as they come, and a stream has no end at which it could be sorted"
    )]
    Stream(String),
}

/// Reads `a,-b`: by `a`, the smallest first, and where that is the same by `b`, the largest first.
///
/// # Errors
/// When a name is unknown, empty or comes twice, and when a column has no order.
pub fn sort_keys(table: &Table, text: &str) -> Result<Vec<SortKey>, SortError> {
    let mut keys: Vec<SortKey> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let (descending, name) = match name.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, name.strip_prefix('+').unwrap_or(name)),
        };
        if name.is_empty() {
            return Err(SortError::Empty(text.to_owned()));
        }
        let found = table.find(name);
        let Some((index, column)) = found.and_then(|i| Some((i, table.columns.get(i)?))) else {
            let names = || table.columns.iter().map(|column| column.name.as_str());
            return Err(SortError::Unknown {
                table: table.name.clone(),
                name: name.to_owned(),
                nearest: nearest(name, table.names()),
                all: names().collect::<Vec<_>>().join(", "),
            });
        };
        if matches!(column.data_type, DataType::List(_) | DataType::Struct(_)) {
            return Err(SortError::NoOrder {
                column: name.to_owned(),
                data_type: column.data_type.to_string(),
            });
        }
        if keys.iter().any(|key| key.column == index) {
            return Err(SortError::Twice(name.to_owned()));
        }
        keys.push(SortKey {
            column: index,
            descending,
        });
    }
    Ok(keys)
}

/// What a frame may hold while it is gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Rows at most.
    pub rows: usize,
    /// Bytes of memory that they hold at most.
    pub bytes: usize,
}

impl FrameLimits {
    /// None: for frames that are bounded elsewhere, such as what one call of a guest emitted.
    pub const NONE: Self = Self {
        rows: usize::MAX,
        bytes: usize::MAX,
    };
}

impl Default for FrameLimits {
    /// 262,144 rows, 64 MiB.
    fn default() -> Self {
        Self {
            rows: 262_144,
            bytes: 64 << 20,
        }
    }
}

/// Gathers the rows of a table until their frame ends.
#[derive(Debug)]
pub struct Frames {
    table: Arc<Table>,
    keys: Vec<SortKey>,
    max_rows: Option<usize>,
    limits: FrameLimits,
    pending: Vec<Rows>,
    /// Rows in `pending`, and the memory that they hold.
    rows: usize,
    bytes: usize,
    /// Rows beyond the limit that are no longer in `pending`.
    beyond: u64,
    /// Frames that have ended.
    ended: u64,
}

/// A frame that has ended.
#[derive(Debug)]
pub struct Frame {
    /// Its rows in order, with its number; there may be none.
    pub rows: Rows,
    /// Rows beyond the limit, which are not among them.
    pub beyond_limit: u64,
}

impl Frames {
    /// Frames of a table, in this order and with at most so many rows.
    #[must_use]
    pub fn new(
        table: Arc<Table>,
        keys: Vec<SortKey>,
        max_rows: Option<usize>,
        limits: FrameLimits,
    ) -> Self {
        Self {
            table,
            keys,
            max_rows,
            limits,
            pending: Vec::new(),
            rows: 0,
            bytes: 0,
            beyond: 0,
            ended: 0,
        }
    }

    /// Adds rows to the frame that is being made. Gives how many of them are lost because it can hold no more.
    #[must_use]
    pub fn push(&mut self, mut rows: Rows) -> u64 {
        if self.keys.is_empty() {
            // In the order in which they come, the first ones are the ones.
            let room = self
                .max_rows
                .unwrap_or(usize::MAX)
                .saturating_sub(self.rows);
            if rows.len > room {
                self.beyond += (rows.len - room) as u64;
                rows = first(rows, room);
            }
        }
        let (len, bytes) = (rows.len, rows.bytes());
        if len == 0 && !self.pending.is_empty() {
            return 0;
        }
        let FrameLimits {
            rows: most_rows,
            bytes: most_bytes,
        } = self.limits;
        let fits = |have, held| {
            len <= usize::saturating_sub(most_rows, have)
                && usize::saturating_add(held, bytes) <= most_bytes
        };
        if !fits(self.rows, self.bytes) {
            self.compact();
        }
        // One batch always fits: it is in memory already.
        if self.bytes.saturating_add(bytes) > most_bytes && !self.pending.is_empty() {
            return len as u64;
        }
        let rows = first(rows, most_rows.saturating_sub(self.rows));
        let lost = (len - rows.len) as u64;
        if rows.len > 0 || self.pending.is_empty() {
            self.rows += rows.len;
            self.bytes += bytes;
            self.pending.push(rows);
        }
        lost
    }

    /// Leaves of the rows those that can still be shown, where that is worth it: a quarter or more goes.
    fn compact(&mut self) {
        let Some(most) = self
            .max_rows
            .filter(|most| self.rows - self.rows / 4 >= *most)
        else {
            return;
        };
        // What Arrow refuses it refuses at the end as well, where it is told.
        let Ok(Some(all)) = joined(self.pending.clone()) else {
            return;
        };
        let Ok(Some(kept)) = order(&all, &self.keys, most)
            .and_then(|order| order.map(|order| picked(&all, &order)).transpose())
        else {
            return;
        };
        self.beyond += (self.rows - kept.len) as u64;
        (self.rows, self.bytes) = (kept.len, kept.bytes());
        self.pending = vec![kept];
    }

    /// Whether no row came since the last frame ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Rows since the last frame ended that were not lost, those beyond the limit included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rows as u64 + self.beyond
    }

    /// Frames that have ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Ends the frame. One without rows has a number too.
    ///
    /// # Errors
    /// When Arrow refuses the arrays: they are not what the table says.
    pub fn end(&mut self) -> Result<Frame, ArrowError> {
        let pending = std::mem::take(&mut self.pending);
        (self.rows, self.bytes) = (0, 0);
        let beyond = std::mem::take(&mut self.beyond);
        self.ended += 1;
        let mut rows = joined(pending)?.unwrap_or_else(|| Rows {
            table: Arc::clone(&self.table),
            columns: vec![None; self.table.columns.len()],
            len: 0,
            wall_offset: 0,
            frame: 0,
        });
        rows.frame = self.ended;
        let kept = self.max_rows.unwrap_or(usize::MAX).min(rows.len);
        let beyond_limit = beyond + (rows.len - kept) as u64;
        let rows = match order(&rows, &self.keys, kept)? {
            Some(order) => picked(&rows, &order)?,
            None => first(rows, kept),
        };
        Ok(Frame { rows, beyond_limit })
    }
}

/// The first rows, at most `most`.
fn first(rows: Rows, most: usize) -> Rows {
    if most >= rows.len {
        return rows;
    }
    Rows {
        columns: rows
            .columns
            .iter()
            .map(|column| column.as_ref().map(|column| column.slice(0, most)))
            .collect(),
        len: most,
        ..rows
    }
}

/// Batches of one table as one.
fn joined(mut batches: Vec<Rows>) -> Result<Option<Rows>, ArrowError> {
    if batches.len() < 2 {
        return Ok(batches.pop());
    }
    let Some(first) = batches.first() else {
        return Ok(None);
    };
    let columns = (0..first.columns.len())
        .map(|index| {
            let of = |rows: &'_ Rows| rows.columns.get(index).cloned().flatten();
            let Some(data_type) = batches
                .iter()
                .find_map(of)
                .map(|array| array.data_type().clone())
            else {
                return Ok(None);
            };
            // A batch that lacks it has no value in any of its rows.
            let arrays: Vec<ArrayRef> = batches
                .iter()
                .map(|rows| of(rows).unwrap_or_else(|| new_null_array(&data_type, rows.len)))
                .collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(|array| &**array).collect();
            concat(&arrays).map(Some)
        })
        .collect::<Result<Vec<Option<ArrayRef>>, ArrowError>>()?;
    Ok(Some(Rows {
        table: first.table.clone(),
        columns,
        len: batches.iter().map(|rows| rows.len).sum(),
        wall_offset: first.wall_offset,
        frame: first.frame,
    }))
}

/// The rows in order, as many as are kept; `None`: as they are. Rows that are equal stay as they came.
fn order(rows: &Rows, keys: &[SortKey], kept: usize) -> Result<Option<UInt32Array>, ArrowError> {
    let columns: Vec<SortColumn> = keys
        .iter()
        .filter_map(|key| {
            let values = rows.columns.get(key.column)?.clone()?;
            Some(SortColumn {
                values,
                options: Some(SortOptions {
                    descending: key.descending,
                    // What is not known comes last, whichever way.
                    nulls_first: false,
                }),
            })
        })
        .collect();
    if columns.is_empty() {
        return Ok(None);
    }
    let comparator = LexicographicalComparator::try_new(&columns)?;
    let count = u32::try_from(rows.len)
        .map_err(|_| ArrowError::ComputeError("more rows than can be sorted".to_owned()))?;
    let mut order: Vec<u32> = (0..count).collect();
    let compare = |a: &u32, b: &u32| {
        let (x, y) = (*a as usize, *b as usize);
        comparator.compare(x, y).then_with(|| a.cmp(b))
    };
    if kept > 0 && kept < order.len() {
        // With a limit only the rows that stay are sorted.
        order.select_nth_unstable_by(kept - 1, compare);
    }
    order.truncate(kept);
    order.sort_unstable_by(compare);
    Ok(Some(UInt32Array::from(order)))
}

fn picked(rows: &Rows, order: &UInt32Array) -> Result<Rows, ArrowError> {
    let columns = rows
        .columns
        .iter()
        .map(|column| {
            column
                .as_ref()
                .map(|column| take(column.as_ref(), order, None))
                .transpose()
        })
        .collect::<Result<Vec<_>, ArrowError>>()?;
    Ok(Rows {
        table: rows.table.clone(),
        columns,
        len: order.len(),
        wall_offset: rows.wall_offset,
        frame: rows.frame,
    })
}

#[cfg(test)]
mod tests;
