//! Which components are taken, and what is said of the others.

use wasmtime::component::Linker;
use wit_component::dummy_module;
use wit_parser::ManglingAndAbi;

use super::*;
use crate::contract::IMPORTS;
use crate::host::{Nobody, link};
use crate::{CONTRACT_VERSION, LoadError};

const FULL: &str = "package local:gadget;
    world gadget {
      include ig:gadget/base@0.1.0;
      import ig:gadget/params@0.1.0; import ig:gadget/clock@0.1.0;
      import ig:gadget/maps@0.1.0; import ig:gadget/timers@0.1.0;
      import ig:gadget/containers@0.1.0;
      export ig:gadget/ticker@0.1.0; export ig:gadget/container-watcher@0.1.0;
    }";

fn refused(component: &[u8]) -> String {
    match sandbox().load(component) {
        Ok(_) => panic!("loaded"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_host_has_what_wit_says_and_no_more() {
    let (resolve, _) = contract("0.1.0", FULL);
    let mut of_wit: Vec<(String, Vec<String>)> = resolve
        .interfaces
        .iter()
        .map(|(_, interface)| {
            let functions = interface.functions.keys().cloned().collect();
            (interface.name.clone().unwrap(), functions)
        })
        .filter(|(name, functions): &(String, Vec<String>)| {
            !functions.is_empty()
                && !["handler", "ticker", "container-watcher"].contains(&name.as_str())
        })
        .collect();
    of_wit.sort();
    let mut of_host: Vec<(String, Vec<String>)> = IMPORTS
        .iter()
        .map(|(name, functions)| {
            (
                (*name).to_owned(),
                functions.iter().map(|f| (*f).to_owned()).collect(),
            )
        })
        .collect();
    of_host.sort();
    assert_eq!(of_wit, of_host);
    let (_, package) = resolve
        .packages
        .iter()
        .find(|(_, p)| p.name.namespace == "ig")
        .unwrap();
    assert_eq!(
        package.name.version.as_ref().unwrap().to_string(),
        CONTRACT_VERSION
    );
    assert!(Grants::ALL.has("tables") && !Grants::default().has("clock"));
    assert!(IMPORTS.iter().all(|(name, _)| Grants::ALL.has(name)));
}

/// A component that imports every function of the contract and exports every one: the types agree.
#[test]
fn a_component_of_the_whole_contract_links() {
    let (resolve, world) = contract("0.1.0", FULL);
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    let component = ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap();
    let program = sandbox().load(&component).unwrap();
    let names = |list: &[&str]| -> Vec<String> {
        list.iter()
            .map(|name| format!("ig:gadget/{name}@0.1.0"))
            .collect()
    };
    assert_eq!(
        program.imports(),
        names(&[
            "clock",
            "containers",
            "log",
            "maps",
            "params",
            "tables",
            "timers",
            "types"
        ])
    );
    assert_eq!(
        program.exports(),
        names(&["container-watcher", "handler", "ticker"])
    );
    assert!(program.has_ticker() && program.has_watcher());
    let guest = program
        .instantiate(Recorder::default(), Limits::default(), Grants::ALL)
        .unwrap();
    assert!(guest.is_alive());
}

#[test]
fn bytes_that_are_no_component() {
    let sandbox = sandbox();
    for bytes in [
        &b""[..],
        b"\x7fELF\x02",
        b"#!/bin/sh\n",
        b"\0asm\x01\0\0\0",
        b"\0asm\x02\0\0\0",
    ] {
        assert!(
            matches!(sandbox.load(bytes), Err(LoadError::NotAComponent { .. })),
            "{bytes:?}"
        );
    }
    let core = wat::parse_str(Wat::default().core()).unwrap();
    assert_eq!(
        refused(&core),
        "not a WebAssembly component: a core WebAssembly module; encode it as a component first"
    );
}

#[test]
fn a_component_cut_anywhere_or_changed_anywhere_gives_an_answer() {
    let sandbox = sandbox();
    let component = Wat::default().component();
    for end in (0..component.len()).step_by(7) {
        assert!(sandbox.load(&component[..end]).is_err(), "cut at {end}");
    }
    let mut loaded = 0;
    for at in (8..component.len()).step_by(11) {
        let mut changed = component.clone();
        changed[at] ^= 0x15;
        loaded += u32::from(sandbox.load(&changed).is_ok());
    }
    assert!(loaded > 0); // a name or a constant
}

#[test]
fn features_that_are_off_are_refused() {
    for field in [
        "(memory $wide i64 1)",
        "(memory 1 1 shared)",
        "(type $s (struct (field i32)))",
        "(tag $e)",
        "(func $f (result i32) (return_call $f))",
    ] {
        let core = Wat {
            fields: field,
            ..Wat::default()
        };
        // the encoder would not validate it either
        let component = format!("(component (core module $m {}))", core.fields);
        let component = wat::parse_str(component).unwrap();
        assert!(
            matches!(sandbox().load(&component), Err(LoadError::Invalid(_))),
            "{field}"
        );
    }
}

#[test]
fn an_unknown_import_is_named_with_what_there_is() {
    let wasi = r#"(component (import "wasi:cli/environment@0.2.0" (instance
        (export "get" (func)))))"#;
    assert_eq!(
        refused(&wat::parse_str(wasi).unwrap()),
        "the component imports wasi:cli/environment@0.2.0: a guest gets no WASI: build it without \
         (for Rust: wasm32-unknown-unknown)"
    );
    let later = r#"(component (import "ig:gadget/sockets@0.1.4" (instance
        (export "open" (func)))))"#;
    assert_eq!(
        refused(&wat::parse_str(later).unwrap()),
        "the component imports ig:gadget/sockets@0.1.4: this host offers ig:gadget 0.1.0 with \
         tables, log, params, clock, maps, timers, containers; a later release may have it"
    );
    let function = r#"(component (import "ig:gadget/clock@0.1.4" (instance
        (export "boot" (func (result u64))) (export "cpu" (func (result u64))))))"#;
    assert!(
        refused(&wat::parse_str(function).unwrap())
            .starts_with("the component imports ig:gadget/clock@0.1.4#cpu: ")
    );
    let other = r#"(component (import "run" (func)))"#;
    assert_eq!(
        refused(&wat::parse_str(other).unwrap()),
        "the component imports run: a guest can import from ig:gadget alone"
    );
}

