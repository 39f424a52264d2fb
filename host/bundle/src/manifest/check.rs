//! What a manifest must keep besides its shape: names, references, values.

use super::error::{ManifestError, Problems};
use super::names::{HOST_FLAGS, RESERVED_WORDS, did_you_mean, is_c_name, is_identifier, is_name};
use super::{Column, INTERVAL, Manifest, Param, ParamTarget, ParamType, Source, Table};
use ig_table::frames::Mode;
use ig_table::schema::RESERVED;
use std::collections::HashMap;

/// The most entries that any list may have: far more than anybody needs, few enough to be safe to show.
const MAX_ENTRIES: usize = 512;

/// Checks everything that needs no eBPF object, and brings parameters' values into canonical form.
pub(super) fn check(manifest: &mut Manifest) -> Result<(), ManifestError> {
    let places = manifest.places.clone();
    let mut problems = Problems::new(&places);
    canonical_params(&mut manifest.params, &mut problems);
    head(manifest, &mut problems);
    sources(manifest, &mut problems);
    tables(manifest, &mut problems);
    params(manifest, &mut problems);
    maps_and_programs(manifest, &mut problems);
    problems.finish()
}

fn canonical_params(params: &mut [Param], problems: &mut Problems<'_>) {
    for (i, param) in params.iter_mut().enumerate() {
        let path = format!("params.{i}");
        let mut values: Vec<String> = Vec::with_capacity(param.values.len());
        for (j, value) in param.values.iter().enumerate() {
            match param.typed(value) {
                Ok(value) if values.contains(&value) => {
                    problems.add(
                        &format!("{path}.values.{j}"),
                        format!("the value `{value}` stands here a second time"),
                    );
                }
                Ok(value) => values.push(value),
                Err(error) => problems.add(&format!("{path}.values.{j}"), error.reason),
            }
        }
        // With wrong values in the list the default is judged by its type alone.
        param.values = values;
        if let Some(default) = &param.default {
            match param.canonical(default) {
                Ok(value) => param.default = Some(value),
                Err(error) => problems.add(&format!("{path}.default"), error.reason),
            }
        } else if let Some(first) = param.values.first()
            && param.to == ParamTarget::Guest
            && !param.values.contains(&param.default_value())
        {
            let message = format!(
                "a parameter with `values` needs a `default`, for example `default: {first}`"
            );
            problems.add(&path, message);
        }
        if param.value_type == ParamType::Bool && !param.values.is_empty() {
            problems.add(
                &format!("{path}.values"),
                "a bool has no list of values: it is true or false",
            );
        }
    }
}

fn head(manifest: &Manifest, problems: &mut Problems<'_>) {
    if !is_name(&manifest.name) {
        problems.add("name", bad_name(&manifest.name, "the gadget", true));
    }
    if version(&manifest.version).is_none() {
        problems.add(
            "version",
            format!(
                "`{}` is not a version: expected `major.minor.patch`, as in `0.1.0`",
                manifest.version
            ),
        );
    }
    if let Some(min_host) = &manifest.min_host
        && version(min_host).is_none()
    {
        problems.add(
            "min-host",
            format!("`{min_host}` is not a version: expected `major.minor.patch`, as in `0.1.0`"),
        );
    }
    if manifest.tables.is_empty() {
        problems.add("tables", "a gadget needs at least one table in `tables`");
    }
    if manifest.sources.is_empty() && !manifest.guest.timers && !manifest.guest.watch {
        problems.add("sources", "nothing would ever give a row: name a source in `sources`, or set `guest: {timers: true}` or `guest: {watch: true}`");
    }
    for (name, length) in [
        ("sources", manifest.sources.len()),
        ("tables", manifest.tables.len()),
        ("params", manifest.params.len()),
        ("maps", manifest.maps.len()),
        ("programs", manifest.programs.len()),
    ] {
        too_many(name, length, problems);
    }
}

fn sources(manifest: &Manifest, problems: &mut Problems<'_>) {
    let mut names = Names::new("source");
    let mut maps = Names::new("source with the map");
    let mut programs = Names::new("program of a source");
    for (i, source) in manifest.sources.iter().enumerate() {
        let path = format!("sources.{i}");
        identifier(&source.name, "a source", &format!("{path}.name"), problems);
        names.add(&source.name, &format!("{path}.name"), problems);
        match (&source.map, source.programs.as_slice()) {
            (Some(map), []) => {
                maps.add(map, &format!("{path}.map"), problems);
                c_name(map, "a map", &format!("{path}.map"), problems);
            }
            (None, [_, ..]) => {}
            (Some(_), _) => problems.add(
                &format!("{path}.programs"),
                "records come from a ring buffer or from iterators: `map` or `programs`, not both",
            ),
            (None, []) => problems.add(
                &path,
                format!(
                    "the source `{}` needs a `map` (a ring buffer) or `programs` (iterators)",
                    source.name
                ),
            ),
        }
        too_many(&format!("{path}.programs"), source.programs.len(), problems);
        for (j, program) in source.programs.iter().enumerate() {
            let path = format!("{path}.programs.{j}");
            c_name(program, "a program", &path, problems);
            programs.add(program, &path, problems);
        }
        let record = source.record.strip_prefix("struct ").map(str::trim);
        match record {
            Some(record) => problems.add(
                &format!("{path}.struct"),
                format!("write the struct's name alone: `{record}`"),
            ),
            None => c_name(
                &source.record,
                "a struct",
                &format!("{path}.struct"),
                problems,
            ),
        }
    }
}

