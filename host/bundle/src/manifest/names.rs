//! Names: what they may look like, which are taken, which are near.

use ig_table::Kind;
use ig_table::frames::Mode;
use serde::{Deserialize, Deserializer, Serializer};
use std::str::FromStr;

/// The long flags of `ig run`, now or soon. A parameter of one of these names could not be set as `--name`.
pub const HOST_FLAGS: &[&str] = &[
    "cgroup",
    "color",
    "comm",
    "container",
    "container-id",
    "container-selector",
    "containerd-socketpath",
    "containerimage-digest",
    "containerimage-id",
    "containername",
    "crio-socketpath",
    "docker-socketpath",
    "exclude-comm",
    "fail-on-loss",
    "fields",
    "filter",
    "follow",
    "format",
    "gid",
    "guest-cpu-time",
    "guest-host-calls",
    "guest-memory",
    "guest-staging",
    "help",
    "host",
    "image",
    "image-digest",
    "image-id",
    "interval",
    "k8s-containername",
    "k8s-namespace",
    "k8s-podname",
    "k8s-selector",
    "limit",
    "log-level",
    "max-rate",
    "max-rows",
    "max-traps",
    "no-header",
    "output",
    "output-file",
    "param",
    "pid",
    "podman-socketpath",
    "policy",
    "quiet",
    "record",
    "redact",
    "replay",
    "ring-size",
    "rotate-size",
    "rotate-time",
    "runtime",
    "runtime-containerimage-digest",
    "runtime-containerimage-id",
    "runtime-containerimage-name",
    "runtime-containername",
    "runtimes",
    "scope",
    "sort",
    "strict",
    "summary",
    "table",
    "tid",
    "timeout",
    "uid",
    "unit",
    "verbose",
    "version",
];

/// Words that no table, column or source may be called, since code in some guest language could not use them:
/// the keywords of Rust, C, Go, Python and JavaScript, in lower case.
pub const RESERVED_WORDS: &[&str] = &[
    "abstract",
    "and",
    "as",
    "assert",
    "async",
    "auto",
    "await",
    "become",
    "box",
    "break",
    "case",
    "catch",
    "chan",
    "char",
    "class",
    "const",
    "continue",
    "crate",
    "debugger",
    "def",
    "default",
    "defer",
    "del",
    "delete",
    "do",
    "double",
    "dyn",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extends",
    "extern",
    "fallthrough",
    "false",
    "final",
    "finally",
    "float",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "gen",
    "global",
    "go",
    "goto",
    "if",
    "impl",
    "import",
    "in",
    "inline",
    "instanceof",
    "int",
    "interface",
    "is",
    "lambda",
    "let",
    "long",
    "loop",
    "macro",
    "map",
    "match",
    "mod",
    "move",
    "mut",
    "new",
    "none",
    "nonlocal",
    "not",
    "null",
    "or",
    "override",
    "package",
    "pass",
    "priv",
    "pub",
    "raise",
    "range",
    "ref",
    "register",
    "restrict",
    "return",
    "select",
    "self",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "super",
    "switch",
    "this",
    "throw",
    "trait",
    "true",
    "try",
    "type",
    "typedef",
    "typeof",
    "union",
    "unsafe",
    "unsigned",
    "unsized",
    "use",
    "var",
    "virtual",
    "void",
    "volatile",
    "where",
    "while",
    "with",
    "yield",
];

/// The longest name, in bytes.
pub(crate) const MAX_NAME: usize = 63;

/// Lower-case letters, digits and `_`, beginning with a letter.
pub(super) fn is_identifier(name: &str) -> bool {
    is_name(name) && !name.contains('-')
}

/// Lower-case letters, digits, `_` and `-`, beginning with a letter and not ending in `-`.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// A name as C has them.
pub(super) fn is_c_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The known name that is nearest to `wrong`, if any is near enough to have been meant.
pub(super) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let wrong = wrong
        .get(..wrong.floor_char_boundary(MAX_NAME))
        .unwrap_or_default()
        .to_lowercase()
        .replace('_', "-");
    known
        .iter()
        // Comparing takes the product of both lengths, in time and in memory.
        .filter(|name| name.len() <= MAX_NAME)
        .map(|name| {
            (
                strsim::damerau_levenshtein(&wrong, &name.to_lowercase().replace('_', "-")),
                *name,
            )
        })
        .filter(|(distance, name)| {
            *distance <= name.len().max(wrong.len()) / 3 + usize::from(name.len() <= 2)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `: did you mean `x`?`, or `; <lead> a, b, c` when nothing is near.
pub(super) fn did_you_mean(wrong: &str, known: &[&str], lead: &str) -> String {
    match nearest(wrong, known) {
        Some(near) => format!(": did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; {lead} {}", known.join(", ")),
    }
}

/// Why a value is not one of those allowed: names all of them, and the nearest.
pub(super) fn one_of(wrong: &str, allowed: &[&str]) -> String {
    let near =
        nearest(wrong, allowed).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    format!(
        "`{}` is not allowed here: one of {}{near}",
        wrong.escape_debug(),
        allowed.join(", ")
    )
}

/// The kind in the manifest, as text.
pub(super) mod serde_kind {
    use super::{Deserialize, Deserializer, FromStr, Kind, Serializer, kind_names, one_of};

    pub fn serialize<S: Serializer>(kind: &Option<Kind>, serializer: S) -> Result<S::Ok, S::Error> {
        match kind {
            Some(kind) => serializer.serialize_str(kind.as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Kind>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kind = Kind::from_str(&text);
        kind.map(Some)
            .map_err(|_| serde::de::Error::custom(one_of(&text, &kind_names())))
    }
}

/// A mode by its name.
pub(super) mod serde_mode {
    use super::{Deserialize, Deserializer, FromStr, Mode, Serializer, mode_names, one_of};

    pub fn serialize<S: Serializer>(mode: &Mode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(mode.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
        let text = String::deserialize(deserializer)?;
        Mode::from_str(&text).map_err(|_| serde::de::Error::custom(one_of(&text, &mode_names())))
    }
}

fn mode_names() -> Vec<&'static str> {
    Mode::ALL.iter().map(|mode| mode.as_str()).collect()
}

pub(super) fn mode_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": mode_names() })
}

fn kind_names() -> Vec<&'static str> {
    Kind::ALL.iter().map(|kind| kind.as_str()).collect()
}

pub(super) fn kind_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": kind_names() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_what_was_meant_and_nothing_far() {
        let known = ["name", "description", "columns", "min-host", "to"];
        assert_eq!(nearest("colums", &known), Some("columns"));
        assert_eq!(nearest("min_host", &known), Some("min-host"));
        assert_eq!(nearest("Name", &known), Some("name"));
        assert_eq!(nearest("colour", &known), None);
    }

    #[test]
    fn lists_are_sorted_and_without_repeats() {
        assert!(HOST_FLAGS.is_sorted() && RESERVED_WORDS.is_sorted());
        assert!(RESERVED_WORDS.iter().all(|word| is_identifier(word)));
        assert!(HOST_FLAGS.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
