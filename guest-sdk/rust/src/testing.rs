//! The host's stand-in where the guest is not WebAssembly: for tests of a gadget's logic, and for benches that run
//! the same source natively. Its state is the thread's own.

use crate::containers::Owner;
use crate::emit::Emit;
use crate::log::Level;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Rows that a gadget emitted, as they were handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// The table's place in the manifest.
    pub table: u16,
    /// The number of rows.
    pub rows: u32,
    /// Per row the offset of its record, or empty.
    pub origin: Vec<u32>,
    /// Per column its place in the table and its buffers.
    pub columns: Vec<(u16, Vec<Vec<u8>>)>,
}

impl From<&Emit<'_>> for Emitted {
    fn from(emit: &Emit<'_>) -> Self {
        let columns = emit.columns.iter();
        Self {
            table: emit.table,
            rows: emit.rows,
            origin: emit.origin.to_vec(),
            columns: columns
                .map(|column| {
                    (
                        column.index(),
                        column
                            .buffers()
                            .iter()
                            .map(|buffer| buffer.bytes().to_vec())
                            .collect(),
                    )
                })
                .collect(),
        }
    }
}

type OnEmit = Box<dyn FnMut(&Emit<'_>) -> Result<(), String>>;
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
struct State {
    on_emit: Option<OnEmit>,
    emitted: Vec<Emitted>,
    wanted: BTreeMap<u16, Vec<u16>>,
    params: BTreeMap<u16, String>,
    maps: BTreeMap<u16, Entries>,
    log: Vec<(Level, String)>,
    now: u64,
    timers: u32,
    owners: Owners,
}

#[derive(Default)]
struct Owners {
    of_records: BTreeMap<u32, Owner>,
    of_cgroups: BTreeMap<u64, Owner>,
    of_mount_namespaces: BTreeMap<u64, Owner>,
    fields: BTreeMap<(Owner, String), String>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn with<T>(act: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(act)
}

/// Forgets everything that was set or collected.
pub fn reset() {
    with(|state| *state = State::default());
}

/// What happens to emitted rows from now on, instead of being collected.
pub fn on_emit(act: impl FnMut(&Emit<'_>) -> Result<(), String> + 'static) {
    with(|state| state.on_emit = Some(Box::new(act)));
}

/// Takes the rows emitted since the last call.
#[must_use]
pub fn emitted() -> Vec<Emitted> {
    with(|state| std::mem::take(&mut state.emitted))
}

/// Sets a parameter, by its place in the manifest.
pub fn set_param(index: u16, value: &str) {
    with(|state| state.params.insert(index, value.to_owned()));
}

/// Sets which columns of a table somebody needs, ascending; all of them if this is never called.
pub fn set_wanted(table: u16, columns: &[u16]) {
    with(|state| state.wanted.insert(table, columns.to_vec()));
}

/// Sets an entry of a map, by its grant's place in the manifest.
pub fn set_entry(grant: u16, key: &[u8], value: &[u8]) {
    with(|state| {
        state
            .maps
            .entry(grant)
            .or_default()
            .insert(key.to_vec(), value.to_vec())
    });
}

/// Sets whose a record is, by its `record_origin()`.
pub fn set_owner_of_record(origin: u32, owner: Owner) {
    with(|state| state.owners.of_records.insert(origin, owner));
}

/// Sets whose a cgroup is.
pub fn set_owner_of_cgroup(cgroup: u64, owner: Owner) {
    with(|state| state.owners.of_cgroups.insert(cgroup, owner));
}

/// Sets whose a mount namespace is, at any time.
pub fn set_owner_of_mount_namespace(namespace: u64, owner: Owner) {
    with(|state| state.owners.of_mount_namespaces.insert(namespace, owner));
}

/// Sets a field of an owner, by its name in [`crate::containers::names`]. A container is found by its `container_id`.
pub fn set_field(owner: Owner, name: &str, value: &str) {
    with(|state| {
        let key = (owner, name.to_owned());
        state.owners.fields.insert(key, value.to_owned())
    });
}

/// Sets both clocks, in nanoseconds.
pub fn set_now(now: u64) {
    with(|state| state.now = now);
}

/// Takes the messages logged since the last call.
#[must_use]
pub fn logged() -> Vec<(Level, String)> {
    with(|state| std::mem::take(&mut state.log))
}

/// Builds a span of these payloads, framed as the kernel frames them.
#[must_use]
pub fn span<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut span = Vec::new();
    for payload in payloads {
        span.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        span.extend_from_slice(&0_u32.to_le_bytes());
        span.extend_from_slice(payload);
        span.resize(span.len().next_multiple_of(8), 0);
    }
    span
}

/// The functions of [`crate::host`].
#[allow(missing_docs, reason = "documented where they are real")]
#[allow(
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    reason = "documented where they are real"
)]
pub mod host {
    use super::{Emitted, Level, with};
    use crate::containers::{CONTAINER_ID, Owner, names};
    use crate::emit::Emit;

