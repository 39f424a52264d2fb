//! A guest that does, on request, what a guest must not.
//!
//! Written against the contract's canonical ABI by hand and without the SDK, which has no way to say
//! such things. Also the smallest guest that there can be: no dependency at all.

#![no_std]

extern crate alloc;
extern crate std;

use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a record's header in a span.
const HEADER: usize = 8;
/// Bits of its first word.
const DISCARDED: u32 = 1 << 30;
/// Offset of `sequence` in `struct event`.
const SEQUENCE: usize = 8;
/// Index of the column `note`: the one that is not decoded by the host.
const NOTE: u16 = 1;

/// `list<u8>` and every other list.
#[repr(C)]
#[derive(Clone, Copy)]
struct List {
    start: *const u8,
    length: usize,
}

impl List {
    fn of<T>(items: &[T]) -> Self {
        Self {
            start: items.as_ptr().cast(),
            length: items.len(),
        }
    }
}

/// The contract's record `column`.
#[repr(C)]
struct Column {
    index: u16,
    buffers: List,
}

/// `result<_, string>`.
#[repr(C)]
struct Answer {
    failed: u8,
    reason: List,
}

/// The contract's record `verdict`.
#[repr(C)]
struct Verdict {
    accepted: u32,
    dropped: u32,
    malformed: u32,
}

#[link(wasm_import_module = "ig:gadget/tables@0.1.0")]
unsafe extern "C" {
    #[link_name = "emit"]
    fn tables_emit(
        table: u32,
        rows: u32,
        origin: *const u32,
        origin_length: usize,
        columns: *const Column,
        columns_length: usize,
        answer: *mut Answer,
    );
}

#[link(wasm_import_module = "ig:gadget/log@0.1.0")]
unsafe extern "C" {
    #[link_name = "write"]
    fn log_write(level: u32, text: *const u8, length: usize);
}

#[link(wasm_import_module = "ig:gadget/params@0.1.0")]
unsafe extern "C" {
    #[link_name = "get"]
    fn params_get(index: u32, answer: *mut List);
}

#[link(wasm_import_module = "ig:gadget/timers@0.1.0")]
unsafe extern "C" {
    #[link_name = "every"]
    fn timers_every(period: u64, answer: *mut [u32; 3]);
}

#[link(wasm_import_module = "ig:gadget/maps@0.1.0")]
unsafe extern "C" {
    #[link_name = "lookup"]
    fn maps_lookup(grant: u32, key: *const u8, length: usize, answer: *mut [u32; 4]);
    #[link_name = "update"]
    fn maps_update(
        grant: u32,
        key: *const u8,
        key_length: usize,
        value: *const u8,
        value_length: usize,
        answer: *mut [u32; 3],
    );
}

const NOTHING: List = List {
    start: core::ptr::null(),
    length: 0,
};

fn mode() -> String {
    let mut answer = NOTHING;
    // SAFETY: the host puts a string there that it made with our own `cabi_realloc`.
    unsafe {
        params_get(0, &raw mut answer);
        String::from_raw_parts(answer.start.cast_mut(), answer.length, answer.length)
    }
}

/// Emits; whether the host took it.
fn emit(table: u32, rows: u32, origin: &[u32], columns: &[Column]) -> bool {
    let mut answer = Answer {
        failed: 0,
        reason: NOTHING,
    };
    // SAFETY: pointers and lengths of live slices; the host fills in the answer before it returns.
    unsafe {
        tables_emit(
            table,
            rows,
            origin.as_ptr(),
            origin.len(),
            columns.as_ptr(),
            columns.len(),
            &raw mut answer,
        );
    }
    answer.failed == 0
}

/// Starts a timer that fires every millisecond; whether the host did.
fn timer() -> bool {
    let mut answer = [0; 3];
    // SAFETY: the host fills in the answer before it returns.
    unsafe { timers_every(1_000_000, &raw mut answer) };
    answer[0] & 0xff == 0
}

/// Whether the host answered a look into a map.
fn look(grant: u32, key: &[u8]) -> bool {
    let mut answer = [0; 4];
    // SAFETY: pointer and length of a live key; the host fills in the answer before it returns.
    unsafe { maps_lookup(grant, key.as_ptr(), key.len(), &raw mut answer) };
    answer[0] & 0xff == 0
}

