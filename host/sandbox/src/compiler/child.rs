//! The child's side: what it was started for, its answer, nothing else.

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::Engine;

use super::confine;

/// How the child is called: nobody types it, and process lists show it.
pub(super) const NAME: &str = "ig-compile-guest";

/// How the child ends, beside signals.
pub(super) mod answer {
    /// Standard output holds machine code.
    pub(in crate::compiler) const CODE: i32 = 0;
    /// Standard output says what is wrong with the component.
    pub(in crate::compiler) const INVALID: i32 = 10;
    /// There was not enough memory.
    pub(in crate::compiler) const MEMORY: i32 = 11;
    /// Standard output says why there was no compiling.
    pub(in crate::compiler) const UNABLE: i32 = 12;
    /// The machine code is larger than it may be.
    pub(in crate::compiler) const CODE_SIZE: i32 = 13;
}

/// Set once this program was seen to begin with [`compile_child`].
static HAS_ENTRY: AtomicBool = AtomicBool::new(false);

pub(super) fn program_has_entry() -> bool {
    HAS_ENTRY.load(Ordering::Relaxed)
}

/// The first thing in the `main` of a program that compiles guests: does the work and gives the exit code if
/// this process was started to compile, and nothing otherwise.
#[must_use = "a process that was started to compile must do nothing else"]
pub fn compile_child() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    if args.next().is_none_or(|name| name != NAME) {
        HAS_ENTRY.store(true, Ordering::Relaxed);
        return None;
    }
    let mut numbers = args.map_while(|arg| arg.to_str()?.parse::<u64>().ok());
    let (code, text) = match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(cpu), Some(memory), Some(code)) => serve(cpu, memory, code),
        _ => (answer::UNABLE, b"it was started by hand".to_vec()),
    };
    // The one limit that a file in memory has is its size.
    let code = if say(&text) { code } else { answer::CODE_SIZE };
    Some(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// Writes to standard output, past the buffer that text gets.
fn say(mut bytes: &[u8]) -> bool {
    let out = std::io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(&out, bytes) {
            Ok(n) if n > 0 => bytes = bytes.get(n..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            _ => return false,
        }
    }
    true
}

fn serve(cpu: u64, memory: u64, code: u64) -> (i32, Vec<u8>) {
    // What lists of processes show beside the arguments; only they would miss it.
    let _ = rustix::thread::set_name(c"ig-compile");
    let unable = |what: &str| (answer::UNABLE, what.as_bytes().to_vec());
    if let Err(e) = confine::limit(cpu, memory, code) {
        return unable(&format!("limits can't be set: {e}"));
    }
    // Before the door closes: it looks at the processor. Nothing of the component is read yet.
    let engine = match Engine::new(&crate::engine::config()) {
        Ok(engine) => engine,
        Err(e) => return unable(&format!("{e:#}")),
    };
    if let Err(e) = confine::close() {
        return unable(&format!("it can't be confined: {e}"));
    }
    let mut component = Vec::new();
    if let Err(e) = std::io::stdin().lock().read_to_end(&mut component) {
        return unable(&format!("the component can't be read: {e}"));
    }
    match engine.precompile_component(&component) {
        Ok(machine_code) if machine_code.len() as u64 > code => (answer::CODE_SIZE, Vec::new()),
        Ok(machine_code) => (answer::CODE, machine_code),
        Err(e) if e.root_cause().is::<wasmtime::error::OutOfMemory>() => {
            (answer::MEMORY, Vec::new())
        }
        Err(e) => (answer::INVALID, format!("{e:#}").into_bytes()),
    }
}
