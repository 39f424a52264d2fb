//! Names in generated Python.

use crate::build::generate::naming::camel_case;

/// Words that Python keeps for itself. None of them can be quoted, so a `_` goes behind.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Built-in names that annotations and decorators in a generated class use: where a member is called so, they would
/// mean the member.
const BUILTINS: &[&str] = &[
    "bool", "bytes", "float", "int", "list", "property", "str", "tuple",
];

/// The name of a method, property or parameter for a C or manifest name. Leading `_` go: inside a class they would
/// make the name private to it.
pub(super) fn identifier(name: &str) -> String {
    let name = name.trim_start_matches('_').replace('-', "_");
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("field_{name}")
    } else if KEYWORDS.contains(&name.as_str()) {
        format!("{name}_")
    } else {
        name
    }
}

/// The name of a class: `gadget_process` becomes `GadgetProcess`.
pub(super) fn class_name(name: &str) -> String {
    camel_case(name, KEYWORDS)
}

/// What stands before a built-in name in a class with these members.
pub(super) fn builtins<'a>(members: impl IntoIterator<Item = &'a str>) -> &'static str {
    if members.into_iter().any(|name| BUILTINS.contains(&name)) {
        "builtins."
    } else {
        ""
    }
}

/// Text for a documentation string at `indent`, with its quotes; the text comes from the manifest.
pub(super) fn document(text: &str, indent: &str) -> String {
    let safe = text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut lines = safe.lines().map(str::trim_end);
    let mut document = format!("{indent}\"\"\"{}", lines.next().unwrap_or_default());
    let mut more = false;
    for line in lines {
        document.push('\n');
        if !line.is_empty() {
            document.push_str(indent);
            document.push_str(line);
        }
        more = true;
    }
    if more {
        document.push('\n');
        document.push_str(indent);
    }
    document.push_str("\"\"\"\n");
    document
}

/// A string literal.
pub(super) fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_python() {
        assert_eq!(class_name("gadget_l4endpoint_t"), "GadgetL4endpointT");
        assert_eq!(class_name("4tuple"), "T4tuple");
        assert_eq!(class_name("none"), "RecordNone");
        assert_eq!(identifier("type"), "type");
        assert_eq!(identifier("lambda"), "lambda_");
        assert_eq!(identifier("__pad"), "pad");
        assert_eq!(identifier("__"), "field_");
        assert_eq!(identifier("failed-only"), "failed_only");
        assert_eq!(builtins(["pid", "bytes"]), "builtins.");
        assert_eq!(builtins(["pid"]), "");
    }

    #[test]
    fn what_the_manifest_says_can_not_leave_its_string() {
        assert_eq!(document("One.", "  "), "  \"\"\"One.\"\"\"\n");
        assert_eq!(
            document("a \"\"\"b\\\n\nc", ""),
            "\"\"\"a \\\"\\\"\\\"b\\\\\n\nc\n\"\"\"\n"
        );
        assert_eq!(literal("a\"\\"), "\"a\\\"\\\\\"");
    }
}
