//! The contract does not change any more: what `wit/frozen-0.1.txt` lists must stay as it is.
//!
//! Interfaces that a guest imports may get more functions, and the package more interfaces. What a guest exports can't
//! grow: the host would ask a guest for it that was built before. A new optional export is an interface of its own.

use super::component;
use super::generate::{self, Generated};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use wit_parser::{Resolve, Type, TypeDefKind, WorldItem, WorldKey};

/// The list, as it was when the contract was frozen.
const FROZEN: &str = include_str!("../../../../wit/frozen-0.1.txt");

/// Interfaces that guests export.
const EXPORTED: [&str; 3] = ["handler", "ticker", "container-watcher"];

/// A line for each type, function and item of the world `base`, with all that decides how it crosses the boundary.
fn listing(wit: &[Generated]) -> BTreeSet<String> {
    let (resolve, _) = component::resolve(wit).unwrap();
    let (_, package) = resolve
        .packages
        .iter()
        .find(|(_, package)| package.name.name == "gadget" && package.name.namespace == "ig")
        .unwrap();
    let mut lines = BTreeSet::new();
    for (interface, id) in &package.interfaces {
        let interface_of = &resolve.interfaces[*id];
        for (name, id) in &interface_of.types {
            lines.insert(format!(
                "type {interface}.{name} = {}",
                whole(&resolve, &Type::Id(*id))
            ));
        }
        for (name, function) in &interface_of.functions {
            let params = function.params.iter();
            let params: Vec<_> = params
                .map(|param| format!("{}: {}", param.name, whole(&resolve, &param.ty)))
                .collect();
            let mut line = format!("func {interface}.{name}({})", params.join(", "));
            if let Some(result) = &function.result {
                let _ = write!(line, " -> {}", whole(&resolve, result));
            }
            lines.insert(line);
        }
    }
    let base = &resolve.worlds[package.worlds["base"]];
    for (side, items) in [("import", &base.imports), ("export", &base.exports)] {
        for (key, item) in items {
            let (WorldKey::Interface(id), WorldItem::Interface { .. }) = (key, item) else {
                panic!("the world holds {key:?}, which is no interface")
            };
            let name = resolve.interfaces[*id].name.as_deref().unwrap();
            // A type-only interface that others use is no part of the boundary.
            if !resolve.interfaces[*id].functions.is_empty() {
                lines.insert(format!("base {side} {name}"));
            }
        }
    }
    lines
}

/// A type with nothing left to look up.
fn whole(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let or_none = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| whole(resolve, ty));
    match &resolve.types[*id].kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            let fields: Vec<_> = fields
                .map(|field| format!("{}: {}", field.name, whole(resolve, &field.ty)))
                .collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        TypeDefKind::Enum(cases) => {
            let cases: Vec<_> = cases.cases.iter().map(|case| case.name.as_str()).collect();
            format!("enum {{ {} }}", cases.join(", "))
        }
        TypeDefKind::Option(some) => format!("option<{}>", whole(resolve, some)),
        TypeDefKind::List(item) => format!("list<{}>", whole(resolve, item)),
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", or_none(&result.ok), or_none(&result.err))
        }
        TypeDefKind::Type(other) => whole(resolve, other),
        other => panic!("the contract has no {} yet: print it here", other.as_str()),
    }
}

/// What of `now` is not as in `frozen`, a line each.
fn broken(frozen: &str, now: &BTreeSet<String>) -> Vec<String> {
    let frozen: BTreeSet<&str> = frozen
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let gone = frozen
        .iter()
        .filter(|line| !now.contains(**line))
        .map(|line| format!("changed or gone: {line}"));
    let grown = now
        .iter()
        .filter(|line| {
            let exported = EXPORTED
                .iter()
                .any(|interface| line.starts_with(&format!("func {interface}.")));
            (exported || line.starts_with("base export")) && !frozen.contains(line.as_str())
        })
        .map(|line| format!("old guests don't export it: {line}"));
    gone.chain(grown).collect()
}

fn contract() -> Vec<Generated> {
    let text = "name: all\nversion: 1.0.0\ntables:\n  - name: t\n    columns: [{name: a, type: u32}]\nguest: {timers: true}\n";
    generate::wit(&crate::Manifest::parse("gadget.yaml", text).unwrap())
}

#[test]
fn the_contract_is_as_it_was_frozen() {
    let now = listing(&contract());
    let all: String = now.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(
        broken(FROZEN, &now),
        Vec::<String>::new(),
        "the contract now:\n{all}"
    );
}

#[test]
fn what_breaks_guests_is_found_and_what_does_not_is_allowed() {
    let changed = |from: &str, to: &str| {
        let mut wit = contract();
        let mut changes = 0;
        for file in &mut wit {
            changes += file.text.matches(from).count();
            file.text = file.text.replace(from, to);
        }
        assert_eq!(changes, 1, "{from}");
        broken(FROZEN, &listing(&wit))
    };
    // More to import, and more interfaces.
    assert_eq!(
        changed(
            "  boot: func() -> u64;",
            "  boot: func() -> u64;\n  tai: func() -> u64;"
        ),
        [""; 0]
    );
    assert_eq!(
        changed(
            "interface clock {",
            "interface other {\n  f: func();\n}\ninterface clock {"
        ),
        [""; 0]
    );
    // A function's argument, a record's field, an enum's case: also where something else is made of them.
    let argument = changed(
        "every: func(period-ns: u64)",
        "every: func(period-ns: u64, late: bool)",
    );
    assert_eq!(argument.len(), 1, "{argument:?}");
    let field = changed("    malformed: u32,", "    malformed: u32,\n    late: u32,");
    assert!(
        field
            .iter()
            .any(|line| line.contains("func handler.process")),
        "{field:?}"
    );
    let case = changed("    debug,", "    debug,\n    trace,");
    assert!(
        case.iter().any(|line| line.contains("func log.write")),
        "{case:?}"
    );
    // A function that is gone, and one more to export.
    assert_eq!(changed("  end-frame: func(table: u16);", "").len(), 1);
    let export = changed("  stop: func();", "  stop: func();\n  pause: func();");
    assert_eq!(export, ["old guests don't export it: func handler.pause()"]);
    assert_eq!(
        changed("  export handler;", "  export handler;\n  export ticker;").len(),
        1
    );
}
