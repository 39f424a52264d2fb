//! The runtimes' APIs, asked of the runtimes themselves, and of servers that answer as they should not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests: whatever goes wrong ends them"
)]

mod crio;
mod hostile;
mod real;
mod server;

use super::{Runtimes, Said};
use crate::owner::{Facts, Runtime};
use crate::{Options, Sockets};
use ig_tests::runtimes::until;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was said, and what is known by it.
#[derive(Default)]
struct Heard {
    said: Vec<Said>,
    known: BTreeMap<String, Facts>,
    lost: Vec<(Runtime, String)>,
    whole: Vec<(Runtime, String)>,
    silent: Vec<Runtime>,
    found: Vec<Runtime>,
}

fn has_address(facts: &Facts) -> bool {
    facts.addresses.as_ref().is_some_and(|all| !all.is_empty())
}

struct Listener {
    runtimes: Runtimes,
    heard: Arc<Mutex<Heard>>,
}

fn listen(sockets: Sockets) -> Listener {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let own = Arc::clone(&heard);
    let options = Options {
        sockets,
        // Nothing of the machine's own.
        host_root: PathBuf::from("/nonexistent"),
        ..Options::default()
    };
    let tell = move |said: Said| {
        let mut heard = own.lock().unwrap();
        match said.clone() {
            Said::Listed(runtime, all) => {
                heard.known.retain(|_, f| f.runtime != Some(runtime));
                heard
                    .known
                    .extend(all.into_iter().map(|f| (f.id.clone(), f)));
            }
            Said::Changed(facts) => {
                heard.known.insert(facts.id.clone(), facts);
            }
            Said::Removed(_, id) => {
                heard.known.remove(&id);
            }
            Said::Lost(runtime, why) => heard.lost.push((runtime, why)),
            Said::Found(runtime) => heard.found.push(runtime),
            Said::Whole(runtime, id) => heard.whole.push((runtime, id)),
            Said::Silent(runtime) => heard.silent.push(runtime),
        }
        heard.said.push(said);
    };
    let runtimes = Runtimes::start(&options, Box::new(tell)).unwrap();
    Listener { runtimes, heard }
}

impl Listener {
    fn ready(self) -> Self {
        assert!(self.runtimes.ready(Duration::from_secs(60)));
        self
    }

    fn known(&self, id: &str) -> Option<Facts> {
        self.heard.lock().unwrap().known.get(id).cloned()
    }

    /// Waits until a container is known as it should be.
    fn knows(&self, id: &str, as_wanted: impl Fn(&Facts) -> bool) -> Facts {
        until(&format!("{id} is known"), || {
            self.known(id).filter(&as_wanted)
        })
    }

    fn forgets(&self, id: &str) {
        until(&format!("{id} is forgotten"), || {
            self.known(id).is_none().then_some(())
        });
    }

    /// Waits until a runtime was lost so often; gives the last reason.
    fn loses(&self, runtime: Runtime, times: usize) -> String {
        until(&format!("{runtime} is lost"), || {
            let heard = self.heard.lock().unwrap();
            let all: Vec<&String> = heard
                .lost
                .iter()
                .filter(|(lost, _)| *lost == runtime)
                .map(|(_, why)| why)
                .collect();
            (all.len() >= times).then(|| (*all.last().unwrap()).clone())
        })
    }

    /// Waits until a runtime has said all of a container that it will.
    fn has_all(&self, runtime: Runtime, id: &str) {
        until(&format!("all of {id} is said"), || {
            let heard = self.heard.lock().unwrap();
            let all = (runtime, id.to_owned());
            heard.whole.contains(&all).then_some(())
        });
    }

    /// Waits until nothing is expected of a runtime any more.
    fn gives_up(&self, runtime: Runtime) {
        until(&format!("{runtime} is given up"), || {
            let heard = self.heard.lock().unwrap();
            heard.silent.contains(&runtime).then_some(())
        });
        assert!(!self.runtimes.may_answer(runtime));
    }

    fn finds(&self, runtime: Runtime, times: usize) {
        until(&format!("{runtime} is found"), || {
            let heard = self.heard.lock().unwrap();
            let count = heard
                .found
                .iter()
                .filter(|found| **found == runtime)
                .count();
            (count >= times).then_some(())
        });
    }
}
