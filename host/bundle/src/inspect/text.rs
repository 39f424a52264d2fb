//! An inspection for people: sections of aligned lines, tidy at 80 columns.

use super::Inspection;
use crate::manifest::{ParamTarget, ParamType};
use std::fmt::{self, Formatter};

/// Where lines end, if a word can be moved to the next one.
const WIDTH: usize = 80;

/// The widest that a column of names may be before the text beside it moves to a line of its own.
const MAX_CELL: usize = 28;

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.name, self.version)?;
        wrapped(f, 2, 2, &self.description)?;
        let mut facts = vec![
            ("digest".to_owned(), self.digest.clone()),
            ("size".to_owned(), bytes(self.size)),
        ];
        facts.extend(
            self.min_host
                .iter()
                .map(|version| ("needs".to_owned(), format!("ig {version} or newer"))),
        );
        for (key, value) in &self.annotations {
            if let Some(tool) = key.strip_prefix(crate::oci::TOOLCHAIN_ANNOTATION_PREFIX) {
                facts.push((format!("by {tool}"), value.clone()));
            } else if !key.starts_with("org.opencontainers.image.") {
                facts.push((key.clone(), value.clone()));
            }
        }
        list(f, &facts)?;
        for table in &self.tables {
            let from = table
                .source
                .as_ref()
                .map_or_else(String::new, |source| format!(", from source {source}"));
            writeln!(f, "\nTable {}{from}", table.name)?;
            wrapped(f, 2, 2, &table.description)?;
            let rows: Vec<_> = table.columns.iter().map(column).collect();
            list(f, &rows)?;
        }
        section(f, "Parameters", self.params.iter().map(param))?;
        section(
            f,
            "Sources",
            self.sources.iter().map(|s| {
                let from = match &s.map {
                    Some(map) => format!("map {map}"),
                    None => format!("iterators {}", s.programs.join(", ")),
                };
                (
                    s.name.clone(),
                    format!("struct {}, {} bytes, from {from}", s.record, s.record_size),
                )
            }),
        )?;
        match &self.guest {
            None => writeln!(f, "\nGuest: none, the host decodes every column")?,
            Some(guest) => {
                writeln!(f, "\nGuest")?;
                let mut rows = vec![
                    ("size".to_owned(), bytes(guest.size as u64)),
                    ("digest".to_owned(), guest.digest.clone()),
                ];
                rows.push(("imports".to_owned(), guest.imports.join(", ")));
                rows.push(("exports".to_owned(), guest.exports.join(", ")));
                list(f, &rows)?;
            }
        }
        section(
            f,
            "Maps that the guest may use",
            self.grants.iter().map(|grant| {
                let access: Vec<_> = grant.access.iter().map(|access| access.as_str()).collect();
                (
                    grant.map.clone(),
                    format!(
                        "{}; {}, key {}, value {} bytes",
                        access.join(", "),
                        grant.kind,
                        grant.key_size,
                        grant.value_size
                    ),
                )
            }),
        )?;
        section(
            f,
            "Recordings",
            self.recordings.iter().map(|recording| {
                (
                    recording.name.escape_debug().to_string(),
                    format!("{} {}", bytes(recording.size as u64), recording.digest),
                )
            }),
        )?;
        for object in &self.objects {
            writeln!(f, "\neBPF for {}", object.architecture)?;
            let mut rows = vec![
                ("size".to_owned(), bytes(object.size as u64)),
                ("digest".to_owned(), object.digest.clone()),
                ("licence".to_owned(), object.licence.clone()),
            ];
            rows.extend(object.others.iter().map(|other| {
                (
                    "also".to_owned(),
                    format!("{} {}", other.media_type, other.digest),
                )
            }));
            list(f, &rows)?;
            writeln!(f, "  programs:")?;
            let rows: Vec<_> = object.programs.iter().map(program).collect();
            nested(f, 4, &rows)?;
            writeln!(f, "  maps:")?;
            let rows: Vec<_> = object.maps.iter().map(map).collect();
            nested(f, 4, &rows)?;
        }
        Ok(())
    }
}

