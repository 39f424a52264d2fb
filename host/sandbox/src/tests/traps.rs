//! Calls that end badly: each in one trap, and the host goes on.

use std::time::Duration;

use super::*;
use crate::deadline::thread_cpu;

const LOG: &str = r#"(import "ig:gadget/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
const EMIT: &str = r#"(import "ig:gadget/tables@0.1.0" "emit"
    (func $emit (param i32 i32 i32 i32 i32 i32 i32)))"#;

fn quick() -> Limits {
    Limits {
        cpu_per_call: Duration::from_millis(30),
        cpu_to_start_or_stop: Duration::from_millis(60),
        ..Limits::default()
    }
}

#[test]
fn an_endless_loop_is_cut_after_its_cpu_time() {
    let wat = Wat {
        process: "(loop $l (br $l)) (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start_with(Recorder::default(), quick()).unwrap();
    let from = thread_cpu().unwrap();
    let trap = guest.process(0, &[]).unwrap_err();
    assert!(thread_cpu().unwrap() - from >= Duration::from_millis(30));
    assert_eq!(trap.kind, TrapKind::Deadline);
    assert!(trap.is_deadline());
    assert_eq!(
        trap.message,
        "process: used up its 30 ms of CPU time in process"
    );
    assert_eq!(trap.backtrace, ["process"]);
}

#[test]
fn init_and_the_start_function_have_a_deadline_too() {
    let wat = Wat {
        init: "(loop $l (br $l)) (i32.const 16)",
        ..Wat::default()
    };
    let trap = wat
        .start_with(Recorder::default(), quick())
        .unwrap()
        .init()
        .unwrap_err();
    assert_eq!(trap.message, "init: used up its 60 ms of CPU time in init");

    let wat = Wat {
        fields: "(func $begin (loop $l (br $l))) (start $begin)",
        ..Wat::default()
    };
    let Err(StartError::Trap(trap)) = wat.start_with(Recorder::default(), quick()) else {
        panic!("started");
    };
    assert_eq!(
        trap.message,
        "instantiate: used up its 60 ms of CPU time in begin"
    );
}

#[test]
fn time_that_the_thread_did_not_run_costs_nothing() {
    // The host sleeps five deadlines long; meanwhile the watcher moves the epoch at every round.
    let wat = Wat {
        uses: &["clock"],
        imports: r#"(import "ig:gadget/clock@0.1.0" "boot" (func $boot (result i64)))"#,
        fields: "(global $n (mut i32) (i32.const 0))",
        process: "(drop (call $boot))
            (global.set $n (i32.const 1000))
            (loop $l (global.set $n (i32.sub (global.get $n) (i32.const 1)))
                (br_if $l (global.get $n)))
            (i32.const 32)",
        ..Wat::default()
    };
    let host = Recorder {
        on_clock: Some(Box::new(|| std::thread::sleep(Duration::from_millis(150)))),
        ..Recorder::default()
    };
    let mut guest = wat.start_with(host, quick()).unwrap();
    for _ in 0..3 {
        guest.process(0, &[]).unwrap();
    }
}

#[test]
fn an_idle_watcher_sleeps_and_still_finds_the_next_loop() {
    let wat = Wat {
        process: "(if (local.get $source) (then (loop $l (br $l)))) (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start_with(Recorder::default(), quick()).unwrap();
    for _ in 0..3 {
        guest.process(0, &[]).unwrap();
        guest.wait_until_the_watcher_parks();
        assert_eq!(guest.process(1, &[]).unwrap_err().kind, TrapKind::Deadline);
        guest.restart().unwrap();
    }
}

#[test]
fn memory_without_end_is_refused() {
    let wat = Wat {
        fields: "(func $take_all (loop $l (drop (memory.grow (i32.const 16))) (br $l)))",
        process: "(call $take_all) (i32.const 32)",
        ..Wat::default()
    };
    let limits = Limits {
        memory: 3 << 20,
        ..Limits::default()
    };
    let mut guest = wat.start_with(Recorder::default(), limits).unwrap();
    let trap = guest.process(0, &[]).unwrap_err();
    assert_eq!(trap.kind, TrapKind::Memory);
    assert_eq!(
        trap.message,
        "process: wanted 3407872 bytes of memory, its cap is 3145728 in take_all"
    );
    assert_eq!(guest.memory(), (2 << 20) + 4 * 65_536);
}

#[test]
fn memory_is_counted_over_all_memories_and_from_the_start() {
    let wat = Wat {
        fields: "(memory 8)",
        ..Wat::default()
    };
    let limits = |memory| Limits {
        memory,
        ..Limits::default()
    };
    assert!(
        wat.start_with(Recorder::default(), limits(12 * 65_536))
            .is_ok()
    );
    let Err(StartError::Trap(trap)) = wat.start_with(Recorder::default(), limits(12 * 65_536 - 1))
    else {
        panic!("started");
    };
    assert_eq!(trap.kind, TrapKind::Memory);
}

#[test]
fn the_guests_own_maximum_is_not_ours() {
    // growing beyond it gives -1, as the guest expects
    let wat = Wat {
        fields: "(memory $small 1 2)",
        process: "(i32.store (i32.const 32) (memory.grow $small (i32.const 2))) (i32.const 32)",
        ..Wat::default()
    };
    assert_eq!(wat.start().process(0, &[]).unwrap().accepted, u32::MAX);
}

#[test]
fn tables_are_capped() {
    let wat = Wat {
        fields: "(table $t 1 funcref)",
        process: "(drop (table.grow $t (ref.null func) (i32.const 300000))) (i32.const 32)",
        ..Wat::default()
    };
    let trap = wat.trap();
    assert_eq!(trap.kind, TrapKind::Memory);
    assert!(trap.message.contains("table elements"), "{}", trap.message);
}

#[test]
fn host_calls_without_end_are_cut() {
    let wat = Wat {
        imports: LOG,
        process: "(loop $l (call $log (i32.const 3) (i32.const 0) (i32.const 0)) (br $l))
            (i32.const 32)",
        ..Wat::default()
    };
    let limits = Limits {
        host_calls: 100,
        ..Limits::default()
    };
    let mut guest = wat.start_with(Recorder::default(), limits).unwrap();
    let trap = guest.process(0, &[]).unwrap_err();
    assert_eq!(trap.kind, TrapKind::HostCalls);
    assert_eq!(
        trap.message,
        "process: called the host more than 100 times in one call in process"
    );
    assert_eq!(guest.host().logged.len(), 100);
}

#[test]
fn the_budget_of_host_calls_is_per_call() {
    let wat = Wat {
        imports: LOG,
        process: "(call $log (i32.const 3) (i32.const 0) (i32.const 0)) (i32.const 32)",
        ..Wat::default()
    };
    let limits = Limits {
        host_calls: 1,
        ..Limits::default()
    };
    let mut guest = wat.start_with(Recorder::default(), limits).unwrap();
    for _ in 0..5 {
        guest.process(0, &[]).unwrap();
    }
}

#[test]
fn recursion_without_end_is_cut() {
    let wat = Wat {
        fields: "(func $deep (param i64) (result i64)
            (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))",
        process: "(drop (call $deep (i64.const 0))) (i32.const 32)",
        ..Wat::default()
    };
    let trap = wat.trap();
    assert_eq!(trap.kind, TrapKind::Stack);
    assert_eq!(trap.message, "process: used up its stack in deep");
    assert_eq!(trap.backtrace.len(), 32);
}

#[test]
fn a_panic_names_the_authors_function() {
    let wat = Wat {
        fields: r#"
            (func $_ZN4core9panicking9panic_fmt17h0123456789abcdefE unreachable)
            (func $_ZN10trace_exec9arguments17hfedcba9876543210E
                (call $_ZN4core9panicking9panic_fmt17h0123456789abcdefE))"#,
        process: "(call $_ZN10trace_exec9arguments17hfedcba9876543210E) (i32.const 32)",
        ..Wat::default()
    };
    let trap = wat.trap();
    assert_eq!(trap.kind, TrapKind::Panic);
    assert_eq!(
        trap.message,
        "process: panicked (unreachable) in trace_exec::arguments"
    );
    assert_eq!(
        trap.backtrace,
        [
            "core::panicking::panic_fmt",
            "trace_exec::arguments",
            "process"
        ]
    );
}

#[test]
fn the_machines_own_rules_are_faults() {
    for (process, what) in [
        ("(i32.load (i32.const -4))", "out of bounds memory access"),
        (
            "(i32.div_s (i32.const 1) (local.get $len))",
            "integer divide by zero",
        ),
        (
            "(call_indirect $t (result i32) (i32.const 0))",
            "uninitialized element",
        ),
    ] {
        let wat = Wat {
            fields: "(table $t 1 funcref)",
            process,
            ..Wat::default()
        };
        let trap = wat.trap();
        assert_eq!(trap.kind, TrapKind::Fault, "{process}");
        assert_eq!(trap.message, format!("process: {what} in process"));
    }
}

#[test]
fn bad_text_and_pointers_out_of_memory_are_bad_data() {
    let fields = format!(
        "(data (i32.const 1024) {}) (data (i32.const 2048) {}) (data (i32.const 3072) {})",
        bytes(b"ab\xff"),
        words(&[0, 3072, 1]),
        words(&[0x7fff_0000, 0x7fff_0000]),
    );
    let imports = format!("{LOG} {EMIT}");
    let emit = |origin: &str, columns: &str| {
        format!("(call $emit (i32.const 0) (i32.const 0) {origin} {columns} (i32.const 128))")
    };
    let none = "(i32.const 0) (i32.const 0)";
    for (call, what) in [
        (
            "(call $log (i32.const 0) (i32.const 1024) (i32.const 3))".to_owned(),
            "not UTF-8",
        ),
        (
            "(call $log (i32.const 0) (i32.const 1024) (i32.const -1))".to_owned(),
            "out of bounds",
        ),
        (
            emit("(i32.const 262140) (i32.const 2)", none),
            "out of bounds",
        ),
        (emit("(i32.const 1026) (i32.const 2)", none), "not aligned"),
        (emit("(i32.const 0) (i32.const -1)", none), "out of bounds"),
        (
            emit(none, "(i32.const 262140) (i32.const 1)"),
            "out of bounds",
        ),
        // the column is fine, its list of buffers is fine, the buffer is not
        (
            emit(none, "(i32.const 2048) (i32.const 1)"),
            "out of bounds",
        ),
    ] {
        let process = format!("{call} (i32.const 32)");
        let wat = Wat {
            imports: &imports,
            fields: &fields,
            process: &process,
            ..Wat::default()
        };
        let mut guest = wat.start();
        let trap = guest.process(0, &[]).unwrap_err();
        assert_eq!(trap.kind, TrapKind::BadData, "{call}: {trap}");
        assert!(trap.message.contains(what), "{call}: {trap}");
        assert_eq!(
            (guest.host().emitted.len(), guest.host().logged.len()),
            (0, 0)
        );
    }
}

#[test]
fn verdicts_and_results_out_of_memory_are_bad_data() {
    for process in ["(i32.const 262140)", "(i32.const -4)", "(i32.const 33)"] {
        let wat = Wat {
            process,
            ..Wat::default()
        };
        assert_eq!(wat.trap().kind, TrapKind::BadData, "{process}");
    }
    let wat = Wat {
        init: "(i32.const -4)",
        ..Wat::default()
    };
    assert_eq!(wat.start().init().unwrap_err().kind, TrapKind::BadData);
}

#[test]
fn views_that_alias_are_counted() {
    // 5,000 columns of a table that lie over each other, then few columns with very many buffers
    let columns = words(&[0, 4096, 20_000].repeat(4));
    let fields = format!("(data (i32.const 2048) {columns})");
    for (count, what) in [(5000, "5000 columns"), (4, "80000 buffers")] {
        let process = format!(
            "(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 2048) (i32.const {count}) (i32.const 128)) (i32.const 32)"
        );
        let wat = Wat {
            imports: EMIT,
            fields: &fields,
            process: &process,
            ..Wat::default()
        };
        let trap = wat.trap();
        assert_eq!(trap.kind, TrapKind::Broken);
        assert!(trap.message.contains(what), "{trap}");
    }
}

#[test]
fn one_call_hands_over_no_more_than_its_fuel() {
    let process = "(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 10000)
        (i32.const 0) (i32.const 0) (i32.const 128)) (i32.const 32)";
    let wat = Wat {
        imports: EMIT,
        process,
        ..Wat::default()
    };
    let limits = |hostcall_fuel| Limits {
        hostcall_fuel,
        ..Limits::default()
    };
    assert!(
        wat.start_with(Recorder::default(), limits(40_000))
            .unwrap()
            .process(0, &[])
            .is_ok()
    );
    let trap = wat
        .start_with(Recorder::default(), limits(39_999))
        .unwrap()
        .process(0, &[])
        .unwrap_err();
    assert_eq!(trap.kind, TrapKind::BadData);
    assert!(trap.message.contains("exhausted"), "{trap}");
}

