//! What a guest may ask of its host: the trait that the caller implements, and one module per interface of the
//! contract that links it.

mod clock;
mod containers;
mod log;
mod maps;
mod nobody;
mod params;
mod tables;
mod timers;

use std::time::Duration;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker};

pub(crate) use nobody::Nobody;

use crate::limits::{Limits, Meter};
use crate::trap::Fault;

/// One column of an emit: views into the guest's memory, valid during the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnView<'a> {
    /// Index in the manifest's list of columns. Not checked here.
    pub index: u16,
    /// The Arrow buffers, in the order of `wit/types.wit`. Not checked here beyond lying in the guest's memory.
    pub buffers: &'a [&'a [u8]],
}

/// Why rows were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// The call's budget is used up. The guest gets this text as an error and goes on; nothing was taken.
    #[error("{0}")]
    OverBudget(String),
    /// What the guest sent can't be right. The call traps with this text.
    #[error("{0}")]
    Broken(String),
}

/// Why a map call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// The grant does not name this kind of access. The guest gets this text as an error.
    #[error("{0}")]
    Denied(String),
    /// The kernel refused, a size is wrong, or the answer would be over budget. The guest gets this text as an error.
    #[error("{0}")]
    Failed(String),
    /// There is no such grant. The call traps.
    #[error("no such map grant")]
    Unknown,
}

/// How much a message matters, as in `wit/log.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    #[component(name = "error")]
    Error,
    /// Something is not as it should be.
    #[component(name = "warn")]
    Warn,
    /// Worth knowing.
    #[component(name = "info")]
    Info,
    /// For the gadget's author.
    #[component(name = "debug")]
    Debug,
}

/// What a guest did with the records of a span. The caller checks that the sum is the span's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Verdict {
    /// Records that the guest used.
    pub accepted: u32,
    /// Records that the guest left out on purpose.
    pub dropped: u32,
    /// Records that the guest could not read.
    pub malformed: u32,
}

/// What a guest asks of its host. Called on the thread that calls the guest, never two at once, and only between the begin
/// and the end of a call of the guest.
///
/// Time spent here counts as the guest's CPU time. A panic here leaves the guest unusable: its host is lost
/// with it.
pub trait Host: Send + 'static {
    /// Rows for a table. `origin` is a u32 per row, little endian, or empty. The slices are the guest's own memory:
    /// copy what is kept.
    ///
    /// # Errors
    ///
    /// [`EmitError::OverBudget`] goes to the guest, [`EmitError::Broken`] traps.
    fn emit(
        &mut self,
        table: u16,
        rows: u32,
        origin: &[u8],
        columns: &[ColumnView<'_>],
    ) -> Result<(), EmitError>;

    /// Ends the current frame of a table.
    ///
    /// # Errors
    ///
    /// Either kind traps: the contract gives the guest no error here.
    fn end_frame(&mut self, table: u16) -> Result<(), EmitError>;

    /// The columns of a table that somebody needs now, ascending.
    ///
    /// # Errors
    ///
    /// As for [`Host::end_frame`].
    fn wanted(&mut self, table: u16) -> Result<Vec<u16>, EmitError>;

    /// A message of the guest, already within its budget of bytes. May hold control characters.
    fn log(&mut self, level: Level, text: &str);

    /// The canonical text of a parameter.
    ///
    /// # Errors
    ///
    /// Either kind traps: there is no such parameter for guests.
    fn param(&mut self, index: u16) -> Result<String, EmitError>;

    /// Nanoseconds of CLOCK_BOOTTIME. Asked at most once in a call of the guest.
    fn boot(&mut self) -> u64;

    /// Nanoseconds since 1970. Asked at most once in a call of the guest.
    fn wall(&mut self) -> u64;

    /// The value of a key in a granted map.
    ///
    /// # Errors
    ///
    /// See [`MapError`].
    fn map_lookup(&mut self, grant: u16, key: &[u8]) -> Result<Option<Vec<u8>>, MapError>;

    /// Sets the value of a key in a granted map.
    ///
    /// # Errors
    ///
    /// See [`MapError`].
    fn map_update(&mut self, grant: u16, key: &[u8], value: &[u8]) -> Result<(), MapError>;

    /// Removes a key of a granted map; false: it was not there.
    ///
    /// # Errors
    ///
    /// See [`MapError`].
    fn map_delete(&mut self, grant: u16, key: &[u8]) -> Result<bool, MapError>;

    /// All entries of a granted map, framed like records.
    ///
    /// # Errors
    ///
    /// See [`MapError`].
    fn map_read_all(&mut self, grant: u16) -> Result<Vec<u8>, MapError>;

    /// Makes a timer that is due every so many nanoseconds.
    ///
    /// # Errors
    ///
    /// The text goes to the guest.
    fn timer_every(&mut self, period_ns: u64) -> Result<u32, String>;

    /// Makes a timer that is due once.
    ///
    /// # Errors
    ///
    /// The text goes to the guest.
    fn timer_once(&mut self, delay_ns: u64) -> Result<u32, String>;

    /// Ends a timer; one that is not there is ignored.
    fn timer_cancel(&mut self, timer: u32);

    /// The owners of records of the span that is being processed, by the offsets of their headers: as many as there are
    /// offsets, 0 for those that are not known.
    ///
    /// # Errors
    ///
    /// Either kind traps: no span is being processed, or no record that counts begins there.
    fn owners_of_records(&mut self, offsets: &[u32]) -> Result<Vec<u32>, EmitError>;

    /// The owners of cgroups: as many as there are cgroups, 0 for those that are not known.
    fn owners_by_cgroup(&mut self, cgroups: &[u64]) -> Vec<u32>;

    /// The owner that a mount namespace had at a time of CLOCK_BOOTTIME in nanoseconds; 0: not known.
    fn owner_by_mount_namespace(&mut self, namespace: u64, at: u64) -> u32;

    /// The owner with a container's id or a beginning of it; 0: none, or several.
    fn owner_by_id(&mut self, id: &str) -> u32;

    /// A field of each of these owners: as many as there are owners.
    ///
    /// # Errors
    ///
    /// No field of that name, or more than one call may get. The text goes to the guest.
    fn owner_fields(&mut self, owners: &[u32], name: &str) -> Result<Vec<Option<String>>, String>;
}

