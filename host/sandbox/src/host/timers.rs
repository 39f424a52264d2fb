//! `timers`: made here, due at the export `ticker`.

use wasmtime::StoreContextMut;
use wasmtime::component::LinkerInstance;

use super::{Host, State};

pub(super) fn link<H: Host>(instance: &mut LinkerInstance<'_, State<H>>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "every",
        |mut store: StoreContextMut<'_, State<H>>, (period,): (u64,)| {
            Ok((store.data_mut().host()?.timer_every(period),))
        },
    )?;
    instance.func_wrap(
        "once",
        |mut store: StoreContextMut<'_, State<H>>, (delay,): (u64,)| {
            Ok((store.data_mut().host()?.timer_once(delay),))
        },
    )?;
    instance.func_wrap(
        "cancel",
        |mut store: StoreContextMut<'_, State<H>>, (timer,): (u32,)| {
            store.data_mut().host()?.timer_cancel(timer);
            Ok(())
        },
    )
}