#[test]
fn an_import_of_another_type_is_refused() {
    let text = r#"(component (import "ig:gadget/clock@0.1.0" (instance
        (export "boot" (func (result u32)))))
        (instance $h) (export "ig:gadget/handler@0.1.0" (instance $h)))"#;
    let error = refused(&wat::parse_str(text).unwrap());
    assert!(
        error.contains("does not have the contract's type"),
        "{error}"
    );
    assert!(error.contains("clock") && error.contains("boot"), "{error}");
}

#[test]
fn the_handler_must_be_exported_with_its_types() {
    assert_eq!(
        refused(&wat::parse_str("(component)").unwrap()),
        "the component does not export ig:gadget/handler@0.1.0: it was not built for a gadget's world"
    );
    let empty = r#"(component (instance $h) (export "ig:gadget/handler@0.1.0" (instance $h)))"#;
    assert!(refused(&wat::parse_str(empty).unwrap()).contains("ig:gadget/handler@0.1.0#init"));
    // init without a result
    let wrong = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $h (export "init" (func $f)))
        (export "ig:gadget/handler@0.1.0" (instance $h)))"#;
    let error = refused(&wat::parse_str(wrong).unwrap());
    assert!(
        error.starts_with("ig:gadget/handler@0.1.0#init of the component"),
        "{error}"
    );
}

#[test]
fn composed_components_are_refused() {
    let text = r#"(component
        (component $inner (core module (func)))
        (instance $h) (export "ig:gadget/handler@0.1.0" (instance $h)))"#;
    assert!(matches!(
        sandbox().load(&wat::parse_str(text).unwrap()),
        Err(LoadError::Composed)
    ));
}

#[test]
fn what_is_not_granted_is_not_linked() {
    let wat = Wat {
        uses: &["clock"],
        imports: r#"(import "ig:gadget/clock@0.1.0" "boot" (func $boot (result i64)))"#,
        ..Wat::default()
    };
    let program = wat.load();
    let start = |grants| program.instantiate(Recorder::default(), Limits::default(), grants);
    let Err(StartError::NotGranted { interface }) = start(Grants {
        clock: false,
        ..Grants::ALL
    }) else {
        panic!("started");
    };
    assert_eq!(interface, "ig:gadget/clock@0.1.0");
    assert!(
        start(Grants {
            clock: true,
            ..Grants::default()
        })
        .is_ok()
    );
    // and the linker itself would not have it
    assert!(program.link::<Nobody>(Grants::default()).is_err());
}

#[test]
fn guests_of_every_0_1_link_to_every_0_1_host_and_no_other() {
    let imports = r#"(import "ig:gadget/log@VERSION" "write" (func $log (param i32 i32 i32)))"#;
    let built_for = |version| Wat {
        version,
        imports,
        process: "(call $log (i32.const 2) (i32.const 0) (i32.const 0)) (i32.const 32)",
        ..Wat::default()
    };
    // this host, guests of later releases that use nothing new
    for version in ["0.1.0", "0.1.7"] {
        let mut guest = built_for(version).start();
        guest.process(0, &[]).unwrap();
        assert_eq!(guest.host().logged.len(), 1, "{version}");
    }
    // hosts of later releases, this guest
    let program = built_for("0.1.0").load();
    for (version, links) in [("0.1.0", true), ("0.1.9", true), ("0.2.0", false)] {
        let mut linker = Linker::new(&program.shared.engine);
        link::<Nobody>(&mut linker, Grants::ALL, version).unwrap();
        assert_eq!(
            linker.instantiate_pre(&program.component).is_ok(),
            links,
            "{version}"
        );
    }
    assert_eq!(
        refused(&built_for("0.2.0").component()),
        "the component imports ig:gadget/log@0.2.0: this host offers ig:gadget 0.1.0; a guest of \
         it needs a host of its own version"
    );
    // and one that imports nothing, so that its export alone gives it away
    let error = refused(
        &Wat {
            version: "0.2.0",
            ..Wat::default()
        }
        .component(),
    );
    assert!(
        error.starts_with("ig:gadget/handler@0.2.0 of the component"),
        "{error}"
    );
}
