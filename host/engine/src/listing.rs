//! `ig list-containers`: the containers that there are, as the rows of a table; then those that come and go.

use crate::assembly;
use crate::containers::{ContainerOptions, Containers};
use crate::guest::Say;
use crate::join::{describe, listed};
use crate::options::{OutputOptions, RunError};
use crate::owners::{LiveOwners, Owners as _};
use crate::plan::{PlannedTable, plan_alone};
use crate::selection::Selectors;
use crate::sink::filtered;
use crate::stop::Stop;
use arrow_array::{ArrayRef, BinaryArray};
use ig_containers::{Directory, Field, Handle, Kind as OwnerKind, Owner, Verdict};
use ig_kernel::{clock, host};
use ig_table::frames::{FrameLimits, Frames, Mode};
use ig_table::kinds::words::Words;
use ig_table::names::Passwd;
use ig_table::output::{LossReason, Outputs, WhenFull};
use ig_table::redact::Redactor;
use ig_table::{Column, DataType, Kind, Rows, Table};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What comes and goes is looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A reader that takes nothing for this long at the end is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shown when nobody chooses columns.
const SHOWN: [Field; 7] = [
    Field::Runtime,
    Field::Namespace,
    Field::Pod,
    Field::Container,
    Field::ContainerId,
    Field::Image,
    Field::ContainerStarted,
];
/// Of these, those that `columns` shows only where there is a pod.
const OF_PODS: [Field; 2] = [Field::Namespace, Field::Pod];

/// All that a listing needs to know.
pub struct ListOptions {
    /// Which runtimes are asked, and where.
    pub containers: ContainerOptions,
    /// Go on, and tell what comes, goes and changes.
    pub watch: bool,
    /// Which containers.
    pub selectors: Selectors,
    /// Where rows go.
    pub output: OutputOptions,
    /// Ends it from outside.
    pub stop: Arc<Stop>,
    /// Says a word to the user.
    pub say: Say,
}

pub use ig_containers::Field as ContainerField;

/// Lists containers, and with `watch` goes on until somebody ends it.
///
/// # Errors
/// What is asked for can't be shown, or not be written.
pub fn list(options: ListOptions) -> Result<(), RunError> {
    let ListOptions {
        containers,
        watch,
        selectors,
        output,
        stop,
        say,
    } = options;
    if selectors.only_host() {
        return Err(RunError::Usage(
            "--scope host: that is all that is no container's, and containers are listed here; --scope containers has the sandboxes of \
             pods too, and without --scope there are containers alone"
                .to_owned(),
        ));
    }
    let people = Arc::new(Passwd::of_host().unwrap_or_default());
    let words = Words::of_host(people);
    let mode = if watch { Mode::Stream } else { Mode::Snapshot };
    let mut plan = plan_alone(
        table(watch, selectors.names_sandboxes()),
        mode,
        &output,
        &words,
    )?;
    // It is one frame, and has no number.
    plan.mode = Mode::Stream;
    if plan.quiet.is_empty() && !output.names_fields() {
        plan.quiet = vec![columns(&plan.table, &OF_PODS)];
    }
    let tables = [plan];
    let redactor = assembly::redactors(&tables, &output)?.pop();
    let outputs = assembly::outputs(
        output.main,
        output.others,
        &assembly::shown(&tables, 0, None),
        &words,
        &WhenFull::WaitUnless(stop.requested()),
        &[],
    )?;
    let [plan] = tables;
    let containers = Containers::start(
        containers,
        watch && host::check(host::Needs::default()).is_empty(),
        None,
        &say,
    )
    .map_err(RunError::Host)?;
    containers.wait_for_runtimes(&say);
    let all = selectors.is_empty();
    let mut listing = Listing {
        list: List::new(containers.directory(), selectors),
        plan,
        watch,
        redactor: redactor.unwrap_or_default(),
        outputs,
    };
    if !rustix::process::geteuid().is_root() {
        say("not root: what only root may read of containers is missing");
    }
    let events = listing.list.look(true);
    if events.is_empty() && !watch {
        let asked = if all { "" } else { " that was asked for" };
        say(&format!(
            "no container{asked} is there, as far as can be seen"
        ));
    }
    listing.show(events)?;
    while watch && stop.reason().is_none() && !listing.outputs.closed() {
        wait(&stop);
        let events = listing.list.look(false);
        listing.show(events)?;
    }
    let (main, others) = listing.outputs.finish(Some(PATIENCE));
    let ends = std::iter::once(main).chain(others.into_iter().map(|(_, end)| end));
    for end in ends {
        if let Some(error) = end
            .error
            .as_ref()
            .filter(|_| !end.lost_to(LossReason::ClosedPipe))
        {
            return Err(RunError::Host(format!(
                "containers could not be written: {error}"
            )));
        }
    }
    Ok(())
}

fn wait(stop: &Stop) {
    let mut events = [PollFd::new(stop, PollFlags::IN)];
    let timeout = Timespec::try_from(LOOK_EVERY).ok();
    // A signal that ends the wait early is as good.
    let _ = poll(&mut events, timeout.as_ref());
}

