//! The configuration of the engine, as it came out and not as it was asked for.

use std::time::Duration;

use wasmtime::{Engine, OptLevel};

use crate::Limits;

#[test]
fn the_engine_is_what_the_threat_model_says() {
    let engine = Engine::new(&crate::engine::config()).unwrap();
    assert!(!engine.get_concurrency_support());
    assert!(engine.get_epoch_interruption());
    assert!(!engine.get_consume_fuel());
    assert!(!engine.get_shared_memory());
    assert!(!engine.get_guest_debug());
    assert!(!engine.get_debug_info());
    assert!(engine.get_pooling_config().is_none());
    assert_eq!(engine.get_max_wasm_stack(), 512 << 10);
    assert_eq!(engine.get_memory_reservation(), 4 << 30);
    assert_eq!(engine.get_memory_guard_size(), 32 << 20);
    assert!(!engine.get_memory_may_move());
    assert!(engine.get_guard_before_linear_memory());
    assert!(engine.get_memory_init_cow());
    assert_eq!(engine.get_cranelift_opt_level(), Some(OptLevel::Speed));
    assert_eq!(engine.get_cranelift_nan_canonicalization(), Some(true));
    assert_eq!(engine.get_cranelift_flags_enabled().count(), 0);
    assert_eq!(engine.get_wasm_backtrace_max_frames(), 32);
}

/// Everything that a guest may contain. A proposal that is not here is refused by the validator.
#[test]
fn the_features_are_these_and_no_others() {
    let engine = Engine::new(&crate::engine::config()).unwrap();
    let mut on: Vec<&str> = engine
        .get_wasm_features()
        .iter_names()
        .map(|(name, _)| name)
        .collect();
    on.sort_unstable();
    assert_eq!(
        on,
        [
            "BULK_MEMORY",
            "COMPONENT_MODEL",
            "EXTENDED_CONST",
            "FLOATS",
            "MULTI_MEMORY",
            "MULTI_VALUE",
            "MUTABLE_GLOBAL",
            "REFERENCE_TYPES",
            "SATURATING_FLOAT_TO_INT",
            "SIGN_EXTENSION",
            "SIMD",
        ]
    );
}

#[test]
fn the_default_limits_are_the_documented_ones() {
    assert_eq!(
        Limits::default(),
        Limits {
            cpu_per_call: Duration::from_millis(100),
            cpu_to_start_or_stop: Duration::from_secs(1),
            memory: 64 << 20,
            host_calls: 16_384,
            hostcall_fuel: 16 << 20,
            log_bytes: 16 << 10,
        }
    );
}
