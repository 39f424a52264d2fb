//! The engine's configuration. Every line is a decision about what a guest can reach; `tests::engine` asserts them.

use wasmtime::{Config, OptLevel, WasmBacktraceDetails, WasmFeatures};

/// Native stack that a guest may use. The thread that calls it needs this and what the host's own frames need.
pub(crate) const GUEST_STACK: usize = 512 << 10;

/// Address space reserved for each linear memory: all that 32 bits can address, so that no bounds check is compiled in
/// (1.2 to 1.8 times slower with them). It is reserved, not used.
pub(crate) const MEMORY_RESERVATION: u64 = 4 << 30;

/// Unmapped space after each memory, so that constant offsets need no check either.
pub(crate) const MEMORY_GUARD: u64 = 32 << 20;

/// Frames that a trap shows.
pub(crate) const BACKTRACE_FRAMES: usize = 32;

pub(crate) fn config() -> Config {
    let mut config = Config::new();

    // Components, called synchronously. Most of the runtime's advisories of 2026 lie in what is switched
    // off in these three blocks.
    config.wasm_component_model(true);
    config.concurrency_support(false);

    // Proposals that no guest language of ours needs. Some can't run in this build anyway; the validator
    // refuses them all.
    config.wasm_features(
        WasmFeatures::CM_ASYNC
            | WasmFeatures::THREADS
            | WasmFeatures::SHARED_EVERYTHING_THREADS
            | WasmFeatures::FUNCTION_REFERENCES
            | WasmFeatures::GC
            | WasmFeatures::EXCEPTIONS
            | WasmFeatures::LEGACY_EXCEPTIONS
            | WasmFeatures::STACK_SWITCHING
            | WasmFeatures::MEMORY64
            | WasmFeatures::TAIL_CALL
            | WasmFeatures::CUSTOM_PAGE_SIZES
            | WasmFeatures::WIDE_ARITHMETIC
            | WasmFeatures::RELAXED_SIMD, // and a replay would differ from machine to machine
        false,
    );
    config.gc_support(false);
    config.shared_memory(false);

    // A guest is stopped by an epoch check on every loop and call. Fuel costs the same and can't tell CPU time.
    config.epoch_interruption(true);
    config.consume_fuel(false);
    config.max_wasm_stack(GUEST_STACK);

    config.memory_reservation(MEMORY_RESERVATION);
    config.memory_guard_size(MEMORY_GUARD);
    config.memory_may_move(false);
    config.guard_before_linear_memory(true);
    config.memory_init_cow(true);

    config.cranelift_opt_level(OptLevel::Speed);
    // The same bytes in, the same bytes out, on every machine.
    config.cranelift_nan_canonicalization(true);

    // Names of functions for traps, from the name section; no DWARF, no addresses.
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES));
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config
}
