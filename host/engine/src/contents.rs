//! What is in a recording, for `ig recording show`.

use crate::ledger::UNDECIDED;
use crate::options::RunError;
use ig_records::recording::{Call, Entry, Footer, Header, Reader, RecordingError};
use ig_records::span::Span;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Everything in a recording but the records themselves.
#[derive(Clone, Debug, Serialize)]
pub struct Contents {
    /// The file.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is of.
    pub header: Header,
    /// What was known at its end.
    pub footer: Footer,
    /// Calls by their name: `init`, `process`, `tick`, `added`, `removed`, `stop`.
    pub calls: BTreeMap<&'static str, u64>,
    /// By source.
    pub records: BTreeMap<String, Records>,
    /// Nanoseconds from the first call to the last.
    pub span_ns: u64,
}

/// What a source gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// Records, those that the program discarded included.
    pub records: u64,
    /// Those that the program discarded.
    pub discarded: u64,
    /// Bytes of all of them as they lay in the ring.
    pub bytes: u64,
    /// Calls that brought them.
    pub calls: u64,
}

impl Contents {
    /// Reads a whole recording.
    ///
    /// # Errors
    /// It can't be read, is none, is cut off, damaged, or of a newer program; the text says where.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let name = path.display().to_string();
        let wrong = |e: RecordingError| RunError::Recording(format!("{name}: {e}"));
        let io = |e: std::io::Error| RunError::Recording(format!("{name}: can't be read: {e}"));
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let mut reader = Reader::new(BufReader::new(file)).map_err(wrong)?;
        let names: Vec<String> = reader
            .header()
            .sources
            .iter()
            .map(|source| source.name.clone())
            .collect();
        let mut records: Vec<Records> = vec![Records::default(); names.len()];
        let mut calls = BTreeMap::new();
        let mut times = None;
        while let Some(entry) = reader.next().map_err(wrong)? {
            let Entry::Call { when, call, .. } = entry else {
                continue;
            };
            let (first, _) = times.unwrap_or((when.boot, when.boot));
            times = Some((first, when.boot));
            let kind = match call {
                Call::Init => "init",
                Call::Process { source, span } => {
                    if let Some(of) = records.get_mut(usize::from(source)) {
                        let counts = Span(span).check().unwrap_or_default();
                        of.records += counts.records;
                        of.discarded += counts.discarded;
                        of.bytes += span.len() as u64;
                        of.calls += 1;
                    }
                    "process"
                }
                Call::Tick => "tick",
                Call::Added(_) => "added",
                Call::Removed(_) => "removed",
                Call::Stop => "stop",
            };
            *calls.entry(kind).or_default() += 1;
        }
        Ok(Self {
            bytes,
            header: reader.header().clone(),
            footer: reader.footer().cloned().unwrap_or_default(),
            calls,
            records: names.into_iter().zip(records).collect(),
            span_ns: times.map_or(0, |(first, last)| last.saturating_sub(first)),
            path: name,
        })
    }

    /// As one JSON object, with a newline at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"));
        text.push('\n');
        text
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            bytes,
            header,
            footer,
            calls,
            records,
            span_ns,
        } = self;
        let Header {
            ig,
            gadget,
            machine,
            began,
            sources: _,
            tables,
            params,
            maps,
            limits: _,
            owners: _,
            watches: _,
        } = header;
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(f, "{name:<10} {value}");
        let shown = |text: &str| text.escape_debug().to_string();
        line("recording", &shown(path))?;
        line(
            "gadget",
            &format_args!("{} {}", shown(&gadget.name), shown(&gadget.version)),
        )?;
        line("bundle", &shown(&gadget.bundle))?;
        line(
            "made",
            &format_args!(
                "{} by ig {} on {}, Linux {}",
                ig_table::time::rfc3339(began.boot_ns, began.wall_offset_ns),
                shown(ig),
                shown(&machine.architecture),
                shown(&machine.kernel)
            ),
        )?;
        line(
            "time",
            &format_args!(
                "{:.3} s from the first call to the last, ended by {}",
                *span_ns as f64 / 1e9,
                shown(&footer.ended_by)
            ),
        )?;
        let counts = &footer.counts;
        let by_kind: Vec<String> = calls
            .iter()
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        line(
            "calls",
            &format_args!("{} ({})", counts.calls, by_kind.join(", ")),
        )?;
        line("answers", &counts.answers)?;
        let plain: u64 = records.values().map(|of| of.bytes).sum();
        line(
            "size",
            &format_args!(
                "{bytes} bytes in {} chunks; the records had {plain}",
                counts.chunks
            ),
        )?;
        for (name, of) in records {
            let lost = footer.sources.get(name);
            let lost = lost.and_then(|of| of.not_reserved).unwrap_or(0);
            let mut text = format!(
                "{}: {} records in {} calls, {} bytes",
                shown(name),
                of.records,
                of.calls,
                of.bytes
            );
            if of.discarded > 0 {
                text.push_str(&format!(", {} discarded by the program", of.discarded));
            }
            if lost > 0 {
                text.push_str(&format!(", {lost} LOST before: not reserved"));
            }
            let excluded = footer.sources.get(name).map(|of| &of.excluded);
            for (cause, n) in excluded.into_iter().flatten() {
                let what = if cause == UNDECIDED {
                    "LOST"
                } else {
                    "excluded"
                };
                text.push_str(&format!(", {n} {what} before: {}", shown(cause)));
            }
            line("source", &text)?;
        }
        for table in tables {
            let wanted: Vec<String> = table.wanted.iter().map(|name| shown(name)).collect();
            line(
                "table",
                &format_args!("{}: {}", shown(&table.name), wanted.join(", ")),
            )?;
        }
        for param in params {
            line(
                "parameter",
                &format_args!("{}={}", shown(&param.name), shown(&param.value)),
            )?;
        }
        for map in maps {
            line("map", &shown(map))?;
        }
        Ok(())
    }
}
