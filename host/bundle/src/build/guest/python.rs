//! Python guests, made by componentize-py: the interpreter, the author's modules and what they import, run up to the
//! first call and kept as they are there.

use super::Finished;
use crate::build::generate::PYTHON_ENTRY;
use crate::build::{BuildError, toolchain};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasmparser::{ComponentExternalKind, Parser, Payload};

/// The author's module.
pub(super) const FILE_NAME: &str = "guest.py";

/// The componentize-py that everything is tested with; another one makes another component.
const VERSION: &str = "0.25.1";

/// What it is called.
const PROGRAM: &str = "componentize-py";

/// What guests would be made with here, outside of any folder that has an environment of its own.
pub(in crate::build) fn installed() -> Result<String, BuildError> {
    find(Path::new("/")).map(|_| format!("{PROGRAM} {VERSION}"))
}

/// Makes the component of the guest in `folder`.
///
/// What it makes is a picture of an interpreter's memory, with traces of random numbers, of the time and of where files
/// lay: twice the same sources give two components. So one that was made of the same is taken again.
pub(super) fn compile(folder: &Path) -> Result<Finished, BuildError> {
    let work = folder.join(".ig/python");
    let sources = work.join("sources");
    // Modules that are gone, and their byte code, must not be found.
    if let Err(cause) = fs::remove_dir_all(&sources)
        && cause.kind() != std::io::ErrorKind::NotFound
    {
        return Err(BuildError::io("removing", &sources, cause));
    }
    // No packages but those that lie in the gadget's folder.
    for made in [&sources, &work.join("none/lib/site-packages")] {
        fs::create_dir_all(made).map_err(|cause| BuildError::io("making", made, cause))?;
    }
    copy(folder, &sources)?;
    let compiler = format!("{PROGRAM} {VERSION}");
    let component = work.join("guest.wasm");
    let made_of = work.join("made-of");
    let mut inputs = Sha256::new();
    inputs.update(&compiler);
    for part in [
        &sources,
        &folder.join(".ig/gen/python"),
        &folder.join(".ig/gen/wit"),
    ] {
        add(part, &mut inputs)?;
    }
    let inputs = inputs.finalize();
    let mark = |component: &[u8]| format!("{inputs:x} {:x}\n", Sha256::digest(component));
    if let (Ok(made), Ok(before)) = (fs::read(&component), fs::read_to_string(&made_of))
        && before == mark(&made)
    {
        let component = made;
        return Ok(Finished {
            component,
            compiler,
        });
    }
    let mut command = Command::new(find(folder)?);
    command
        .current_dir(folder)
        .args(["-q", "-d", ".ig/gen/wit", "-w", "gadget", "componentize"])
        .args(["--stub-wasi", "-p", ".ig/python/sources"])
        .args(["-p", ".ig/gen/python", PYTHON_ENTRY])
        .args(["-o", ".ig/python/guest.wasm"])
        .env("VIRTUAL_ENV", ".ig/python/none")
        .env("RUST_BACKTRACE", "0");
    for variable in ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"] {
        command.env_remove(variable);
    }
    toolchain::run(&mut command, "making the guest failed")?;
    let reading = |cause| BuildError::io("reading", &component, cause);
    let made = without_build_time_export(fs::read(&component).map_err(reading)?);
    for (path, bytes) in [
        (&component, made.as_slice()),
        (&made_of, mark(&made).as_bytes()),
    ] {
        fs::write(path, bytes).map_err(|cause| BuildError::io("writing", path, cause))?;
    }
    Ok(Finished {
        component: made,
        compiler,
    })
}

/// Adds the names and texts of all files below a folder, in order, without byte code.
fn add(folder: &Path, inputs: &mut Sha256) -> Result<(), BuildError> {
    let reading = |cause| BuildError::io("reading", folder, cause);
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(reading)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (entry.file_name(), entry.path());
        if name == "__pycache__" {
            continue;
        }
        inputs.update(name.as_encoded_bytes());
        if path.is_dir() {
            inputs.update(b"/");
            add(&path, inputs)?;
            inputs.update(b"/");
        } else {
            let bytes = fs::read(&path).map_err(|cause| BuildError::io("reading", &path, cause))?;
            inputs.update(format!("\0{}\0", bytes.len()));
            inputs.update(&bytes);
        }
    }
    Ok(())
}

