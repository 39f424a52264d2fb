//! What only the kernel can count: records that found no room, and runs of programs that did not happen.

use std::os::fd::BorrowedFd;

use crate::map::{Map, MapError};
use crate::sys::bpf;

/// What the programs counted for one ring since they were loaded (`<map>_ledger`, filled by the headers' macros).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Records that programs wanted to write.
    pub attempted: u64,
    /// Of those, the ones for which no room could be reserved: the ring was full, its lock was held in an NMI, ...
    pub not_reserved: u64,
    /// Of those attempted, the ones beyond what one container may write in a second. Objects of older headers have none.
    pub excluded: u64,
}

/// Of the value in bytes: of older headers (up to 0.1.0) without, and with, what is excluded.
const SIZES: [usize; 2] = [16, 24];

/// Suffix of the map beside a ring that holds its [`Ledger`], one per CPU.
pub const LEDGER_SUFFIX: &str = "_ledger";

impl Ledger {
    /// Adds up what the CPUs counted.
    pub(crate) fn read(map: &Map) -> Result<Self, MapError> {
        let stride = map.value_size_per_cpu();
        if map.key_size() != 4 || !SIZES.contains(&stride) {
            return Err(MapError::Length {
                map: map.name().to_owned(),
                what: "value (a ledger is two or three 64-bit numbers)",
                given: 24,
                wanted: map.value_size_per_cpu(),
            });
        }
        let values = map.lookup(&0u32.to_ne_bytes())?.unwrap_or_default();
        let mut sum = Self::default();
        for cpu in values.chunks_exact(stride) {
            if let (Some(attempted), Some(not_reserved)) = (word(cpu, 0), word(cpu, 8)) {
                sum.attempted = sum.attempted.wrapping_add(attempted);
                sum.not_reserved = sum.not_reserved.wrapping_add(not_reserved);
                sum.excluded = sum.excluded.wrapping_add(word(cpu, 16).unwrap_or(0));
            }
        }
        Ok(sum)
    }
}

/// The map of `gadget/count.h`.
pub(crate) const UNCOUNTED_MAP: &str = "gadget_uncounted";

/// Adds up what the CPUs did not count.
pub(crate) fn uncounted(map: &Map) -> Result<u64, MapError> {
    let stride = map.value_size_per_cpu();
    if map.key_size() != 4 || stride != 8 {
        return Err(MapError::Length {
            map: map.name().to_owned(),
            what: "value (a counter is one 64-bit number)",
            given: 8,
            wanted: stride,
        });
    }
    let values = map.lookup(&0u32.to_ne_bytes())?.unwrap_or_default();
    let counts = values.chunks_exact(stride).filter_map(|cpu| word(cpu, 0));
    Ok(counts.fold(0, u64::wrapping_add))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

/// What the kernel knows of one loaded program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramStats {
    /// As the object names it.
    pub program: String,
    /// The kernel's number for it.
    pub id: u32,
    /// Runs that did not happen because the program was running on that CPU already (since 5.12; else zero).
    pub recursion_misses: u64,
    /// Runs and the time they took, in nanoseconds: zero unless `kernel.bpf_stats_enabled` is on.
    pub run_count: u64,
    /// See `run_count`.
    pub run_time_ns: u64,
}

impl ProgramStats {
    pub(crate) fn read(program: &str, fd: BorrowedFd<'_>) -> std::io::Result<Self> {
        let info = bpf::program_info(fd)?;
        Ok(Self {
            program: program.to_owned(),
            id: info.id,
            recursion_misses: info.recursion_misses,
            run_count: info.run_count,
            run_time_ns: info.run_time_ns,
        })
    }
}