/// The table of containers, and of sandboxes: then each row says by default which it is.
fn table(watch: bool, sandboxes: bool) -> Table {
    let event = watch.then(|| Column {
        name: "event".to_owned(),
        description: "What happened: existing, added, changed or removed".to_owned(),
        data_type: DataType::Text,
        kind: Kind::None,
        width: Some(8),
        hidden: false,
        alias: None,
    });
    let fields = Field::ALL.into_iter().map(|field| {
        let column = describe(
            field,
            field.name().to_owned(),
            field.alias().map(str::to_owned),
            field.description().to_owned(),
            !(SHOWN.contains(&field) || sandboxes && field == Field::Scope),
        );
        Column {
            width: match field {
                Field::Runtime => Some(10),
                // Enough of an id to tell it from others, as everywhere.
                Field::ContainerId => Some(12),
                _ => column.width,
            },
            ..column
        }
    });
    Table {
        name: "containers".to_owned(),
        description: "A container".to_owned(),
        columns: event.into_iter().chain(fields).collect(),
    }
}

fn columns(table: &Table, fields: &[Field]) -> Vec<usize> {
    let found = fields.iter().filter_map(|field| table.find(field.name()));
    found.collect()
}

/// What happened to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Existing,
    Added,
    Changed,
    Removed,
}

impl Event {
    fn as_str(self) -> &'static str {
        match self {
            Self::Existing => "existing",
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// The containers that were told, and the sandboxes of pods.
struct List {
    owners: LiveOwners,
    selectors: Selectors,
    told: BTreeMap<u32, Told>,
}

/// A container that is there.
struct Told {
    owner: Arc<Owner>,
    /// It was asked for when it was last looked at.
    shown: bool,
}

impl List {
    fn new(directory: &Arc<Directory>, selectors: Selectors) -> Self {
        Self {
            owners: LiveOwners::new(directory.reader(), true, true),
            selectors,
            told: BTreeMap::new(),
        }
    }

    /// What happened since the last look, by the number of the container.
    fn look(&mut self, first: bool) -> Vec<(Event, u32)> {
        let mut events = Vec::new();
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        if !self.owners.changes(&mut added, &mut removed) && !first {
            return events;
        }
        let Self {
            owners,
            selectors,
            told,
        } = self;
        let wanted = |owner: &Owner| {
            let listed = match owner.kind {
                OwnerKind::Container => true,
                // Nobody means them who does not say so.
                OwnerKind::Sandbox => selectors.names_sandboxes(),
                _ => false,
            };
            listed && selectors.decide(owner) == Verdict::Yes
        };
        for (number, told) in told.iter_mut() {
            let now = Handle::new(*number).and_then(|handle| owners.owner(handle));
            if let Some(now) = now.filter(|now| !Arc::ptr_eq(now, &told.owner)) {
                let changed = **now != *told.owner;
                told.owner = Arc::clone(now);
                let shown = std::mem::replace(&mut told.shown, wanted(now));
                match (shown, told.shown) {
                    (true, true) if changed => events.push((Event::Changed, *number)),
                    // It was renamed, or more is known: that it is a pod's sandbox, say.
                    (false, true) => events.push((Event::Added, *number)),
                    (true, false) => events.push((Event::Removed, *number)),
                    _ => {}
                }
            }
        }
        let coming = if first { Event::Existing } else { Event::Added };
        for number in added {
            let owner = Handle::new(number).and_then(|handle| owners.owner(handle));
            if let Some(owner) = owner {
                let shown = wanted(owner);
                let owner = Arc::clone(owner);
                told.insert(number, Told { owner, shown });
                events.extend(shown.then_some((coming, number)));
            }
        }
        for number in removed {
            if told.remove(&number).is_some_and(|told| told.shown) {
                events.push((Event::Removed, number));
            }
        }
        events
    }
}

/// A listing on its way out.
struct Listing {
    list: List,
    plan: PlannedTable,
    watch: bool,
    redactor: Redactor,
    outputs: Outputs,
}

impl Listing {
    fn show(&mut self, events: Vec<(Event, u32)>) -> Result<(), RunError> {
        if events.is_empty() {
            return Ok(());
        }
        let wrong = |e: &dyn std::fmt::Display| RunError::Host(format!("containers: {e}"));
        let rows = self.rows(&events).map_err(|e| wrong(&e))?;
        let rows = filtered(&self.plan, rows).map_err(|e| wrong(&e))?;
        let PlannedTable {
            table,
            sort,
            max_rows,
            ..
        } = &self.plan;
        let limits = FrameLimits::NONE;
        let mut frame = Frames::new(table.clone(), sort.clone(), *max_rows, limits);
        // Nothing is lost where there is no limit.
        let _ = frame.push(rows);
        let mut rows = frame.end().map_err(|e| wrong(&e))?.rows;
        rows.frame = 0;
        if rows.len > 0 {
            self.outputs.push(self.redactor.apply(rows));
        }
        Ok(())
    }

    fn rows(&mut self, events: &[(Event, u32)]) -> Result<Rows, ig_table::schema::RowsError> {
        let numbers: Vec<u32> = events.iter().map(|(_, number)| *number).collect();
        let wall_offset = clock::wall_offset();
        let fields = listed(&mut self.list.owners, &numbers, &Field::ALL, wall_offset);
        let words = events.iter().map(|(event, _)| event.as_str());
        let event: ArrayRef = Arc::new(BinaryArray::from_iter_values(words));
        let event = self.watch.then_some(Some(event));
        let columns = event.into_iter().chain(fields).collect();
        Rows::new(self.plan.table.clone(), columns, events.len(), wall_offset)
    }
}

#[cfg(test)]
mod tests;
