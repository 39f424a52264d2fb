//! Reading a manifest: what is read, and the exact words for what is wrong.

use super::*;
use ig_table::{DataType, Kind};

const GOOD: &str = r#"# a comment
name: trace_open
version: 0.1.0
description: "Files that are opened"
min-host: 0.1.0
sources:
  - {name: open, map: events, struct: event}
tables:
  - name: open
    description: One row an open.
    source: open
    columns:
      - name: pid
        kind: pid
        width: 7
        field: proc.pid
      - name: path
        type: text
      - name: ports
        type: "list<struct<low: u16, high: u16>>"
        hidden: true
        enables: want_ports
params:
  - name: failed-only
    type: bool
    default: 1
  - name: mode
    type: text
    default: all
    values: [all, none, 7]
  - name: want_ports
    type: bool
    to: ebpf
  - name: limit-bytes
    type: u64
    default: 0x10
    to: ebpf
    variable: max_bytes
maps:
  - {map: starts, access: [lookup, read-all]}
programs:
  - name: on_open
    optional: true
guest:
  timers: true
"#;

fn good() -> Manifest {
    Manifest::parse("gadget.yaml", GOOD).unwrap()
}

/// The error of the good manifest with one text put for another.
fn error(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    Manifest::parse("gadget.yaml", &GOOD.replacen(from, to, 1))
        .unwrap_err()
        .to_string()
}

fn problem(text: &str) -> String {
    Manifest::parse("g.yaml", text).unwrap_err().to_string()
}

#[test]
fn a_good_manifest_is_read_whole() {
    let manifest = good();
    assert_eq!(
        (manifest.name.as_str(), manifest.version.as_str()),
        ("trace_open", "0.1.0")
    );
    assert_eq!(manifest.sources[0].record, "event");
    let columns = &manifest.tables[0].columns;
    assert_eq!(
        (columns[0].kind, columns[0].width, &columns[0].data_type),
        (Some(Kind::Pid), Some(7), &None)
    );
    assert_eq!(columns[0].field.as_deref(), Some("proc.pid"));
    assert_eq!(columns[1].data_type, Some(DataType::Text));
    assert!(columns[2].hidden);
    assert_eq!(manifest.params[0].default.as_deref(), Some("true"));
    assert_eq!(manifest.params[1].values, ["all", "none", "7"]);
    assert_eq!(manifest.params[3].default.as_deref(), Some("16"));
    assert_eq!(manifest.params[3].variable_name(), "max_bytes");
    assert_eq!(manifest.params[2].variable_name(), "want_ports");
    assert_eq!(manifest.maps[0].access, [Access::Lookup, Access::ReadAll]);
    assert!(manifest.programs[0].optional && manifest.guest.timers && !manifest.guest.clock);
    assert_eq!(manifest.param("failed_only"), Some(0));
    assert_eq!(manifest.source_of(&manifest.tables[0]), Some(0));
    assert_eq!(
        manifest.places.at("tables.0.columns.1.type"),
        Some(Place {
            line: 18,
            column: 15
        })
    );
    assert_eq!(
        manifest.places.at("tables.0.columns.1.nowhere"),
        Some(Place {
            line: 17,
            column: 9
        })
    );
}

#[test]
fn json_and_back_is_the_same() {
    let manifest = good();
    let json = serde_json::to_string(&manifest).unwrap();
    assert_eq!(Manifest::parse("m.json", &json).unwrap(), manifest);
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert_eq!(
        error("    columns:", "    colums:"),
        "gadget.yaml:12:5: unknown key `colums`: did you mean `columns`?"
    );
    assert_eq!(
        error("min-host", "min_host"),
        "gadget.yaml:5:1: unknown key `min_host`: did you mean `min-host`?"
    );
    assert_eq!(
        error("        hidden: true", "        secret: true"),
        "gadget.yaml:21:9: unknown key `secret`; known here are name, description, type, kind, width, hidden, field, enables"
    );
    assert_eq!(
        error("struct: event", "strut: event"),
        "gadget.yaml:7:31: unknown key `strut`: did you mean `struct`?"
    );
}