fn tables(manifest: &Manifest, problems: &mut Problems<'_>) {
    let mut names = Names::new("table");
    for (i, table) in manifest.tables.iter().enumerate() {
        let path = format!("tables.{i}");
        identifier(&table.name, "a table", &format!("{path}.name"), problems);
        names.add(&table.name, &format!("{path}.name"), problems);
        if let Some(source) = &table.source
            && !manifest.sources.iter().any(|s| s.name == *source)
        {
            let known: Vec<&str> = manifest.sources.iter().map(|s| s.name.as_str()).collect();
            let near = did_you_mean(source, &known, "the sources are");
            problems.add(
                &format!("{path}.source"),
                format!("there is no source `{source}`{near}"),
            );
        }
        if table.columns.is_empty() && manifest.source_of(table).is_none() {
            problems.add(
                &path,
                format!(
                    "the table `{}` needs columns, or a `source` whose fields are its columns",
                    table.name
                ),
            );
        }
        let source = manifest.source_of(table);
        let iterated = source.and_then(|s| manifest.sources.get(s));
        if iterated.is_some_and(Source::is_iterator)
            && !matches!(table.mode, Mode::Snapshot | Mode::Interval)
        {
            let message = format!(
                "the table `{}` shows what iterators find: its mode is `snapshot` (once) or `interval` (again and again), not `{}`",
                table.name, table.mode
            );
            // Where there is no `mode` the table itself is the place.
            problems.add(&format!("{path}.mode"), message);
        }
        too_many(&format!("{path}.columns"), table.columns.len(), problems);
        let mut columns = Names::new("column");
        for (j, column) in table.columns.iter().enumerate() {
            let path = format!("{path}.columns.{j}");
            columns.add(&column.name, &format!("{path}.name"), problems);
            check_column(manifest, table, column, &path, problems);
        }
    }
}

fn check_column(
    manifest: &Manifest,
    table: &Table,
    column: &Column,
    path: &str,
    problems: &mut Problems<'_>,
) {
    let name = &column.name;
    identifier(name, "a column", &format!("{path}.name"), problems);
    if RESERVED.contains(&name.as_str()) {
        let message = format!(
            "`{name}` can't be the name of a column: outputs have that beside the columns, for the frame's number and the table's name"
        );
        problems.add(&format!("{path}.name"), message);
    }
    match &column.field {
        None if column.data_type.is_none() => problems.add(
            path,
            format!("the column `{name}` needs a `type` (the guest gives its values) or a `field` (the host decodes it)"),
        ),
        None => {}
        Some(field) => {
            if !field.split('.').all(is_c_name) {
                let message = format!("`{field}` is not a field: expected names with `.` between them, as in `process.pid`");
                problems.add(&format!("{path}.field"), message);
            }
            if manifest.source_of(table).is_none() && table.source.is_none() {
                let message = format!("the column `{name}` is a field, but of which source? Name it in the table's `source`");
                problems.add(&format!("{path}.field"), message);
            }
        }
    }
    if let (Some(data_type), Some(kind)) = (&column.data_type, column.kind)
        && !kind.accepts(data_type)
    {
        let message = format!("the kind `{kind}` does not go with the type {data_type}");
        problems.add(&format!("{path}.kind"), message);
    }
    if let Some(width) = column.width
        && !(1..=1024).contains(&width)
    {
        problems.add(
            &format!("{path}.width"),
            format!("a width is from 1 to 1024 characters, not {width}"),
        );
    }
    if let Some(enables) = &column.enables {
        let path = format!("{path}.enables");
        let switches: Vec<&str> = manifest
            .params
            .iter()
            .filter(|p| p.to == ParamTarget::Ebpf && p.value_type == ParamType::Bool)
            .map(|p| p.name.as_str())
            .collect();
        match manifest.params.iter().find(|p| p.name == *enables) {
            None => {
                let near = did_you_mean(enables, &switches, "those that can be enabled are");
                problems.add(&path, format!("there is no parameter `{enables}`{near}"));
            }
            Some(_) if !switches.contains(&enables.as_str()) => {
                problems.add(&path, format!("the parameter `{enables}` can't be enabled: it is not `type: bool` and `to: ebpf`"));
            }
            Some(_) => {}
        }
    }
}

