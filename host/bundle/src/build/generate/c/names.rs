//! Names and comments in generated C.

/// Words that C keeps for itself, with those that `stdbool.h` adds. Tables, columns and sources can't be called so.
const KEYWORDS: &[&str] = &[
    "asm", "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double",
    "else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long",
    "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch",
    "true", "typedef", "typeof", "union", "unsigned", "void", "volatile", "while",
];

/// The name of a field or function for a manifest's name: `-` becomes `_`, keywords get one behind them.
pub(super) fn identifier(name: &str) -> String {
    let name = name.replace('-', "_");
    if KEYWORDS.contains(&name.as_str()) {
        format!("{name}_")
    } else {
        name
    }
}

/// The names of the SDK itself: whatever its headers hold that begins with `gadget`.
pub(super) fn of_sdk(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("gadget"))
}

/// A comment at `indent`, ended by a newline; nothing for no text.
pub(super) fn comment(text: &str, indent: &str) -> String {
    let text = text.trim_end().replace("*/", "* /");
    match text.lines().count() {
        0 => String::new(),
        1 => format!("{indent}/* {text} */\n"),
        _ => {
            let lines = text
                .lines()
                .map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n");
            format!("{indent}/*\n{}{indent} */\n", lines.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_c() {
        assert_eq!(identifier("failed-only"), "failed_only");
        assert_eq!(identifier("default"), "default_");
        assert_eq!(
            of_sdk("int gadget__a(struct gadget_b *b); /* a_gadget */").collect::<Vec<_>>(),
            ["gadget__a", "gadget_b"]
        );
    }

    #[test]
    fn no_text_ends_a_comment() {
        assert_eq!(comment("One */ two ", "\t"), "\t/* One * / two */\n");
        assert_eq!(comment("One\n\ntwo\n", ""), "/*\n * One\n *\n * two\n */\n");
        assert_eq!(comment("", ""), "");
    }
}
