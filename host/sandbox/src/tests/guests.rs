//! Guests written as WAT against `wit/`.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// A guest to be: its core module, piece by piece.
pub struct Wat<'a> {
    /// Interfaces beyond the base world: `params`, `clock`... and `ticker` or `container-watcher` for the exports.
    pub uses: &'a [&'a str],
    /// Imports of the core module.
    pub imports: &'a str,
    /// Fields of the core module: data, globals, functions.
    pub fields: &'a str,
    /// Body of `init`; must leave the address of a result.
    pub init: &'a str,
    /// Body of `process`, with `$source`, `$at` and `$len`; must leave the address of a verdict.
    pub process: &'a str,
    /// Body of `stop`.
    pub stop: &'a str,
    /// Runs in every `cabi_realloc`.
    pub realloc: &'a str,
    /// Version of the contract that it is built for.
    pub version: &'a str,
}

impl Default for Wat<'_> {
    fn default() -> Self {
        Self {
            uses: &[],
            imports: "",
            fields: "",
            init: "i32.const 16",
            process: "i32.const 32",
            stop: "",
            realloc: "",
            version: "0.1.0",
        }
    }
}

impl Wat<'_> {
    /// The core module. Below 64: zeros. 64 KiB and up: what `cabi_realloc` gives. The rest is free.
    pub fn core(&self) -> String {
        let ticker = if self.uses.contains(&"ticker") {
            "(func (export \"ig:gadget/ticker@VERSION#tick\") (param $timer i32) (param $due i32) (call $tick (local.get $timer) (local.get $due)))"
        } else {
            ""
        };
        let watcher = if self.uses.contains(&"container-watcher") {
            "(func (export \"ig:gadget/container-watcher@VERSION#added\") (param $at i32) (param $len i32) (call $added (local.get $at) (local.get $len)))
            (func (export \"ig:gadget/container-watcher@VERSION#removed\") (param $at i32) (param $len i32) (call $removed (local.get $at) (local.get $len)))"
        } else {
            ""
        };
        format!(
            r#"(module
            {imports}
            (memory (export "memory") 4)
            (global $next (mut i32) (i32.const 65536))
            (func $cabi_realloc (export "cabi_realloc")
                (param i32) (param i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32)
                {realloc}
                (local.set $at (i32.and
                    (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
                    (i32.sub (i32.const 0) (local.get $align))))
                (global.set $next (i32.add (local.get $at) (local.get $size)))
                (block $fits (loop $grow
                    (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
                    (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
                    (br $grow)))
                (local.get $at))
            {fields}
            {ticker}
            {watcher}
            (func $init (export "ig:gadget/handler@VERSION#init") (result i32) {init})
            (func $process (export "ig:gadget/handler@VERSION#process")
                (param $source i32) (param $at i32) (param $len i32) (result i32)
                {process}
                (global.set $next (i32.const 65536)))
            (func $stop (export "ig:gadget/handler@VERSION#stop") {stop}))"#,
            imports = self.imports,
            realloc = self.realloc,
            fields = self.fields,
            init = self.init,
            process = self.process,
            stop = self.stop,
        )
        .replace("VERSION", self.version)
    }

    pub fn component(&self) -> Vec<u8> {
        let mut world = String::from(
            "package local:gadget;\nworld gadget {\n  include ig:gadget/base@0.1.0;\n",
        );
        for interface in self.uses {
            let way = match *interface {
                "ticker" | "container-watcher" => "export",
                _ => "import",
            };
            world.push_str(&format!("  {way} ig:gadget/{interface}@0.1.0;\n"));
        }
        world.push('}');
        let (resolve, _) = contract(self.version, &world.replace("0.1.0", self.version));
        encode(&self.core(), &resolve)
    }
}

/// `wit/` under another version, and a world on top.
pub fn contract(version: &str, world: &str) -> (Resolve, wit_parser::WorldId) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut text = String::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "wit"))
    {
        let file = std::fs::read_to_string(file).unwrap();
        // a package's own documents come before its one declaration
        text.push_str(&file.replace("package ig:gadget@0.1.0;\n", ""));
    }
    let mut resolve = Resolve::default();
    resolve
        .push_str(
            "contract.wit",
            &format!("package ig:gadget@{version};\n{text}"),
        )
        .unwrap();
    let package = resolve.push_str("gadget.wit", world).unwrap();
    let world = resolve.select_world(&[package], Some("gadget")).unwrap();
    (resolve, world)
}

fn encode(core: &str, resolve: &Resolve) -> Vec<u8> {
    let mut module = wat::parse_str(core).unwrap();
    let (world, _) = resolve
        .worlds
        .iter()
        .find(|(_, world)| world.name == "gadget")
        .unwrap();
    wit_component::embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8)
        .unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

/// Bytes as a WAT string.
pub fn bytes(bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|b| format!("\\{b:02x}")).collect();
    format!("\"{escaped}\"")
}

/// Little-endian words as a WAT string.
pub fn words(words: &[u32]) -> String {
    bytes(
        &words
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect::<Vec<u8>>(),
    )
}
