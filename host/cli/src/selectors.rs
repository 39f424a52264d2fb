//! Flags that say whose records are wanted.

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use ig_engine::selection::{Selector, SelectorError, Selectors};

/// Where they stand in `--help`.
const HEADING: &str = "Whose records";
/// Inspektor Gadget's word for `--scope all`.
const HOST: &str = "host";

/// A flag for each selector.
pub fn flags() -> impl Iterator<Item = Arg> {
    Selector::ALL.into_iter().map(|selector| {
        let arg = Arg::new(selector.flag())
            .long(selector.flag())
            .value_name(selector.value_name())
            .action(ArgAction::Append)
            .value_parser(value_parser!(String))
            // One that leaves labels out may begin with anything.
            .allow_hyphen_values(true)
            .help(selector.help())
            .help_heading(HEADING)
            .aliases(selector.aliases().iter().copied());
        match selector.short() {
            Some(letter) => arg.short(letter),
            None => arg,
        }
    })
}

/// `--host`.
pub fn host() -> Arg {
    Arg::new(HOST)
        .long(HOST)
        .action(ArgAction::SetTrue)
        .conflicts_with(Selector::Scope.flag())
        .help("The same as --scope all")
        .help_heading(HEADING)
}

/// What they say. A flag that the command does not have says nothing.
///
/// # Errors
/// One can't be understood, or they contradict each other.
pub fn selectors(matches: &ArgMatches) -> Result<Selectors, SelectorError> {
    let given = Selector::ALL.into_iter().flat_map(|selector| {
        let values = matches.try_get_many::<String>(selector.flag());
        let values = values.ok().flatten().into_iter().flatten();
        values.map(move |value| (selector, value.as_str()))
    });
    let all = matches!(matches.try_get_one(HOST), Ok(Some(true)));
    let all = all.then_some((Selector::Scope, "all"));
    Selectors::parse(given.chain(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn of(args: &[&str]) -> Result<Selectors, SelectorError> {
        let words = ["run", "x.oci"].iter().chain(args);
        selectors(&args::run().get_matches_from(words))
    }

    #[test]
    fn flags_can_be_repeated_and_have_the_names_of_inspektor_gadget() {
        let once = of(&["--containername", "a,!b"]).unwrap();
        assert_eq!(of(&["-c", "a", "-c", "!b"]), Ok(once.clone()));
        assert_eq!(of(&["--runtime-containername=a,!b"]), Ok(once));
        assert!(of(&[]).unwrap().is_empty() && of(&["--host"]).unwrap().is_empty());
        assert!(!of(&["--k8s-selector", "!old"]).unwrap().is_empty());
        assert!(of(&["--scope", "some"]).is_err());
    }
}
