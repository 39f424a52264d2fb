//! `ig run --replay`: the recording, and what the guest may use.

use crate::{Failure, exit, run};
use anyhow::anyhow;
use clap::ArgMatches;
use clap::parser::ValueSource;
use ig_engine::Say;
use ig_engine::bundle::Bundle;
use ig_engine::options::GuestLimits;
use ig_engine::recording::{EXTENSION, Recording};
use std::path::Path;

/// The recording, from a file or from the bundle, with the bundle's parts for the machine that it was made on.
pub fn open(path: &Path, file: &Path, bundle: Bundle) -> Result<(Bundle, Recording), Failure> {
    let recording = if path.exists() {
        Recording::open(path)
    } else {
        let name = path.to_string_lossy();
        let named = bundle.recordings.iter().find(|recording| {
            recording.name == name
                || recording.name.strip_suffix(EXTENSION) == Some(&format!("{name}."))
        });
        match named {
            Some(layer) => Recording::parse(
                &format!("{}: {}", bundle.name, layer.name),
                layer.layer.bytes.clone(),
            ),
            None => {
                let names: Vec<&str> = bundle.recordings.iter().map(|r| r.name.as_str()).collect();
                let held = match names.as_slice() {
                    [] => "the bundle holds none".to_owned(),
                    _ => format!("the bundle holds {}", names.join(", ")),
                };
                return Err(Failure::new(
                    exit::USAGE,
                    anyhow!("--replay: there is no file {}, and {held}", path.display()),
                ));
            }
        }
    };
    let recording = recording.map_err(run::refusal)?;
    let architecture = recording.architecture().map_err(run::refusal)?;
    let bundle = if architecture == bundle.architecture {
        bundle
    } else {
        Bundle::open(file, architecture).map_err(|e| Failure::new(exit::REFUSED, e))?
    };
    Ok((bundle, recording))
}

/// What the guest could use then, where that is less than what it may use by default: a recording gives nobody more. CPU time
/// is no part of it, because no two runs of it are alike.
pub fn limits(
    matches: &ArgMatches,
    given: GuestLimits,
    recorded: GuestLimits,
    say: &Say,
) -> GuestLimits {
    let set = |flag: &str| matches.value_source(flag) == Some(ValueSource::CommandLine);
    let choose = |flag: &str, given: u64, recorded: u64| {
        if set(flag) {
            return given;
        }
        if recorded > given {
            say(&format!(
                "recorded with --{flag} {recorded}, which is more than {given}; rows may differ without it"
            ));
        }
        given.min(recorded)
    };
    let few = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    GuestLimits {
        cpu_per_call: given.cpu_per_call,
        memory: choose("guest-memory", given.memory, recorded.memory),
        host_calls: few(choose(
            "guest-host-calls",
            given.host_calls.into(),
            recorded.host_calls.into(),
        )),
        staging: choose("guest-staging", given.staging, recorded.staging),
        max_traps: few(choose(
            "max-traps",
            given.max_traps.into(),
            recorded.max_traps.into(),
        )),
    }
}
