//! A manifest against a compiled object: what fits, and the exact words for what does not.

use super::*;
use crate::fixtures::{MANIFEST, manifest_with, object};
use ig_object::{Hook, Object};
use ig_table::Kind;

fn resolve(text: &str) -> Result<Resolved, ManifestError> {
    Manifest::parse("gadget.yaml", text)?.resolve(&Object::parse(object()).unwrap())
}

fn error(from: &str, to: &str) -> String {
    resolve(&manifest_with(from, to)).unwrap_err().to_string()
}

#[test]
fn what_fits_gets_types_and_defaults() {
    let resolved = resolve(MANIFEST).unwrap();
    assert_eq!(
        (
            resolved.sources[0].ring(),
            resolved.sources[0].layout.name.as_str()
        ),
        (Some("events"), "event")
    );
    let table = &resolved.tables[0];
    assert_eq!(table.source, Some(0));
    let types: Vec<_> = table
        .table
        .columns
        .iter()
        .map(|c| c.data_type.to_string())
        .collect();
    assert_eq!(types, ["u64", "u32", "text", "text", "text"]);
    assert_eq!(
        table.columns[1],
        ColumnSource::Field {
            source: 0,
            path: "proc.pid".to_owned()
        }
    );
    assert_eq!(table.enables, [None, None, None, None, Some(0)]);
    let defaults: Vec<_> = resolved
        .params
        .iter()
        .map(|p| (p.default.as_str(), p.variable.as_deref().unwrap()))
        .collect();
    assert_eq!(
        defaults,
        [
            ("false", "want_path"),
            ("-5", "limit"),
            ("abc", "prefix"),
            ("1.5", "rate")
        ]
    );
    let mut programs: Vec<_> = resolved
        .programs
        .iter()
        .map(|p| (p.name.as_str(), p.optional))
        .collect();
    programs.sort_unstable();
    assert_eq!(
        programs,
        [("on_exit", true), ("on_malloc", true), ("on_open", false)]
    );
    let open = resolved
        .programs
        .iter()
        .find(|p| p.name == "on_open")
        .unwrap();
    assert_eq!(
        open.hook,
        Hook::Tracepoint {
            category: "syscalls".to_owned(),
            name: "sys_enter_openat".to_owned()
        }
    );
    let granted = resolve(&format!(
        "{MANIFEST}maps:\n  - {{map: starts, access: [lookup]}}\n"
    ))
    .unwrap();
    let map = &granted.maps[0];
    assert_eq!(
        (map.kind, map.key_size, map.value_size, map.per_cpu),
        (1, 4, 20, false)
    );
}

