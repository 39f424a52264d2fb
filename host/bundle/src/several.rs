//! A file of gadgets: which run side by side, and what is said of each.
//!
//! It is read as strictly as a manifest, by the same reader.

use crate::manifest::yaml::{self, Document};
use crate::manifest::{
    BAD_DURATION, MAX_MANIFEST_BYTES, ManifestError, Places, Problems, Scalar, duration, is_name,
    scalar_schema,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DOCUMENT: Document = Document {
    noun: "file of gadgets",
    needs: "`gadgets`, a list with a `bundle` in each",
};

/// The gadgets of one run.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "A file of gadgets, for `ig run`")]
pub struct SeveralGadgets {
    /// The gadgets, which run side by side.
    pub gadgets: Vec<Listed>,
}

/// One gadget of a file, and what is said of it alone.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Listed {
    /// Its bundle, or its folder, which is built first; relative to the file.
    pub bundle: String,
    /// What it is called in this run, as a gadget can be called; without it, the gadget's own name.
    #[serde(default)]
    pub name: Option<String>,
    /// Values of its parameters.
    #[serde(default, deserialize_with = "scalars")]
    #[schemars(schema_with = "scalars_schema")]
    pub params: BTreeMap<String, String>,
    /// Only these columns, in this order, as `--fields`.
    #[serde(default)]
    pub fields: Option<String>,
    /// Only rows for which this holds, as `--filter`.
    #[serde(default)]
    pub filter: Option<String>,
    /// The order of the rows of a frame, as `--sort`.
    #[serde(default)]
    pub sort: Option<String>,
    /// The one table that is shown, as `--table`.
    #[serde(default)]
    pub table: Option<String>,
    /// The most rows of a frame, as `--max-rows`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_rows: Option<u64>,
    /// How often a live view changes, as `--interval`: a number with its unit.
    #[serde(default, deserialize_with = "interval")]
    #[schemars(with = "Option<String>")]
    pub interval: Option<Duration>,
    /// What no output may see, as `--redact`: `COLUMN` or `COLUMN=REGEX` each.
    #[serde(default)]
    pub redact: Vec<String>,
    /// Where things stand in the file.
    #[serde(skip)]
    places: Arc<Places>,
    /// Its index in the file.
    #[serde(skip)]
    index: usize,
}

impl SeveralGadgets {
    /// Whether a path is that of a file of gadgets: a regular file whose name ends with `.yaml` or `.yml`.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        is_named(path) && path.is_file()
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// As [`SeveralGadgets::parse`]; a file that can't be read, or is no text.
    pub fn open(path: &Path) -> Result<Self, ManifestError> {
        let shown = path.display().to_string();
        // One byte more than is allowed is enough to know.
        let most = u64::try_from(MAX_MANIFEST_BYTES).map_or(u64::MAX, |most| most + 1);
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(most).read_to_string(&mut text))
            .map_err(|cause| ManifestError::one(&shown, None, format!("can't be read: {cause}")))?;
        Self::parse(&shown, &text)
    }

    /// Reads a file's text; `file` is what errors call it.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with line and column: text that is not YAML, unknown, missing or repeated
    /// keys, values of the wrong type, names that no gadget can have.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let node = yaml::read(DOCUMENT, file, text)?;
        let mut read: Self = yaml::decode(file, &node)?;
        let places = Arc::new(node.places(file));
        let mut problems = Problems::new(&places);
        if read.gadgets.is_empty() {
            problems.add(
                "gadgets",
                "no gadget is listed: each begins with `- bundle: FILE`",
            );
        }
        for (index, listed) in read.gadgets.iter_mut().enumerate() {
            listed.places = places.clone();
            listed.index = index;
            let at = |key: &str| format!("gadgets.{index}.{key}");
            if listed.bundle.is_empty() {
                problems.add(
                    &at("bundle"),
                    "the path of a bundle or of a gadget's folder is missing here",
                );
            } else if is_named(Path::new(&listed.bundle)) {
                let message = "a file of gadgets can't hold another one: list its gadgets here; a gadget that is built \
                               from its folder is named by the folder";
                problems.add(&at("bundle"), message);
            }
            if let Some(name) = listed.name.as_deref().filter(|name| !is_name(name)) {
                let message = format!(
                    "`{name}` is no name for a gadget: lower-case letters, digits, `_` and `-`, beginning with a letter"
                );
                problems.add(&at("name"), message);
            }
            if listed.max_rows == Some(0) {
                problems.add(&at("max-rows"), "expected 1 or more, found `0`");
            }
        }
        problems.finish()?;
        Ok(read)
    }
}

