//! The join by the host: whose each row is, as columns behind those of the table.
//!
//! Only columns that somebody wants are made, and only their owners are looked up: once for all rows one behind the other
//! that have the same id. What is known of an owner is asked for once, until something about owners changes.

mod columns;
mod endpoints;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use columns::{JoinColumns, PlannedIdentity, PlannedJoin, append, describe};

use crate::identity::{ROOT, RecordIdentity};
use crate::owners::{Asked, Owners, SharedOwners};
use crate::pipeline::Now;
use crate::plan::PlannedTable;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array as _, ArrayRef};
use arrow_buffer::NullBuffer;
use ig_containers::Field;
use ig_records::decode::Picked;
use values::{Cache, Run};

/// Cgroups of the last rows whose owner is remembered, by their last bits.
const RECENT: usize = 64;

/// Finds the owners of rows.
pub(crate) struct Join {
    /// None: nobody knows anything.
    owners: Option<SharedOwners>,
    generation: u64,
    cache: Cache,
    recent: [(u64, u32); RECENT],
    runs: Vec<Run>,
    /// It was said that texts are left out.
    pub told_full: bool,
}

/// The records from which rows were made.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub source: usize,
    pub picked: &'a Picked<'a>,
}

impl Join {
    pub fn new(owners: Option<SharedOwners>) -> Self {
        Self {
            owners,
            generation: 0,
            cache: Cache::default(),
            recent: [(0, Cache::NOBODY); RECENT],
            runs: Vec::new(),
            told_full: false,
        }
    }

    /// Takes over what is new about owners, before a call.
    pub fn refresh(&mut self) {
        if let Some(owners) = &self.owners {
            owners.lock().refresh();
        }
    }

    /// Adds the columns that are wanted to those that the table has by itself. True: texts are left out that are more than
    /// a column may have.
    pub fn add(
        &mut self,
        plan: &PlannedTable,
        columns: &mut Vec<Option<ArrayRef>>,
        origin: Option<Origin<'_>>,
        rows: usize,
        now: Now,
    ) -> bool {
        columns.resize(plan.table.columns.len(), None);
        let mut full = false;
        let Some(owners) = self.owners.clone().filter(|_| rows > 0) else {
            return false;
        };
        for identity in &plan.join.identities {
            let mut asked = owners.lock();
            self.begin(&asked);
            let of_record = identity.record.as_ref().zip(origin);
            match of_record.filter(|((source, _), origin)| *source == origin.source) {
                Some(((_, record), origin)) => {
                    self.find_by_records(record, origin.picked, &mut *asked.owners, now);
                }
                None => {
                    let ids = Ids::of(identity, columns, origin);
                    self.find(&ids, &mut *asked.owners, rows, now);
                }
            }
            for (column, field) in &identity.fields {
                self.cache.ask(&mut *asked.owners, *field, &self.runs);
                let wall_offset = now.wall_offset;
                let array = self
                    .cache
                    .column(*field, &self.runs, rows, wall_offset, &mut full);
                if let Some(slot) = columns.get_mut(*column) {
                    *slot = array;
                }
            }
        }
        for (endpoint, name) in &plan.join.endpoints {
            let endpoints = columns.get(*endpoint).cloned().flatten();
            let mut asked = owners.lock();
            let names = endpoints.and_then(|it| endpoints::names(&it, &mut *asked.owners));
            if let Some(slot) = columns.get_mut(*name) {
                *slot = names;
            }
        }
        full
    }

    /// Takes over what has changed since the last rows.
    fn begin(&mut self, asked: &Asked) {
        if self.generation == asked.generation() {
            self.cache.tidy();
        } else {
            self.generation = asked.generation();
            self.cache.clear();
        }
        // The numbers of the cache are others after it was cleared.
        if self.cache.is_new() {
            self.recent = [(0, Cache::NOBODY); RECENT];
        }
        self.runs.clear();
    }

    /// Finds the owner of each row by its record.
    fn find_by_records(
        &mut self,
        record: &RecordIdentity,
        picked: &Picked<'_>,
        owners: &mut dyn Owners,
        now: Now,
    ) {
        // Of the rows of the last run, if they have one that says all.
        let mut last = None;
        for payload in picked.payloads() {
            let cgroup = record.cgroup(payload);
            if cgroup.is_some()
                && cgroup == last
                && let Some(run) = self.runs.last_mut()
            {
                run.rows += 1;
                continue;
            }
            last = cgroup.filter(|cgroup| *cgroup > ROOT);
            let slot = match last {
                Some(cgroup) => self.of_cgroup(cgroup, owners),
                None => {
                    let namespace = record.mount_namespace(payload);
                    let at = record.time(payload).unwrap_or(now.boot);
                    self.of_rest(cgroup, namespace, at, owners)
                        .unwrap_or(Cache::NOBODY)
                }
            };
            self.push(slot);
        }
    }