#[test]
fn what_the_host_calls_broken_traps_with_its_words() {
    let process = "(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 128)) (i32.const 32)";
    let wat = Wat {
        imports: EMIT,
        process,
        ..Wat::default()
    };
    let host = Recorder {
        emit_error: Some(EmitError::Broken("table 0, column 1: offsets fall".into())),
        ..Recorder::default()
    };
    let mut guest = wat.start_with(host, Limits::default()).unwrap();
    let trap = guest.process(0, &[]).unwrap_err();
    assert_eq!(trap.kind, TrapKind::Broken);
    assert_eq!(
        trap.message,
        "process: table 0, column 1: offsets fall in process"
    );
}

#[test]
fn the_host_is_not_called_from_realloc() {
    let wat = Wat {
        imports: LOG,
        realloc: "(call $log (i32.const 0) (i32.const 0) (i32.const 0))",
        ..Wat::default()
    };
    let mut guest = wat.start();
    let trap = guest.process(0, b"x").unwrap_err();
    assert_eq!(trap.kind, TrapKind::BadData);
    assert!(trap.message.contains("cabi_realloc"), "{trap}");
    assert!(guest.host().logged.is_empty());
}

#[test]
fn a_realloc_that_lies_is_bad_data() {
    for realloc in ["(return (i32.const -16))", "(return (i32.const 262143))"] {
        let wat = Wat {
            realloc,
            ..Wat::default()
        };
        assert_eq!(
            wat.start().process(0, b"xx").unwrap_err().kind,
            TrapKind::BadData
        );
    }
}