    pub fn emit(emit: &Emit<'_>) -> Result<(), String> {
        with(|state| match &mut state.on_emit {
            Some(act) => act(emit),
            None => {
                state.emitted.push(Emitted::from(emit));
                Ok(())
            }
        })
    }

    pub fn end_frame(_table: u16) {}

    pub fn wanted(table: u16) -> Vec<u16> {
        with(|state| {
            state
                .wanted
                .get(&table)
                .cloned()
                .unwrap_or_else(|| (0..1024).collect())
        })
    }

    pub fn log(level: Level, text: &str) {
        with(|state| state.log.push((level, text.to_owned())));
    }

    pub fn param(index: u16) -> String {
        with(|state| state.params.get(&index).cloned().unwrap_or_default())
    }

    pub fn clock_boot() -> u64 {
        with(|state| state.now)
    }

    pub fn clock_wall() -> u64 {
        with(|state| state.now)
    }

    pub fn map_lookup(grant: u16, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        with(|state| Ok(state.maps.get(&grant).and_then(|map| map.get(key)).cloned()))
    }

    pub fn map_update(grant: u16, key: &[u8], value: &[u8]) -> Result<(), String> {
        super::set_entry(grant, key, value);
        Ok(())
    }

    pub fn map_delete(grant: u16, key: &[u8]) -> Result<bool, String> {
        with(|state| {
            Ok(state
                .maps
                .get_mut(&grant)
                .is_some_and(|map| map.remove(key).is_some()))
        })
    }

    pub fn map_read_all(grant: u16) -> Result<Vec<u8>, String> {
        let payloads = with(|state| {
            let entries = state.maps.get(&grant).into_iter().flatten();
            let payload = |(key, value): (&Vec<u8>, &Vec<u8>)| {
                let mut payload = key.clone();
                payload.resize(payload.len().next_multiple_of(8), 0);
                payload.extend_from_slice(value);
                payload
            };
            entries.map(payload).collect::<Vec<_>>()
        });
        Ok(super::span(payloads.iter().map(Vec::as_slice)))
    }

    pub fn timer_every(_period: u64) -> Result<u32, String> {
        with(|state| {
            state.timers += 1;
            Ok(state.timers)
        })
    }

    pub fn timer_once(delay: u64) -> Result<u32, String> {
        timer_every(delay)
    }

    pub fn timer_cancel(_timer: u32) {}

    pub fn owners_of_records(offsets: &[u32]) -> Vec<Owner> {
        let of = |state: &mut super::State, offset| {
            let owner = state.owners.of_records.get(offset);
            owner.copied().unwrap_or_default()
        };
        with(|state| offsets.iter().map(|offset| of(state, offset)).collect())
    }

    pub fn owners_by_cgroup(cgroups: &[u64]) -> Vec<Owner> {
        let of = |state: &mut super::State, cgroup| {
            let owner = state.owners.of_cgroups.get(cgroup);
            owner.copied().unwrap_or_default()
        };
        with(|state| cgroups.iter().map(|cgroup| of(state, cgroup)).collect())
    }

    pub fn owner_by_mount_namespace(namespace: u64, _at: u64) -> Owner {
        let owner = with(|state| state.owners.of_mount_namespaces.get(&namespace).copied());
        owner.unwrap_or_default()
    }

    pub fn owner_by_id(id: &str) -> Owner {
        with(|state| {
            let mut found = state.owners.fields.iter().filter(|((_, name), whole)| {
                name == CONTAINER_ID && (*whole == id || id.len() >= 12 && whole.starts_with(id))
            });
            match (found.next(), found.next()) {
                (Some(((owner, _), _)), None) => *owner,
                _ => Owner::UNKNOWN,
            }
        })
    }

    pub fn owner_fields(owners: &[Owner], name: &str) -> Result<Vec<Option<String>>, String> {
        if !name.contains('.') && !names::ALL.contains(&name) {
            return Err(format!("there is no field {name:?} of containers"));
        }
        let of = |state: &mut super::State, owner: &Owner| {
            let key = (*owner, name.to_owned());
            state.owners.fields.get(&key).cloned()
        };
        with(|state| Ok(owners.iter().map(|owner| of(state, owner)).collect()))
    }
}
