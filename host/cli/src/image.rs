//! `ig image`: building and inspecting bundles.

use crate::{Failure, caller, exit};
use anyhow::{Context, anyhow};
use clap::ArgMatches;
use ig_engine::build::{BuildOptions, Caller, build_as_caller};
use ig_engine::command;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

/// `ig image build`.
pub fn build(matches: &ArgMatches) -> Result<u8, Failure> {
    let path = |name: &str| matches.get_one::<PathBuf>(name).map(PathBuf::as_path);
    let Some(dir) = path("dir") else {
        return Ok(exit::USAGE);
    };
    let recordings = matches.get_flag("recordings");
    build_to(
        dir,
        path("out"),
        path("prog"),
        path("definition"),
        recordings,
    )?;
    Ok(0)
}

/// Builds a folder; under sudo as the user who called it, so that no file in it becomes root's.
pub fn build_to(
    dir: &Path,
    out: Option<&Path>,
    prog: Option<&Path>,
    definition: Option<&Path>,
    recordings: bool,
) -> Result<(), Failure> {
    let other = |e: anyhow::Error| Failure {
        code: exit::OTHER,
        error: e,
    };
    if caller::caller().is_some() {
        let mut arguments: Vec<&OsStr> = vec!["image".as_ref(), "build".as_ref()];
        for (flag, path) in [
            ("--output", out),
            ("--prog", prog),
            ("--definition", definition),
        ] {
            if let Some(path) = path {
                arguments.extend([flag.as_ref(), path.as_os_str()]);
            }
        }
        if recordings {
            arguments.push("--recordings".as_ref());
        }
        arguments.extend(["--".as_ref(), dir.as_os_str()]);
        let code = as_caller(&arguments)?.unwrap_or(exit::OTHER);
        return match code {
            0 => Ok(()),
            // It has said why.
            code => Err(Failure {
                code,
                error: anyhow!("{} was not built", dir.display()),
            }),
        };
    }
    let options = BuildOptions {
        out: out.map(Path::to_owned),
        prog: prog.map(Path::to_owned),
        definition: definition.map(Path::to_owned),
        recordings,
    };
    // Beside the rows of a gadget that runs from its folder, so not on standard output.
    let mut progress = |step: &str| {
        let _ = writeln!(std::io::stderr(), "ig: {step}");
    };
    let report =
        ig_engine::build::build(dir, &options, &mut progress).map_err(|e| other(e.into()))?;
    let _ = writeln!(std::io::stderr(), "{report}");
    Ok(())
}

/// Runs this program with these arguments as the user who called sudo, without any right of root, and gives its exit code;
/// None where nobody did. What is written in a gadget's folder then belongs to that user, and so do the rights with which
/// compilers run.
pub fn as_caller(arguments: &[&OsStr]) -> Result<Option<u8>, Failure> {
    let Some(caller) = caller::caller() else {
        return Ok(None);
    };
    let other = |e: anyhow::Error| Failure {
        code: exit::OTHER,
        error: e,
    };
    let command::Caller {
        uid,
        gid,
        groups: _,
        name,
        home,
    } = caller;
    let named = name != uid.to_string();
    let caller = Caller {
        uid,
        gid,
        name: named.then_some(name),
        home: home.into(),
    };
    let ig = std::env::current_exe()
        .context("can't find this program's own file")
        .map_err(other)?;
    let status = build_as_caller(&ig, arguments, &caller).map_err(|e| other(e.into()))?;
    match status.code() {
        Some(code) => Ok(Some(u8::try_from(code).unwrap_or(exit::OTHER))),
        None => Err(other(anyhow!("was interrupted: {status}"))),
    }
}

/// `ig image inspect`.
pub fn inspect(matches: &ArgMatches) -> Result<u8, Failure> {
    let Some(path) = matches.get_one::<PathBuf>("bundle") else {
        return Ok(exit::USAGE);
    };
    let inspection =
        ig_engine::inspect::inspect(path).map_err(|e| Failure::new(exit::REFUSED, e))?;
    let text = match matches.get_one::<String>("output").map(String::as_str) {
        Some("json") => inspection.to_json(),
        _ => inspection.to_string(),
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|e| Failure::new(exit::OTHER, e))?;
    Ok(0)
}
