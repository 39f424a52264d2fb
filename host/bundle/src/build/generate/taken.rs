//! Names that are given out once.

use std::collections::BTreeSet;

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

    /// A name that is given out already, perhaps more than once.
    pub(super) fn take(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
