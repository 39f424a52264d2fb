//! What a run has once, however many gadgets are in it.

use crate::containers::{ContainerOptions, Containers};
use crate::guest::Say;
use crate::options::{RunError, Target};
use crate::selection::Selection;
use crate::stop::Stop;
use ig_kernel::host;
use ig_table::kallsyms::WithKernelSymbols;
use ig_table::kinds::words::Words;
use ig_table::names::Passwd;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

/// What every gadget of a run is told.
pub(super) struct Once {
    /// Names of users and groups.
    pub people: Arc<Passwd>,
    pub words: Words,
    pub target: Target,
    /// There is a command to trace.
    pub has_command: bool,
    /// Folder for compiled guests.
    pub cache: Option<PathBuf>,
    pub verbose: bool,
    pub stop: Arc<Stop>,
    pub say: Say,
}

/// The words of this machine, and who its users are.
pub(super) fn words() -> (Arc<Passwd>, Words) {
    let people = Arc::new(Passwd::of_host().unwrap_or_default());
    let words = Words::of_host(Arc::new(WithKernelSymbols::new(
        people.clone(),
        Box::new(kernel_symbols),
    )));
    (people, words)
}

/// What takes long to read is read when a column needs it.
pub(super) fn kernel_symbols() -> io::Result<Box<dyn BufRead>> {
    let file = File::open("/proc/kallsyms")?;
    Ok(Box::new(BufReader::with_capacity(64 << 10, file)))
}

impl Once {
    /// The machine and the user's rights have what every gadget needs.
    pub fn check_host(&self) -> Result<(), RunError> {
        let missing = host::check(host::Needs::default());
        if missing.is_empty() {
            Ok(())
        } else {
            Err(RunError::Missing(missing))
        }
    }

    /// Who finds out whose records are. Where nobody can, rows are without.
    ///
    /// # Errors
    /// Nobody can, and only some are asked for.
    pub fn find_owners(
        &self,
        options: ContainerOptions,
        selection: &Selection,
    ) -> Result<Option<Containers>, RunError> {
        match Containers::start(options, true, Some(selection), &self.say) {
            Ok(containers) => Ok(Some(containers)),
            Err(e) if selection.asks_whose() => {
                Err(RunError::Host(format!("containers can't be selected: {e}")))
            }
            Err(e) => {
                (self.say)(&format!("whose records are is not known: {e}"));
                Ok(None)
            }
        }
    }
}