impl Listed {
    /// Where the value of a key stands, for an error: `FILE:LINE:COLUMN`. `key` is one of this gadget's, or
    /// `params.NAME`; of what is not said, the place of the gadget.
    #[must_use]
    pub fn place(&self, key: &str) -> String {
        let file = self.places.file();
        match self.places.at(&format!("gadgets.{}.{key}", self.index)) {
            Some(place) => format!("{file}:{place}"),
            None => file.to_owned(),
        }
    }
}

fn is_named(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "yaml" || end == "yml")
}

/// The JSON schema of a file of gadgets, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(SeveralGadgets).to_value()
}

fn scalars<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    Ok(values
        .into_iter()
        .map(|(name, Scalar(value))| (name, value))
        .collect())
}

fn scalars_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "additionalProperties": scalar_schema(generator) })
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let Scalar(text) = Scalar::deserialize(deserializer)?;
    match duration(&text) {
        Some(ns) => Ok(Some(Duration::from_nanos(ns))),
        None => Err(de::Error::custom(format!("{BAD_DURATION}, found `{text}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
gadgets:
  - bundle: trace_exec.oci
    name: exec
    params: {paths: true, level: 3, only: \"no\"}
    fields: comm,args
    filter: error == ENOENT
    sort: -pid
    table: exec
    max-rows: 10
    interval: 1.5s
    redact: [args, comm=secret]
  - bundle: ../trace_open
";

    fn errors(text: &str) -> String {
        SeveralGadgets::parse("g.yaml", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn everything_that_can_be_said_of_a_gadget_is_read() {
        let read = SeveralGadgets::parse("g.yaml", TWO).unwrap();
        let [exec, open] = read.gadgets.as_slice() else {
            panic!("{read:?}");
        };
        assert_eq!(exec.bundle, "trace_exec.oci");
        assert_eq!(exec.name.as_deref(), Some("exec"));
        let params: Vec<(&str, &str)> = exec
            .params
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(params, [("level", "3"), ("only", "no"), ("paths", "true")]);
        assert_eq!(exec.fields.as_deref(), Some("comm,args"));
        assert_eq!(exec.filter.as_deref(), Some("error == ENOENT"));
        assert_eq!(exec.sort.as_deref(), Some("-pid"));
        assert_eq!(exec.table.as_deref(), Some("exec"));
        assert_eq!(exec.max_rows, Some(10));
        assert_eq!(exec.interval, Some(Duration::from_millis(1500)));
        assert_eq!(exec.redact, ["args", "comm=secret"]);
        let nothing = Listed {
            bundle: "../trace_open".to_owned(),
            index: 1,
            ..SeveralGadgets::parse("g.yaml", "gadgets: [{bundle: x}]")
                .unwrap()
                .gadgets
                .remove(0)
        };
        assert_eq!(*open, nothing);
    }

    #[test]
    fn things_have_places() {
        let read = SeveralGadgets::parse("g.yaml", TWO).unwrap();
        let place = |index: usize, key: &str| read.gadgets[index].place(key);
        assert_eq!(place(0, "filter"), "g.yaml:6:13");
        assert_eq!(place(0, "params.level"), "g.yaml:4:34");
        assert_eq!(place(1, "bundle"), "g.yaml:12:13");
        assert_eq!(place(1, "name"), "g.yaml:12:5", "the gadget's own place");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, error) in [
            (
                "",
                "g.yaml: empty: a file of gadgets has at least `gadgets`, a list with a `bundle` in each",
            ),
            (
                "gadgets: []",
                "g.yaml:1:10: no gadget is listed: each begins with `- bundle: FILE`",
            ),
            (
                "gadgets: x.oci",
                "g.yaml:1:10: expected a list, found `x.oci`",
            ),
            (
                "gadgets: [x.oci]",
                "g.yaml:1:11: expected keys and values, as in `bundle: ...`, found `x.oci`",
            ),
            (
                "gadget: []",
                "g.yaml:1:1: unknown key `gadget`: did you mean `gadgets`?",
            ),
            (
                "gadgets:\n  - name: x",
                "g.yaml:2:5: the key `bundle` is missing here",
            ),
            (
                "gadgets:\n  - bundle: x\n    field: comm",
                "g.yaml:3:5: unknown key `field`: did you mean `fields`?",
            ),
            (
                "gadgets:\n  - bundle: x\n    timeout: 3s",
                "g.yaml:3:5: unknown key `timeout`; known here are bundle, name, params, fields, filter, sort, table, \
                 max-rows, interval, redact",
            ),
            (
                "gadgets:\n  - bundle: x\n    fields: [comm]",
                "g.yaml:3:13: expected text, found a list",
            ),
            (
                "gadgets:\n  - bundle: x\n    redact: comm",
                "g.yaml:3:13: expected a list, found `comm`",
            ),
            (
                "gadgets:\n  - bundle: x\n    max-rows: many",
                "g.yaml:3:15: expected a whole number from 0 to 18446744073709551615, found `many`",
            ),
            (
                "gadgets:\n  - bundle: x\n    max-rows: 0",
                "g.yaml:3:15: expected 1 or more, found `0`",
            ),
            (
                "gadgets:\n  - bundle: x\n    interval: 2",
                "g.yaml:3:15: expected a number with ns, us, ms, s, m or h, as in 500ms or 2s, found `2`",
            ),
            (
                "gadgets:\n  - bundle: x\n    params: [paths]",
                "g.yaml:3:13: expected keys and values, found a list",
            ),
            (
                "gadgets:\n  - bundle: x\n    params: {paths: }",
                "g.yaml:3:19: a value is missing here: write \"\" for an empty text",
            ),
            (
                "gadgets:\n  - bundle: x\n    filter: !failed",
                "g.yaml:3:20: tags (`!name`) are not allowed in a file of gadgets: a text that begins with `!` needs quotes",
            ),
            (
                "gadgets:\n  - bundle: x\n    name: Exec.1\n  - bundle: y.yml",
                "g.yaml:3:11: `Exec.1` is no name for a gadget: lower-case letters, digits, `_` and `-`, beginning with a \
                 letter\n\
                 g.yaml:4:13: a file of gadgets can't hold another one: list its gadgets here; a gadget that is built from its \
                 folder is named by the folder",
            ),
        ] {
            assert_eq!(errors(text), error, "{text}");
        }
    }

    #[test]
    fn a_file_of_gadgets_is_a_regular_file_of_that_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.yaml", "b.yml", "c.oci", "yaml"] {
            std::fs::write(path(name), "gadgets: [{bundle: x}]").unwrap();
        }
        std::fs::create_dir(path("d.yaml")).unwrap();
        let are = ["a.yaml", "b.yml"];
        for name in ["a.yaml", "b.yml", "c.oci", "yaml", "d.yaml", "nowhere.yaml"] {
            assert_eq!(
                SeveralGadgets::is_at(&path(name)),
                are.contains(&name),
                "{name}"
            );
        }
        assert!(SeveralGadgets::open(&path("a.yaml")).is_ok());
        let error = SeveralGadgets::open(&path("nowhere.yaml"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("nowhere.yaml: can't be read: "), "{error}");
    }

    /// `docs/gadgets.schema.json` is what editors get: `IG_BLESS=1 cargo test -p ig-bundle` writes it anew.
    #[test]
    fn the_schema_in_the_docs_is_current() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/gadgets.schema.json"
        );
        let schema = format!("{:#}\n", json_schema());
        if std::env::var_os("IG_BLESS").is_some() {
            std::fs::write(path, &schema).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).is_ok_and(|text| text == schema),
            "docs/gadgets.schema.json is old; IG_BLESS=1 writes it anew"
        );
    }
}
