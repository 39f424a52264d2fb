//! The guest `row` as a library of this machine; `tests/bench/row/src/native.rs` is the other side. What it emits goes
//! to the same host as in the sandbox.
#![expect(
    unsafe_code,
    reason = "functions of a library that is opened at run time; each place proves why"
)]

use crate::host::{Staged, Staging};
use anyhow::{Context as _, Result, bail};
use ig_sandbox::{ColumnView, Host as _, Verdict};
use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// `list<u8>` of the canonical ABI, as the SDK's `Buffer`.
#[repr(C)]
struct Buffer {
    start: *const u8,
    length: usize,
}

/// The contract's record `column`, as the SDK's `Column`.
#[repr(C)]
struct Column {
    index: u16,
    buffers: *const Buffer,
    count: usize,
}

/// The contract's record `verdict`, as the SDK's `Verdict`.
#[repr(C)]
struct Decided {
    accepted: u32,
    dropped: u32,
    malformed: u32,
}

type Take = unsafe extern "C" fn(*mut c_void, u16, u32, *const u32, usize, *const Column, usize);
type Start = unsafe extern "C" fn(bool, *const u16, usize, Take, *mut c_void) -> bool;
type Process = unsafe extern "C" fn(*const u8, usize) -> Decided;

/// What the library's rows are handed to.
struct Sink {
    host: Staging,
    refused: Option<String>,
}

/// The running guest. It is the thread's own: only the one that was started last may be called.
pub struct Native {
    process: Process,
    /// Owned; while the library works, only [`take`] uses it.
    sink: *mut Sink,
}

impl Native {
    /// Opens the library and starts the guest in it; `origin` is its parameter.
    pub fn start(library: &Path, host: Staging, origin: bool) -> Result<Self> {
        let name = CString::new(library.as_os_str().as_bytes())?;
        // SAFETY: the name ends with NUL; the library runs nothing when it is opened, and is never closed.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            bail!(
                "{} can't be opened: run `cargo xtask bench`, which builds it",
                library.display()
            );
        }
        let symbol = |name: &CStr| {
            // SAFETY: the handle is an open library's, the name ends with NUL.
            let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
            (!address.is_null())
                .then_some(address)
                .with_context(|| format!("{} has no {name:?}", library.display()))
        };
        let (start, process) = (symbol(c"row_start")?, symbol(c"row_process")?);
        // SAFETY: these are the types that the library's source gives these two names.
        let (start, process) = unsafe {
            (
                std::mem::transmute::<*mut c_void, Start>(start),
                std::mem::transmute::<*mut c_void, Process>(process),
            )
        };
        let wanted = host.computed(u16::from(origin));
        let sink = Box::into_raw(Box::new(Sink {
            host,
            refused: None,
        }));
        let native = Self { process, sink };
        // SAFETY: pointer and length are one slice's; the sink lives as long as `native`, by which alone rows are made.
        let started = unsafe {
            start(
                origin,
                wanted.as_ptr(),
                wanted.len(),
                take,
                native.sink.cast(),
            )
        };
        if !started {
            bail!("the native guest refused to start");
        }
        Ok(native)
    }

    /// Hands it a span; the rows that it emitted are added to `staged`.
    pub fn process(&mut self, span: &[u8], staged: &mut Vec<Staged>) -> Result<Verdict> {
        // SAFETY: pointer and length are the slice's.
        let decided = unsafe { (self.process)(span.as_ptr(), span.len()) };
        // SAFETY: the library returned, so nobody else uses the sink.
        let sink = unsafe { &mut *self.sink };
        if let Some(why) = sink.refused.take() {
            bail!("the native guest's rows: {why}");
        }
        staged.append(&mut sink.host.staged);
        Ok(Verdict {
            accepted: decided.accepted,
            dropped: decided.dropped,
            malformed: decided.malformed,
        })
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: made by `into_raw`, and nothing runs in the library any more.
        drop(unsafe { Box::from_raw(self.sink) });
    }
}

/// What the library calls with the rows of one `emit`.
///
/// # Safety
///
/// `context` is the sink of the running [`Native`], which nobody else uses; pointers and lengths are of slices.
unsafe extern "C" fn take(
    context: *mut c_void,
    table: u16,
    rows: u32,
    origin: *const u32,
    origins: usize,
    columns: *const Column,
    count: usize,
) {
    // SAFETY: the caller's promise; a u32 is four bytes without padding.
    let (sink, origin, columns) = unsafe {
        (
            &mut *context.cast::<Sink>(),
            std::slice::from_raw_parts(origin.cast::<u8>(), origins * 4),
            std::slice::from_raw_parts(columns, count),
        )
    };
    let mut all = Vec::with_capacity(columns.len() * 3);
    let mut ends = Vec::with_capacity(columns.len());
    for column in columns {
        // SAFETY: the caller's promise, for the buffers of a column and the bytes of each.
        let buffers = unsafe { std::slice::from_raw_parts(column.buffers, column.count) };
        all.extend(buffers.iter().map(|buffer| {
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts(buffer.start, buffer.length) }
        }));
        ends.push(all.len());
    }
    let mut begin = 0;
    let mut views = Vec::with_capacity(columns.len());
    for (column, end) in columns.iter().zip(ends) {
        views.push(ColumnView {
            index: column.index,
            buffers: all.get(begin..end).unwrap_or_default(),
        });
        begin = end;
    }
    if let Err(error) = sink.host.emit(table, rows, origin, &views) {
        sink.refused = Some(error.to_string());
    }
}
