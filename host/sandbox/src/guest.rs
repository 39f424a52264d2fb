//! One running guest.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{ComponentNamedList, Func, InstancePre, Lift, Lower, TypedFunc};
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::contract::{HANDLER, TICKER, WATCHER, interface_of};
use crate::deadline::{Seat, thread_cpu};
use crate::host::{Grants, Host, State, Verdict};
use crate::limits::{HANDLES, Limits};
use crate::program::{LoadError, Program};
use crate::trap::{Fault, Trap, TrapKind};

/// Why an instance could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The component imports an interface that its manifest does not grant.
    #[error("the guest imports {interface}, which its manifest does not grant")]
    NotGranted {
        /// The interface, as the component names it.
        interface: String,
    },
    /// Linking failed in a way that loading should have found.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The guest trapped while it was made.
    #[error(transparent)]
    Trap(#[from] Trap),
}

/// The guest's exports, found once per instance.
#[derive(Clone, Copy)]
struct Exports {
    init: TypedFunc<(), (Result<(), String>,)>,
    /// `(u16, &[u8]) -> (Verdict,)`. Its type holds the lifetime of a span, so it is made for each call.
    process: Func,
    stop: TypedFunc<(), ()>,
    tick: Option<TypedFunc<(u32, u32), ()>>,
    /// `added` and `removed`: `(&[u32]) -> ()`, made for each call as `process` is.
    watcher: Option<(Func, Func)>,
}

type Process<'a> = TypedFunc<(u16, &'a [u8]), (Verdict,)>;
type Owners<'a> = TypedFunc<(&'a [u32],), ()>;

/// One instance of a guest with its host. After a trap it is dead until [`Guest::restart`].
///
/// It may be called from any thread, one at a time. The guest uses up to 512 KiB of the calling thread's stack, beside what
/// the host's own methods need: threads of the usual 2 MiB will do.
pub struct Guest<H: Host> {
    linked: InstancePre<State<H>>,
    store: Store<State<H>>,
    /// None: dead.
    exports: Option<Exports>,
    seat: Arc<Seat>,
    limits: Limits,
    program: Program,
}

impl<H: Host> Guest<H> {
    pub(crate) fn new(
        program: &Program,
        host: H,
        limits: Limits,
        grants: Grants,
    ) -> Result<Self, StartError> {
        let refused = program
            .imports()
            .iter()
            .find(|name| interface_of(name).is_some_and(|it| it != "types" && !grants.has(it)));
        if let Some(interface) = refused {
            return Err(StartError::NotGranted {
                interface: interface.clone(),
            });
        }
        let linked = program.link::<H>(grants)?;
        let seat = program
            .shared
            .watcher
            .seat(limits.cpu_per_call.min(limits.cpu_to_start_or_stop))
            .map_err(|e| LoadError::Engine(format!("can't start a thread: {e}")))?;
        let store = new_store(program, Box::new(host), &limits);
        let mut guest = Self {
            linked,
            store,
            exports: None,
            seat,
            limits,
            program: program.clone(),
        };
        guest.start()?;
        Ok(guest)
    }

    /// Makes the instance in the store that is there.
    fn start(&mut self) -> Result<(), Trap> {
        let has_ticker = self.program.has_ticker;
        let has_watcher = self.program.has_watcher;
        let linked = self.linked.clone();
        let exports = self.run("instantiate", self.limits.cpu_to_start_or_stop, |store| {
            let instance = linked.instantiate(&mut *store)?;
            let mut find = |interface: &str, function: &str| {
                instance
                    .get_export_index(&mut *store, None, interface)
                    .and_then(|at| instance.get_export_index(&mut *store, Some(&at), function))
                    .and_then(|at| instance.get_func(&mut *store, at))
                    .ok_or_else(|| {
                        Fault::Broken(format!("no export {interface}#{function}")).into()
                    })
                    .map_err(|e: wasmtime::Error| e)
            };
            let init = find(HANDLER, "init")?;
            let process = find(HANDLER, "process")?;
            let stop = find(HANDLER, "stop")?;
            let tick = if has_ticker {
                Some(find(TICKER, "tick")?)
            } else {
                None
            };
            let watcher = if has_watcher {
                let (added, removed) = (find(WATCHER, "added")?, find(WATCHER, "removed")?);
                added.typed::<(&[u32],), ()>(&*store)?;
                removed.typed::<(&[u32],), ()>(&*store)?;
                Some((added, removed))
            } else {
                None
            };
            process.typed::<(u16, &[u8]), (Verdict,)>(&*store)?;
            Ok(Exports {
                init: init.typed(&*store)?,
                process,
                stop: stop.typed(&*store)?,
                tick: tick.map(|tick| tick.typed(&*store)).transpose()?,
                watcher,
            })
        })?;
        self.exports = Some(exports);
        Ok(())
    }