/// Whether the host let a map be changed.
fn change(grant: u32, key: &[u8], value: &[u8]) -> bool {
    let mut answer = [0; 3];
    // SAFETY: pointers and lengths of live slices; the host fills in the answer before it returns.
    unsafe {
        maps_update(
            grant,
            key.as_ptr(),
            key.len(),
            value.as_ptr(),
            value.len(),
            &raw mut answer,
        );
    }
    answer[0] & 0xff == 0
}

/// A text column that says "ok" in every row.
fn notes(rows: usize) -> (Vec<u8>, Vec<u8>) {
    let offsets = (0..=rows as u32)
        .flat_map(|row| (row * 2).to_le_bytes())
        .collect();
    (offsets, b"ok".repeat(rows))
}

/// Offset and sequence of each record.
fn records(span: &[u8]) -> Vec<(u32, u64)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = word::<4>(span, at) {
        let word = u32::from_le_bytes(word);
        let length = (word & !DISCARDED) as usize;
        if word & DISCARDED == 0
            && let Some(sequence) = self::word::<8>(span, at + HEADER + SEQUENCE)
        {
            found.push((at as u32, u64::from_le_bytes(sequence)));
        }
        at += HEADER + length.next_multiple_of(8);
    }
    found
}

fn word<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[inline(never)]
fn stumbles_here(why: &str) {
    assert!(black_box(why).is_empty(), "{why}");
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "a guest that recurses without end")]
fn falls(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    falls(depth + 1) + room[0]
}

/// The CPU time of some microseconds.
fn dawdle() {
    for n in 0..20_000_u32 {
        black_box(n);
    }
}

fn serve(mode: &str, span: &[u8]) -> Verdict {
    let mut all = records(span);
    let handed = all.len() as u32;
    match mode {
        "slow" => all.iter().for_each(|_| dawdle()),
        "slow-trap" => {
            all.iter().for_each(|_| dawdle());
            let again = all.iter().any(|(_, sequence)| sequence % 512 == 7);
            stumbles_here(if again { "one in 512" } else { "" });
        }
        // The sequence goes on in the next instance, so it happens once.
        "trap-once" => {
            let first = all.iter().any(|(_, sequence)| *sequence == 0);
            stumbles_here(if first { "the first record" } else { "" });
        }
        "panic" => stumbles_here("on purpose"),
        "loop" => loop {
            black_box(0);
        },
        "memory" => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                kept.push(black_box(alloc::vec![1; 1 << 20]));
            }
        }
        "stack" => {
            black_box(falls(0));
        }
        "log" => loop {
            let text = "all work and no play makes a guest a dull guest";
            // SAFETY: pointer and length of a live text.
            unsafe { log_write(1, text.as_ptr(), text.len()) };
        },
        // Each of these is answered with an error, and the guest makes a trap of it.
        "rows-huge" => stumbles_here(if emit(0, u32::MAX, &[], &[]) {
            ""
        } else {
            "over budget"
        }),
        "emit-nothing" => {
            while emit(0, 0, &[], &[]) {}
            stumbles_here("over budget");
        }
        "map-denied" => stumbles_here(if change(0, &[0; 4], &[0; 8]) {
            ""
        } else {
            "not granted"
        }),
        "map-size" => stumbles_here(if look(0, &[0; 3]) { "" } else { "wrong size" }),
        // These are not answered.
        "map-unknown" => drop(look(7, &[0; 4])),
        "origin-again" => {
            let again = alloc::vec![all.first().map_or(0, |(at, _)| *at); 1000];
            while emit(0, 1000, &again, &[]) {}
        }
        "drop-some" => all.retain(|(_, sequence)| sequence % 3 != 1),
        _ => {}
    }

    let rows = all.len();
    let mut origin: Vec<u32> = all.iter().map(|(at, _)| *at).collect();
    let (mut offsets, mut text) = notes(rows);
    match mode {
        "buffer-short" => text.truncate(rows),
        "offsets-fall" => offsets[4..8].copy_from_slice(&(-1_i32).to_le_bytes()),
        "buffer-offsets" => offsets[..4].copy_from_slice(&7_u32.to_le_bytes()),
        "origin" => origin[0] += 4,
        "origin-far" => origin[0] = u32::MAX,
        "origin-length" => origin.push(0),
        _ => {}
    }
    let buffers = [List::of::<u8>(&[]), List::of(&offsets), List::of(&text)];
    let buffers = if mode == "buffer-missing" {
        &buffers[..2]
    } else {
        &buffers[..]
    };
    let index = if mode == "column-unknown" { 99 } else { NOTE };
    let column = || Column {
        index,
        buffers: List::of(buffers),
    };
    let columns = if mode == "column-twice" {
        alloc::vec![column(), column()]
    } else {
        alloc::vec![column()]
    };
    let table = if mode == "table-unknown" { 9 } else { 0 };
    loop {
        emit(table, rows as u32, &origin, &columns);
        if mode != "emit" {
            break;
        }
    }
    Verdict {
        accepted: rows as u32 + u32::from(mode == "verdict"),
        dropped: handed - rows as u32,
        malformed: 0,
    }
}