/// The function that componentize-py itself calls while it builds is exported as `exports` and stays so; here an empty
/// instance takes its place, so that no index behind it moves.
fn without_build_time_export(mut component: Vec<u8>) -> Vec<u8> {
    const EMPTY_INSTANCE: [u8; 5] = [5, 3, 1, 1, 0];
    let mut depth = 0_usize;
    let mut found = None;
    for payload in Parser::new(0).parse_all(&component) {
        match payload {
            Ok(Payload::Version { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
            Ok(Payload::ComponentExportSection(section)) if depth == 1 => {
                let range = section.range();
                let mut exports = section.into_iter();
                if let (Some(Ok(export)), None) = (exports.next(), exports.next())
                    && export.name.name == "exports"
                    && export.kind == ComponentExternalKind::Instance
                {
                    found = Some(range);
                }
            }
            // Whatever is broken is found when the component is checked.
            Err(_) => break,
            Ok(_) => {}
        }
    }
    // Before the content stand the section's id and its size, which is less than 128.
    if let Some(range) = found
        && let Some(start) = range.start.checked_sub(2)
        && range.len() < 128
    {
        component.splice(start..range.end, EMPTY_INSTANCE);
    }
    component
}

/// The componentize-py of that version: of the gadget's own environment, of the one that is active, on PATH, or where
/// pipx puts programs.
fn find(folder: &Path) -> Result<PathBuf, BuildError> {
    let active = std::env::var_os("VIRTUAL_ENV").map(|folder| Path::new(&folder).join("bin"));
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/bin"));
    let places = [Some(folder.join(".venv/bin")), active, home];
    let [own, active, home] = places.map(|place| {
        place
            .map(|place| place.join(PROGRAM))
            .filter(|file| file.is_file())
    });
    let mut others = Vec::new();
    for program in [own, active, toolchain::find(PROGRAM), home]
        .into_iter()
        .flatten()
    {
        let version = toolchain::version(&program).unwrap_or_default();
        if version == format!("{PROGRAM} {VERSION}") {
            return Ok(program);
        }
        let version = version.strip_prefix(PROGRAM).unwrap_or("no version").trim();
        others.push(format!("{} is {version}", program.display()));
    }
    let others = match others.as_slice() {
        [] => String::new(),
        others => format!(" ({})", others.join(", ")),
    };
    Err(BuildError::Missing {
        tool: format!("{PROGRAM} {VERSION}{others}"),
        purpose: "makes guests of Python",
        install: format!(
            "pipx install {PROGRAM}=={VERSION}, or in the gadget's folder: python3 -m venv .venv && .venv/bin/pip install {PROGRAM}=={VERSION}"
        ),
    })
}

/// Copies the author's modules: all `.py` below the folder, without what is hidden and without environments.
fn copy(from: &Path, to: &Path) -> Result<(), BuildError> {
    let reading = |cause| BuildError::io("reading", from, cause);
    for entry in fs::read_dir(from).map_err(reading)? {
        let entry = entry.map_err(reading)?;
        let (name, path) = (entry.file_name(), entry.path());
        if name.as_encoded_bytes().starts_with(b".") || name == "__pycache__" {
            continue;
        }
        // A link to a folder is not followed: it may lead anywhere, and around.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !path.join("pyvenv.cfg").exists() {
                copy(&path, &to.join(name))?;
            }
        } else if path.extension().is_some_and(|extension| extension == "py") {
            fs::create_dir_all(to).map_err(|cause| BuildError::io("making", to, cause))?;
            let copied = to.join(name);
            let text = fs::read(&path).map_err(|cause| BuildError::io("reading", &path, cause))?;
            fs::write(&copied, text).map_err(|cause| BuildError::io("writing", &copied, cause))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_copied_and_environments_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        for (file, text) in [
            ("guest.py", "1"),
            ("parts/more.py", "2"),
            ("parts/__pycache__/more.py", "3"),
            (".venv/lib/x.py", "4"),
            ("env/pyvenv.cfg", ""),
            ("env/lib/x.py", "5"),
            ("README.md", "6"),
        ] {
            let file = from.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let to = folder.path().join("to");
        copy(&from, &to).unwrap();
        let names = |folder: &Path| {
            let mut names: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&to), ["guest.py", "parts"]);
        assert_eq!(names(&to.join("parts")), ["more.py"]);
    }
}