    /// Calls `handler.init`. The inner error is the guest's own, with a text for the user.
    ///
    /// # Errors
    ///
    /// A trap.
    pub fn init(&mut self) -> Result<Result<(), String>, Trap> {
        let exports = self.alive("init")?;
        self.run("init", self.limits.cpu_to_start_or_stop, |store| {
            Ok(exports.init.call(store, ())?.0)
        })
    }

    /// Hands a span of records to `handler.process`: one allocation in the guest, and one copy of `span` into its memory.
    /// Whether the verdict adds up is for the caller to check.
    ///
    /// # Errors
    ///
    /// A trap; the span is lost.
    pub fn process(&mut self, source: u16, span: &[u8]) -> Result<Verdict, Trap> {
        let exports = self.alive("process")?;
        self.run("process", self.limits.cpu_per_call, |store| {
            // SAFETY: `start` checked this very function against these types, before it was kept.
            let process: Process<'_> = unsafe { TypedFunc::new_unchecked(exports.process) };
            Ok(process.call(store, (source, span))?.0)
        })
    }

    /// Whether the guest takes timers.
    #[must_use]
    pub fn has_ticker(&self) -> bool {
        self.program.has_ticker
    }

    /// Tells the guest that a timer is due, `due` periods since the last time. Does nothing if the guest takes
    /// no timers.
    ///
    /// # Errors
    ///
    /// A trap.
    pub fn tick(&mut self, timer: u32, due: u32) -> Result<(), Trap> {
        let exports = self.alive("tick")?;
        let Some(tick) = exports.tick else {
            return Ok(());
        };
        self.run("tick", self.limits.cpu_per_call, |store| {
            tick.call(store, (timer, due))
        })
    }

    /// Whether the guest wants to know of containers that come and go.
    #[must_use]
    pub fn has_watcher(&self) -> bool {
        self.program.has_watcher
    }

    /// Tells the guest that the containers of these owners are there now. Does nothing if it does not want to know.
    ///
    /// # Errors
    ///
    /// A trap.
    pub fn added(&mut self, owners: &[u32]) -> Result<(), Trap> {
        let exports = self.alive("added")?;
        self.told("added", exports.watcher.map(|(added, _)| added), owners)
    }

    /// Tells the guest that the containers of these owners are gone. Does nothing if it does not want to know.
    ///
    /// # Errors
    ///
    /// A trap.
    pub fn removed(&mut self, owners: &[u32]) -> Result<(), Trap> {
        let exports = self.alive("removed")?;
        self.told(
            "removed",
            exports.watcher.map(|(_, removed)| removed),
            owners,
        )
    }

    fn told(&mut self, during: &str, function: Option<Func>, owners: &[u32]) -> Result<(), Trap> {
        let Some(function) = function else {
            return Ok(());
        };
        self.run(during, self.limits.cpu_per_call, |store| {
            // SAFETY: `start` checked this very function against these types, before it was kept.
            let function: Owners<'_> = unsafe { TypedFunc::new_unchecked(function) };
            function.call(store, (owners,))
        })
    }

    /// Calls `handler.stop`.
    ///
    /// # Errors
    ///
    /// A trap.
    pub fn stop(&mut self) -> Result<(), Trap> {
        let exports = self.alive("stop")?;
        self.run("stop", self.limits.cpu_to_start_or_stop, |store| {
            exports.stop.call(store, ())
        })
    }

    /// Throws the instance away and makes a new one with the same host and limits. `init` is not called.
    ///
    /// # Errors
    ///
    /// A trap while it was made: the guest stays dead, the host is still there.
    pub fn restart(&mut self) -> Result<(), Trap> {
        self.exports = None;
        let Some(host) = self.store.data_mut().host.take() else {
            return Err(Trap::dead("restart"));
        };
        self.store = new_store(&self.program, host, &self.limits);
        self.start()
    }