/// Which interfaces a guest gets beside `tables` and `log`. One that is not granted is not linked, and a guest that
/// imports it can't be instantiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one switch per interface, set by name"
)]
pub struct Grants {
    /// `params`: the manifest has a parameter for the guest.
    pub params: bool,
    /// `clock`: the manifest's `guest.clock`.
    pub clock: bool,
    /// `maps`: the manifest grants at least one map.
    pub maps: bool,
    /// `timers`: the manifest's `guest.timers`.
    pub timers: bool,
    /// `containers`: the manifest's `guest.containers` or `guest.watch`.
    pub containers: bool,
}

impl Grants {
    /// Everything that the contract has.
    pub const ALL: Self = Self {
        params: true,
        clock: true,
        maps: true,
        timers: true,
        containers: true,
    };

    /// Whether the interface of this name (`clock`, `maps`...) is linked under these grants.
    #[must_use]
    pub fn has(&self, interface: &str) -> bool {
        match interface {
            "tables" | "log" => true,
            "params" => self.params,
            "clock" => self.clock,
            "maps" => self.maps,
            "timers" => self.timers,
            "containers" => self.containers,
            _ => false,
        }
    }
}

/// What a store holds beside the guest.
pub(crate) struct State<H> {
    /// Taken out while it works on views of the guest's memory, which borrow the store.
    pub(crate) host: Option<Box<H>>,
    pub(crate) meter: Meter,
    pub(crate) call: Call,
}

/// Budgets of the call that runs.
#[derive(Default)]
pub(crate) struct Call {
    pub(crate) cpu_limit: Duration,
    /// The thread's CPU time when the watcher first found this call running.
    pub(crate) cpu_from: Option<Duration>,
    host_calls: u32,
    host_calls_limit: u32,
    log_left: usize,
    log_cut: u64,
    boot: Option<u64>,
    wall: Option<u64>,
}

impl<H: Host> State<H> {
    pub(crate) fn new(host: Box<H>, limits: &Limits) -> Self {
        Self {
            host: Some(host),
            meter: Meter::new(limits),
            call: Call::default(),
        }
    }

    /// A call of the guest begins.
    pub(crate) fn begin(&mut self, limits: &Limits, cpu_limit: Duration) {
        self.call = Call {
            cpu_limit,
            host_calls_limit: limits.host_calls,
            log_left: limits.log_bytes,
            ..Call::default()
        };
    }

    /// A call of the guest is over.
    pub(crate) fn end(&mut self) {
        let cut = std::mem::take(&mut self.call.log_cut);
        if cut > 0
            && let Some(host) = &mut self.host
        {
            host.log(
                Level::Warn,
                &format!("{cut} bytes of log text were cut: more than one call may write"),
            );
        }
    }

    /// Every call back into the host begins here.
    fn spend(&mut self) -> wasmtime::Result<()> {
        self.call.host_calls += 1;
        if self.call.host_calls > self.call.host_calls_limit {
            return Err(Fault::HostCalls(self.call.host_calls_limit).into());
        }
        Ok(())
    }

    /// The host, for what needs no view of the guest's memory.
    fn host(&mut self) -> wasmtime::Result<&mut H> {
        self.spend()?;
        self.host
            .as_deref_mut()
            .ok_or_else(|| Fault::HostGone.into())
    }
}

/// Lets the host work on views of the guest's memory: it is out of the store meanwhile.
fn with_views<H: Host, R>(
    store: &mut StoreContextMut<'_, State<H>>,
    work: impl FnOnce(&mut H, &StoreContextMut<'_, State<H>>) -> R,
) -> wasmtime::Result<R> {
    let mut host = store.data_mut().host.take().ok_or(Fault::HostGone)?;
    let result = work(&mut host, store);
    store.data_mut().host = Some(host);
    Ok(result)
}

/// Either kind traps.
fn or_trap<R>(result: Result<R, EmitError>) -> wasmtime::Result<R> {
    result.map_err(|e| Fault::Broken(e.to_string()).into())
}

/// Links what is granted, as version `version` of the contract.
pub(crate) fn link<H: Host>(
    linker: &mut Linker<State<H>>,
    grants: Grants,
    version: &str,
) -> wasmtime::Result<()> {
    let name = |interface: &str| format!("ig:gadget/{interface}@{version}");
    tables::link(&mut linker.instance(&name("tables"))?)?;
    log::link(&mut linker.instance(&name("log"))?)?;
    if grants.params {
        params::link(&mut linker.instance(&name("params"))?)?;
    }
    if grants.clock {
        clock::link(&mut linker.instance(&name("clock"))?)?;
    }
    if grants.maps {
        maps::link(&mut linker.instance(&name("maps"))?)?;
    }
    if grants.timers {
        timers::link(&mut linker.instance(&name("timers"))?)?;
    }
    if grants.containers {
        containers::link(&mut linker.instance(&name("containers"))?)?;
    }
    Ok(())
}
