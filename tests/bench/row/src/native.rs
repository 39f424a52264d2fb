//! The guest as a library that a program of the machine opens: the SDK's stand-in for the host hands what is emitted
//! to a function of that program. `tests/bench/src/native.rs` is the other side.

use crate::Row;
use gadget::sdk::emit::{Column, Emit};
use gadget::{Params, Running, Verdict, testing};
use std::cell::RefCell;
use std::ffi::c_void;

/// Takes the rows of one `emit`: table, number of rows, origins and their number, columns and their number. What the
/// pointers lead to lives until it returns.
type Take =
    unsafe extern "C" fn(*mut c_void, u16, u32, *const u32, usize, *const Column<'_>, usize);

thread_local! {
    static RUNNING: RefCell<Option<Running<Row>>> = const { RefCell::new(None) };
}

/// Starts the guest anew on this thread; false: it refused. Rows of the table that `origin` chooses are handed to
/// `take` with `context` by each [`row_process`]; the columns at `wanted` are needed.
///
/// # Safety
///
/// `wanted` points to `count` numbers. `context` is what `take` expects, until the guest is started again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn row_start(
    origin: bool,
    wanted: *const u16,
    count: usize,
    take: Take,
    context: *mut c_void,
) -> bool {
    // SAFETY: the caller's promise.
    let wanted = unsafe { std::slice::from_raw_parts(wanted, count) };
    testing::reset();
    testing::set_param(Params::ORIGIN, if origin { "true" } else { "false" });
    testing::set_wanted(u16::from(origin), wanted);
    testing::on_emit(move |emit: &Emit<'_>| {
        // SAFETY: pointers and lengths are of slices that outlive the call; the context is the caller's promise.
        unsafe {
            take(
                context,
                emit.table,
                emit.rows,
                emit.origin.as_ptr(),
                emit.origin.len(),
                emit.columns.as_ptr(),
                emit.columns.len(),
            );
        }
        Ok(())
    });
    let started = Running::start().ok();
    let good = started.is_some();
    RUNNING.set(started);
    good
}

/// Hands it a span: what the contract's `process` does.
///
/// # Safety
///
/// `span` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn row_process(span: *const u8, length: usize) -> Verdict {
    // SAFETY: the caller's promise.
    let span = unsafe { std::slice::from_raw_parts(span, length) };
    RUNNING.with_borrow_mut(|running| {
        running
            .as_mut()
            .map_or_else(Verdict::default, |running| running.process(0, span))
    })
}