#[test]
fn wrong_values_say_what_is_allowed() {
    assert_eq!(
        error("kind: pid", "kind: pit"),
        "gadget.yaml:14:15: `pit` is not allowed here: one of none, timestamp, duration, pid, tid, uid, gid, user, \
         group, errno, signal, syscall, open-flags, file-mode, capability, capabilities, device, mount-ns, net-ns, \
         pid-ns, cgroup, owner, bytes, address, address-le, port, port-be, endpoint, mac, bool, hex, kernel-stack, user-stack; did you mean `pid`?"
    );
    assert_eq!(
        error("type: text\n", "type: string\n"),
        "gadget.yaml:18:15: `string` is not allowed here: one of bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, text, bytes, list<T>, struct<a: T, b: U>"
    );
    assert_eq!(
        error("width: 7", "width: wide"),
        "gadget.yaml:15:16: expected a whole number from 0 to 65535, found `wide`"
    );
    assert_eq!(
        error("width: 7", "width: 0"),
        "gadget.yaml:15:16: a width is from 1 to 1024 characters, not 0"
    );
    assert_eq!(
        error("hidden: true", "hidden: yes"),
        "gadget.yaml:21:17: expected true or false, found `yes`"
    );
    assert_eq!(
        error("to: ebpf", "to: kernel"),
        "gadget.yaml:33:9: `kernel` is not allowed here: one of guest, ebpf"
    );
    assert_eq!(
        error("[lookup, read-all]", "[lookup, readall]"),
        "gadget.yaml:40:36: `readall` is not allowed here: one of lookup, update, delete, read-all; did you mean `read-all`?"
    );
    assert_eq!(
        error("[lookup, read-all]", "lookup"),
        "gadget.yaml:40:27: expected a list, found `lookup`"
    );
    assert_eq!(
        error("version: 0.1.0", "version: 0.1"),
        "gadget.yaml:3:10: expected text, found `0.1`: put it in quotes, \"0.1\""
    );
    assert_eq!(
        error("version: 0.1.0", "version: one"),
        "gadget.yaml:3:10: `one` is not a version: expected `major.minor.patch`, as in `0.1.0`"
    );
    assert_eq!(
        error("map: events,", "map: ,"),
        "gadget.yaml:7:21: a value is missing here: expected text"
    );
    assert_eq!(
        error("  - {name: open, map: events, struct: event}", "  - open"),
        "gadget.yaml:7:5: expected keys and values, as in `name: ...`, found `open`"
    );
    assert_eq!(
        error("default: 1", "default: [1]"),
        "gadget.yaml:26:14: invalid type: sequence, expected a single value"
    );
    assert_eq!(
        error("default: 1", "default: 2"),
        "gadget.yaml:26:14: expected true or false, found `2`"
    );
    assert_eq!(
        error("default: all", "default: al"),
        "gadget.yaml:29:14: `al` is not allowed here: one of all, none, 7; did you mean `all`?"
    );
}

#[test]
fn missing_and_repeated_things_are_found() {
    assert_eq!(
        error("version: 0.1.0\n", ""),
        "gadget.yaml:2:1: the key `version` is missing here"
    );
    assert_eq!(
        error("map: events, ", ""),
        "gadget.yaml:7:6: the source `open` needs a `map` (a ring buffer) or `programs` (iterators)"
    );
    assert_eq!(
        error("version: 0.1.0", "name: again\nversion: 0.1.0"),
        "gadget.yaml:3:1: `name` stands here a second time: the first is in line 2"
    );
    assert_eq!(
        error("- name: path", "- name: pid"),
        "gadget.yaml:17:15: there is a column `pid` already: the first is in line 13"
    );
    assert_eq!(
        error("- name: mode", "- name: failed_only"),
        "gadget.yaml:27:11: there is a parameter `failed-only` already: the first is in line 24"
    );
    assert_eq!(
        error("variable: max_bytes", "variable: want_ports"),
        "gadget.yaml:38:15: there is a parameter for the variable `want_ports` already: the first is in line 31"
    );
    assert_eq!(
        error("        type: text\n", ""),
        "gadget.yaml:17:9: the column `path` needs a `type` (the guest gives its values) or a `field` (the host decodes it)"
    );
    assert_eq!(
        error("[lookup, read-all]", "[lookup, lookup]"),
        "gadget.yaml:40:36: stands here a second time"
    );
    assert_eq!(
        error("[all, none, 7]", "[all, all]"),
        "gadget.yaml:30:19: the value `all` stands here a second time"
    );
    assert_eq!(
        error("    default: all\n", ""),
        "gadget.yaml:27:5: a parameter with `values` needs a `default`, for example `default: all`"
    );
}

