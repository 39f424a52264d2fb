//! What a run is going to do, decided before anything happens: checked manifest, wanted columns, values for the
//! kernel side.

use crate::columns;
use crate::join::{self, JoinColumns, PlannedJoin};
use crate::options::{Fields, OutputOptions, RunError, Target};
use crate::timers;
use ig_bundle::Bundle;
use ig_bundle::manifest::{
    Access, ColumnSource, INTERVAL, Manifest, ParamTarget, Resolved, ResolvedSource, ResolvedTable,
};
use ig_kernel::{FOLLOW_FORK_PROGRAM, FOLLOWED_MAP};
use ig_object::{Hook, Object};
use ig_records::decode::{Decoder, FieldSpec};
use ig_table::filter::Filter;
use ig_table::frames::{Mode, SortError, SortKey, sort_keys};
use ig_table::{DataType, Format, Table, Words, select};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// One table of the run.
#[derive(Debug)]
pub(crate) struct PlannedTable {
    pub table: Arc<Table>,
    /// When its rows are complete.
    pub mode: Mode,
    /// One that the user sees; rows of the others are filtered.
    pub shown: bool,
    /// No guest ends its frames: the host gathers them.
    pub gathered: bool,
    /// The source, of iterators, whose passes are its frames.
    pub walked: Option<usize>,
    /// Columns that are written, in this order.
    pub selected: Vec<usize>,
    /// Groups of these that `columns` shows only from when one of them has a value.
    pub quiet: Vec<Vec<usize>>,
    /// Endpoints among these in whose place `columns` shows their names, and the columns of the names.
    pub names: Vec<(usize, usize)>,
    /// Only records for which this holds reach the guest.
    pub early: Option<Filter>,
    /// Only rows for which this holds are shown.
    pub filter: Option<Filter>,
    /// The order of the rows of a frame.
    pub sort: Vec<SortKey>,
    /// Rows of a frame that are shown.
    pub max_rows: Option<usize>,
    /// By column index: somebody needs it.
    pub wanted: Vec<bool>,
    /// By column index: the type of what the guest emits; None: the host decodes it.
    pub guest: Vec<Option<DataType>>,
    /// The source whose records the decoder reads.
    pub source: Option<usize>,
    /// Reads the columns that are fields of the record.
    pub decoder: Option<Decoder>,
    /// Wanted columns that the decoder has: index of the column, index in the decoder.
    pub decoded: Vec<(usize, usize)>,
    /// Wanted columns of whose the rows are.
    pub join: PlannedJoin,
}

/// The whole run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub sources: Vec<ResolvedSource>,
    pub tables: Vec<PlannedTable>,
    /// The index of the table that outputs show which can show but one.
    pub default: usize,
    /// Nanoseconds after which the host ends the frames that it gathers; None: there are none that end so.
    pub interval: Option<u64>,
    /// Nanoseconds after which iterators are read again; None: they are read once.
    pub walk_interval: Option<u64>,
    /// Every parameter by name, with its value.
    pub params: Vec<(String, String)>,
    /// Wanted columns that cost something in the kernel.
    pub switched: Vec<Switched>,
    /// By index in the manifest; None: not for the guest.
    pub guest_params: Vec<Option<String>>,
    /// Maps that the guest may use, and how.
    pub grants: Vec<(String, Vec<Access>)>,
    /// Values of `const volatile` variables.
    pub variables: BTreeMap<String, Vec<u8>>,
    /// Programs that this run does not need.
    pub exclude: BTreeSet<String>,
    /// Programs that may be missing.
    pub optional: BTreeSet<String>,
}

/// A wanted column that a parameter of the eBPF side switches on.
#[derive(Debug)]
pub(crate) struct Switched {
    pub table: String,
    pub column: String,
    /// The parameter, by index in the manifest.
    pub param: usize,
}

impl PlannedTable {
    /// Whether a column is still needed once the filter has decided.
    pub fn outlives_filter(&self, column: usize) -> bool {
        self.selected.contains(&column)
            || self.names.iter().any(|(_, name)| *name == column)
            || self.sort.iter().any(|key| key.column == column)
    }
}