/// Kept from `init`, so that a call costs no import.
static mut MODE: String = String::new();

#[unsafe(export_name = "ig:gadget/handler@0.1.0#init")]
extern "C" fn init() -> *const Answer {
    static STARTED: AtomicBool = AtomicBool::new(false);
    let mode = mode();
    let reason: &'static [u8] = if mode == "init-error" {
        b"no reason at all"
    } else {
        b""
    };
    stumbles_here(if mode == "init-panic" {
        "at the start"
    } else {
        ""
    });
    // Called once an instance, as the contract says.
    stumbles_here(if STARTED.swap(true, Ordering::Relaxed) {
        "started twice"
    } else {
        ""
    });
    match mode.as_str() {
        "init-origin" => drop(emit(0, 1, &[0], &[])),
        "timers" => (0..1_000_000).for_each(|_| drop(timer())),
        "tick-panic" | "tick-loop" => drop(timer()),
        "tick-slow" => (0..64).for_each(|_| drop(timer())),
        _ => {}
    }
    // SAFETY: one thread, and no reference is kept.
    unsafe { MODE = mode };
    let answer = Answer {
        failed: u8::from(!reason.is_empty()),
        reason: List::of(reason),
    };
    alloc::boxed::Box::leak(alloc::boxed::Box::new(answer))
}

#[unsafe(export_name = "ig:gadget/handler@0.1.0#process")]
extern "C" fn process(source: u32, start: *mut u8, length: usize) -> *const Verdict {
    static mut LAST: Verdict = Verdict {
        accepted: 0,
        dropped: 0,
        malformed: 0,
    };
    stumbles_here(if source == 0 {
        ""
    } else {
        "there is one source"
    });
    // SAFETY: the host made this list with our own `cabi_realloc`; one thread, and nobody else
    // refers to either static meanwhile.
    unsafe {
        let span = Vec::from_raw_parts(start, length, length);
        let mode = &*(&raw const MODE);
        LAST = serve(mode, &span);
        &raw const LAST
    }
}

#[unsafe(export_name = "ig:gadget/handler@0.1.0#stop")]
extern "C" fn stop() {
    at_the_wrong_time("stop-panic", "stop-loop");
}

#[unsafe(export_name = "ig:gadget/ticker@0.1.0#tick")]
extern "C" fn tick(_timer: u32, _due: u32) {
    at_the_wrong_time("tick-panic", "tick-loop");
    // SAFETY: one thread, and nobody else refers to it meanwhile.
    if unsafe { &*(&raw const MODE) } == "tick-slow" {
        (0..2_000).for_each(|_| dawdle());
        let (offsets, text) = notes(1);
        let buffers = [List::of::<u8>(&[]), List::of(&offsets), List::of(&text)];
        let note = Column {
            index: NOTE,
            buffers: List::of(&buffers),
        };
        emit(0, 1, &[], &[note]);
    }
}

/// Panics or loops if that is the mode.
fn at_the_wrong_time(panics: &str, loops: &str) {
    // SAFETY: one thread, and nobody else refers to it meanwhile.
    let mode = unsafe { &*(&raw const MODE) };
    stumbles_here(if mode == panics { panics } else { "" });
    while mode == loops {
        black_box(0);
    }
}

/// The canonical ABI's `realloc`, over the global allocator.
///
/// # Safety
///
/// As the canonical ABI calls it: `old` came from here with the same size and alignment, or is null.
#[unsafe(export_name = "cabi_realloc")]
unsafe extern "C" fn cabi_realloc(
    old: *mut u8,
    old_size: usize,
    align: usize,
    size: usize,
) -> *mut u8 {
    use alloc::alloc::{Layout, alloc, realloc};
    if size == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: the host's sizes and alignments are sound, and `size` is not 0.
    unsafe {
        if old_size == 0 {
            alloc(Layout::from_size_align_unchecked(size, align))
        } else {
            realloc(
                old,
                Layout::from_size_align_unchecked(old_size, align),
                size,
            )
        }
    }
}