#[test]
fn names_and_references_are_checked() {
    let rule = "lower-case letters, digits";
    assert_eq!(
        error("name: trace_open", "name: Trace Open"),
        format!(
            "gadget.yaml:2:7: `Trace Open` can't be the name of the gadget: {rule}, `_` and `-`, beginning with a letter, at most 63 characters"
        )
    );
    assert_eq!(
        error("- name: path", "- name: a-path"),
        format!(
            "gadget.yaml:17:15: `a-path` can't be the name of a column: {rule} and `_`, beginning with a letter, at most 63 characters"
        )
    );
    assert_eq!(
        error("- name: path", "- name: type"),
        "gadget.yaml:17:15: `type` is a reserved word of a programming language: guests could not use it, choose another name"
    );
    for name in ["frame", "table"] {
        assert_eq!(
            error("- name: path", &format!("- name: {name}")),
            format!(
                "gadget.yaml:17:15: `{name}` can't be the name of a column: outputs have that beside the columns, for the frame's number and the table's name"
            )
        );
    }
    assert_eq!(
        error("- name: mode", "- name: timeout"),
        "gadget.yaml:27:11: `--timeout` is a flag of the host: call the parameter something else"
    );
    assert_eq!(
        error("- name: mode", "- name: ring_size"),
        "gadget.yaml:27:11: `--ring-size` is a flag of the host: call the parameter something else"
    );
    assert_eq!(
        error("    source: open", "    source: opens"),
        "gadget.yaml:11:13: there is no source `opens`: did you mean `open`?"
    );
    assert_eq!(
        error("enables: want_ports", "enables: want_port"),
        "gadget.yaml:22:18: there is no parameter `want_port`: did you mean `want_ports`?"
    );
    assert_eq!(
        error("enables: want_ports", "enables: failed-only"),
        "gadget.yaml:22:18: the parameter `failed-only` can't be enabled: it is not `type: bool` and `to: ebpf`"
    );
    assert_eq!(
        error("map: starts", "map: \"9\""),
        "gadget.yaml:40:11: `9` is not the name of a map in C"
    );
    assert_eq!(
        error("struct: event", "struct: struct event"),
        "gadget.yaml:7:39: write the struct's name alone: `event`"
    );
    assert_eq!(
        error("field: proc.pid", "field: proc..pid"),
        "gadget.yaml:16:16: `proc..pid` is not a field: expected names with `.` between them, as in `process.pid`"
    );
    assert_eq!(
        error("type: text\n", "type: text\n        kind: pid\n"),
        "gadget.yaml:19:15: the kind `pid` does not go with the type text"
    );
    assert_eq!(
        error(
            "    type: text\n    default: all",
            "    variable: x\n    type: text\n    default: all"
        ),
        "gadget.yaml:28:15: `variable` goes with `to: ebpf` alone"
    );
}

