//! Values of owners as columns: what is known of each owner once, and arrays of rows that follow each other.

use crate::owners::{Owners, seen};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array, UInt32Array};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use ig_containers::{Field, FieldType};
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes that one column of one batch may have: whoever makes a container chooses its labels, and each row repeats them.
pub(super) const MOST_BYTES: usize = 64 << 20;
/// Bytes of texts that are kept from batch to batch.
const MOST_KEPT: usize = 64 << 20;

/// Bytes of a text that is copied in one go.
const SHORT: usize = 64;

/// What the column `scope` says of an owner that is not known.
const UNDECIDED: &str = "undecided";

/// Rows one behind the other that have the same owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Of the owner in the cache.
    pub slot: u32,
    pub rows: usize,
}

/// What owners have, by a number of the cache's own: small, and one behind the other.
#[derive(Debug)]
pub(super) struct Cache {
    slots: Vec<Slot>,
    by_owner: HashMap<u32, u32>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Slot {
    owner: u32,
    values: [Cached; Field::ALL.len()],
}

#[derive(Debug, Default)]
enum Cached {
    #[default]
    Unasked,
    None,
    Text(Box<[u8]>),
    Number(i64),
    Bool(bool),
}

impl Default for Cache {
    fn default() -> Self {
        let mut cache = Self {
            slots: Vec::new(),
            by_owner: HashMap::new(),
            bytes: 0,
        };
        cache.clear();
        cache
    }
}

impl Cache {
    /// Rows that belong to nobody that could be known.
    pub const NOBODY: u32 = 0;
    /// Rows whose owner is not known, or not yet.
    pub const UNDECIDED: u32 = 1;

    /// Forgets all.
    pub fn clear(&mut self) {
        let empty = || [(); Field::ALL.len()].map(|()| Cached::None);
        let mut undecided = empty();
        if let Some(scope) = undecided.get_mut(Field::Scope as usize) {
            *scope = Cached::Text(UNDECIDED.as_bytes().into());
        }
        self.slots.clear();
        self.slots
            .extend([empty(), undecided].map(|values| Slot { owner: 0, values }));
        self.by_owner.clear();
        self.bytes = 0;
    }

    /// Nothing was asked of it since it was cleared.
    pub fn is_new(&self) -> bool {
        self.by_owner.is_empty()
    }

    /// Between two batches: what is kept stays bounded.
    pub fn tidy(&mut self) {
        if self.bytes > MOST_KEPT {
            self.clear();
        }
    }

    /// The number of an owner.
    pub fn slot(&mut self, owner: u32) -> u32 {
        if seen(owner) == 0 {
            return Self::UNDECIDED;
        }
        let Self {
            slots,
            by_owner,
            bytes,
        } = self;
        *by_owner.entry(owner).or_insert_with(|| {
            slots.push(Slot {
                owner,
                ..Slot::default()
            });
            *bytes += size_of::<Slot>();
            u32::try_from(slots.len() - 1).unwrap_or(Self::NOBODY)
        })
    }

    /// Asks for what is not known yet of the owners of these rows.
    pub fn ask(&mut self, owners: &mut dyn Owners, field: Field, runs: &[Run]) {
        for run in runs {
            let Some(slot) = self.slots.get_mut(run.slot as usize) else {
                continue;
            };
            let Some(value) = slot.values.get_mut(field as usize) else {
                continue;
            };
            if matches!(value, Cached::Unasked) {
                let answer = owners.field(slot.owner, field);
                *value = answer.map_or(Cached::None, |text| Cached::of(field, &text));
                if let Cached::Text(text) = value {
                    self.bytes += text.len();
                }
            }
        }
    }

    fn get(&self, field: Field, slot: u32) -> &Cached {
        let slot = self.slots.get(slot as usize);
        slot.and_then(|slot| slot.values.get(field as usize))
            .unwrap_or(&Cached::None)
    }

