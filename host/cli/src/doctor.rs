//! `ig doctor`.

use crate::{Failure, args, exit, print};
use clap::{ArgMatches, Command};
use ig_engine::doctor::{self, Check, Report};

/// Its part of the one definition.
pub fn command() -> Command {
    Command::new("doctor")
        .about("Says what of this machine works for gadgets, what does not, and the cure")
        .arg(args::text_or_json())
        .after_help(
            "States: ok; warning: gadgets run, but not all of them, or not as well; missing: no gadget runs without it;\n\
             unknown: it could not be tried; info: neither good nor bad.\n\
             Exit codes: 0 when `ig run` will work; 122 when something is missing.",
        )
}

/// `ig doctor`.
pub fn main(matches: &ArgMatches) -> Result<u8, Failure> {
    let report = doctor::examine();
    let text = match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => json(&report),
        _ => text(&report),
    };
    print(text.as_bytes())?;
    Ok(if report.works() { 0 } else { exit::KERNEL })
}

/// A line a check, and the cure below it.
fn text(report: &Report) -> String {
    let checks = &report.checks;
    let widest = |of: fn(&Check) -> &str| checks.iter().map(|c| of(c).len()).max().unwrap_or(0);
    let (state_width, name_width) = (widest(|c| c.state.as_str()), widest(|c| c.name));
    let mut text = String::new();
    for Check {
        name,
        state,
        found,
        meaning,
        cure,
    } in checks
    {
        let state = state.as_str();
        text.push_str(&format!(
            "{state:state_width$}  {name:name_width$}  {found}"
        ));
        if !meaning.is_empty() {
            text.push_str(": ");
            text.push_str(meaning);
        }
        text.push('\n');
        if !cure.is_empty() {
            let indent = state_width + name_width + 4;
            text.push_str(&format!("{:indent$}cure: {cure}\n", ""));
        }
    }
    let missing: Vec<_> = report.missing().collect();
    text.push_str(&match missing.as_slice() {
        [] => "`ig run` will work here.\n".to_owned(),
        missing => format!(
            "`ig run` will not work here; missing: {}.\n",
            missing.join(", ")
        ),
    });
    text
}

fn json(report: &Report) -> String {
    let words = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let checks: Vec<_> = report
        .checks
        .iter()
        .map(|c| {
            serde_json::json!({
                "name": c.name,
                "state": c.state.as_str(),
                "found": c.found,
                "meaning": words(&c.meaning),
                "cure": words(&c.cure),
            })
        })
        .collect();
    let value = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "works": report.works(),
        "checks": checks,
    });
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ig_engine::doctor::State;

    fn report(state: State) -> Report {
        Report {
            checks: vec![
                Check::new("kernel", State::Ok, "Linux 6.18"),
                Check::new("btf-tracepoint", state, "no such type")
                    .meaning("children can't be followed")
                    .cure("boot another kernel"),
                Check::new("docker", State::Info, "not here").meaning("no socket at /run/x"),
            ],
        }
    }

    #[test]
    fn a_line_says_what_was_found_and_what_it_means_and_the_next_one_the_cure() {
        assert_eq!(
            text(&report(State::Warning)),
            "ok       kernel          Linux 6.18\n\
             warning  btf-tracepoint  no such type: children can't be followed\n                         \
             cure: boot another kernel\n\
             info     docker          not here: no socket at /run/x\n\
             `ig run` will work here.\n"
        );
        let missing = text(&report(State::Missing));
        assert!(missing.contains("\nmissing  btf-tracepoint  no such type"));
        assert!(
            missing.ends_with("\n`ig run` will not work here; missing: btf-tracepoint.\n"),
            "{missing}"
        );
    }

    #[test]
    fn json_has_all_of_it() {
        let value: serde_json::Value =
            serde_json::from_str(&json(&report(State::Missing))).unwrap();
        assert_eq!(value["works"], false);
        assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(
            value["checks"][1],
            serde_json::json!({
                "name": "btf-tracepoint",
                "state": "missing",
                "found": "no such type",
                "meaning": "children can't be followed",
                "cure": "boot another kernel",
            })
        );
        assert_eq!(value["checks"][0]["cure"], serde_json::Value::Null);
        let works: serde_json::Value =
            serde_json::from_str(&json(&report(State::Unknown))).unwrap();
        assert_eq!(works["works"], true);
    }
}
