//! How every language's generated code gets its names.

use crate::manifest::Manifest;
use std::collections::BTreeSet;

/// The name of a type or class: `gadget_process` becomes `GadgetProcess`. Where a digit would come first, or the language
/// keeps the word for itself (`kept`), something stands before it.
pub(super) fn camel_case(name: &str, kept: &[&str]) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in name.split(['_', '-']) {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            camel.extend(first.to_uppercase());
            camel.push_str(letters.as_str());
        }
    }
    match camel.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("T{camel}"),
        Some(_) if !kept.contains(&camel.as_str()) => camel,
        _ => format!("Record{camel}"),
    }
}

/// Methods of a gadget that are no source's, so that a source of this name has another: `tick_record`.
pub(super) fn is_own_method(name: &str, manifest: &Manifest) -> bool {
    match name {
        "init" | "tick" | "stop" => true,
        "added" | "removed" => manifest.guest.watch,
        _ => false,
    }
}

/// The name of a constant: `failed-only` becomes `FAILED_ONLY`.
pub(super) fn upper_case(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

/// Names given out so far in one scope of generated code.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeSet<String>);

impl Taken {
    /// `name`, or with the first number behind it that makes it new.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_owned();
        let mut number = 2;
        while !self.0.insert(unique.clone()) {
            unique = format!("{name}{number}");
            number += 1;
        }
        unique
    }

    /// With these given out from the start.
    pub(super) fn with(names: &[&str]) -> Self {
        Self(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// A name that is given out already, perhaps more than once.
    pub(super) fn take(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases() {
        assert_eq!(camel_case("gadget_l4endpoint_t", &[]), "GadgetL4endpointT");
        assert_eq!(camel_case("4tuple", &[]), "T4tuple");
        assert_eq!(camel_case("none", &["None"]), "RecordNone");
        assert_eq!(camel_case("__", &[]), "Record");
        assert_eq!(upper_case("failed-only"), "FAILED_ONLY");
    }

    #[test]
    fn names_are_given_once() {
        let mut taken = Taken::default();
        assert_eq!(
            [
                taken.unique("Event"),
                taken.unique("Event"),
                taken.unique("Event")
            ],
            ["Event", "Event2", "Event3"]
        );
    }
}
