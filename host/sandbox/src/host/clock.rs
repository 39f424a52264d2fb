//! `clock`: one instant per call of the guest.

use wasmtime::StoreContextMut;
use wasmtime::component::LinkerInstance;

use super::{Host, State};

pub(super) fn link<H: Host>(instance: &mut LinkerInstance<'_, State<H>>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "boot",
        |mut store: StoreContextMut<'_, State<H>>, (): ()| {
            let state = store.data_mut();
            let now = match state.call.boot {
                Some(now) => {
                    state.spend()?;
                    now
                }
                None => state.host()?.boot(),
            };
            state.call.boot = Some(now);
            Ok((now,))
        },
    )?;
    instance.func_wrap(
        "wall",
        |mut store: StoreContextMut<'_, State<H>>, (): ()| {
            let state = store.data_mut();
            let now = match state.call.wall {
                Some(now) => {
                    state.spend()?;
                    now
                }
                None => state.host()?.wall(),
            };
            state.call.wall = Some(now);
            Ok((now,))
        },
    )
}
