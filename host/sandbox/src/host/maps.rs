//! `maps`: the bundle's own eBPF maps. Keys and values are read in place.

use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, WasmList};

use super::{Host, MapError, State, with_views};
use crate::trap::Fault;

pub(super) fn link<H: Host>(instance: &mut LinkerInstance<'_, State<H>>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "lookup",
        |mut store: StoreContextMut<'_, State<H>>, (grant, key): (u16, WasmList<u8>)| {
            store.data_mut().spend()?;
            answer(with_views(&mut store, |host, store| {
                host.map_lookup(grant, key.as_le_slice(store))
            })?)
        },
    )?;
    instance.func_wrap(
        "update",
        |mut store: StoreContextMut<'_, State<H>>,
         (grant, key, value): (u16, WasmList<u8>, WasmList<u8>)| {
            store.data_mut().spend()?;
            answer(with_views(&mut store, |host, store| {
                host.map_update(grant, key.as_le_slice(store), value.as_le_slice(store))
            })?)
        },
    )?;
    instance.func_wrap(
        "delete",
        |mut store: StoreContextMut<'_, State<H>>, (grant, key): (u16, WasmList<u8>)| {
            store.data_mut().spend()?;
            answer(with_views(&mut store, |host, store| {
                host.map_delete(grant, key.as_le_slice(store))
            })?)
        },
    )?;
    instance.func_wrap(
        "read-all",
        |mut store: StoreContextMut<'_, State<H>>, (grant,): (u16,)| {
            answer(store.data_mut().host()?.map_read_all(grant))
        },
    )
}

/// An error for the guest, or a trap for a grant that does not exist.
fn answer<R>(result: Result<R, MapError>) -> wasmtime::Result<(Result<R, String>,)> {
    match result {
        Ok(value) => Ok((Ok(value),)),
        Err(MapError::Denied(why) | MapError::Failed(why)) => Ok((Err(why),)),
        Err(MapError::Unknown) => {
            Err(Fault::Broken("maps: no grant of this index in the manifest".into()).into())
        }
    }
}