/// The one flag of the host that a gadget can have: what it is must fit.
#[test]
fn the_interval_is_a_duration_for_the_guest() {
    let with = |param: &str| {
        let text = GOOD.replacen("params:\n", &format!("params:\n  - {param}\n"), 1);
        Manifest::parse("gadget.yaml", &text).map_err(|e| e.to_string())
    };
    let good = with("{name: interval, type: duration, default: 1000ms}").unwrap();
    assert!(good.has_interval() && !self::good().has_interval());
    assert_eq!(good.params[0].default.as_deref(), Some("1s"));
    let wrong = "gadget.yaml:24:12: `--interval` says how often a live view changes: a parameter of this name is `type: duration` and for the guest";
    for param in [
        "{name: interval, type: u64, default: 1}",
        "{name: interval, type: duration, default: 1s, to: ebpf}",
    ] {
        assert_eq!(with(param).unwrap_err(), wrong);
    }
    assert_eq!(
        with("{name: interval, type: duration}").unwrap_err(),
        "gadget.yaml:24:6: the parameter `interval` needs a `default`, for example `default: 1s`"
    );
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_text() {
    let text = GOOD
        .replacen("width: 7", "width: 0", 1)
        .replacen("default: 1", "default: x", 1)
        .replacen("name: trace_open", "name: X", 1);
    let error = Manifest::parse("gadget.yaml", &text).unwrap_err();
    let lines: Vec<_> = error
        .problems
        .iter()
        .map(|p| p.place.unwrap().line)
        .collect();
    assert_eq!(lines, [2, 15, 26]);
}

#[test]
fn a_field_needs_to_know_its_source() {
    let two =
        "  - {name: open, map: events, struct: event}\n  - {name: shut, map: shuts, struct: event}";
    let text = GOOD
        .replacen("  - {name: open, map: events, struct: event}", two, 1)
        .replacen("    source: open\n", "", 1);
    assert_eq!(
        Manifest::parse("gadget.yaml", &text)
            .unwrap_err()
            .to_string(),
        "gadget.yaml:16:16: the column `pid` is a field, but of which source? Name it in the table's `source`"
    );
    let one = Manifest::parse("gadget.yaml", &GOOD.replacen("    source: open\n", "", 1)).unwrap();
    assert_eq!(one.source_of(&one.tables[0]), Some(0));
    // Sums come from no record, even where there is only one source that could be meant.
    let sums = format!("{GOOD}\n").replacen(
        "tables:\n",
        "tables:\n  - name: sums\n    columns: [{name: total, type: u64}]\n",
        1,
    );
    let sums = Manifest::parse("gadget.yaml", &sums).unwrap();
    assert_eq!(sums.tables[0].name, "sums");
    assert_eq!(sums.source_of(&sums.tables[0]), None);
}

#[test]
fn what_could_grow_is_refused() {
    assert_eq!(
        problem("name: &a x\n"),
        "g.yaml:1:10: anchors (`&name`) are not allowed in a manifest: write the value out"
    );
    assert_eq!(
        problem("name: !!str x\n"),
        "g.yaml:1:13: tags (`!name`) are not allowed in a manifest: a text that begins with `!` needs quotes"
    );
    assert_eq!(
        problem("<<: {}\n"),
        "g.yaml:1:1: merge keys (`<<`) are not allowed in a manifest: write the keys out"
    );
    let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nname: [*b, *b]\n";
    assert_eq!(
        problem(bomb),
        "g.yaml:1:7: anchors (`&name`) are not allowed in a manifest: write the value out"
    );
    assert_eq!(
        problem(&format!("name: {}{}", "[".repeat(100), "]".repeat(100))),
        "g.yaml:1:39: nested too deeply for a manifest"
    );
    assert_eq!(
        problem(&" ".repeat(MAX_MANIFEST_BYTES + 1)),
        "g.yaml: 1048577 bytes is too long for a manifest: at most 1048576"
    );
    assert_eq!(
        problem("name: a\n---\nname: b\n"),
        "g.yaml:2:1: a second document begins here: a manifest is one document"
    );
    assert_eq!(
        problem(""),
        "g.yaml: empty: a manifest has at least `name`, `version` and `tables`"
    );
    assert_eq!(
        problem("? [a]\n: b\n"),
        "g.yaml:1:3: a key must be a word, not a list or a mapping"
    );
    assert!(
        problem("name: \"a\nversion").starts_with("g.yaml:"),
        "{}",
        problem("name: \"a\nversion")
    );
    assert!(
        problem("name: a\n\tb: c").contains("not YAML"),
        "{}",
        problem("name: a\n\tb: c")
    );
}

#[test]
fn columns_are_counted_in_characters() {
    assert_eq!(
        problem("{name: é, é: 1}"),
        "g.yaml:1:11: unknown key `é`; known here are name, version, description, min-host, sources, tables, params, maps, programs, guest"
    );
}

#[test]
fn the_schema_says_what_the_reader_says() {
    let schema = json_schema();
    assert_eq!(schema["title"], "gadget.yaml");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["name", "version"]));
    let column = &schema["$defs"]["Column"];
    assert_eq!(column["additionalProperties"], false);
    assert_eq!(column["required"], serde_json::json!(["name"]));
    assert_eq!(column["properties"]["kind"]["enum"][3], "pid");
    assert_eq!(
        column["properties"]["hidden"]["description"],
        "Shown only when asked for."
    );
    assert_eq!(
        schema["$defs"]["Param"]["required"],
        serde_json::json!(["name", "type"])
    );
    assert!(schema["properties"].get("places").is_none());
    let keys = |name: &str| -> Vec<String> {
        schema["$defs"][name]["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(keys("Program"), ["name", "optional"]);
    assert_eq!(
        keys("Guest"),
        ["clock", "containers", "stateless", "timers", "watch"]
    );
}

proptest::proptest! {
    /// Any text gives a manifest or an error.
    #[test]
    fn any_text_is_safe(text in "[a-z:\\-\\[\\]{}#&*!|>'\"\n ,0-9?<]{0,200}") {
        let _ = Manifest::parse("g.yaml", &text);
    }

    /// So does a good manifest with one byte changed.
    #[test]
    fn any_change_is_safe(at in 0..GOOD.len(), byte in 0_u8..128) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            let _ = Manifest::parse("g.yaml", &text);
        }
    }
}

/// `docs/gadget.schema.json` is what editors get: `IG_BLESS=1 cargo test -p ig-bundle` writes it anew.
#[test]
fn the_schema_in_the_docs_is_the_one_of_the_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/gadget.schema.json");
    let schema = format!("{:#}\n", json_schema());
    if std::env::var_os("IG_BLESS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == schema,
        "docs/gadget.schema.json is old; IG_BLESS=1 writes it anew"
    );
}
