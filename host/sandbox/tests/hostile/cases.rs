//! Guests that try to hurt while they run.

use std::time::Duration;

use ig_sandbox::{Limits, TrapKind};

use super::guests::{Wat, bytes, words};

/// In which call it happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum During {
    Instantiate,
    Init,
    Process,
    Tick,
    Added,
    Removed,
    Stop,
}

pub struct Case {
    /// As in docs/THREAT_MODEL.md.
    pub name: &'static str,
    pub component: Vec<u8>,
    pub during: During,
    /// What cuts it off.
    pub kind: TrapKind,
    /// In the one line.
    pub says: &'static str,
}

/// The program's, but that the suite takes seconds: less time to start and stop, and fewer calls of the host.
pub fn limits() -> Limits {
    Limits {
        cpu_to_start_or_stop: Duration::from_millis(200),
        host_calls: 1000,
        ..Limits::default()
    }
}

const LOG: &str = r#"(import "ig:gadget/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
const EMIT: &str = r#"(import "ig:gadget/tables@0.1.0" "emit"
    (func $emit (param i32 i32 i32 i32 i32 i32 i32)))"#;
const WANTED: &str = r#"(import "ig:gadget/tables@0.1.0" "wanted" (func $wanted (param i32 i32)))"#;
const FRAME: &str =
    r#"(import "ig:gadget/tables@0.1.0" "end-frame" (func $end_frame (param i32)))"#;
const EVERY: &str = r#"(import "ig:gadget/timers@0.1.0" "every" (func $every (param i64 i32)))"#;
const LOOKUP: &str =
    r#"(import "ig:gadget/maps@0.1.0" "lookup" (func $lookup (param i32 i32 i32 i32)))"#;
const UPDATE: &str = r#"(import "ig:gadget/maps@0.1.0" "update"
    (func $update (param i32 i32 i32 i32 i32 i32)))"#;
const READ_ALL: &str =
    r#"(import "ig:gadget/maps@0.1.0" "read-all" (func $read_all (param i32 i32)))"#;
const PARAM: &str = r#"(import "ig:gadget/params@0.1.0" "get" (func $get (param i32 i32)))"#;
const BOOT: &str = r#"(import "ig:gadget/clock@0.1.0" "boot" (func $boot (result i64)))"#;

const OF_RECORDS: &str = r#"(import "ig:gadget/containers@0.1.0" "of-records"
    (func $of_records (param i32 i32 i32)))"#;
const BY_CGROUP: &str = r#"(import "ig:gadget/containers@0.1.0" "by-cgroup"
    (func $by_cgroup (param i32 i32 i32)))"#;
const BY_MOUNT_NAMESPACE: &str = r#"(import "ig:gadget/containers@0.1.0" "by-mount-namespace"
    (func $by_mount_namespace (param i64 i64) (result i32)))"#;
const BY_ID: &str = r#"(import "ig:gadget/containers@0.1.0" "by-id"
    (func $by_id (param i32 i32) (result i32)))"#;
const FIELD: &str = r#"(import "ig:gadget/containers@0.1.0" "field"
    (func $field (param i32 i32 i32 i32 i32)))"#;