impl Plan {
    pub fn new(
        bundle: &Bundle,
        object: &Object<'_>,
        params: &[(String, String)],
        target: &Target,
        has_command: bool,
        output: &OutputOptions,
        words: &Words,
    ) -> Result<Self, RunError> {
        let manifest = &bundle.manifest;
        let refused = |e: &dyn std::fmt::Display| RunError::Refused(e.to_string());
        let mut resolved = bundle.resolve(object).map_err(|e| refused(&e))?;
        let mut joined = Vec::with_capacity(resolved.tables.len());
        for table in &mut resolved.tables {
            columns::complete(table, &resolved.sources);
            joined.push(join::append(table, &resolved.sources));
        }
        if bundle.component.is_none() {
            manifest.check_without_guest().map_err(|e| refused(&e))?;
        }
        let Resolved {
            sources,
            tables,
            params: _,
            maps,
            programs,
        } = &resolved;

        let mut planned = Vec::with_capacity(tables.len());
        let mut switched = Vec::new();
        let shown = Shown::of(tables, output)?;
        for (i, (table, joined)) in tables.iter().zip(&joined).enumerate() {
            let wish = if shown.has(i) {
                Wish::of(table, joined, output, &shown, words)?
            } else {
                Wish::default()
            };
            for c in wish.needed(table, joined) {
                if let (Some(Some(param)), Some(column)) =
                    (table.enables.get(c), table.table.columns.get(c))
                {
                    switched.push(Switched {
                        table: table.table.name.clone(),
                        column: column.name.clone(),
                        param: *param,
                    });
                }
            }
            let early = bundle.component.is_some() && manifest.guest.stateless;
            let walked = table.origin.filter(|s| {
                let source = sources.get(*s);
                source.is_some_and(|source| !source.iterators().is_empty())
            });
            let no_guest = bundle.component.is_none();
            planned.push(PlannedTable {
                gathered: (no_guest || walked.is_some()) && table.mode.has_frames(),
                walked,
                ..plan_table(table, joined, wish, sources, early)?
            });
        }

        let mut params = params.to_vec();
        let period = frame_interval(manifest, &planned, output.interval, &mut params)?;
        let live = |walked: bool| {
            planned
                .iter()
                .any(|t| t.shown && t.gathered && t.walked.is_some() == walked)
        };
        let (interval, walk_interval) = (
            period.filter(|_| live(false)),
            period.filter(|_| live(true)),
        );
        let enabled = switched.iter().map(|s| s.param).collect();
        let values = values(manifest, &resolved, &params, &enabled)?;
        let names = manifest.params.iter().map(|p| p.name.clone());
        let effective = names.zip(values.iter().cloned()).collect();
        let mut variables = BTreeMap::new();
        let mut guest_params = Vec::new();
        for ((param, resolved), value) in manifest.params.iter().zip(&resolved.params).zip(values) {
            if param.to == ParamTarget::Guest {
                let value = param.for_guest(&value);
                guest_params.push(Some(value.map_err(|e| RunError::Usage(e.to_string()))?));
                continue;
            }
            guest_params.push(None);
            let Some(name) = &resolved.variable else {
                continue;
            };
            let variable = object
                .variable(name)
                .ok_or_else(|| refused(&format!("the object has no variable {name}")))?;
            let bytes = param
                .to_bytes(&value, object.btf(), variable)
                .map_err(|e| RunError::Usage(e.to_string()))?;
            variables.insert(name.clone(), bytes);
        }

        let follows = has_command || target.pid.is_some();
        filters(object, target, follows, &mut variables)?;
        let mut exclude = BTreeSet::new();
        if !follows
            && object
                .programs()
                .iter()
                .any(|p| p.name == FOLLOW_FORK_PROGRAM)
        {
            exclude.insert(FOLLOW_FORK_PROGRAM.to_owned());
        }
        // Optional for whoever does not ask to follow; who does ask gets nothing but what he asked for.
        let optional = programs
            .iter()
            .filter(|p| p.optional && p.name != FOLLOW_FORK_PROGRAM);
        Ok(Self {
            sources: sources.clone(),
            tables: planned,
            default: shown.default,
            interval,
            walk_interval,
            params: effective,
            switched,
            guest_params,
            grants: maps
                .iter()
                .map(|m| (m.map.clone(), m.access.clone()))
                .collect(),
            variables,
            exclude,
            optional: optional.map(|p| p.name.clone()).collect(),
        })
    }
}

