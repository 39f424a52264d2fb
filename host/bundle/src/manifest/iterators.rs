//! Sources whose records iterators write.

use super::error::Problems;
use super::names::did_you_mean;
use super::resolve::ResolvedSource;
use super::{Manifest, Source};
use ig_object::{Hook, Object, Snapshotter};

/// Where the records of a source come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A ring buffer map, by its name.
    Ring(String),
    /// Iterators, in the order in which they run.
    Iterators(Vec<String>),
}

impl ResolvedSource {
    /// Its ring buffer map; none: iterators write its records.
    #[must_use]
    pub fn ring(&self) -> Option<&str> {
        match &self.input {
            Input::Ring(map) => Some(map),
            Input::Iterators(_) => None,
        }
    }

    /// Its iterators, in the order in which they run; empty: its records come from a ring buffer.
    #[must_use]
    pub fn iterators(&self) -> &[String] {
        match &self.input {
            Input::Ring(_) => &[],
            Input::Iterators(programs) => programs,
        }
    }
}

/// Tells of each `GADGET_ITER` that no source is for.
pub(super) fn undeclared(manifest: &Manifest, object: &Object<'_>, problems: &mut Problems<'_>) {
    for declared in object.snapshotters() {
        if !manifest.sources.iter().any(|s| s.name == declared.name) {
            let message = format!(
                "the eBPF side has {}, but `sources` has no `{{name: {}, programs: [{}], struct: {}}}`",
                macro_of(declared),
                declared.name,
                declared.programs.join(", "),
                declared.struct_name
            );
            problems.add("sources", message);
        }
    }
}

/// The source at `path`; none where something is wrong with it.
pub(super) fn resolve(
    path: &str,
    source: &Source,
    object: &Object<'_>,
    problems: &mut Problems<'_>,
) -> Option<ResolvedSource> {
    let known = object.snapshotters();
    let Some(declared) = known.iter().find(|s| s.name == source.name) else {
        let names: Vec<&str> = known.iter().map(|s| s.name.as_str()).collect();
        let near = did_you_mean(&source.name, &names, "it has");
        let message = format!(
            "the eBPF side has no GADGET_ITER({}, ...){near}",
            source.name
        );
        problems.add(&format!("{path}.name"), message);
        return None;
    };
    let mut wrongs = Vec::new();
    let mut wrong = |key: &str, message: String| wrongs.push((format!("{path}.{key}"), message));
    if source.programs != declared.programs {
        let ours = source.programs.join(", ");
        wrong(
            "programs",
            format!("`{ours}` here, but {}", macro_of(declared)),
        );
    }
    if source.record != declared.struct_name {
        let ours = &source.record;
        wrong(
            "struct",
            format!("`{ours}` here, but {}", macro_of(declared)),
        );
    }
    for (j, name) in source.programs.iter().enumerate() {
        let key = format!("programs.{j}");
        match object.programs().iter().find(|p| p.name == *name) {
            None => wrong(&key, format!("the eBPF side has no program `{name}`")),
            Some(program) if !matches!(program.hook, Hook::Iterator { .. }) => wrong(
                &key,
                format!(
                    "the program `{name}` is in section {:?}, and an iterator's is \"iter/...\"",
                    program.section
                ),
            ),
            Some(_) => {}
        }
    }
    let layout = match object.btf().layout(&source.record) {
        // What iterators write has no lengths: every record is as long as the struct.
        Ok(layout) if layout.size == 0 || layout.ends_open() => {
            let message = format!(
                "`struct {}` has no fixed size, and what an iterator writes is cut by it",
                layout.name
            );
            wrong("struct", message);
            None
        }
        Ok(layout) => Some(layout),
        Err(error) => {
            wrong("struct", error.to_string());
            None
        }
    };
    let good = wrongs.is_empty();
    for (path, message) in wrongs {
        problems.add(&path, message);
    }
    layout.filter(|_| good).map(|layout| ResolvedSource {
        name: source.name.clone(),
        input: Input::Iterators(source.programs.clone()),
        layout,
    })
}

fn macro_of(declared: &Snapshotter) -> String {
    format!(
        "GADGET_ITER({}, {}, {})",
        declared.name,
        declared.struct_name,
        declared.programs.join(", ")
    )
}
