//! `containers`: whose a record is. Lists are read in place and bounded: views may alias, so that a few bytes of the
//! guest's memory could name very many.

use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, WasmList, WasmStr};

use super::{Host, State, or_trap, with_views};
use crate::trap::Fault;

/// Items of one list, more than any span has records.
const MOST_ITEMS: usize = 65_536;
/// Bytes of a container's id, and of a field's name.
const MOST_TEXT: usize = 1024;

pub(super) fn link<H: Host>(instance: &mut LinkerInstance<'_, State<H>>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "of-records",
        |mut store: StoreContextMut<'_, State<H>>, (offsets,): (WasmList<u32>,)| {
            store.data_mut().spend()?;
            bounded("of-records", offsets.len())?;
            let owners = with_views(&mut store, |host, store| {
                host.owners_of_records(offsets.as_le_slice(store))
            })?;
            Ok((or_trap(owners)?,))
        },
    )?;
    instance.func_wrap(
        "by-cgroup",
        |mut store: StoreContextMut<'_, State<H>>, (cgroups,): (WasmList<u64>,)| {
            store.data_mut().spend()?;
            bounded("by-cgroup", cgroups.len())?;
            let owners = with_views(&mut store, |host, store| {
                host.owners_by_cgroup(cgroups.as_le_slice(store))
            })?;
            Ok((owners,))
        },
    )?;
    instance.func_wrap(
        "by-mount-namespace",
        |mut store: StoreContextMut<'_, State<H>>, (namespace, at): (u64, u64)| {
            let host = store.data_mut().host()?;
            Ok((host.owner_by_mount_namespace(namespace, at),))
        },
    )?;
    instance.func_wrap(
        "by-id",
        |mut store: StoreContextMut<'_, State<H>>, (id,): (WasmStr,)| {
            store.data_mut().spend()?;
            let owner = with_views(&mut store, |host, store| {
                let id = id.to_str(store)?;
                // No id is so long.
                Ok::<_, wasmtime::Error>(if id.len() > MOST_TEXT {
                    0
                } else {
                    host.owner_by_id(&id)
                })
            })??;
            Ok((owner,))
        },
    )?;
    instance.func_wrap("field", field)
}

type Texts = Result<Vec<Option<String>>, String>;

fn field<H: Host>(
    mut store: StoreContextMut<'_, State<H>>,
    (owners, name): (WasmList<u32>, WasmStr),
) -> wasmtime::Result<(Texts,)> {
    store.data_mut().spend()?;
    bounded("field", owners.len())?;
    let texts = with_views(&mut store, |host, store| {
        let name = name.to_str(store)?;
        Ok::<_, wasmtime::Error>(if name.len() > MOST_TEXT {
            Err(format!("a field's name of {} bytes", name.len()))
        } else {
            host.owner_fields(owners.as_le_slice(store), &name)
        })
    })??;
    Ok((texts,))
}

fn bounded(function: &str, items: usize) -> wasmtime::Result<()> {
    if items > MOST_ITEMS {
        return Err(Fault::Broken(format!(
            "{function}: a list of {items}, at most {MOST_ITEMS} are possible"
        ))
        .into());
    }
    Ok(())
}