fn params(manifest: &Manifest, problems: &mut Problems<'_>) {
    let mut names = Names::new("parameter");
    let mut variables = Names::new("parameter for the variable");
    for (i, param) in manifest.params.iter().enumerate() {
        let path = format!("params.{i}");
        let name_path = format!("{path}.name");
        if !is_name(&param.name) {
            problems.add(&name_path, bad_name(&param.name, "a parameter", true));
        }
        let flag = param.name.replace('_', "-");
        // `some_name` and `some-name` would be one flag.
        names.add(&flag, &name_path, problems);
        if flag == INTERVAL {
            interval(param, &path, problems);
        } else if HOST_FLAGS.contains(&flag.as_str()) {
            problems.add(
                &name_path,
                format!("`--{flag}` is a flag of the host: call the parameter something else"),
            );
        } else if RESERVED_WORDS.contains(&param.name.as_str()) {
            problems.add(&name_path, reserved(&param.name));
        }
        match (param.to, &param.variable) {
            (ParamTarget::Guest, Some(_)) => {
                problems.add(
                    &format!("{path}.variable"),
                    "`variable` goes with `to: ebpf` alone",
                );
            }
            (ParamTarget::Ebpf, Some(variable)) => {
                c_name(
                    variable,
                    "a variable",
                    &format!("{path}.variable"),
                    problems,
                );
                variables.add(variable, &format!("{path}.variable"), problems);
            }
            (ParamTarget::Ebpf, None) => {
                variables.add(&param.variable_name(), &name_path, problems);
            }
            (ParamTarget::Guest, None) => {}
        }
    }
}

/// The one flag of the host that a parameter can be.
fn interval(param: &Param, path: &str, problems: &mut Problems<'_>) {
    if param.value_type != ParamType::Duration || param.to != ParamTarget::Guest {
        let message = "`--interval` says how often a live view changes: a parameter of this name is `type: duration` and for the guest";
        problems.add(&format!("{path}.name"), message);
    } else if param.default.is_none() {
        problems.add(
            path,
            "the parameter `interval` needs a `default`, for example `default: 1s`",
        );
    }
}

fn maps_and_programs(manifest: &Manifest, problems: &mut Problems<'_>) {
    let mut names = Names::new("grant for the map");
    for (i, grant) in manifest.maps.iter().enumerate() {
        let path = format!("maps.{i}");
        c_name(&grant.map, "a map", &format!("{path}.map"), problems);
        names.add(&grant.map, &format!("{path}.map"), problems);
        if grant.access.is_empty() {
            problems.add(
                &format!("{path}.access"),
                "at least one of lookup, update, delete, read-all is needed",
            );
        }
        for (j, access) in grant.access.iter().enumerate() {
            if grant.access.iter().take(j).any(|other| other == access) {
                problems.add(&format!("{path}.access.{j}"), "stands here a second time");
            }
        }
    }
    let mut names = Names::new("program");
    for (i, program) in manifest.programs.iter().enumerate() {
        let path = format!("programs.{i}.name");
        c_name(&program.name, "a program", &path, problems);
        names.add(&program.name, &path, problems);
    }
}

/// `major.minor.patch`, with an optional `-pre` at the end: the three numbers.
pub(crate) fn version(text: &str) -> Option<[u64; 3]> {
    let (numbers, pre) = text
        .split_once('-')
        .map_or((text, None), |(numbers, pre)| (numbers, Some(pre)));
    if pre.is_some_and(|pre| {
        pre.is_empty()
            || !pre
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    }) {
        return None;
    }
    let mut parts = numbers.split('.').map(|part| {
        (part.bytes().all(|b| b.is_ascii_digit()) && (part.len() == 1 || !part.starts_with('0')))
            .then(|| part.parse().ok())
            .flatten()
    });
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}

fn identifier(name: &str, what: &str, path: &str, problems: &mut Problems<'_>) {
    if !is_identifier(name) {
        problems.add(path, bad_name(name, what, false));
    } else if RESERVED_WORDS.contains(&name) {
        problems.add(path, reserved(name));
    }
}

fn c_name(name: &str, what: &str, path: &str, problems: &mut Problems<'_>) {
    if !is_c_name(name) {
        problems.add(
            path,
            format!("`{}` is not the name of {what} in C", name.escape_debug()),
        );
    }
}

fn bad_name(name: &str, what: &str, dash: bool) -> String {
    let marks = if dash { ", `_` and `-`" } else { " and `_`" };
    format!(
        "`{}` can't be the name of {what}: lower-case letters, digits{marks}, beginning with a letter, at most {} characters",
        name.escape_debug(),
        super::names::MAX_NAME
    )
}

fn reserved(name: &str) -> String {
    format!(
        "`{name}` is a reserved word of a programming language: guests could not use it, choose another name"
    )
}

fn too_many(path: &str, length: usize, problems: &mut Problems<'_>) {
    if length > MAX_ENTRIES {
        problems.add(
            path,
            format!("{length} entries are too many: at most {MAX_ENTRIES}"),
        );
    }
}

/// Finds names that stand in a list twice.
struct Names {
    what: &'static str,
    seen: HashMap<String, String>,
}

impl Names {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            seen: HashMap::new(),
        }
    }

    fn add(&mut self, name: &str, path: &str, problems: &mut Problems<'_>) {
        if let Some(first) = self.seen.get(name) {
            let line = problems.line(first).map_or(String::new(), |line| {
                format!(": the first is in line {line}")
            });
            problems.add(
                path,
                format!("there is a {} `{name}` already{line}", self.what),
            );
        } else {
            self.seen.insert(name.to_owned(), path.to_owned());
        }
    }
}