/// Every case, in the order of the table.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn all() -> Vec<Case> {
    use During::{Added, Init, Instantiate, Process, Removed, Stop, Tick};
    let mut cases = Vec::new();
    let mut add = |name, during, kind, says, wat: Wat<'_>| {
        cases.push(Case {
            name,
            component: wat.component(),
            during,
            kind,
            says,
        });
    };
    let process = |process| Wat {
        process,
        ..Wat::default()
    };
    let calling = |imports, process| Wat {
        imports,
        process,
        ..Wat::default()
    };

    // time
    let time = TrapKind::Deadline;
    let endless = "(loop $l (br $l)) (i32.const 32)";
    add(
        "loop-process",
        Process,
        time,
        "used up its 100 ms of CPU time",
        process(endless),
    );
    add(
        "loop-init",
        Init,
        time,
        "used up its 200 ms",
        Wat {
            init: endless,
            ..Wat::default()
        },
    );
    add(
        "loop-stop",
        Stop,
        time,
        "stop: used up its 200 ms",
        Wat {
            stop: "(loop $l (br $l))",
            ..Wat::default()
        },
    );
    add(
        "loop-tick",
        Tick,
        time,
        "tick: used up its 100 ms",
        Wat {
            uses: &["ticker"],
            fields: "(func $tick (param i32 i32) (loop $l (br $l)))",
            ..Wat::default()
        },
    );
    let watching = |fields| Wat {
        uses: &["container-watcher"],
        fields,
        ..Wat::default()
    };
    add(
        "loop-added",
        Added,
        time,
        "added: used up its 100 ms",
        watching("(func $added (param i32 i32) (loop $l (br $l))) (func $removed (param i32 i32))"),
    );
    add(
        "loop-removed",
        Removed,
        time,
        "removed: used up its 100 ms",
        watching("(func $added (param i32 i32)) (func $removed (param i32 i32) (loop $l (br $l)))"),
    );
    add(
        "loop-start",
        Instantiate,
        time,
        "instantiate: used up",
        Wat {
            fields: "(func $begin (loop $l (br $l))) (start $begin)",
            ..Wat::default()
        },
    );
    add(
        "loop-realloc",
        Process,
        time,
        "used up",
        Wat {
            realloc: "(loop $l (br $l))",
            ..Wat::default()
        },
    );
    // No loop and no call, so no place where a loop or a call would be checked.
    let fills = "(memory.fill (i32.const 0) (i32.const 0) (i32.const 62914560))".repeat(5000);
    let straight = format!("(drop (memory.grow (i32.const 956))) {fills} (i32.const 32)");
    add(
        "bulk-without-loop",
        Process,
        time,
        "used up",
        process(&straight),
    );
    // Two calls at each depth: 2^40 in all, at no depth at all.
    let tree: String = (1..40)
        .map(|n| format!("(func $f{n} (call $f{m}) (call $f{m}))", m = n - 1))
        .collect();
    let tree = format!("(func $f0) {tree}");
    add(
        "call-tree",
        Process,
        time,
        "used up",
        Wat {
            fields: &tree,
            process: "(call $f39) (i32.const 32)",
            ..Wat::default()
        },
    );

    // memory
    let memory = TrapKind::Memory;
    add(
        "memory-growth",
        Process,
        memory,
        "its cap is 67108864",
        Wat {
            fields: "(func $take_all (loop $l (drop (memory.grow (i32.const 16))) (br $l)))",
            process: "(call $take_all) (i32.const 32)",
            ..Wat::default()
        },
    );
    add(
        "memory-at-once",
        Process,
        memory,
        "its cap is 67108864",
        process("(drop (memory.grow (i32.const 65000))) (i32.const 32)"),
    );
    add(
        "memory-from-the-start",
        Instantiate,
        memory,
        "its cap is 67108864",
        Wat {
            fields: "(memory 65536)",
            ..Wat::default()
        },
    );
    let many = "(memory 128)".repeat(12);
    add(
        "memory-many-small",
        Instantiate,
        memory,
        "its cap is 67108864",
        Wat {
            fields: &many,
            ..Wat::default()
        },
    );
    add(
        "memory-realloc",
        Process,
        memory,
        "its cap is 67108864",
        Wat {
            realloc: "(drop (memory.grow (i32.const 2000)))",
            ..Wat::default()
        },
    );
    add(
        "table-growth",
        Process,
        memory,
        "table elements, its cap is 200000",
        Wat {
            fields: "(table $t 1 funcref)",
            process: "(loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l))
            (i32.const 32)",
            ..Wat::default()
        },
    );
    add(
        "table-from-the-start",
        Instantiate,
        memory,
        "table elements",
        Wat {
            fields: "(table 9000000 funcref)",
            ..Wat::default()
        },
    );

    // stack
    let stack = TrapKind::Stack;
    add(
        "stack-recursion",
        Process,
        stack,
        "used up its stack in deep",
        Wat {
            fields: "(func $deep (param i64) (result i64)
            (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))",
            process: "(drop (call $deep (i64.const 0))) (i32.const 32)",
            ..Wat::default()
        },
    );
    add(
        "stack-through-a-table",
        Process,
        stack,
        "used up its stack",
        Wat {
            fields: "(type $v (func)) (table $t 1 funcref) (elem (i32.const 0) $a)
            (func $a (type $v) (call_indirect $t (type $v) (i32.const 0)))",
            process: "(call $a) (i32.const 32)",
            ..Wat::default()
        },
    );
    add(
        "stack-start",
        Instantiate,
        stack,
        "used up its stack",
        Wat {
            fields: "(func $deep (call $deep)) (start $deep)",
            ..Wat::default()
        },
    );

    // floods of calls
    let calls = TrapKind::HostCalls;
    let most = "called the host more than 1000 times";
    add(
        "log-flood",
        Process,
        calls,
        most,
        calling(
            LOG,
            "(loop $l (call $log (i32.const 0) (i32.const 0) (i32.const 9)) (br $l)) (i32.const 32)",
        ),
    );
    add(
        "emit-flood",
        Process,
        calls,
        most,
        calling(
            EMIT,
            "(loop $l (call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 128)) (br $l)) (i32.const 32)",
        ),
    );
    add(
        "frame-flood",
        Process,
        calls,
        most,
        calling(
            FRAME,
            "(loop $l (call $end_frame (i32.const 0)) (br $l)) (i32.const 32)",
        ),
    );
    add("wanted-flood", Process, calls, most, calling(
        WANTED,
        "(loop $l (call $wanted (i32.const 0) (i32.const 128)) (global.set $next (i32.const 65536))
            (br $l)) (i32.const 32)",
    ));
    add(
        "timer-flood",
        Process,
        calls,
        most,
        Wat {
            uses: &["timers"],
            imports: EVERY,
            process: "(loop $l (call $every (i64.const 1) (i32.const 128))
            (global.set $next (i32.const 65536)) (br $l)) (i32.const 32)",
            ..Wat::default()
        },
    );
    add(
        "clock-flood",
        Process,
        calls,
        most,
        Wat {
            uses: &["clock"],
            imports: BOOT,
            process: "(loop $l (drop (call $boot)) (br $l)) (i32.const 32)",
            ..Wat::default()
        },
    );
    let asking = |imports, process| Wat {
        uses: &["containers"],
        imports,
        process,
        ..Wat::default()
    };
    add(
        "owner-flood",
        Process,
        calls,
        most,
        asking(
            BY_MOUNT_NAMESPACE,
            "(loop $l (drop (call $by_mount_namespace (i64.const 1) (i64.const -1))) (br $l))
            (i32.const 32)",
        ),
    );
    // What the host hands over fills the guest's own memory.
    add(
        "field-flood",
        Process,
        memory,
        "its cap is 67108864",
        Wat {
            fields: r#"(data (i32.const 64) "c")"#,
            ..asking(
                FIELD,
                "(loop $l (call $field (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 1)
                (i32.const 128)) (global.set $next (i32.add (global.get $next) (i32.const 1000000)))
                (br $l)) (i32.const 32)",
            )
        },
    );
    add(
        "param-flood",
        Process,
        memory,
        "its cap is 67108864",
        Wat {
            uses: &["params"],
            imports: PARAM,
            process: "(loop $l (call $get (i32.const 0) (i32.const 128))
            (global.set $next (i32.add (global.get $next) (i32.const 1000000))) (br $l))
            (i32.const 32)",
            ..Wat::default()
        },
    );
    add(
        "map-flood",
        Process,
        memory,
        "its cap is 67108864",
        Wat {
            uses: &["maps"],
            imports: READ_ALL,
            process: "(loop $l (call $read_all (i32.const 0) (i32.const 128))
            (global.set $next (i32.add (global.get $next) (i32.const 9000000))) (br $l)) (i32.const 32)",
            ..Wat::default()
        },
    );

    // sizes
    let data = TrapKind::BadData;
    let broken = TrapKind::Broken;
    add(
        "giant-text",
        Process,
        data,
        "exhausted",
        calling(
            LOG,
            "(drop (memory.grow (i32.const 900)))
            (call $log (i32.const 0) (i32.const 0) (i32.const 58982400)) (i32.const 32)",
        ),
    );
    let long_error = format!("(data (i32.const 16) {})", words(&[1, 0, 58_982_400]));
    add(
        "giant-error",
        Init,
        data,
        "exhausted",
        Wat {
            fields: &long_error,
            init: "(drop (memory.grow (i32.const 900))) (i32.const 16)",
            ..Wat::default()
        },
    );
    add(
        "giant-list",
        Process,
        data,
        "out of bounds",
        calling(
            EMIT,
            "(call $emit (i32.const 0) (i32.const 1) (i32.const 0) (i32.const -1)
            (i32.const 0) (i32.const 0) (i32.const 128)) (i32.const 32)",
        ),
    );
    add(
        "giant-origin",
        Process,
        data,
        "exhausted",
        calling(
            EMIT,
            "(drop (memory.grow (i32.const 900)))
            (call $emit (i32.const 0) (i32.const 14000000) (i32.const 0) (i32.const 14000000)
            (i32.const 0) (i32.const 0) (i32.const 128)) (i32.const 32)",
        ),
    );
    let columns = format!(
        "(data (i32.const 2048) {})",
        words(&[0, 4096, 20_000].repeat(4))
    );
    let emit_columns = |count| {
        format!(
            "(call $emit (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 2048) (i32.const {count}) (i32.const 128)) (i32.const 32)"
        )
    };
    for (name, count, says) in [
        ("list-of-lists", 5000, "5000 columns, at most 4096"),
        (
            "nested-lists-that-overlap",
            4,
            "80000 buffers, at most 65536",
        ),
    ] {
        add(
            name,
            Process,
            broken,
            says,
            Wat {
                imports: EMIT,
                fields: &columns,
                process: &emit_columns(count),
                ..Wat::default()
            },
        );
    }

    add(
        "giant-list-of-owners",
        Process,
        broken,
        "field: a list of 65537, at most 65536",
        asking(
            FIELD,
            "(drop (memory.grow (i32.const 100)))
            (call $field (i32.const 0) (i32.const 65537) (i32.const 64) (i32.const 1)
            (i32.const 128)) (i32.const 32)",
        ),
    );
    add(
        "giant-list-of-cgroups",
        Process,
        broken,
        "by-cgroup: a list of 500000, at most 65536",
        asking(
            BY_CGROUP,
            "(drop (memory.grow (i32.const 100)))
            (call $by_cgroup (i32.const 0) (i32.const 500000) (i32.const 128)) (i32.const 32)",
        ),
    );
    add(
        "giant-list-of-offsets",
        Process,
        data,
        "out of bounds",
        asking(
            OF_RECORDS,
            "(call $of_records (i32.const 0) (i32.const -1) (i32.const 128)) (i32.const 32)",
        ),
    );
    add(
        "giant-container-id",
        Process,
        data,
        "exhausted",
        asking(
            BY_ID,
            "(drop (memory.grow (i32.const 900)))
            (drop (call $by_id (i32.const 0) (i32.const 58982400))) (i32.const 32)",
        ),
    );

    // lies
    let offsets = format!("(data (i32.const 1024) {})", words(&[0, 4]));
    add(
        "record-that-is-none",
        Process,
        broken,
        "no record begins there",
        Wat {
            fields: &offsets,
            ..asking(
                OF_RECORDS,
                "(call $of_records (i32.const 1024) (i32.const 2) (i32.const 128)) (i32.const 32)",
            )
        },
    );
    add(
        "field-unknown",
        Process,
        TrapKind::Panic,
        "gives_up",
        Wat {
            // an error, which is its own to take or to die of
            fields: "(func $gives_up unreachable)",
            ..asking(
                FIELD,
                "(call $field (i32.const 0) (i32.const 1) (i32.const 64) (i32.const 2)
                (i32.const 128)) (if (i32.load8_u (i32.const 128)) (then (call $gives_up)))
                (i32.const 32)",
            )
        },
    );
    let name = format!("(data (i32.const 1024) {})", bytes(b"ab\xff"));
    add(
        "field-not-utf-8",
        Process,
        data,
        "not UTF-8",
        Wat {
            fields: &name,
            ..asking(
                FIELD,
                "(call $field (i32.const 0) (i32.const 1) (i32.const 1024) (i32.const 3)
                (i32.const 128)) (i32.const 32)",
            )
        },
    );
    for (name, process) in [
        ("verdict-out-of-memory", "(i32.const -4)"),
        ("verdict-not-aligned", "(i32.const 33)"),
    ] {
        add(name, Process, data, "", self::process_of(process));
    }
    let text = format!("(data (i32.const 1024) {})", bytes(b"ab\xff\xfe\x80"));
    add(
        "text-not-utf-8",
        Process,
        data,
        "not UTF-8",
        Wat {
            imports: LOG,
            fields: &text,
            process: "(call $log (i32.const 0) (i32.const 1024) (i32.const 5)) (i32.const 32)",
            ..Wat::default()
        },
    );
    let error = format!("{text} (data (i32.const 16) {})", words(&[1, 1024, 5]));
    add(
        "error-not-utf-8",
        Init,
        data,
        "not UTF-8",
        Wat {
            fields: &error,
            ..Wat::default()
        },
    );
    let controls = format!(
        "(data (i32.const 16) {}) (data (i32.const 1024) {})",
        words(&[7, 0, 0]),
        bytes(b"\x1b[2J")
    );
    add(
        "result-of-no-kind",
        Init,
        data,
        "",
        Wat {
            fields: &controls,
            ..Wat::default()
        },
    );
    add(
        "realloc-out-of-memory",
        Process,
        data,
        "",
        Wat {
            realloc: "(return (i32.const -16))",
            ..Wat::default()
        },
    );
    add(
        "map-unknown",
        Process,
        broken,
        "no grant of this index",
        Wat {
            uses: &["maps"],
            imports: LOOKUP,
            process: "(call $lookup (i32.const 65535) (i32.const 0) (i32.const 4) (i32.const 128))
            (i32.const 32)",
            ..Wat::default()
        },
    );
    add(
        "map-not-granted",
        Process,
        TrapKind::Panic,
        "gives_up",
        Wat {
            uses: &["maps"],
            imports: UPDATE,
            // told so by an error, which is its own to take or to die of
            fields: "(func $gives_up unreachable)",
            process: "(call $update (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 0)
            (i32.const 4) (i32.const 128))
            (if (i32.load8_u (i32.const 128)) (then (call $gives_up))) (i32.const 32)",
            ..Wat::default()
        },
    );

    // calls out of order
    for (name, during, uses, fields) in [
        (
            "records-in-tick",
            Tick,
            ["containers", "ticker"],
            "(func $tick (param i32 i32)
                (call $of_records (i32.const 0) (i32.const 1) (i32.const 128)))",
        ),
        (
            "records-in-added",
            Added,
            ["containers", "container-watcher"],
            "(func $added (param i32 i32)
                (call $of_records (i32.const 0) (i32.const 1) (i32.const 128)))
            (func $removed (param i32 i32))",
        ),
    ] {
        add(
            name,
            during,
            broken,
            "no records are being processed",
            Wat {
                uses: &uses,
                imports: OF_RECORDS,
                fields,
                ..Wat::default()
            },
        );
    }
    add(
        "host-from-realloc",
        Process,
        data,
        "called the host where it may not",
        Wat {
            imports: LOG,
            realloc: "(call $log (i32.const 0) (i32.const 0) (i32.const 0))",
            ..Wat::default()
        },
    );
    add(
        "host-from-post-return",
        Process,
        data,
        "called the host where it may not",
        Wat {
            imports: LOG,
            fields: r#"(func (export "cabi_post_ig:gadget/handler@0.1.0#process") (param i32)
            (call $log (i32.const 0) (i32.const 0) (i32.const 0)))"#,
            ..Wat::default()
        },
    );
    add(
        "loop-post-return",
        Process,
        time,
        "used up",
        Wat {
            fields: r#"(func (export "cabi_post_ig:gadget/handler@0.1.0#process") (param i32)
            (loop $l (br $l)))"#,
            ..Wat::default()
        },
    );
    add(
        "host-from-start",
        Instantiate,
        TrapKind::Fault,
        "begin",
        Wat {
            // imports are bound after it
            imports: EMIT,
            fields:
                "(func $begin (call $emit (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 128)) unreachable) (start $begin)",
            ..Wat::default()
        },
    );

    // traps
    let panic = TrapKind::Panic;
    add(
        "trap-init",
        Init,
        panic,
        "init: panicked",
        Wat {
            init: "unreachable",
            ..Wat::default()
        },
    );
    add(
        "trap-process",
        Process,
        panic,
        "process: panicked",
        process("unreachable"),
    );
    add(
        "trap-tick",
        Tick,
        panic,
        "tick: panicked",
        Wat {
            uses: &["ticker"],
            fields: "(func $tick (param i32 i32) unreachable)",
            ..Wat::default()
        },
    );
    add(
        "trap-added",
        Added,
        panic,
        "added: panicked",
        watching("(func $added (param i32 i32) unreachable) (func $removed (param i32 i32))"),
    );
    add(
        "trap-removed",
        Removed,
        panic,
        "removed: panicked",
        watching("(func $added (param i32 i32)) (func $removed (param i32 i32) unreachable)"),
    );
    add(
        "trap-stop",
        Stop,
        panic,
        "stop: panicked",
        Wat {
            stop: "unreachable",
            ..Wat::default()
        },
    );
    add(
        "trap-start",
        Instantiate,
        panic,
        "instantiate: panicked",
        Wat {
            fields: "(func $begin unreachable) (start $begin)",
            ..Wat::default()
        },
    );
    let name = format!("x\\1b[31m{}", "y".repeat(100_000));
    let named = format!("(func $\"{name}\" unreachable) (func $call (call $\"{name}\"))");
    add(
        "trap-in-a-giant-name",
        Process,
        panic,
        "process: panicked",
        Wat {
            fields: &named,
            process: "(call $call) (i32.const 32)",
            ..Wat::default()
        },
    );
    add(
        "fault",
        Process,
        TrapKind::Fault,
        "out of bounds memory access",
        process("(i32.load (i32.const -4))"),
    );
    cases
}

fn process_of(process: &str) -> Wat<'_> {
    Wat {
        process,
        ..Wat::default()
    }
}
