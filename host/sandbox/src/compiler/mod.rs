//! Machine code for components that nobody trusts yet.
//!
//! A component of some kilobytes can keep a compiler busy for hours or fill any memory, and the runtime's authors do
//! not count that as a fault. So compiling happens in a child: this program once more, with limits for time, memory and
//! output, without rights, and without system calls but those for memory, threads and its three open files. It gets
//! the component as a file without a name and answers with another.
//!
//! What the child answers is run, so it is trusted as far as the compiler is: confining it keeps its faults and its
//! hunger away from the host, not a wrong translation.

mod child;
mod confine;
mod parent;

#[cfg(test)]
mod tests;

use std::time::Duration;

use wasmtime::Engine;

use crate::program::LoadError;

pub use child::compile_child;

/// Who compiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// A confined child of this program, whose `main` begins with [`compile_child`].
    Child(CompileLimits),
    /// This process, without limits: for components that are trusted, as those of tests are.
    InProcess,
}

impl Default for Compiler {
    fn default() -> Self {
        Self::Child(CompileLimits::default())
    }
}

impl Compiler {
    /// What `Component::deserialize` of the same engine takes.
    pub(crate) fn compile(self, engine: &Engine, component: &[u8]) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::Child(limits) => parent::compile(component, &limits.of(component.len())),
            Self::InProcess => engine
                .precompile_component(component)
                .map_err(|e| LoadError::Invalid(one_line(&format!("{e:#}")))),
        }
    }
}

/// What compiling a component may take. The larger it is, the more.
///
/// An interpreter's component of 18 MiB takes 20 s of CPU time and 0.3 GiB of memory and gives 35 MB of code; a
/// gadget's own of 30 KiB takes a tenth of a second. The defaults are several times that, so that a slow machine is no
/// reason to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time of the child, in whole seconds, and as much again for each MiB of the component.
    pub cpu: Duration,
    /// Bytes that the child may write to, its heap, stacks and statics, and an eighth of it again for each MiB.
    pub memory: u64,
    /// Bytes of machine code, and six times the component's own.
    pub code: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(10),
            memory: 512 << 20,
            code: 16 << 20,
        }
    }
}

/// The limits for one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    /// The component's size in bytes, for messages.
    size: usize,
    cpu: Duration,
    memory: u64,
    code: u64,
}

impl CompileLimits {
    fn of(&self, size: usize) -> Bounds {
        let bytes = size as u64;
        let mib = bytes.div_ceil(1 << 20);
        let times = u32::try_from(mib).unwrap_or(u32::MAX).saturating_add(1);
        Bounds {
            size,
            cpu: self.cpu.saturating_mul(times),
            memory: self
                .memory
                .saturating_add((self.memory / 8).saturating_mul(mib)),
            code: self.code.saturating_add(bytes.saturating_mul(6)),
        }
    }
}

impl Bounds {
    /// How long to wait for the child: it may share its processor with others.
    fn wall(&self) -> Duration {
        self.cpu.saturating_mul(5)
    }
}

/// A compiler's words as one line of bounded length.
fn one_line(text: &str) -> String {
    crate::trap::one_line(text.trim())
}