#[test]
fn a_trapped_guest_is_dead_until_it_is_made_anew() {
    let wat = Wat {
        imports: LOG,
        fields: "(global $calls (mut i32) (i32.const 0))",
        process: "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (call $log (i32.const 2) (i32.const 0) (i32.const 0))
            (if (i32.eq (local.get $source) (i32.const 7)) (then unreachable))
            (i32.store (i32.const 32) (global.get $calls)) (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start();
    assert_eq!(guest.process(0, &[]).unwrap().accepted, 1);
    assert_eq!(guest.process(0, &[]).unwrap().accepted, 2);
    assert_eq!(guest.process(7, &[]).unwrap_err().kind, TrapKind::Panic);
    assert!(!guest.is_alive());
    for trap in [
        guest.process(0, &[]).unwrap_err(),
        guest.init().unwrap_err(),
        guest.stop().unwrap_err(),
        guest.tick(0, 1).unwrap_err(),
    ] {
        assert_eq!(trap.kind, TrapKind::Dead);
    }
    guest.restart().unwrap();
    assert!(guest.is_alive());
    // new state, same host
    assert_eq!(guest.process(0, &[]).unwrap().accepted, 1);
    assert_eq!(guest.into_host().logged.len(), 4);
}

#[test]
fn a_restart_that_traps_keeps_the_host() {
    // the start function traps the second time: only the host remembers
    let wat = Wat {
        uses: &["clock"],
        imports: r#"(import "ig:gadget/clock@0.1.0" "boot" (func $boot (result i64)))"#,
        init: "(if (i64.gt_u (call $boot) (i64.const 1000000002)) (then unreachable)) (i32.const 16)",
        process: "unreachable",
        ..Wat::default()
    };
    let mut guest = wat.start();
    for turn in 1..=2 {
        guest.init().unwrap().unwrap();
        assert_eq!(guest.host().clock_reads, turn);
        guest.process(0, &[]).unwrap_err();
        guest.restart().unwrap();
    }
    assert_eq!(guest.init().unwrap_err().kind, TrapKind::Panic);
    assert_eq!(guest.host().clock_reads, 3);
}

#[test]
fn one_guests_trap_leaves_the_others_alone() {
    let sandbox = sandbox();
    let good = sandbox.load(&Wat::default().component()).unwrap();
    let bad = Wat {
        process: "(loop $l (br $l)) (i32.const 32)",
        ..Wat::default()
    };
    let bad = sandbox.load(&bad.component()).unwrap();
    let mut bad = bad
        .instantiate(Recorder::default(), quick(), Grants::ALL)
        .unwrap();
    let endless = std::thread::spawn(move || bad.process(0, &[]).unwrap_err().kind);
    // the same epochs reach this guest, which is well within its time in every call
    let mut good = good
        .instantiate(Recorder::default(), quick(), Grants::ALL)
        .unwrap();
    while !endless.is_finished() {
        good.process(0, b"span").unwrap();
    }
    assert_eq!(endless.join().unwrap(), TrapKind::Deadline);
}