/// A table of the host's own, all of whose columns it makes itself.
pub(crate) fn plan_alone(
    table: Table,
    mode: Mode,
    output: &OutputOptions,
    words: &Words,
) -> Result<PlannedTable, RunError> {
    let columns = table.columns.len();
    let tables = [ResolvedTable {
        table,
        mode,
        source: None,
        origin: None,
        columns: vec![ColumnSource::Guest; columns],
        enables: vec![None; columns],
    }];
    let [table] = &tables;
    let joined = JoinColumns::none(columns);
    let shown = Shown::of(&tables, output)?;
    let wish = Wish::of(table, &joined, output, &shown, words)?;
    plan_table(table, &joined, wish, &[], false)
}

/// The tables that the user sees.
#[derive(Debug)]
struct Shown<'a> {
    names: Vec<&'a str>,
    /// The one of outputs that can show but one.
    default: usize,
    /// Some output shows all of them.
    all: bool,
    /// Some output shows what is in the rows of the default one.
    read: bool,
}

impl<'a> Shown<'a> {
    fn of(tables: &'a [ResolvedTable], output: &OutputOptions) -> Result<Self, RunError> {
        let names: Vec<&str> = tables.iter().map(|t| t.table.name.as_str()).collect();
        let default = match output.table.as_deref() {
            None => 0,
            Some(name) => names
                .iter()
                .position(|table| *table == name)
                .ok_or_else(|| {
                    RunError::Usage(format!(
                        "--table: there is no table {name:?}; tables are {}",
                        names.join(", ")
                    ))
                })?,
        };
        let all = output.table.is_none()
            && names.len() > 1
            && output.sinks().any(|sink| sink.format.names_tables());
        let shown = Self {
            names,
            default,
            all,
            read: output.sinks().any(|sink| sink.format != Format::None),
        };
        let of_one = [
            ("--fields", matches!(output.fields, Fields::Named(_))),
            ("--filter", output.filter.is_some()),
            ("--sort", output.sort.is_some()),
        ];
        if let Some((flag, _)) = of_one.into_iter().find(|(_, given)| all && *given) {
            return Err(RunError::Usage(format!(
                "{flag} is for one table, and here {} are shown; choose one with --table",
                shown.names.join(", ")
            )));
        }
        let frames = |i: usize| tables.get(i).is_some_and(|t| t.mode.has_frames());
        if output.max_rows.is_some() && all && !(0..tables.len()).any(frames) {
            return Err(RunError::Usage(format!(
                "--max-rows is for frames, and the tables {} are streams",
                shown.names.join(", ")
            )));
        }
        Ok(shown)
    }

    fn has(&self, table: usize) -> bool {
        self.all || table == self.default
    }
}

/// The period of a live view: that of the frames that the host ends, or the parameter of the guest that does.
fn frame_interval(
    manifest: &Manifest,
    tables: &[PlannedTable],
    asked: Option<Duration>,
    params: &mut Vec<(String, String)>,
) -> Result<Option<u64>, RunError> {
    let live = |t: &PlannedTable| t.gathered && t.mode == Mode::Interval;
    let wrong = |what: String| RunError::Usage(format!("--interval: {what}"));
    let ns = asked.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    if let Some(ns) = ns {
        if ns < timers::MIN_NS {
            return Err(wrong(format!(
                "{ns} ns is too short; the shortest is {} ms",
                timers::MIN_NS / 1_000_000
            )));
        }
        if manifest.has_interval() {
            params.push((INTERVAL.to_owned(), format!("{ns}ns")));
            let walked = tables.iter().any(|t| t.walked.is_some() && live(t));
            return Ok(walked.then_some(ns));
        }
        if !tables.iter().any(live) {
            return Err(wrong(format!(
                "{} has no live view whose frames it could end: neither a table of mode interval that the host gathers nor a parameter `interval` of the guest",
                manifest.name
            )));
        }
    }
    let needed = tables.iter().any(|t| t.shown && live(t));
    Ok(needed.then(|| ns.unwrap_or(DEFAULT_INTERVAL)))
}

/// How often the host ends the frames that it gathers, when nobody says so: a second.
const DEFAULT_INTERVAL: u64 = 1_000_000_000;

/// What the user wants of one table; nothing by default.
#[derive(Debug, Default)]
struct Wish {
    shown: bool,
    selected: Vec<usize>,
    quiet: Vec<Vec<usize>>,
    names: Vec<(usize, usize)>,
    filter: Option<Filter>,
    sort: Vec<SortKey>,
    max_rows: Option<usize>,
}