    /// The column of a field; None if no row has a value. `full` is set when texts were left out, because they are more
    /// than a column may have.
    pub fn column(
        &self,
        field: Field,
        runs: &[Run],
        rows: usize,
        wall_offset: i64,
        full: &mut bool,
    ) -> Option<ArrayRef> {
        let is_none = |run: &Run| matches!(self.get(field, run.slot), Cached::None);
        if runs.iter().all(is_none) {
            return None;
        }
        let number = |slot: u32| match self.get(field, slot) {
            Cached::Number(n) => Some(*n),
            _ => None,
        };
        Some(match field.field_type() {
            FieldType::Text => {
                let text = |slot: u32| match self.get(field, slot) {
                    Cached::Text(text) => Some(&**text),
                    _ => None,
                };
                texts(runs, rows, text, full)?
            }
            FieldType::Pid => {
                let pid = |slot| u32::try_from(number(slot)?).ok();
                let (values, nulls) = numbers(runs, rows, pid);
                Arc::new(UInt32Array::new(values, nulls))
            }
            FieldType::Wall => {
                let since_boot = |slot| number(slot)?.checked_sub(wall_offset);
                let (values, nulls) = numbers(runs, rows, since_boot);
                Arc::new(Int64Array::new(values, nulls))
            }
            FieldType::Bool => {
                let mut values = BooleanBufferBuilder::new(rows);
                let mut valid = BooleanBufferBuilder::new(rows);
                for run in runs {
                    let value = self.get(field, run.slot);
                    values.append_n(run.rows, matches!(value, Cached::Bool(true)));
                    valid.append_n(run.rows, matches!(value, Cached::Bool(_)));
                }
                Arc::new(BooleanArray::new(values.finish(), nulls(valid)))
            }
        })
    }
}

impl Cached {
    fn of(field: Field, text: &str) -> Self {
        match field.field_type() {
            FieldType::Text => Self::Text(text.as_bytes().into()),
            FieldType::Pid | FieldType::Wall => text.parse().map_or(Self::None, Self::Number),
            FieldType::Bool => text.parse().map_or(Self::None, Self::Bool),
        }
    }
}

fn texts<'a>(
    runs: &[Run],
    rows: usize,
    text: impl Fn(u32) -> Option<&'a [u8]>,
    full: &mut bool,
) -> Option<ArrayRef> {
    let mut left = MOST_BYTES;
    let fits = |run: &Run, left: &mut usize| -> Option<&'a [u8]> {
        let text = text(run.slot)?;
        *left = left.checked_sub(text.len().checked_mul(run.rows)?)?;
        Some(text)
    };
    let mut bytes = 0;
    for run in runs {
        match fits(run, &mut left) {
            Some(text) => bytes += text.len() * run.rows,
            None => *full |= text(run.slot).is_some(),
        }
    }
    // Most texts are short: what is copied has one length, known here, and what is too much of it is written over.
    let mut values = vec![0; bytes + SHORT];
    let mut offsets: Vec<i32> = Vec::with_capacity(rows + 1);
    let mut valid = BooleanBufferBuilder::new(rows);
    let mut at = 0;
    offsets.push(0);
    left = MOST_BYTES;
    for run in runs {
        let text = fits(run, &mut left);
        valid.append_n(run.rows, text.is_some());
        let text = text.unwrap_or_default();
        let mut short = [0; SHORT];
        let is_short = short.get_mut(..text.len());
        let is_short = is_short.map(|short| short.copy_from_slice(text)).is_some();
        for _ in 0..run.rows {
            if is_short {
                values.get_mut(at..at + SHORT)?.copy_from_slice(&short);
            } else {
                values.get_mut(at..at + text.len())?.copy_from_slice(text);
            }
            at += text.len();
            offsets.push(i32::try_from(at).ok()?);
        }
    }
    values.truncate(at);
    let offsets = OffsetBuffer::new(offsets.into());
    let array = BinaryArray::try_new(offsets, Buffer::from_vec(values), nulls(valid)).ok()?;
    Some(Arc::new(array))
}

fn numbers<T: arrow_buffer::ArrowNativeType>(
    runs: &[Run],
    rows: usize,
    value: impl Fn(u32) -> Option<T>,
) -> (ScalarBuffer<T>, Option<NullBuffer>) {
    let mut values: Vec<T> = Vec::with_capacity(rows);
    let mut valid = BooleanBufferBuilder::new(rows);
    for run in runs {
        let value = value(run.slot);
        valid.append_n(run.rows, value.is_some());
        values.resize(values.len() + run.rows, value.unwrap_or_default());
    }
    (values.into(), nulls(valid))
}

/// None: every row has a value.
fn nulls(mut valid: BooleanBufferBuilder) -> Option<NullBuffer> {
    Some(NullBuffer::new(valid.finish())).filter(|nulls| nulls.null_count() > 0)
}
