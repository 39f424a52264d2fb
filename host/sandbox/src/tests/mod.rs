//! Guests written as WAT against `wit/`, and what becomes of them.

mod cache;
mod calls;
mod engine;
mod load;
mod traps;

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use crate::{
    ColumnView, EmitError, Grants, Guest, Host, Level, Limits, MapError, Program, Sandbox,
    SandboxOptions, StartError, Trap, TrapKind,
};

/// A guest to be: its core module, piece by piece.
struct Wat<'a> {
    /// Interfaces beyond the base world: `params`, `clock`... and `ticker` for the export.
    uses: &'a [&'a str],
    /// Imports of the core module.
    imports: &'a str,
    /// Fields of the core module: data, globals, functions.
    fields: &'a str,
    /// Body of `init`; must leave the address of a result.
    init: &'a str,
    /// Body of `process`, with `$source`, `$at` and `$len`; must leave the address of a verdict.
    process: &'a str,
    /// Body of `stop`.
    stop: &'a str,
    /// Runs in every `cabi_realloc`.
    realloc: &'a str,
    /// Version of the contract that it is built for.
    version: &'a str,
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
    fn core(&self) -> String {
        let ticker = if self.uses.contains(&"ticker") {
            "(func (export \"ig:gadget/ticker@VERSION#tick\") (param $timer i32) (param $due i32) (call $tick (local.get $timer) (local.get $due)))"
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

    fn component(&self) -> Vec<u8> {
        let mut world = String::from(
            "package local:gadget;\nworld gadget {\n  include ig:gadget/base@0.1.0;\n",
        );
        for interface in self.uses {
            let way = if *interface == "ticker" {
                "export"
            } else {
                "import"
            };
            world.push_str(&format!("  {way} ig:gadget/{interface}@0.1.0;\n"));
        }
        world.push('}');
        let (resolve, _) = contract(self.version, &world.replace("0.1.0", self.version));
        encode(&self.core(), &resolve)
    }

    fn load(&self) -> Program {
        sandbox().load(&self.component()).unwrap()
    }

    fn start(&self) -> Guest<Recorder> {
        self.start_with(Recorder::default(), Limits::default())
            .unwrap()
    }

    fn start_with(&self, host: Recorder, limits: Limits) -> Result<Guest<Recorder>, StartError> {
        self.load().instantiate(host, limits, Grants::ALL)
    }

    /// The trap of the first `process`, over an empty span.
    fn trap(&self) -> Trap {
        self.start().process(0, &[]).unwrap_err()
    }
}

/// `wit/` under another version, and a world on top.
fn contract(version: &str, world: &str) -> (Resolve, wit_parser::WorldId) {
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
fn bytes(bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|b| format!("\\{b:02x}")).collect();
    format!("\"{escaped}\"")
}

/// Little-endian words as a WAT string.
fn words(words: &[u32]) -> String {
    bytes(
        &words
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect::<Vec<u8>>(),
    )
}

fn sandbox() -> Sandbox {
    Sandbox::new(SandboxOptions::default()).unwrap()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Emitted {
    table: u16,
    rows: u32,
    origin: Vec<u8>,
    columns: Vec<(u16, Vec<Vec<u8>>)>,
}

/// Remembers what it was asked, and answers as it was told.
#[derive(Default)]
struct Recorder {
    emitted: Vec<Emitted>,
    emit_error: Option<EmitError>,
    frames: Vec<u16>,
    logged: Vec<(Level, String)>,
    params: Vec<String>,
    clock_reads: u32,
    on_clock: Option<Box<dyn FnMut() + Send>>,
    maps: Vec<(&'static str, u16, Vec<u8>, Vec<u8>)>,
    timers: Vec<(&'static str, u64)>,
}

impl Recorder {
    fn map(
        &mut self,
        what: &'static str,
        grant: u16,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), MapError> {
        self.maps.push((what, grant, key.to_vec(), value.to_vec()));
        match grant {
            0 => Ok(()),
            1 => Err(MapError::Denied("lookup alone".into())),
            2 => Err(MapError::Failed("E2BIG".into())),
            _ => Err(MapError::Unknown),
        }
    }
}

impl Host for Recorder {
    fn emit(
        &mut self,
        table: u16,
        rows: u32,
        origin: &[u8],
        columns: &[ColumnView<'_>],
    ) -> Result<(), EmitError> {
        if let Some(error) = &self.emit_error {
            return Err(error.clone());
        }
        self.emitted.push(Emitted {
            table,
            rows,
            origin: origin.to_vec(),
            columns: columns
                .iter()
                .map(|c| (c.index, c.buffers.iter().map(|b| b.to_vec()).collect()))
                .collect(),
        });
        Ok(())
    }

    fn end_frame(&mut self, table: u16) -> Result<(), EmitError> {
        self.frames.push(table);
        if table == 0 {
            Ok(())
        } else {
            Err(EmitError::Broken(format!("no table {table}")))
        }
    }

    fn wanted(&mut self, table: u16) -> Result<Vec<u16>, EmitError> {
        Ok(vec![table, 7, 65535])
    }

    fn log(&mut self, level: Level, text: &str) {
        self.logged.push((level, text.to_owned()));
    }

    fn param(&mut self, index: u16) -> Result<String, EmitError> {
        self.params
            .get(usize::from(index))
            .cloned()
            .ok_or_else(|| EmitError::Broken(format!("params: no parameter {index}")))
    }

    fn boot(&mut self) -> u64 {
        self.clock_reads += 1;
        if let Some(act) = &mut self.on_clock {
            act();
        }
        1_000_000_000 + u64::from(self.clock_reads)
    }

    fn wall(&mut self) -> u64 {
        self.boot() + 1_700_000_000_000_000_000
    }

    fn map_lookup(&mut self, grant: u16, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        self.map("lookup", grant, key, &[])?;
        Ok((key == b"here").then(|| b"value".to_vec()))
    }

    fn map_update(&mut self, grant: u16, key: &[u8], value: &[u8]) -> Result<(), MapError> {
        self.map("update", grant, key, value)
    }

    fn map_delete(&mut self, grant: u16, key: &[u8]) -> Result<bool, MapError> {
        self.map("delete", grant, key, &[])?;
        Ok(key == b"here")
    }

    fn map_read_all(&mut self, grant: u16) -> Result<Vec<u8>, MapError> {
        self.map("read-all", grant, &[], &[])?;
        Ok(b"all of it".to_vec())
    }

    fn timer_every(&mut self, period_ns: u64) -> Result<u32, String> {
        self.timers.push(("every", period_ns));
        Ok(41)
    }

    fn timer_once(&mut self, delay_ns: u64) -> Result<u32, String> {
        self.timers.push(("once", delay_ns));
        Err("too many timers".into())
    }

    fn timer_cancel(&mut self, timer: u32) {
        self.timers.push(("cancel", timer.into()));
    }
}
