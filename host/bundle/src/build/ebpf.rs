//! The eBPF side: one C file, compiled once for each architecture.

use super::{Arch, BuildError, toolchain};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file that is looked for in a gadget's folder.
pub const FILE_NAME: &str = "program.bpf.c";

/// Compiles eBPF objects.
#[derive(Debug)]
pub(super) struct Compiler {
    clang: PathBuf,
    strip: Option<PathBuf>,
}

impl Compiler {
    /// Finds clang, and llvm-strip if it is there.
    pub(super) fn find() -> Result<Self, BuildError> {
        let clang = toolchain::clang()?;
        let strip = toolchain::strip(&clang);
        Ok(Self { clang, strip })
    }

    /// The name and version of the compiler.
    pub(super) fn version(&self) -> String {
        toolchain::version(&self.clang).unwrap_or_else(|| self.clang.display().to_string())
    }

    /// Compiles `source` (as the user would write it below `folder`) for `arch` to `object`.
    ///
    /// Everything is named relative to `folder`, so that the same source gives the same bytes in any folder: BTF
    /// keeps the names of files.
    pub(super) fn compile(
        &self,
        folder: &Path,
        source: &Path,
        arch: Arch,
        object: &Path,
    ) -> Result<(), BuildError> {
        let mut command = Command::new(&self.clang);
        // v3: comparisons of 32 bits, without which the verifier loses bounds of u32; kernels have it since 5.1.
        command.current_dir(folder).args([
            "-target",
            "bpf",
            "-mcpu=v3",
            "-O2",
            "-g",
            "-std=gnu11",
            "-Wall",
            "-Wno-unused-function",
        ]);
        command.arg(format!("-D__TARGET_ARCH_{}", in_c(arch)));
        command.arg(toolchain::joined("-ffile-prefix-map=", folder, "=."));
        command.args(["-fdebug-compilation-dir=.", "-I", ".ig/gen/include"]);
        // Where Debian and Ubuntu keep asm/types.h, which linux/types.h wants: the headers of the machine that builds.
        for triple in ["x86_64-linux-gnu", "aarch64-linux-gnu"] {
            let multiarch = Path::new("/usr/include").join(triple);
            if multiarch.join("asm/types.h").is_file() {
                command.arg("-idirafter").arg(multiarch);
                break;
            }
        }
        command.arg("-c").arg(source).arg("-o").arg(object);
        toolchain::run(
            &mut command,
            &format!("compiling {} for {arch} failed", source.display()),
        )?;
        if let Some(strip) = &self.strip {
            // DWARF goes, BTF and its line information stay.
            toolchain::run(
                Command::new(strip).arg("-g").arg(object),
                "stripping debug information failed",
            )?;
        }
        Ok(())
    }
}

/// The name in `__TARGET_ARCH_...`, as in `bpf_tracing.h`.
fn in_c(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86",
        Arch::Arm64 => "arm64",
    }
}
