//! `tables`: rows out of the guest, without a copy on the way to the host.

use std::ops::Range;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, WasmList};

use super::{ColumnView, EmitError, Host, State, or_trap, with_views};
use crate::trap::Fault;

/// Columns in one emit: more than any table has.
const MOST_COLUMNS: usize = 4096;
/// Buffers in one emit, over all columns. Views may alias, so that few bytes of guest memory could name very many.
const MOST_BUFFERS: usize = 65_536;

/// `types.column`, its lists still in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Column {
    index: u16,
    buffers: WasmList<WasmList<u8>>,
}

type Emit = (u16, u32, WasmList<u32>, WasmList<Column>);

pub(super) fn link<H: Host>(instance: &mut LinkerInstance<'_, State<H>>) -> wasmtime::Result<()> {
    instance.func_wrap("emit", emit)?;
    instance.func_wrap(
        "end-frame",
        |mut store: StoreContextMut<'_, State<H>>, (table,): (u16,)| {
            or_trap(store.data_mut().host()?.end_frame(table))
        },
    )?;
    instance.func_wrap(
        "wanted",
        |mut store: StoreContextMut<'_, State<H>>, (table,): (u16,)| {
            Ok((or_trap(store.data_mut().host()?.wanted(table))?,))
        },
    )
}

fn emit<H: Host>(
    mut store: StoreContextMut<'_, State<H>>,
    (table, rows, origin, columns): Emit,
) -> wasmtime::Result<(Result<(), String>,)> {
    store.data_mut().spend()?;
    let (columns, buffers) = lift(&mut store, &columns)?;
    let taken = with_views(&mut store, |host, store| {
        let buffers: Vec<&[u8]> = buffers
            .iter()
            .map(|buffer| buffer.as_le_slice(store))
            .collect();
        let columns: Vec<ColumnView<'_>> = columns
            .into_iter()
            .map(|(index, range)| ColumnView {
                index,
                buffers: buffers.get(range).unwrap_or(&[]),
            })
            .collect();
        host.emit(table, rows, bytes_of(origin.as_le_slice(store)), &columns)
    })?;
    match taken {
        Ok(()) => Ok((Ok(()),)),
        Err(EmitError::OverBudget(why)) => Ok((Err(why),)),
        Err(EmitError::Broken(why)) => Err(Fault::Broken(why).into()),
    }
}

type Lifted = (Vec<(u16, Range<usize>)>, Vec<WasmList<u8>>);

/// Finds all buffers: the columns' indexes, and which of the buffers are theirs.
fn lift<H: Host>(
    store: &mut StoreContextMut<'_, State<H>>,
    columns: &WasmList<Column>,
) -> wasmtime::Result<Lifted> {
    if columns.len() > MOST_COLUMNS {
        return Err(Fault::Broken(format!(
            "emit: {} columns, at most {MOST_COLUMNS} are possible",
            columns.len()
        ))
        .into());
    }
    let columns = columns
        .iter(&mut *store)?
        .collect::<wasmtime::Result<Vec<Column>>>()?;
    let count = columns.iter().fold(0usize, |sum, column| {
        sum.saturating_add(column.buffers.len())
    });
    if count > MOST_BUFFERS {
        return Err(Fault::Broken(format!(
            "emit: {count} buffers, at most {MOST_BUFFERS} are possible"
        ))
        .into());
    }
    let mut ranges = Vec::with_capacity(columns.len());
    let mut buffers = Vec::with_capacity(count);
    for column in &columns {
        let from = buffers.len();
        for buffer in column.buffers.iter(&mut *store)? {
            buffers.push(buffer?);
        }
        ranges.push((column.index, from..buffers.len()));
    }
    Ok((ranges, buffers))
}

/// The same memory as bytes. The guest wrote them little endian, and so they stay.
fn bytes_of(values: &[u32]) -> &[u8] {
    // SAFETY: the bytes of initialized u32 are initialized u8, u8 needs no alignment, the size is the slice's own,
    // and the result borrows what `values` borrows.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}
