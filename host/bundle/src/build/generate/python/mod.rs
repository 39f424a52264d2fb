//! The package `gadget`, which Python guests are written with, over the SDK's sources.

mod handler;
mod maps;
mod names;
mod records;
mod tables;

use super::{GenerateError, Generated, copies, layouts};
use crate::build::embedded;
use crate::manifest::Manifest;
use ig_object::Object;
use records::Records;

/// The module that a component is made of: it brings the author's `guest` and the SDK together.
pub const ENTRY: &str = "gadget_component";

/// The packages `gadget` and `gadget_sdk`, below `python`.
///
/// # Errors
///
/// A source's struct is not in the object's BTF.
pub fn python(manifest: &Manifest, object: &Object<'_>) -> Result<Vec<Generated>, GenerateError> {
    let mut records = Records::default();
    let layouts = layouts(manifest, object)?;
    let views: Vec<String> = layouts.iter().map(|layout| records.whole(layout)).collect();
    let mut files = vec![
        (format!("{ENTRY}.py"), handler::entry(manifest)),
        (
            "gadget/__init__.py".to_owned(),
            handler::text(manifest, &views),
        ),
        (
            "gadget/tables.py".to_owned(),
            tables::text(manifest, &views),
        ),
        ("gadget/py.typed".to_owned(), String::new()),
    ];
    if !manifest.maps.is_empty() {
        let text = maps::text(manifest, object, &mut records);
        files.push(("gadget/maps.py".to_owned(), text));
    }
    files.push(("gadget/records.py".to_owned(), records.text()));
    let generated = files.into_iter().map(|(name, text)| Generated {
        path: format!("python/{name}"),
        text,
    });
    let sdk = copies("python", embedded::PYTHON_SDK)
        .filter(|file| file.path.starts_with("python/gadget_sdk/"));
    Ok(generated.chain(sdk).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    const MANIFEST: &str = "name: small
version: 1.0.0
description: A small \"gadget\"
sources: [{name: open, map: events, struct: event}]
tables:
  - name: open
    source: open
    columns:
      - {name: pid, field: proc.pid}
      - {name: words, type: list<text>, description: What was said}
      - {name: record, type: u8}
params: [{name: lowest-fd, type: i64, description: Lowest descriptor}, {name: wait, type: duration}]
guest: {timers: true}
";

    fn generated(text: &str) -> Vec<Generated> {
        let manifest = Manifest::parse("gadget.yaml", text).unwrap();
        let object = Object::parse(fixtures::object()).unwrap();
        python(&manifest, &object).unwrap()
    }

    fn file<'a>(files: &'a [Generated], path: &str) -> &'a str {
        &files.iter().find(|file| file.path == path).unwrap().text
    }

    #[test]
    fn authors_see_their_own_names() {
        let files = generated(MANIFEST);
        let root = file(&files, "python/gadget/__init__.py");
        for line in [
            "    def open(self, record: records.Event, tables: Tables, /) -> Outcome:\n",
            "    def tick(self, timer: timers.Timer, due: int, tables: Tables, /) -> None:\n",
            "    lowest_fd: int\n    \"\"\"Lowest descriptor\"\"\"\n",
            "from datetime import timedelta\n",
            "    wait: timedelta\n",
            "        return cls(lowest_fd=_params.integer(0), wait=_params.duration(1))\n",
            "\nA small \\\"gadget\\\"\n",
        ] {
            assert!(root.contains(line), "{line}{root}");
        }
        let tables = file(&files, "python/gadget/tables.py");
        for line in [
            "    def row(self, record2: _records.Event, /, *,\n",
            "        words: Optional[Iterable[Optional[Text]]] = None,\n        record: Optional[int] = None,\n",
            "        `words`: What was said\n",
            "                (1, \"words\", _column.Lists(_column.Texts())),\n",
        ] {
            assert!(tables.contains(line), "{line}{tables}");
        }
        assert!(!tables.contains("pid"), "the host decodes it");
        let entry = file(&files, "python/gadget_component.py");
        assert!(entry.contains("import Handler, Ticker\n"), "{entry}");
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert!(paths.contains(&"python/gadget_sdk/span.py"), "{paths:?}");
        assert!(!paths.contains(&"python/gadget/maps.py"), "{paths:?}");
        assert!(
            !paths.iter().any(|path| path.contains("tests")),
            "{paths:?}"
        );
    }

    #[test]
    fn a_gadget_without_grants_has_no_more_than_it_needs() {
        let text = MANIFEST
            .replace("guest: {timers: true}", "")
            .replace("params:", "#");
        let files = generated(&text);
        let root = file(&files, "python/gadget/__init__.py");
        assert!(
            !root.contains("timers") && !root.contains("clock"),
            "{root}"
        );
        assert!(!file(&files, "python/gadget_component.py").contains("Ticker"));
    }
}