    /// Finds the owner of each row by its columns.
    fn find(&mut self, ids: &Ids, owners: &mut dyn Owners, rows: usize, now: Now) {
        let (owner, cgroup) = (ids.owner.values(), ids.cgroup.values());
        let (mount_ns, time) = (ids.mount_ns.values(), ids.time.values());
        for row in 0..rows {
            let slot = match owner.get(row) {
                Some(owner) if owner != 0 => {
                    // A column of kind owner is u32.
                    self.cache.slot(u32::try_from(owner).unwrap_or(0))
                }
                unknown => {
                    let at = time.get(row).unwrap_or(now.boot);
                    let slot = match cgroup.get(row) {
                        Some(cgroup) if cgroup > ROOT => Some(self.of_cgroup(cgroup, owners)),
                        cgroup => self.of_rest(cgroup, mount_ns.get(row), at, owners),
                    };
                    // Who says that there is an owner, and not which.
                    let none = unknown.map_or(Cache::NOBODY, |_| Cache::UNDECIDED);
                    slot.unwrap_or(none)
                }
            };
            self.push(slot);
        }
    }

    fn push(&mut self, slot: u32) {
        match self.runs.last_mut() {
            Some(run) if run.slot == slot => run.rows += 1,
            _ => self.runs.push(Run { slot, rows: 1 }),
        }
    }

    /// The owner of what has no cgroup of its own: one that has, and is not known, stays so, because the number of its mount
    /// namespace may just have been another's. None: nothing says whose it is.
    fn of_rest(
        &mut self,
        cgroup: Option<u64>,
        mount_ns: Option<u64>,
        at: u64,
        owners: &mut dyn Owners,
    ) -> Option<u32> {
        let slot = mount_ns.map(|ns| self.of_namespace(ns, at, owners));
        match cgroup.filter(|_| slot.is_none_or(|slot| slot == Cache::UNDECIDED)) {
            Some(cgroup) => Some(self.of_cgroup(cgroup, owners)),
            None => slot,
        }
    }

    fn of_cgroup(&mut self, cgroup: u64, owners: &mut dyn Owners) -> u32 {
        // Cgroup ids count up.
        let place = cgroup as usize % RECENT;
        if let Some((known, slot)) = self.recent.get(place)
            && *known == cgroup
            && *slot != Cache::NOBODY
        {
            return *slot;
        }
        let slot = self.cache.slot(owners.by_cgroup(cgroup));
        if let Some(recent) = self.recent.get_mut(place) {
            *recent = (cgroup, slot);
        }
        slot
    }

    fn of_namespace(&mut self, ns: u64, at: u64, owners: &mut dyn Owners) -> u32 {
        let owner = owners.by_mount_namespace(ns, at);
        self.cache.slot(owner)
    }
}

/// The columns by which the owners of rows are found.
#[derive(Debug, Default)]
struct Ids {
    owner: Id,
    cgroup: Id,
    mount_ns: Id,
    time: Id,
}

#[derive(Debug, Default)]
struct Id(Option<ArrayRef>);

/// Numbers of a column.
#[derive(Clone, Copy)]
enum Numbers<'a> {
    None,
    U32(&'a [u32], Option<&'a NullBuffer>),
    U64(&'a [u64], Option<&'a NullBuffer>),
}

impl Ids {
    fn of(
        identity: &PlannedIdentity,
        columns: &[Option<ArrayRef>],
        origin: Option<Origin<'_>>,
    ) -> Self {
        let column = |index: Option<usize>| Id(index.and_then(|i| columns.get(i)?.clone()));
        // A row that points at its record belongs to whom the record does.
        let by_record = identity.decoded && origin.is_some();
        Self {
            owner: column(identity.owner.filter(|_| !by_record)),
            cgroup: column(identity.cgroup),
            mount_ns: column(identity.mount_ns),
            time: column(identity.time),
        }
    }
}

impl Id {
    fn values(&self) -> Numbers<'_> {
        let Some(array) = &self.0 else {
            return Numbers::None;
        };
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        if let Some(numbers) = array.as_primitive_opt::<UInt64Type>() {
            return Numbers::U64(numbers.values(), nulls);
        }
        match array.as_primitive_opt::<UInt32Type>() {
            Some(numbers) => Numbers::U32(numbers.values(), nulls),
            None => Numbers::None,
        }
    }
}

impl Numbers<'_> {
    fn get(self, row: usize) -> Option<u64> {
        let valid = |nulls: Option<&NullBuffer>| {
            nulls.is_none_or(|nulls| row < nulls.len() && nulls.is_valid(row))
        };
        match self {
            Self::None => None,
            Self::U32(values, nulls) => values
                .get(row)
                .filter(|_| valid(nulls))
                .map(|n| (*n).into()),
            Self::U64(values, nulls) => values.get(row).filter(|_| valid(nulls)).copied(),
        }
    }
}

/// Fields of these owners as columns, a row each, in their order.
pub(crate) fn listed(
    owners: &mut dyn Owners,
    numbers: &[u32],
    fields: &[Field],
    wall_offset: i64,
) -> Vec<Option<ArrayRef>> {
    let mut cache = Cache::default();
    let runs: Vec<Run> = numbers
        .iter()
        .map(|owner| Run {
            slot: cache.slot(*owner),
            rows: 1,
        })
        .collect();
    let mut full = false;
    fields
        .iter()
        .map(|field| {
            cache.ask(owners, *field, &runs);
            cache.column(*field, &runs, runs.len(), wall_offset, &mut full)
        })
        .collect()
}