fn column(column: &super::ColumnInfo) -> (String, String) {
    let mut facts = vec![column.data_type.clone()];
    if column.kind != "none" {
        facts.push(column.kind.to_owned());
    }
    if column.hidden {
        facts.push("hidden".to_owned());
    }
    facts.push(column.field.as_ref().map_or_else(
        || "by the guest".to_owned(),
        |field| format!("field {field}"),
    ));
    facts.extend(
        column
            .enables
            .iter()
            .map(|param| format!("switches {param} on")),
    );
    (
        column.name.clone(),
        described(&facts.join(", "), &column.description),
    )
}

fn param(param: &super::ParamInfo) -> (String, String) {
    let default = if param.value_type == ParamType::Text {
        format!("{:?}", param.default)
    } else {
        param.default.clone()
    };
    let mut facts = vec![
        param.value_type.as_str().to_owned(),
        format!("default {default}"),
    ];
    if !param.values.is_empty() {
        facts.push(format!("one of {}", param.values.join("|")));
    }
    facts.push(match (param.to, &param.variable) {
        (ParamTarget::Guest, _) => "to the guest".to_owned(),
        (ParamTarget::Ebpf, Some(variable)) => format!("to eBPF variable {variable}"),
        (ParamTarget::Ebpf, None) => "to eBPF".to_owned(),
    });
    (
        format!("--{}", param.name),
        described(&facts.join(", "), &param.description),
    )
}

fn program(program: &super::ProgramInfo) -> (String, String) {
    let optional = if program.optional { ", optional" } else { "" };
    (
        program.name.clone(),
        format!(
            "{} {}{optional}, {} instructions",
            program.hook, program.target, program.instructions
        ),
    )
}

fn map(map: &super::MapInfo) -> (String, String) {
    let size = match (map.kind.as_str(), map.max_entries) {
        ("ringbuf", 0) => "size set by the host".to_owned(),
        ("ringbuf", size) => bytes(u64::from(size)),
        (_, entries) => format!(
            "key {}, value {} bytes, {entries} {}",
            map.key_size,
            map.value_size,
            if entries == 1 { "entry" } else { "entries" }
        ),
    };
    (map.name.clone(), format!("{}, {size}", map.kind))
}

fn described(facts: &str, description: &str) -> String {
    if description.is_empty() {
        facts.to_owned()
    } else {
        format!("{facts}: {description}")
    }
}

/// A number of bytes, exact, with a rounded form where that is easier to read.
fn bytes(size: u64) -> String {
    match size {
        0..10_240 => format!("{size} bytes"),
        10_240..10_485_760 => format!("{size} bytes ({} KiB)", size >> 10),
        _ => format!("{size} bytes ({} MiB)", size >> 20),
    }
}

fn section(
    f: &mut Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = (String, String)>,
) -> fmt::Result {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    list(f, &rows)
}

fn list(f: &mut Formatter<'_>, rows: &[(String, String)]) -> fmt::Result {
    nested(f, 2, rows)
}

/// Names and what there is to say about each, below each other.
fn nested(f: &mut Formatter<'_>, indent: usize, rows: &[(String, String)]) -> fmt::Result {
    let cell = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .filter(|width| *width <= MAX_CELL)
        .max()
        .unwrap_or(0);
    for (name, text) in rows {
        let name = shown(name);
        let width = name.chars().count();
        if width > cell {
            writeln!(f, "{:indent$}{name}", "")?;
            wrapped(f, indent + cell + 2, indent + cell + 2, text)?;
        } else {
            write!(f, "{:indent$}{name:cell$}  ", "")?;
            wrapped(f, 0, indent + cell + 2, text)?;
        }
    }
    Ok(())
}

/// A text in lines of at most [`WIDTH`] characters where its words allow it; the first line begins `first` characters
/// in (0: somebody wrote `rest` characters already), the others `rest`.
fn wrapped(f: &mut Formatter<'_>, first: usize, rest: usize, text: &str) -> fmt::Result {
    let text = shown(text);
    let mut at = rest;
    let mut begin = true;
    write!(f, "{:first$}", "")?;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if !begin && at + 1 + width > WIDTH {
            write!(f, "\n{:rest$}", "")?;
            at = rest;
            begin = true;
        }
        if !begin {
            f.write_str(" ")?;
            at += 1;
        }
        f.write_str(word)?;
        at += width;
        begin = false;
    }
    writeln!(f)
}

/// The text with control characters escaped, so that a bundle can't write to the terminal.
fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => safe.push(' '),
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                safe.extend(c.escape_unicode());
            }
            c => safe.push(c),
        }
    }
    safe
}
