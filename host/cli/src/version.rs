//! `ig version`.

use crate::{Failure, args, print};
use clap::{ArgMatches, Command};
use ig_engine::CONTRACT_VERSION;
use ig_engine::bundle::Arch;

/// Its part of the one definition.
pub fn command() -> Command {
    Command::new("version")
        .about("Shows the version, the architecture and the contract that guests are linked to")
        .arg(args::text_or_json())
}

/// What `ig version` and `ig --version` say behind the name.
pub fn line() -> String {
    format!(
        "{} (linux/{}, contract {CONTRACT_VERSION})",
        env!("CARGO_PKG_VERSION"),
        Arch::host()
    )
}

/// `ig version`.
pub fn main(matches: &ArgMatches) -> Result<u8, Failure> {
    let text = match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => json(),
        _ => format!("ig {}\n", line()),
    };
    print(text.as_bytes()).map(|()| 0)
}

fn json() -> String {
    let value = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "os": "linux",
        "arch": Arch::host().to_string(),
        "contract": CONTRACT_VERSION,
    });
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_the_line_say_the_same() {
        let value: serde_json::Value = serde_json::from_str(&json()).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        assert_eq!(
            line(),
            format!(
                "{} ({}/{}, contract {})",
                text("version"),
                text("os"),
                text("arch"),
                text("contract")
            )
        );
        assert!(["amd64", "arm64"].contains(&text("arch").as_str()));
    }
}