impl Wish {
    fn of(
        resolved: &ResolvedTable,
        joined: &JoinColumns,
        output: &OutputOptions,
        shown: &Shown<'_>,
        words: &Words,
    ) -> Result<Self, RunError> {
        let table = &resolved.table;
        let selected = match &output.fields {
            Fields::Shown => select::default(table),
            Fields::Own => (0..joined.own).collect(),
            Fields::Named(text) => select::select(table, Some(text))
                .map_err(|e| RunError::Usage(format!("--fields: {e}")))?,
        };
        let quiet = joined.quiet(&selected, |column| match &output.fields {
            Fields::Named(text) => select::names(table, text, column),
            Fields::Shown | Fields::Own => false,
        });
        let names = if output.sinks().any(|sink| sink.format == Format::Columns) {
            joined.names_of(&selected)
        } else {
            Vec::new()
        };
        let frames = resolved.mode.has_frames();
        if !frames && !shown.all && (output.sort.is_some() || output.max_rows.is_some()) {
            let flag = if output.sort.is_some() {
                "--sort"
            } else {
                "--max-rows"
            };
            let error = SortError::Stream(table.name.clone());
            return Err(RunError::Usage(format!("{flag}: {error}")));
        }
        let sort = match &output.sort {
            Some(text) => {
                sort_keys(table, text).map_err(|e| RunError::Usage(format!("--sort: {e}")))?
            }
            None => Vec::new(),
        };
        let filter = output
            .filter
            .as_deref()
            .map(|text| Filter::parse(text, table, words))
            .transpose()
            .map_err(|e| RunError::Usage(format!("--filter: {e}")))?;
        Ok(Self {
            shown: true,
            // Nobody looks at rows that are only counted. A table that is not the default one is shown to be read.
            selected: if shown.read || shown.all {
                selected
            } else {
                Vec::new()
            },
            quiet,
            names,
            filter,
            sort,
            max_rows: output
                .max_rows
                .filter(|_| frames)
                .map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        })
    }

    /// The columns that somebody looks at: shown, themselves or by their names, sorted by, or filtered by.
    fn asked(&self) -> Vec<usize> {
        let sorted = self.sort.iter().map(|key| key.column);
        let filtered = self.filter.iter().flat_map(Filter::columns).copied();
        let selected = self.selected.iter().copied();
        let names = self.names.iter().map(|(_, name)| *name);
        let shown = selected.chain(names);
        shown.chain(sorted).chain(filtered).collect()
    }

    /// The columns that have to be there: those, and what the joined ones among them are found by.
    fn needed(&self, table: &ResolvedTable, joined: &JoinColumns) -> Vec<usize> {
        let mut needed = self.asked();
        needed.extend(joined.needed(&table.table, &needed));
        needed
    }
}

fn plan_table(
    table: &ResolvedTable,
    joined: &JoinColumns,
    wish: Wish,
    sources: &[ResolvedSource],
    early: bool,
) -> Result<PlannedTable, RunError> {
    let mut needed = wish.asked();
    let join = joined.plan(&table.table, &needed);
    needed.extend(joined.read(&table.table, &needed));
    let ResolvedTable {
        table,
        mode,
        source,
        origin: _,
        columns,
        enables: _,
    } = table;
    let mut wanted = vec![false; table.columns.len()];
    for c in needed {
        if let Some(w) = wanted.get_mut(c) {
            *w = true;
        }
    }
    let mut guest = Vec::with_capacity(columns.len());
    let mut specs = Vec::new();
    let mut decoded = Vec::new();
    for (i, (from, column)) in columns.iter().zip(&table.columns).enumerate() {
        match from {
            ColumnSource::Guest => guest.push(Some(column.data_type.clone())),
            ColumnSource::Field { source: _, path } => {
                guest.push(None);
                if wanted.get(i) == Some(&true) {
                    decoded.push((i, specs.len()));
                    specs.push(FieldSpec {
                        path: path.clone(),
                        data_type: Some(column.data_type.clone()),
                        kind: column.kind,
                    });
                }
            }
        }
    }
    let decoder = match source.and_then(|s| sources.get(s)) {
        Some(source) => Some(
            Decoder::new(&source.layout, &specs)
                .map_err(|e| RunError::Refused(format!("table {}: {e}", table.name)))?,
        ),
        None => None,
    };
    let is_field = |column: usize| matches!(columns.get(column), Some(ColumnSource::Field { .. }));
    let Wish {
        shown,
        selected,
        quiet,
        names,
        filter,
        sort,
        max_rows,
    } = wish;
    let (early, filter) = match filter {
        Some(filter) if early => filter.split(is_field),
        filter => (None, filter),
    };
    Ok(PlannedTable {
        table: Arc::new(table.clone()),
        mode: *mode,
        shown,
        gathered: false,
        walked: None,
        selected,
        quiet,
        names,
        early,
        filter,
        sort,
        max_rows,
        wanted,
        guest,
        source: *source,
        decoder,
        decoded,
        join,
    })
}