    /// Whether the guest can be called.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.exports.is_some()
    }

    /// Bytes of linear memory that the instance holds. It never shrinks while the instance lives.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.store.data().meter.memory()
    }

    /// The host.
    ///
    /// # Panics
    ///
    /// If a method of the host panicked before and the caller caught that.
    #[must_use]
    pub fn host(&self) -> &H {
        match &self.store.data().host {
            Some(host) => host,
            None => lost(),
        }
    }

    /// The host.
    ///
    /// # Panics
    ///
    /// As [`Guest::host`].
    pub fn host_mut(&mut self) -> &mut H {
        match &mut self.store.data_mut().host {
            Some(host) => host,
            None => lost(),
        }
    }

    /// Ends the guest and gives its host back.
    ///
    /// # Panics
    ///
    /// As [`Guest::host`].
    #[must_use]
    pub fn into_host(self) -> H {
        match self.store.into_data().host {
            Some(host) => *host,
            None => lost(),
        }
    }

    fn alive(&self, during: &str) -> Result<Exports, Trap> {
        self.exports.ok_or_else(|| Trap::dead(during))
    }

    /// Everything that runs code of the guest goes through here.
    fn run<R>(
        &mut self,
        during: &str,
        cpu: Duration,
        work: impl FnOnce(&mut Store<State<H>>) -> wasmtime::Result<R>,
    ) -> Result<R, Trap> {
        self.store.data_mut().begin(&self.limits, cpu);
        self.store.set_epoch_deadline(1);
        let turn = self.seat.begin();
        let result = work(&mut self.store);
        drop(turn);
        self.store.data_mut().end();
        result.map_err(|error| {
            self.exports = None;
            Trap::new(during, &error)
        })
    }
}

#[cold]
#[expect(
    clippy::panic,
    reason = "only after the caller caught a panic of its own code"
)]
fn lost() -> ! {
    panic!("the host of this guest was lost when it panicked");
}

fn new_store<H: Host>(program: &Program, host: Box<H>, limits: &Limits) -> Store<State<H>> {
    let mut store = Store::new(&program.shared.engine, State::new(host, limits));
    store.limiter(|state| &mut state.meter);
    store.set_hostcall_fuel(limits.hostcall_fuel);
    store.set_max_component_handles(HANDLES);
    store.epoch_deadline_callback(check_deadline);
    store
}

/// The epoch moved: this call has been running for a while. Is it over its CPU time?
fn check_deadline<H: Host>(
    mut store: StoreContextMut<'_, State<H>>,
) -> wasmtime::Result<UpdateDeadline> {
    let now = thread_cpu().map_err(Fault::Clock)?;
    let call = &mut store.data_mut().call;
    let from = *call.cpu_from.get_or_insert(now);
    if now.saturating_sub(from) >= call.cpu_limit {
        return Err(Fault::Deadline(call.cpu_limit).into());
    }
    Ok(UpdateDeadline::Continue(1))
}

/// Compares the exports' types with the contract's.
pub(crate) fn export_types<H: Host>(
    linked: &InstancePre<State<H>>,
    has_ticker: bool,
    has_watcher: bool,
) -> Result<(), LoadError> {
    export_type::<H, (), (Result<(), String>,)>(linked, HANDLER, "init")?;
    export_type::<H, (u16, &[u8]), (Verdict,)>(linked, HANDLER, "process")?;
    export_type::<H, (), ()>(linked, HANDLER, "stop")?;
    if has_ticker {
        export_type::<H, (u32, u32), ()>(linked, TICKER, "tick")?;
    }
    if has_watcher {
        export_type::<H, (&[u32],), ()>(linked, WATCHER, "added")?;
        export_type::<H, (&[u32],), ()>(linked, WATCHER, "removed")?;
    }
    Ok(())
}

fn export_type<H, Params, Return>(
    linked: &InstancePre<State<H>>,
    interface: &str,
    function: &str,
) -> Result<(), LoadError>
where
    H: Host,
    Params: ComponentNamedList + Lower,
    Return: ComponentNamedList + Lift,
{
    let component = linked.component();
    let name = || format!("{interface}#{function}");
    let at = component
        .get_export_index(None, interface)
        .and_then(|at| component.get_export(Some(&at), function));
    let Some((ComponentItem::ComponentFunc(found), _)) = at else {
        return Err(LoadError::MissingExport { name: name() });
    };
    // `typecheck` is what wasmtime's own `bindgen!` calls at this place; hidden, not private.
    found
        .typecheck::<Params, Return>(&linked.instance_type())
        .map_err(|e| LoadError::WrongType {
            name: name(),
            reason: format!("{e:#}").replace('\n', " "),
        })?;
    if found.async_() {
        return Err(LoadError::WrongType {
            name: name(),
            reason: "it is async".to_owned(),
        });
    }
    Ok(())
}

impl Trap {
    /// Whether the ledger counts this under "lost to a deadline" and not under "lost to a trap".
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        self.kind == TrapKind::Deadline
    }
}

#[cfg(test)]
impl<H: Host> Guest<H> {
    pub(crate) fn wait_until_the_watcher_parks(&self) {
        while !self.seat.watcher_is_parked() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
