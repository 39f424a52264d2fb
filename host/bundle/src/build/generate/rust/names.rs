//! Names in generated Rust.

use crate::build::generate::naming::camel_case;

/// Words that Rust keeps for itself; a raw identifier takes them.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Words that not even a raw identifier takes.
const NEVER: &[&str] = &["self", "Self", "super", "crate", "_"];

/// The name of a function or field for a C or manifest name: `-` becomes `_`, keywords are made raw.
pub(super) fn identifier(name: &str) -> String {
    let name = name.replace('-', "_");
    if NEVER.contains(&name.as_str()) {
        format!("{name}_")
    } else if KEYWORDS.contains(&name.as_str()) {
        format!("r#{name}")
    } else {
        name
    }
}

/// The name of a type: `gadget_process` becomes `GadgetProcess`.
pub(super) fn type_name(name: &str) -> String {
    camel_case(name, NEVER)
}

/// Text for a documentation comment at `indent`, a line each; nothing for no text.
pub(super) fn document(text: &str, indent: &str) -> String {
    let lines = text.lines().map(str::trim_end);
    lines
        .map(|line| format!("{indent}/// {line}").trim_end().to_owned() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_rust() {
        assert_eq!(type_name("gadget_l4endpoint_t"), "GadgetL4endpointT");
        assert_eq!(type_name("4tuple"), "T4tuple");
        assert_eq!(type_name("self"), "RecordSelf");
        assert_eq!(type_name("__"), "Record");
        assert_eq!(identifier("type"), "r#type");
        assert_eq!(identifier("self"), "self_");
        assert_eq!(identifier("failed-only"), "failed_only");
    }

    #[test]
    fn documents_of_several_lines() {
        assert_eq!(
            document("One.\n\nTwo. ", "  "),
            "  /// One.\n  ///\n  /// Two.\n"
        );
        assert_eq!(document("", ""), "");
    }
}