#[test]
fn a_field_s_typedef_gives_the_kind_unless_the_manifest_does() {
    let kinds = |columns: &[&str]| {
        let first = "{name: time, kind: timestamp, field: time, description: When it began}";
        let resolved = resolve(&manifest_with(first, &columns.join("\n      - "))).unwrap();
        let columns = resolved.tables[0].table.columns.iter().take(columns.len());
        columns.map(|c| c.kind.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(&[
            "{name: time, field: time}",
            "{name: own, field: proc.pid}",
            "{name: slots, field: slots}",
            "{name: name, field: proc.comm}",
            "{name: mode, field: mode}",
            "{name: whole, field: proc}",
        ]),
        ["timestamp", "pid", "mount-ns", "none", "none", "none"]
    );
    assert_eq!(
        kinds(&[
            "{name: time, field: time, kind: hex}",
            "{name: raw, field: time, kind: none}",
            "{name: any, field: proc.pid, type: bool}",
            "{name: larger, field: proc.pid, type: i64}",
        ]),
        ["hex", "none", "none", "pid"]
    );
}

#[test]
fn every_field_of_the_struct_has_its_type() {
    let object = Object::parse(object()).unwrap();
    let layout = object.btf().layout("event").unwrap();
    for (path, expected) in [
        ("time", "u64"),
        ("proc", "struct<pid: u32, comm: text>"),
        ("error", "i32"),
        ("address", "bytes"),
        ("slots", "list<u64>"),
        ("mode", "u32"),
        ("high", "u32"),
        ("value.real", "f64"),
        ("path", "text"),
    ] {
        assert_eq!(
            column_type(&layout, path, None, Kind::None)
                .unwrap()
                .to_string(),
            expected,
            "{path}"
        );
    }
}

#[test]
fn sources_go_both_ways() {
    assert_eq!(
        error("{name: open, map", "{name: opne, map"),
        "gadget.yaml:5:3: the eBPF side has GADGET_TRACER(open, events, event), but `sources` has no `{name: open, map: events, struct: event}`\n\
         gadget.yaml:5:12: the eBPF side has no GADGET_TRACER(opne, ...): did you mean `open`?"
    );
    assert_eq!(
        error("map: events", "map: event"),
        "gadget.yaml:5:23: `event` here, but `events` in GADGET_TRACER(open, events, event)\n\
         gadget.yaml:5:23: the eBPF side has no map `event`: did you mean `events`?"
    );
    assert_eq!(
        error("map: events", "map: starts"),
        "gadget.yaml:5:23: `starts` here, but `events` in GADGET_TRACER(open, events, event)\n\
         gadget.yaml:5:23: the map `starts` is a hash, not a ring buffer"
    );
}

#[test]
fn columns_are_fields_of_their_type() {
    assert_eq!(
        error("field: proc.pid", "field: proc.pdi"),
        "gadget.yaml:11:39: `struct event` has no field `proc.pdi`: did you mean `proc.pid`?"
    );
    assert_eq!(
        error("{name: comm, field", "{name: comm, kind: pid, field"),
        "gadget.yaml:12:28: the kind `pid` does not go with the field `proc.comm`, which is text"
    );
    assert_eq!(
        error("{name: comm, field", "{name: comm, type: u32, field"),
        "gadget.yaml:12:28: the field `proc.comm` is text: it can't be shown as u32"
    );
    assert_eq!(
        error("field: proc.comm}", "field: proc, kind: endpoint}"),
        "gadget.yaml:12:41: the kind `endpoint` does not go with the field `proc`, which is struct<pid: u32, comm: text>"
    );
}

#[test]
fn the_decoder_s_own_types_need_no_type_in_the_manifest() {
    let types = |columns: &[&str]| {
        let first = "{name: time, kind: timestamp, field: time, description: When it began}";
        let resolved = resolve(&manifest_with(first, &columns.join("\n      - "))).unwrap();
        let columns = resolved.tables[0].table.columns.iter().take(columns.len());
        columns.map(|c| c.data_type.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        types(&[
            "{name: mode, field: mode, type: text}",
            "{name: number, field: mode}",
            "{name: low, field: low, type: u8}",
            "{name: stack, field: slots, kind: kernel-stack}",
            "{name: each, field: address, kind: hex}",
            "{name: whole, field: proc, type: bytes}",
            "{name: peer, field: peer, kind: endpoint}",
        ]),
        [
            "text",
            "u32",
            "u8",
            "list<u64>",
            "list<u8>",
            "bytes",
            "struct<address: bytes, port: u16>"
        ]
    );
}

#[test]
fn parameters_go_both_ways() {
    assert_eq!(
        error("  - {name: rate, type: f64, default: 1.5, to: ebpf}\n", ""),
        "gadget.yaml:16:3: the eBPF side has GADGET_PARAM(rate), but `params` has no parameter with `to: ebpf` for it"
    );
    assert_eq!(
        error(
            "{name: lowest, type: i64, to: ebpf, variable: limit}",
            "{name: limit2, type: i64, to: ebpf, variable: limt}"
        ),
        "gadget.yaml:16:3: the eBPF side has GADGET_PARAM(limit), but `params` has no parameter with `to: ebpf` for it\n\
         gadget.yaml:17:51: the eBPF side has no GADGET_PARAM(limt): did you mean `limit`?"
    );
    assert_eq!(
        error("name: lowest, type: i64", "name: lowest, type: text"),
        "gadget.yaml:17:26: a parameter of this type can't go to the variable `limit`, which is a signed integer of 16 bits"
    );
    assert_eq!(
        error(
            "name: lowest, type: i64",
            "name: lowest, type: i64, default: 40000"
        ),
        "gadget.yaml:17:40: `40000` does not fit the variable `limit`, which is a signed integer of 16 bits"
    );
    assert_eq!(
        error("values: [abc, /usr]", "values: [abc, /usr/lib]"),
        "gadget.yaml:18:56: `/usr/lib` does not fit the variable `prefix`, which is an array of 8 bytes"
    );
    assert_eq!(
        error("values: [abc, /usr]", "values: [/usr, /var]"),
        "gadget.yaml:18:6: the initial value of `prefix` is no default: `abc` is not allowed here: one of /usr, /var"
    );
}

#[test]
fn grants_and_programs_exist() {
    let grant = |map: &str, access: &str| {
        resolve(&format!(
            "{MANIFEST}maps:\n  - {{map: {map}, access: [{access}]}}\n"
        ))
        .map(|_| ())
        .map_err(|e| e.to_string())
    };
    assert_eq!(grant("slots", "lookup, update"), Ok(()));
    let error = |map: &str, access: &str| grant(map, access).unwrap_err();
    assert_eq!(
        error("start", "lookup"),
        "gadget.yaml:23:11: the eBPF side has no map `start`: did you mean `starts`?"
    );
    assert_eq!(
        error("events", "lookup"),
        "gadget.yaml:23:11: the map `events` is a ringbuf: guests may use hash and array maps"
    );
    assert_eq!(
        error("events_ledger", "update"),
        "gadget.yaml:23:11: the map `events_ledger` is between the host and the source `open` alone: it can't be granted"
    );
    assert_eq!(
        error("gadget_cgroups", "lookup"),
        "gadget.yaml:23:11: the map `gadget_cgroups` is the host's, not the gadget's: it can't be granted"
    );
    assert_eq!(
        error("slots", "lookup, delete"),
        "gadget.yaml:23:35: `slots` is an array: nothing can be deleted from it"
    );
    assert_eq!(
        self::error("name: on_malloc", "name: on_maloc"),
        "gadget.yaml:21:12: the eBPF side has no program `on_maloc`: did you mean `on_malloc`?"
    );
}

#[test]
fn without_a_guest_the_host_must_decode_everything() {
    let text = manifest_with("{name: comm, field: proc.comm}", "{name: comm, type: text}").replace(
        "programs:",
        "  - {name: mine, type: bool}\nguest: {clock: true}\nprograms:",
    );
    let error = Manifest::parse("gadget.yaml", &text)
        .unwrap()
        .check_without_guest()
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "gadget.yaml:12:10: the column `comm` needs a `field`: there is no guest that could give its values\n\
         gadget.yaml:20:6: the parameter `mine` goes to the guest, but there is none: `to: ebpf`?\n\
         gadget.yaml:21:9: there is no guest that could use this"
    );
    assert_eq!(
        Manifest::parse("gadget.yaml", MANIFEST)
            .unwrap()
            .check_without_guest(),
        Ok(())
    );
    let mut manifest = Manifest::parse("gadget.yaml", MANIFEST).unwrap();
    for mode in Mode::ALL {
        manifest.tables[0].mode = mode;
        let checked = manifest.check_without_guest();
        assert_eq!(checked.is_ok(), mode != Mode::Snapshot, "{mode}");
    }
}

#[test]
fn values_become_the_bytes_of_their_variables() {
    let object = Object::parse(object()).unwrap();
    let manifest = Manifest::parse("gadget.yaml", MANIFEST).unwrap();
    let bytes = |param: &str, value: &str| {
        let param = &manifest.params[manifest.param(param).unwrap()];
        let variable = object.variable(&param.variable_name()).unwrap();
        param
            .to_bytes(value, object.btf(), variable)
            .map_err(|e| e.to_string())
    };
    assert_eq!(bytes("want-path", "true").unwrap(), [1]);
    assert_eq!(bytes("lowest", "-32768").unwrap(), [0, 0x80]);
    assert_eq!(bytes("lowest", "0x102").unwrap(), [2, 1]);
    assert_eq!(bytes("prefix", "/usr").unwrap(), *b"/usr\0\0\0\0");
    assert_eq!(bytes("rate", "-2").unwrap(), (-2.0_f64).to_le_bytes());
    assert_eq!(
        bytes("lowest", "-32769").unwrap_err(),
        "parameter `lowest`: `-32769` does not fit the variable `limit`, which is a signed integer of 16 bits"
    );
    assert_eq!(
        bytes("prefix", "/usx").unwrap_err(),
        "parameter `prefix`: `/usx` is not allowed here: one of abc, /usr; did you mean `/usr`?"
    );
}
