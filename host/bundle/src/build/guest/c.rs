//! C guests, built by clang and the linker of LLVM: freestanding, without a library.

use super::Core;
use crate::build::{BuildError, toolchain};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file that is looked for in a gadget's folder.
pub(super) const FILE_NAME: &str = "guest.c";

/// The guest in one piece, as it is compiled: below the gadget's folder, like everything that is named here.
const UNIT: &str = ".ig/gen/c/unit.c";

/// What the engine has, whatever this clang switches on by itself. Mistakes that C forgives are none here.
const COMPILE: &[&str] = &[
    "--target=wasm32-unknown-unknown",
    "-mcpu=mvp",
    "-mbulk-memory",
    "-msign-ext",
    "-mnontrapping-fptoint",
    "-std=gnu11",
    "-O2",
    "-ffreestanding",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror=implicit-function-declaration",
    "-Werror=incompatible-pointer-types",
    "-Werror=int-conversion",
    "-Werror=return-type",
    "-Werror=format",
];

/// 1 MiB of stack, as Rust guests have it, and in front of everything else: an overflow traps. Names are kept, so that
/// a trap can say where it was.
const LINK: &[&str] = &[
    "--no-entry",
    "--stack-first",
    "-z",
    "stack-size=1048576",
    "--gc-sections",
    "--fatal-warnings",
];

/// A linker for WebAssembly.
struct Linker {
    program: PathBuf,
    /// It is several linkers in one and has to be told which.
    has_flavors: bool,
}

/// What guests would be compiled with here.
pub(super) fn installed() -> Result<String, BuildError> {
    let clang = clang()?;
    let linker = linker(&clang, Path::new("/"))?;
    let version = |program: &Path| {
        toolchain::version(program).unwrap_or_else(|| program.display().to_string())
    };
    Ok(format!(
        "{}, linked by {}",
        version(&clang),
        linker.program.display()
    ))
}

fn clang() -> Result<PathBuf, BuildError> {
    toolchain::clang().map_err(|error| match error {
        BuildError::Missing { tool, install, .. } => BuildError::Missing {
            tool,
            purpose: "compiles the guest",
            install,
        },
        error => error,
    })
}

/// The linker that came with this clang, else any of LLVM's, else the one that rustup brings.
fn linker(clang: &Path, folder: &Path) -> Result<Linker, BuildError> {
    if let Some(program) = toolchain::sibling(clang, "wasm-ld") {
        return Ok(Linker {
            program,
            has_flavors: false,
        });
    }
    if let Some(program) = super::rust::rust_lld(folder) {
        return Ok(Linker {
            program,
            has_flavors: true,
        });
    }
    Err(BuildError::Missing {
        tool: "wasm-ld".to_owned(),
        purpose: "links the guest",
        install: "apt-get install lld (any version from 14; newer ones as lld-19)".to_owned(),
    })
}

/// Compiles the guest in `folder`.
pub(super) fn compile(folder: &Path) -> Result<Core, BuildError> {
    let clang = clang()?;
    let linker = linker(&clang, folder)?;
    let (object, module) = (folder.join(".ig/guest.o"), folder.join(".ig/guest.wasm"));
    let mut command = Command::new(&clang);
    // In the folder and by names relative to it, so that the same source gives the same bytes anywhere.
    command.current_dir(folder).args(COMPILE);
    command.arg(toolchain::joined("-ffile-prefix-map=", folder, "=."));
    command.args(["-I", ".ig/gen/c", "-I", ".", "-c", UNIT, "-o"]);
    toolchain::run(command.arg(&object), "compiling the guest failed")?;
    let mut command = Command::new(&linker.program);
    if linker.has_flavors {
        command.args(["-flavor", "wasm"]);
    }
    command.args(LINK).arg(&object).arg("-o").arg(&module);
    toolchain::run(&mut command, "linking the guest failed")?;
    let module =
        std::fs::read(&module).map_err(|cause| BuildError::io("reading", &module, cause))?;
    let compiler =
        toolchain::version(&clang).unwrap_or_else(|| clang.to_string_lossy().into_owned());
    Ok(Core { module, compiler })
}
