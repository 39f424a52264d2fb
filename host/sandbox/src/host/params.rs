//! `params`: the gadget's parameters as text.

use wasmtime::StoreContextMut;
use wasmtime::component::LinkerInstance;

use super::{Host, State, or_trap};

pub(super) fn link<H: Host>(instance: &mut LinkerInstance<'_, State<H>>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "get",
        |mut store: StoreContextMut<'_, State<H>>, (param,): (u16,)| {
            Ok((or_trap(store.data_mut().host()?.param(param))?,))
        },
    )
}
