//! What becomes of guests written as WAT.

mod cache;
mod calls;
mod engine;
mod guests;
mod load;
mod traps;

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding};

use self::guests::{Wat, bytes, contract, words};
use crate::{
    ColumnView, Compiler, EmitError, Grants, Guest, Host, Level, Limits, MapError, Program,
    Sandbox, SandboxOptions, StartError, Trap, TrapKind,
};

impl Wat<'_> {
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

fn sandbox() -> Sandbox {
    let options = SandboxOptions {
        compiler: Compiler::InProcess,
        ..SandboxOptions::default()
    };
    Sandbox::new(options).unwrap()
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
    asked: Vec<String>,
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

    fn owners_of_records(&mut self, offsets: &[u32]) -> Result<Vec<u32>, EmitError> {
        self.asked.push(format!("of-records {offsets:?}"));
        if offsets.contains(&7) {
            return Err(EmitError::Broken("of-records: no record at 7".into()));
        }
        Ok(offsets.iter().map(|offset| offset + 1).collect())
    }

    fn owners_by_cgroup(&mut self, cgroups: &[u64]) -> Vec<u32> {
        self.asked.push(format!("by-cgroup {cgroups:?}"));
        vec![9; cgroups.len()]
    }

    fn owner_by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32 {
        self.asked
            .push(format!("by-mount-namespace {namespace} {at}"));
        10
    }

    fn owner_by_id(&mut self, id: &str) -> u32 {
        self.asked.push(format!("by-id {id}"));
        11
    }

    fn owner_fields(&mut self, owners: &[u32], name: &str) -> Result<Vec<Option<String>>, String> {
        self.asked.push(format!("field {owners:?} {name}"));
        if name == "colour" {
            return Err("no such field".into());
        }
        let text = |owner: &u32| (*owner == 1).then(|| "größe".to_owned());
        Ok(owners.iter().map(text).collect())
    }
}
