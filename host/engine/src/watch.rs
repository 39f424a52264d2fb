//! The machine's cgroups, as the kernel tells of them, told on to who knows whose they are.

use crate::guest::Say;
use ig_containers::{Event, Maker, Options, Service};
use ig_kernel::Stopper;
use ig_kernel::Wake;
use ig_kernel::cgroups::{
    self, CgroupEvent, CgroupFilter, CgroupWatcher, Hierarchy, Settled, WatchOptions,
};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Knows of every cgroup, for as long as it is there.
pub(crate) struct Watch {
    service: Arc<Service>,
    kernel: Option<Kernel>,
}

/// The thread that hears the kernel.
struct Kernel {
    stopper: Stopper,
    settled: Settled,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Listens to the kernel first and looks at what is there after, so that no cgroup is missed. Without the rights for the
    /// first it is only looked, again and again; `say` is told. New cgroups are pending in `filter` at once.
    ///
    /// # Errors
    /// There are no cgroups, no thread can be started, or the filter can't be kept up to date.
    pub fn start(
        mut options: Options,
        filter: Option<&CgroupFilter>,
        say: &Say,
    ) -> Result<Self, String> {
        let watcher = Hierarchy::of_machine(&options.host_root.join("proc"))
            .map_err(|e| e.to_string())
            .and_then(|hierarchy| {
                let options = WatchOptions {
                    hierarchy,
                    filter: filter.cloned(),
                    ..WatchOptions::default()
                };
                CgroupWatcher::start(&options).map_err(|e| e.to_string())
            });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(problem) if filter.is_some() => return Err(problem),
            Err(problem) => {
                say(&format!(
                    "{problem}: containers are looked for once a second, and short ones are missed"
                ));
                None
            }
        };
        options.watched = watcher.is_some();
        let service = Arc::new(begin(options, say)?);
        let kernel = watcher
            .map(|watcher| Kernel::start(watcher, Arc::clone(&service), say.clone()))
            .transpose()?;
        Ok(Self { service, kernel })
    }

    /// Looks at what is there once a second, and asks the kernel nothing.
    ///
    /// # Errors
    /// As for [`Watch::start`].
    pub fn unwatched(options: Options, say: &Say) -> Result<Self, String> {
        let options = Options {
            watched: false,
            ..options
        };
        Ok(Self {
            service: Arc::new(begin(options, say)?),
            kernel: None,
        })
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Tells whether all that the kernel told was handled; None: it tells nothing.
    pub fn settled(&self) -> Option<Settled> {
        self.kernel.as_ref().map(|kernel| kernel.settled.clone())
    }
}

/// A service that tells the user of runtimes that are lost and found.
fn begin(options: Options, say: &Say) -> Result<Service, String> {
    let service = Service::start(options).map_err(|e| e.to_string())?;
    let say = say.clone();
    service.on_outage(move |sentence| say(sentence));
    Ok(service)
}

impl Kernel {
    fn start(mut watcher: CgroupWatcher, service: Arc<Service>, say: Say) -> Result<Self, String> {
        let (stopper, settled) = (watcher.stopper(), watcher.settled());
        let thread = std::thread::Builder::new()
            .name("ig-cgroups".to_owned())
            .spawn(move || {
                // Damaged memory, or a wait that fails: nothing comes any more, and the service looks by itself.
                if let Err(problem) = hear(&mut watcher, &service, &say) {
                    say(&format!(
                        "{problem}: containers are looked for once a second from now on"
                    ));
                    service.unwatched();
                }
            })
            .map_err(|e| format!("the thread that hears of cgroups can't be started: {e}"))?;
        Ok(Self {
            stopper,
            settled,
            thread: Some(thread),
        })
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn hear(
    watcher: &mut CgroupWatcher,
    service: &Service,
    say: &Say,
) -> Result<(), cgroups::WatchError> {
    let mut missed = false;
    loop {
        watcher.drain(|event| service.tell(told(&event)))?;
        if watcher.unmarked() > 0 && !std::mem::replace(&mut missed, true) {
            say(
                "more cgroups are new than can be selected from at once: the first records of some may be missing",
            );
        }
        if watcher.wait(None)? == Wake::Stop {
            return Ok(());
        }
    }
}

/// The kernel's words in the directory's.
fn told(event: &CgroupEvent<'_>) -> Event {
    match *event {
        CgroupEvent::Rescan { lost } => Event::Lost { count: lost },
        CgroupEvent::Made(made) => Event::Made {
            at: made.boot_ns,
            cgroup: made.cgroup,
            parent: made.parent,
            path: made.path.to_vec(),
            truncated: made.path_cut,
            maker: Maker {
                pid: made.maker.pid,
                ppid: made.maker.parent,
                comm: made.maker.comm.to_vec(),
                mount_ns: u64::from(made.maker.mntns),
                cgroup: made.maker.cgroup,
                argv: made.maker.args.unwrap_or_default().to_vec(),
                argv_truncated: made.maker.args_cut || made.maker.args.is_none(),
            },
        },
        CgroupEvent::Removed(gone) => Event::Removed {
            at: gone.boot_ns,
            cgroup: gone.cgroup,
        },
        CgroupEvent::Emptied(left) => Event::Emptied {
            at: left.boot_ns,
            cgroup: left.cgroup,
        },
        CgroupEvent::Entered(first) => Event::FirstExec {
            at: first.boot_ns,
            cgroup: first.cgroup,
            mount_ns: u64::from(first.mntns),
            mount_ns_id: first.mntns_id,
            pid: first.pid,
        },
    }
}
