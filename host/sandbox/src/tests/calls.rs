//! Calls that end well: what goes in comes out, byte for byte.

use super::*;
use crate::Verdict;

const EMIT: &str = r#"(import "ig:gadget/tables@0.1.0" "emit"
    (func $emit (param i32 i32 i32 i32 i32 i32 i32)))"#;

/// Two columns in memory at 2048, their lists of buffers at 3072 and 3088, three buffers' bytes at 4096. The last buffer is
/// set by `process` to the span itself.
fn emitting() -> String {
    format!(
        r#"(data (i32.const 1024) {origin})
           (data (i32.const 2048) {columns})
           (data (i32.const 3072) {lists})
           (data (i32.const 4096) {bytes})"#,
        origin = words(&[0, 0x0102_0304]),
        // index (with rubbish in the padding), buffers: at, count
        columns = words(&[0xaaaa_0005, 3072, 2, 0xbbbb_ffff, 3088, 3]),
        lists = words(&[4096, 0, 4096, 5, 4101, 1, 4100, 2, 0, 0]),
        bytes = bytes(&[0, 1, 0xfe, 0xff, 7, 9]),
    )
}

const EMIT_SPAN: &str = r"
    (i32.store (i32.const 3104) (local.get $at))
    (i32.store (i32.const 3108) (local.get $len))
    (call $emit (i32.const 3) (i32.const 70000)
        (i32.const 1024) (i32.const 2) (i32.const 2048) (i32.const 2) (i32.const 128))";

#[test]
fn a_span_goes_in_and_columns_come_out_byte_for_byte() {
    let fields = emitting();
    let process = format!(
        "{EMIT_SPAN} (i32.store (i32.const 32) (i32.load8_u (i32.const 128)))
         (i32.store (i32.const 36) (local.get $source)) (i32.store (i32.const 40) (local.get $len))
         (i32.const 32)"
    );
    let wat = Wat {
        imports: EMIT,
        fields: &fields,
        process: &process,
        ..Wat::default()
    };
    let mut guest = wat.start();
    assert_eq!(guest.init(), Ok(Ok(())));

    let mut span = Vec::new();
    ig_records::span::push(&mut span, &[b"/usr/bin/\xff", &[0; 3]]).unwrap();
    for span in [&span[..], &[], &vec![0x5a; 65_536]] {
        let verdict = guest.process(65_535, span).unwrap();
        assert_eq!(
            verdict,
            Verdict {
                accepted: 0,
                dropped: 65_535,
                malformed: u32::try_from(span.len()).unwrap()
            }
        );
        assert_eq!(
            guest.host_mut().emitted.pop().unwrap(),
            Emitted {
                table: 3,
                rows: 70_000,
                origin: vec![0, 0, 0, 0, 4, 3, 2, 1],
                columns: vec![
                    (5, vec![vec![], vec![0, 1, 0xfe, 0xff, 7]]),
                    (65_535, vec![vec![9], vec![7, 9], span.to_vec()]),
                ],
            }
        );
    }
    guest.stop().unwrap();
    assert!(guest.is_alive());
}

#[test]
fn over_budget_is_an_error_that_the_guest_survives() {
    let fields = emitting();
    // accepted: the result's discriminant; dropped: the length of the text; malformed: its first byte
    let process = format!(
        "{EMIT_SPAN} (i32.store (i32.const 32) (i32.load8_u (i32.const 128)))
         (i32.store (i32.const 36) (i32.load (i32.const 136)))
         (i32.store (i32.const 40) (i32.load8_u (i32.load (i32.const 132)))) (i32.const 32)"
    );
    let wat = Wat {
        imports: EMIT,
        fields: &fields,
        process: &process,
        ..Wat::default()
    };
    let mut guest = wat.start();
    guest.host_mut().emit_error = Some(EmitError::OverBudget("8 MiB".into()));
    let verdict = guest.process(0, b"x").unwrap();
    assert_eq!(
        verdict,
        Verdict {
            accepted: 1,
            dropped: 5,
            malformed: u32::from(b'8')
        }
    );
    guest.host_mut().emit_error = None;
    assert_eq!(guest.process(0, b"x").unwrap().accepted, 0);
    assert_eq!(guest.host().emitted.len(), 1);
}

