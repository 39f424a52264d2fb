//! What one guest may use.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::trap::Fault;

/// What one guest may use. Time and budgets are per call, memory is for the instance's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of the calling thread for one `process`, `tick`, `added` or `removed`. Wall time is not counted: a machine that is busy or
    /// suspended costs a guest nothing. A call is never cut sooner, and at most 0.6 times this span later, or 60 ms if
    /// that is less. Spans under a few milliseconds are not kept exactly.
    pub cpu_per_call: Duration,
    /// The same for `init`, for `stop`, and for making the instance, which may prepare or finish a lot.
    pub cpu_to_start_or_stop: Duration,
    /// Bytes of all linear memories together.
    pub memory: usize,
    /// Calls back into the host during one call.
    pub host_calls: u32,
    /// Bytes that one call into the host may hand over (wasmtime counts them; views that alias count again).
    pub hostcall_fuel: usize,
    /// Bytes of text that one call may log; what goes beyond is cut.
    pub log_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_per_call: Duration::from_millis(100),
            cpu_to_start_or_stop: Duration::from_secs(1),
            memory: 64 << 20,
            host_calls: 16_384,
            hostcall_fuel: 16 << 20,
            log_bytes: 16 << 10,
        }
    }
}

/// Elements of all tables together. Python's interpreter needs about 10,000.
const TABLE_ELEMENTS: usize = 200_000;
/// Core instances in one component: an interpreter with its shared libraries has about 30.
const INSTANCES: usize = 256;
const TABLES: usize = 64;
const MEMORIES: usize = 16;
/// Resource handles. The contract has no resources.
pub(crate) const HANDLES: usize = 64;

/// Counts what an instance takes and refuses what goes beyond.
///
/// wasmtime's own `StoreLimits` caps each memory alone; sixteen of them would be sixteen times the cap.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_limit: usize,
    memory: usize,
    table_elements: usize,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory,
            memory: 0,
            table_elements: 0,
        }
    }

    /// Bytes of linear memory that the instance holds.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Meter {
    /// A refusal is a trap and not a -1: most guests answer -1 with an abort that says nothing about memory.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false); // the guest's own limit, not ours
        }
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            return Err(Fault::Memory {
                wanted: total,
                limit: self.memory_limit,
            }
            .into());
        }
        self.memory = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let total = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS {
            return Err(Fault::Table {
                wanted: total,
                limit: TABLE_ELEMENTS,
            }
            .into());
        }
        self.table_elements = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}
