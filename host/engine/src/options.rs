//! What a run is asked to do, and why it may not come about.

use crate::command::{CommandError, CommandSpec};
use crate::containers::ContainerOptions;
use crate::guest::Say;
use crate::record::RecordOptions;
use crate::selection::Selectors;
use crate::stop::Stop;
use ig_bundle::Bundle;
use ig_kernel::host::Missing;
use ig_table::columns::TerminalOptions;
use ig_table::output::{FileOptions, Format};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// What to trace; all of it is decided in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// This process, and the children that it makes from now on.
    pub pid: Option<u32>,
    /// This thread.
    pub tid: Option<u32>,
    /// Tasks of exactly this name, at most 15 bytes.
    pub comm: Option<String>,
    /// This user id.
    pub uid: Option<u32>,
    /// This group id.
    pub gid: Option<u32>,
}

/// What a guest may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    /// CPU time of one call.
    pub cpu_per_call: Duration,
    /// Bytes of memory.
    pub memory: u64,
    /// Host functions in one call.
    pub host_calls: u32,
    /// Bytes of rows that one call may emit.
    pub staging: u64,
    /// The run ends with this many traps.
    pub max_traps: u32,
}

/// Where rows go and how they look.
pub struct OutputOptions {
    /// The main output: the run ends with it. The ledger of a table's rows is that of the first output that shows it.
    pub main: SinkOptions,
    /// More outputs, each with a ledger of its own.
    pub others: Vec<SinkOptions>,
    /// Which table; None: the manifest's first, and all of them in outputs whose rows name their table.
    pub table: Option<String>,
    /// Which columns.
    pub fields: Fields,
    /// Only rows for which this holds: docs/filters.md.
    pub filter: Option<String>,
    /// The order of the rows of a frame: `a,-b`.
    pub sort: Option<String>,
    /// Rows of a frame that are shown; the rest is beyond the limit.
    pub max_rows: Option<u64>,
    /// How often a frame of a live view ends; None: every second, or as the guest does by itself.
    pub interval: Option<Duration>,
    /// What no output may see: `COLUMN` or `COLUMN=REGEX`.
    pub redact: Vec<String>,
}

/// Which columns of a table are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fields {
    /// Those that are not hidden.
    #[default]
    Shown,
    /// Every one that the gadget declares, hidden or not, and none that the host joins.
    Own,
    /// Those of one table that a text names: `a,b`, or `+a,-b`.
    Named(String),
}

impl OutputOptions {
    /// Columns are chosen by name.
    pub(crate) fn names_fields(&self) -> bool {
        matches!(self.fields, Fields::Named(_))
    }

    /// Every output, the main one first.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = &SinkOptions> {
        std::iter::once(&self.main).chain(&self.others)
    }
}

/// One output.
pub struct SinkOptions {
    /// What it is called in the summary.
    pub name: String,
    /// How rows are written.
    pub format: Format,
    /// Where.
    pub place: Place,
}

/// Where an output goes.
pub enum Place {
    /// To something open.
    Writer(Box<dyn Write + Send>, TerminalOptions),
    /// To a file that takes its name when it is whole.
    File(FileOptions),
    /// To the output that the gadgets of a run share, by its index in [`RunOptions::shared`].
    Shared(usize),
}

/// What a run needs to know of one gadget.
pub struct GadgetOptions {
    /// What it is called in this run: no two have the same name. None: as its manifest says.
    pub name: Option<String>,
    /// The gadget.
    pub bundle: Bundle,
    /// Values of its parameters by name; a later one replaces an earlier.
    pub params: Vec<(String, String)>,
    /// Bytes of each ring buffer.
    pub ring_size: Option<u64>,
    /// Where to record it.
    pub record: Option<RecordOptions>,
    /// What the guest may use.
    pub limits: GuestLimits,
    /// Where rows go.
    pub output: OutputOptions,
}

/// All that a run needs to know.
pub struct RunOptions {
    /// The gadgets, which run side by side.
    pub gadgets: Vec<GadgetOptions>,
    /// Outputs of which several gadgets' rows go to each. Each row says which gadget's it is.
    pub shared: Vec<SinkOptions>,
    /// What to trace.
    pub target: Target,
    /// Whose records.
    pub selectors: Selectors,
    /// Records a second of each container, at most; counted in the kernel.
    pub max_rate: Option<u64>,
    /// A command to start, trace and end with.
    pub command: Option<CommandSpec>,
    /// Ends the run after this time.
    pub timeout: Option<Duration>,
    /// Who says whose records are.
    pub containers: ContainerOptions,
    /// Folder for compiled guests.
    pub cache: Option<PathBuf>,
    /// Also say what is only for a gadget's author.
    pub verbose: bool,
    /// Ends the run from outside.
    pub stop: Arc<Stop>,
    /// Says a word to the user.
    pub say: Say,
}

/// Why a run did not come about.
#[derive(Debug, Error)]
pub enum RunError {
    /// What the user asked for does not fit the gadget.
    #[error("{0}")]
    Usage(String),
    /// The machine or the user's rights lack something.
    #[error("this gadget can't run here:{}", list(.0))]
    Missing(Vec<Missing>),
    /// The kernel refused.
    #[error("{0}")]
    Kernel(String),
    /// The bundle is not what it should be.
    #[error("{0}")]
    Refused(String),
    /// A recording can't be read, or is not of this gadget.
    #[error("{0}")]
    Recording(String),
    /// The guest's first call failed.
    #[error("the guest did not start: {0}")]
    Init(String),
    /// The command can't be started.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The host itself is short of something.
    #[error("{0}")]
    Host(String),
}

impl RunError {
    /// The same of one gadget of several.
    pub(crate) fn of_gadget(self, name: &str) -> Self {
        let of = |what: String| format!("{name}: {what}");
        match self {
            Self::Usage(what) => Self::Usage(of(what)),
            Self::Kernel(what) => Self::Kernel(of(what)),
            Self::Refused(what) => Self::Refused(of(what)),
            Self::Recording(what) => Self::Recording(of(what)),
            Self::Init(what) => Self::Init(of(what)),
            Self::Host(what) => Self::Host(of(what)),
            // They are of the machine and of the run.
            Self::Missing(_) | Self::Command(_) => self,
        }
    }
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(|m| format!("\n  - {m}")).collect()
}