#[test]
fn init_hands_the_guests_own_error_over() {
    let fields = format!(
        "(data (i32.const 256) {}) (data (i32.const 512) \"no such file\")",
        words(&[1, 512, 12])
    );
    let wat = Wat {
        fields: &fields,
        init: "i32.const 256",
        ..Wat::default()
    };
    let mut guest = wat.start();
    assert_eq!(guest.init(), Ok(Err("no such file".to_owned())));
    assert!(guest.is_alive());
}

/// Logs the bytes of a list or string whose address and length lie at `at`.
const LOG: &str = r#"
    (import "ig:gadget/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;

#[test]
fn params_arrive_as_text_and_wrong_ones_trap() {
    let imports =
        format!(r#"{LOG} (import "ig:gadget/params@0.1.0" "get" (func $get (param i32 i32)))"#);
    let wat = Wat {
        uses: &["params"],
        imports: &imports,
        process: "(call $get (local.get $source) (i32.const 128))
            (call $log (i32.const 3) (i32.load (i32.const 128)) (i32.load (i32.const 132)))
            (i32.const 32)",
        ..Wat::default()
    };
    let host = Recorder {
        params: vec!["true".into(), "größe".into()],
        ..Recorder::default()
    };
    let mut guest = wat.start_with(host, Limits::default()).unwrap();
    guest.process(1, &[]).unwrap();
    guest.process(0, &[]).unwrap();
    assert_eq!(
        guest.host().logged,
        [
            (Level::Debug, "größe".to_owned()),
            (Level::Debug, "true".to_owned())
        ]
    );
    let trap = guest.process(2, &[]).unwrap_err();
    assert_eq!(
        (trap.kind, trap.message.contains("no parameter 2")),
        (TrapKind::Broken, true)
    );
}

#[test]
fn every_level_has_its_number_and_others_trap() {
    let wat = Wat {
        imports: LOG,
        process: "(call $log (local.get $source) (i32.const 0) (i32.const 0)) (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start();
    for level in 0..4 {
        guest.process(level, &[]).unwrap();
    }
    let levels: Vec<Level> = guest
        .host()
        .logged
        .iter()
        .map(|(level, _)| *level)
        .collect();
    assert_eq!(
        levels,
        [Level::Error, Level::Warn, Level::Info, Level::Debug]
    );
    assert_eq!(guest.process(4, &[]).unwrap_err().kind, TrapKind::BadData);
}

#[test]
fn a_call_sees_one_instant() {
    let imports = format!(
        r#"{EMIT} (import "ig:gadget/clock@0.1.0" "boot" (func $boot (result i64)))
           (import "ig:gadget/clock@0.1.0" "wall" (func $wall (result i64)))"#
    );
    // one column of one buffer: the 32 bytes at 4096
    let fields = format!(
        "(data (i32.const 2048) {}) (data (i32.const 3072) {})",
        words(&[0, 3072, 1]),
        words(&[4096, 32])
    );
    let wat = Wat {
        uses: &["clock"],
        imports: &imports,
        fields: &fields,
        process:
            "(i64.store (i32.const 4096) (call $boot)) (i64.store (i32.const 4104) (call $wall))
            (i64.store (i32.const 4112) (call $boot)) (i64.store (i32.const 4120) (call $wall))
            (call $emit (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)
                (i32.const 2048) (i32.const 1) (i32.const 128)) (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start();
    for call in 0..2u64 {
        guest.process(0, &[]).unwrap();
        let got = guest
            .host_mut()
            .emitted
            .pop()
            .unwrap()
            .columns
            .remove(0)
            .1
            .remove(0);
        let got: Vec<u64> = got
            .chunks(8)
            .map(|c| u64::from_le_bytes(c.try_into().unwrap()))
            .collect();
        let boot = 1_000_000_001 + 2 * call;
        let wall = boot + 1 + 1_700_000_000_000_000_000;
        assert_eq!(got, [boot, wall, boot, wall]);
    }
    assert_eq!(guest.host().clock_reads, 4);
}

#[test]
fn maps_are_asked_with_the_guests_bytes_and_answer_with_theirs() {
    let imports = format!(
        r#"{LOG}
        (import "ig:gadget/maps@0.1.0" "lookup" (func $lookup (param i32 i32 i32 i32)))
        (import "ig:gadget/maps@0.1.0" "update" (func $update (param i32 i32 i32 i32 i32 i32)))
        (import "ig:gadget/maps@0.1.0" "delete" (func $delete (param i32 i32 i32 i32)))
        (import "ig:gadget/maps@0.1.0" "read-all" (func $all (param i32 i32)))"#
    );
    // `source` is the grant; the key is the span. Logs the value found, or the error, of lookup and read-all; the
    // verdict holds: lookup's discriminant, its option's, and what delete said.
    let wat = Wat {
        uses: &["maps"],
        imports: &imports,
        process: "
            (call $lookup (local.get $source) (local.get $at) (local.get $len) (i32.const 128))
            (i32.store (i32.const 32) (i32.load8_u (i32.const 128)))
            (if (i32.load8_u (i32.const 128))
              (then (call $log (i32.const 0) (i32.load (i32.const 132)) (i32.load (i32.const 136))))
              (else (i32.store (i32.const 36) (i32.load8_u (i32.const 132)))
                (if (i32.load8_u (i32.const 132)) (then
                  (call $log (i32.const 2) (i32.load (i32.const 136)) (i32.load (i32.const 140)))))))
            (call $update (local.get $source) (local.get $at) (local.get $len)
                (local.get $at) (i32.const 2) (i32.const 128))
            (call $delete (local.get $source) (local.get $at) (local.get $len) (i32.const 128))
            (i32.store (i32.const 40) (i32.load8_u (i32.const 132)))
            (call $all (local.get $source) (i32.const 128))
            (call $log (i32.const 3) (i32.load (i32.const 132)) (i32.load (i32.const 136)))
            (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start();
    let verdict = guest.process(0, b"here").unwrap();
    assert_eq!(
        verdict,
        Verdict {
            accepted: 0,
            dropped: 1,
            malformed: 1
        }
    );
    assert_eq!(
        guest.host().logged,
        [
            (Level::Info, "value".to_owned()),
            (Level::Debug, "all of it".to_owned())
        ]
    );
    assert_eq!(
        guest.host().maps,
        [
            ("lookup", 0, b"here".to_vec(), vec![]),
            ("update", 0, b"here".to_vec(), b"he".to_vec()),
            ("delete", 0, b"here".to_vec(), vec![]),
            ("read-all", 0, vec![], vec![]),
        ]
    );
    let verdict = guest.process(0, b"gone").unwrap();
    assert_eq!(
        verdict,
        Verdict {
            accepted: 0,
            dropped: 0,
            malformed: 0
        }
    );

    // a refusal and a failure are the guest's to handle
    for (grant, why) in [(1, "lookup alone"), (2, "E2BIG")] {
        guest.host_mut().logged.clear();
        assert_eq!(guest.process(grant, b"here").unwrap().accepted, 1);
        assert_eq!(guest.host().logged[0], (Level::Error, why.to_owned()));
    }
    assert_eq!(
        guest.process(3, b"here").unwrap_err().kind,
        TrapKind::Broken
    );
}

#[test]
fn timers_and_ticks() {
    let imports = format!(
        r#"{LOG}
        (import "ig:gadget/timers@0.1.0" "every" (func $every (param i64 i32)))
        (import "ig:gadget/timers@0.1.0" "once" (func $once (param i64 i32)))
        (import "ig:gadget/timers@0.1.0" "cancel" (func $cancel (param i32)))"#
    );
    let wat = Wat {
        uses: &["timers", "ticker"],
        imports: &imports,
        fields: "(global $due (mut i32) (i32.const 0))
            (func $tick (param i32) (param i32) (global.set $due
                (i32.add (global.get $due) (i32.mul (local.get 0) (local.get 1)))))",
        init: "(call $every (i64.const 18446744073709551615) (i32.const 128))
            (call $once (i64.const 5) (i32.const 144))
            (call $cancel (i32.load (i32.const 132)))
            (call $log (i32.const 1) (i32.load (i32.const 148)) (i32.load (i32.const 152)))
            (i32.const 16)",
        process: "(i32.store (i32.const 32) (global.get $due)) (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start();
    assert!(guest.has_ticker());
    guest.init().unwrap().unwrap();
    assert_eq!(
        guest.host().timers,
        [("every", u64::MAX), ("once", 5), ("cancel", 41)]
    );
    assert_eq!(
        guest.host().logged,
        [(Level::Warn, "too many timers".to_owned())]
    );
    guest.tick(41, 2).unwrap();
    guest.tick(1000, 1).unwrap();
    assert_eq!(guest.process(0, &[]).unwrap().accepted, 1082);
}

#[test]
fn owners_are_asked_for_and_containers_told() {
    let imports = format!(
        r#"{LOG}
        (import "ig:gadget/containers@0.1.0" "of-records" (func $of (param i32 i32 i32)))
        (import "ig:gadget/containers@0.1.0" "by-cgroup" (func $cgroup (param i32 i32 i32)))
        (import "ig:gadget/containers@0.1.0" "by-mount-namespace"
            (func $namespace (param i64 i64) (result i32)))
        (import "ig:gadget/containers@0.1.0" "by-id" (func $id (param i32 i32) (result i32)))
        (import "ig:gadget/containers@0.1.0" "field" (func $field (param i32 i32 i32 i32 i32)))"#
    );
    let fields = format!(
        r#"(global $told (mut i32) (i32.const 0))
        (func $added (param $at i32) (param $len i32)
            (global.set $told (i32.add (i32.load offset=4 (local.get $at)) (local.get $len))))
        (func $removed (param $at i32) (param $len i32)
            (global.set $told (i32.sub (global.get $told) (i32.load (local.get $at)))))
        (data (i32.const 1024) {numbers}) (data (i32.const 2048) "containercolour\ff")"#,
        numbers = words(&[0, 16, 5, 1, 7, 0]),
    );
    // `source` says what is asked: 0 all that goes well, 1 a record that is none, 2 a field that is none. The verdict: the
    // second owner of of-records; the sum of the others; what was told.
    let wat = Wat {
        uses: &["containers", "container-watcher"],
        imports: &imports,
        fields: &fields,
        process: "
            (if (i32.eq (local.get $source) (i32.const 1)) (then
                (call $of (i32.const 1040) (i32.const 1) (i32.const 128))))
            (if (i32.eq (local.get $source) (i32.const 2)) (then
                (call $field (i32.const 1024) (i32.const 1) (i32.const 2057) (i32.const 6)
                    (i32.const 128))
                (call $log (i32.const 0) (i32.load (i32.const 132)) (i32.load (i32.const 136)))))
            (if (i32.eq (local.get $source) (i32.const 0)) (then
                (call $of (i32.const 1024) (i32.const 2) (i32.const 128))
                (i32.store (i32.const 32) (i32.load offset=4 (i32.load (i32.const 128))))
                (call $cgroup (i32.const 1024) (i32.const 3) (i32.const 128))
                (i32.store (i32.const 36) (i32.add
                    (i32.add (i32.load (i32.load (i32.const 128))) (i32.load (i32.const 132)))
                    (i32.add (call $namespace (i64.const 4) (i64.const -1))
                        (call $id (i32.const 2048) (i32.const 9)))))
                (call $field (i32.const 1032) (i32.const 2) (i32.const 2048) (i32.const 9)
                    (i32.const 128))
                ;; of two options of a text, the second is there
                (if (i32.load8_u (i32.load (i32.const 132))) (then unreachable))
                (call $log (i32.load8_u offset=12 (i32.load (i32.const 132)))
                    (i32.load offset=16 (i32.load (i32.const 132)))
                    (i32.load offset=20 (i32.load (i32.const 132))))))
            (i32.store (i32.const 40) (global.get $told)) (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start();
    assert!(guest.has_watcher());
    guest.added(&[5, 40]).unwrap();
    guest.removed(&[12, 3]).unwrap();
    assert_eq!(
        guest.process(0, &[]).unwrap(),
        Verdict {
            accepted: 17,
            dropped: 9 + 3 + 10 + 11,
            malformed: 40 + 2 - 12
        }
    );
    assert_eq!(
        guest.host().asked,
        [
            "of-records [0, 16]",
            "by-cgroup [68719476736, 4294967301, 7]",
            "by-mount-namespace 4 18446744073709551615",
            "by-id container",
            "field [5, 1] container",
        ]
    );
    assert_eq!(
        guest.host_mut().logged.split_off(0),
        [(Level::Warn, "größe".to_owned())]
    );
    guest.process(2, &[]).unwrap();
    assert_eq!(
        guest.host().logged,
        [(Level::Error, "no such field".to_owned())]
    );
    let trap = guest.process(1, &[]).unwrap_err();
    assert_eq!(
        (trap.kind, trap.message.contains("no record at 7")),
        (TrapKind::Broken, true)
    );
    assert_eq!(guest.added(&[1]).unwrap_err().kind, TrapKind::Dead);
}

#[test]
fn a_guest_that_does_not_watch_is_told_of_no_container() {
    let mut guest = Wat::default().start();
    assert!(!guest.has_watcher());
    assert_eq!(guest.added(&[1]), Ok(()));
    assert_eq!(guest.removed(&[1]), Ok(()));
}

#[test]
fn a_guest_without_ticker_is_never_ticked() {
    let mut guest = Wat::default().start();
    assert!(!guest.has_ticker());
    assert_eq!(guest.tick(1, 1), Ok(()));
}

#[test]
fn wanted_and_end_frame() {
    let imports = r#"
        (import "ig:gadget/tables@0.1.0" "wanted" (func $wanted (param i32 i32)))
        (import "ig:gadget/tables@0.1.0" "end-frame" (func $end (param i32)))"#;
    let wat = Wat {
        imports,
        process: "(call $wanted (i32.const 2) (i32.const 128))
            (i32.store (i32.const 32) (i32.load (i32.const 132)))
            (i32.store (i32.const 36) (i32.load (i32.load (i32.const 128))))
            (i32.store (i32.const 40) (i32.load16_u offset=4 (i32.load (i32.const 128))))
            (call $end (local.get $source)) (i32.const 32)",
        ..Wat::default()
    };
    let mut guest = wat.start();
    let verdict = guest.process(0, &[]).unwrap();
    assert_eq!(
        verdict,
        Verdict {
            accepted: 3,
            dropped: 0x0007_0002,
            malformed: 65_535
        }
    );
    assert_eq!(guest.host().frames, [0]);
    let trap = guest.process(9, &[]).unwrap_err();
    assert_eq!(
        (trap.kind, trap.message.contains("no table 9")),
        (TrapKind::Broken, true)
    );
}

#[test]
fn log_text_is_limited_per_call_and_the_cut_is_told() {
    let fields = format!(
        "(data (i32.const 4096) {})",
        bytes("ä".repeat(50).as_bytes())
    );
    let wat = Wat {
        imports: LOG,
        fields: &fields,
        process: "(call $log (i32.const 2) (i32.const 4096) (i32.const 60))
            (call $log (i32.const 2) (i32.const 4096) (i32.const 60))
            (call $log (i32.const 2) (i32.const 4096) (i32.const 60)) (i32.const 32)",
        ..Wat::default()
    };
    let limits = Limits {
        log_bytes: 75,
        ..Limits::default()
    };
    let mut guest = wat.start_with(Recorder::default(), limits).unwrap();
    for _ in 0..2 {
        guest.process(0, &[]).unwrap();
        let logged = std::mem::take(&mut guest.host_mut().logged);
        assert_eq!(logged[0], (Level::Info, "ä".repeat(30)));
        assert_eq!(logged[1], (Level::Info, "ä".repeat(7)));
        // a byte was left that no character fits in
        assert_eq!(logged[2].0, Level::Warn);
        assert!(
            logged[2].1.starts_with("106 bytes of log text were cut"),
            "{}",
            logged[2].1
        );
        assert_eq!(logged.len(), 3);
    }
}

#[test]
fn memory_is_shown_and_never_shrinks() {
    let mut guest = Wat::default().start();
    assert_eq!(guest.memory(), 4 * 65_536);
    guest.process(0, &vec![0; 1 << 20]).unwrap();
    assert_eq!(guest.memory(), (1 << 20) + 65_536);
    guest.process(0, &[]).unwrap();
    assert_eq!(guest.memory(), (1 << 20) + 65_536);
}