/// The value of every parameter: what the user set, what a wanted column switches on, the default.
fn values(
    manifest: &Manifest,
    resolved: &Resolved,
    set: &[(String, String)],
    enabled: &BTreeSet<usize>,
) -> Result<Vec<String>, RunError> {
    for (name, _) in set {
        if manifest.params.iter().all(|p| p.name != *name) {
            let known: Vec<_> = manifest.params.iter().map(|p| p.name.as_str()).collect();
            return Err(RunError::Usage(match known.as_slice() {
                [] => format!("{} has no parameter `{name}`; it has none", manifest.name),
                _ => format!(
                    "{} has no parameter `{name}`; it has {}",
                    manifest.name,
                    known.join(", ")
                ),
            }));
        }
    }
    let value = |i: usize| {
        let (Some(param), Some(resolved)) = (manifest.params.get(i), resolved.params.get(i)) else {
            return Ok(String::new());
        };
        match set.iter().rev().find(|(name, _)| *name == param.name) {
            Some((_, value)) => param
                .canonical(value)
                .map_err(|e| RunError::Usage(e.to_string())),
            None if enabled.contains(&i) => Ok("true".to_owned()),
            None => Ok(resolved.default.clone()),
        }
    };
    (0..manifest.params.len()).map(value).collect()
}

/// All of its programs are socket filters, which run in whatever task they interrupt.
fn sees_packets_alone(object: &Object<'_>) -> bool {
    let programs = object.programs().iter();
    let mut own = programs
        .filter(|p| p.name != FOLLOW_FORK_PROGRAM)
        .peekable();
    own.peek().is_some() && own.all(|p| p.hook == Hook::SocketFilter)
}

/// The variables of `gadget/filter.h`.
fn filters(
    object: &Object<'_>,
    target: &Target,
    follows: bool,
    variables: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), RunError> {
    let Target {
        pid: _,
        tid,
        comm,
        uid,
        gid,
    } = target;
    let packets_alone = sees_packets_alone(object);
    let mut set = |flag: &str, name: &str, value: Vec<u8>| {
        if packets_alone {
            return Err(RunError::Usage(format!(
                "{flag}: this gadget sees packets, and a packet does not say which process it is of; select containers (`-c NAME`) \
                 instead"
            )));
        }
        if object.variable(name).is_none() {
            return Err(RunError::Usage(format!(
                "{flag}: this gadget can't be narrowed, its eBPF side does not include <gadget/filter.h>"
            )));
        }
        variables.insert(name.to_owned(), value);
        Ok(())
    };
    let yes = || vec![1u8];
    if follows {
        set("-- CMD and --pid", "gadget_filter_followed", yes())?;
        if object.map(FOLLOWED_MAP).is_none() {
            return Err(RunError::Usage(format!(
                "-- CMD and --pid: this gadget's eBPF side has no map {FOLLOWED_MAP}"
            )));
        }
    }
    if let Some(tid) = tid {
        set("--tid", "gadget_filter_tid", tid.to_le_bytes().to_vec())?;
    }
    if let Some(uid) = uid {
        set("--uid", "gadget_filter_uid", uid.to_le_bytes().to_vec())?;
        set("--uid", "gadget_filter_by_uid", yes())?;
    }
    if let Some(gid) = gid {
        set("--gid", "gadget_filter_gid", gid.to_le_bytes().to_vec())?;
        set("--gid", "gadget_filter_by_gid", yes())?;
    }
    if let Some(comm) = comm {
        let mut name = [0u8; 16]; // TASK_COMM_LEN, include/linux/sched.h
        if comm.len() > 15 {
            return Err(RunError::Usage(format!(
                "--comm: a task's name has at most 15 bytes; this has {}",
                comm.len()
            )));
        }
        for (to, from) in name.iter_mut().zip(comm.bytes()) {
            *to = from;
        }
        set("--comm", "gadget_filter_comm", name.to_vec())?;
        set("--comm", "gadget_filter_by_comm", yes())?;
    }
    Ok(())
}
