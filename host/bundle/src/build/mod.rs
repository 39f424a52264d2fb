//! From a gadget's folder to its bundle.
//!
//! A folder holds `gadget.yaml`, `program.bpf.c` and, if rows take more than decoding, a guest. [`build`] compiles
//! the eBPF side for each architecture, generates what the guest is written with from the manifest and the object's
//! BTF, compiles the guest and makes a component of it, checks all parts against each other, and writes one file.
//! The same inputs and the same tools give the same bytes, whatever the folder is called.

mod caller;
mod component;
mod ebpf;
pub mod embedded;
mod folder;
#[cfg(test)]
mod frozen;
pub mod generate;
mod guest;
mod requirements;
pub mod template;
mod toolchain;

pub use caller::{Caller, build_as_caller};
pub use guest::Language;
pub use requirements::{Requirement, requirements};

use crate::manifest::{self, Manifest, ManifestError};
use crate::oci::{Arch, BundleError, Contents, TOOLCHAIN_ANNOTATION_PREFIX};
use folder::Folder;
use generate::GenerateError;
use guest::Made;
use ig_object::{Object, ObjectError};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What to build, beyond the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Where the bundle goes; by default `NAME.oci` in the gadget's folder.
    pub out: Option<PathBuf>,
    /// The eBPF source, in place of `DIR/program.bpf.c`.
    pub prog: Option<PathBuf>,
    /// The manifest, in place of `DIR/gadget.yaml`.
    pub definition: Option<PathBuf>,
    /// Puts the recordings of `DIR/tests` into the bundle.
    pub recordings: bool,
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildReport {
    /// The bundle's file.
    pub bundle: PathBuf,
    /// Its size in bytes.
    pub bundle_size: u64,
    /// The digest that names it: of its image index, `sha256:...`.
    pub digest: String,
    /// The size of each architecture's eBPF object in bytes.
    pub objects: Vec<(Arch, usize)>,
    /// The size of the component in bytes; none without a guest.
    pub component: Option<usize>,
    /// The compilers, as they name themselves.
    pub toolchain: Vec<String>,
    /// How long the eBPF side took.
    pub ebpf_time: Duration,
    /// How long the guest took, component included.
    pub guest_time: Duration,
}

impl fmt::Display for BuildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes", self.bundle.display(), self.bundle_size)?;
        for (arch, size) in &self.objects {
            write!(f, ", eBPF {arch} {size}")?;
        }
        if let Some(size) = self.component {
            write!(f, ", guest {size}")?;
        }
        write!(
            f,
            "; {:.1} s\n{}",
            (self.ebpf_time + self.guest_time).as_secs_f64(),
            self.digest
        )
    }
}

/// Why a gadget can't be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Something that every gadget has is not there.
    #[error("{path}: not found; {help}")]
    NotFound {
        /// The file or folder.
        path: PathBuf,
        /// What it is for.
        help: &'static str,
    },
    /// A file can't be read or written.
    #[error("{action} {path} failed: {cause}")]
    Io {
        /// `reading`, `writing`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The folder has guests in more than one language.
    #[error(
        "{dir} holds guests in several languages, {}: a gadget has one; remove the others",
        languages.join(" and ")
    )]
    Languages {
        /// The gadget's folder.
        dir: PathBuf,
        /// Each language with its file, such as `C (guest.c)`.
        languages: Vec<String>,
    },
    /// A program is not installed.
    #[error("{tool} is not installed; it {purpose}: {install}")]
    Missing {
        /// Its name.
        tool: String,
        /// What it does here.
        purpose: &'static str,
        /// How to get it.
        install: String,
    },
    /// A program is there but does not start.
    #[error("{program} does not start: {cause}")]
    NotStarted {
        /// Its name.
        program: String,
        /// Why.
        cause: io::Error,
    },
    /// A program failed.
    #[error("{what} ({program}: {status})\n{output}")]
    Tool {
        /// What failed.
        what: String,
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// What it wrote, with file and line.
        output: String,
    },
    /// Cargo built the guest, but no module came of it.
    #[error(
        "{manifest}: the guest's package makes no WebAssembly module; it needs `[lib] crate-type = [\"cdylib\"]`"
    )]
    NoModule {
        /// Its `Cargo.toml`.
        manifest: PathBuf,
    },
    /// The manifest is wrong, or does not fit the eBPF object.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// What clang made is not an eBPF object as the host needs it.
    #[error("the eBPF object for {arch}: {cause}")]
    Object {
        /// Its architecture.
        arch: Arch,
        /// What is wrong with it.
        cause: ObjectError,
    },
    /// Records look different on two architectures, so that one guest can't read both.
    #[error(
        "source `{source_name}`: struct {record} has another layout on {arch} than on {}; give its fields types of fixed size, in an order without gaps that differ",
        Arch::Amd64
    )]
    Layout {
        /// The source.
        source_name: String,
        /// Its struct.
        record: String,
        /// The architecture that differs.
        arch: Arch,
    },
    /// The parts do not fit together, or the file can't be written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Code can't be generated.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The generated world is not valid.
    #[error("the gadget's generated world is not valid, which is a fault of this program: {cause}")]
    World {
        /// The parser's words.
        cause: String,
    },
    /// The guest does not fit its world.
    #[error(
        "the guest does not fit the world that its manifest grants (.ig/gen/wit/world.wit): {cause}"
    )]
    Component {
        /// The encoder's words.
        cause: String,
    },
}

impl BuildError {
    fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            cause,
        }
    }
}

/// The parts of a gadget, built and checked against each other.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What the gadget declares.
    pub manifest: Manifest,
    /// The manifest's text.
    pub manifest_text: String,
    /// The eBPF object for each architecture.
    pub objects: Vec<(Arch, Vec<u8>)>,
    /// The guest; none: the host's decoder alone makes the rows.
    pub component: Option<Vec<u8>>,
    /// The compilers, as they name themselves.
    pub toolchain: Vec<String>,
    /// How long the eBPF side took.
    pub ebpf_time: Duration,
    /// How long the guest took, component included.
    pub guest_time: Duration,
}

/// The folder of a gadget's folder that holds its recordings.
pub const TESTS: &str = "tests";
/// What a recording's name ends with.
const RECORDING: &str = "igrec";

/// The recordings of a folder by their names, none if there is no such folder.
fn recordings(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
    let mut recordings = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(recordings),
        Err(cause) => return Err(BuildError::io("reading", folder, cause)),
    };
    for entry in entries {
        let path = entry
            .map_err(|cause| BuildError::io("reading", folder, cause))?
            .path();
        if path
            .extension()
            .is_none_or(|extension| extension != RECORDING)
        {
            continue;
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let bytes = fs::read(&path).map_err(|cause| BuildError::io("reading", &path, cause))?;
        recordings.insert(name.to_owned(), bytes);
    }
    Ok(recordings)
}

/// Builds the gadget in `dir` and writes its bundle. `progress` hears what is being done, in a few words a step.
///
/// # Errors
///
/// The first thing that is wrong, with file and line where there are such; see [`BuildError`].
pub fn build(
    dir: &Path,
    options: &BuildOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<BuildReport, BuildError> {
    let (folder, dir) = enter(dir)?;
    let parts = make(&folder, &dir, options, progress)?;
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| dir.join(format!("{}.oci", parts.manifest.name)));
    progress(&format!("writing {}", out.display()));
    let Parts {
        manifest: _,
        manifest_text,
        objects,
        component,
        toolchain,
        ebpf_time,
        guest_time,
    } = parts;
    let object_sizes = objects
        .iter()
        .map(|(arch, bytes)| (*arch, bytes.len()))
        .collect();
    let component_size = component.as_ref().map(Vec::len);
    let tools = ["ebpf", "guest"].into_iter().zip(&toolchain);
    let annotations =
        tools.map(|(side, tool)| (format!("{TOOLCHAIN_ANNOTATION_PREFIX}{side}"), tool.clone()));
    let contents = Contents {
        manifest: manifest_text,
        objects: objects.into_iter().collect(),
        component,
        recordings: if options.recordings {
            recordings(&dir.join(TESTS))?
        } else {
            BTreeMap::new()
        },
        annotations: annotations.collect(),
    };
    let written = contents.write(&out)?;
    Ok(BuildReport {
        bundle: written.path,
        bundle_size: written.size,
        digest: written.digest,
        objects: object_sizes,
        component: component_size,
        toolchain,
        ebpf_time,
        guest_time,
    })
}

/// Builds the parts of the gadget in `dir` without writing a bundle.
///
/// # Errors
///
/// As for [`build`].
pub fn parts(
    dir: &Path,
    options: &BuildOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Parts, BuildError> {
    let (folder, dir) = enter(dir)?;
    make(&folder, &dir, options, progress)
}

/// The folder by its full name, so that compilers can take it out of what they write.
fn enter(dir: &Path) -> Result<(Folder, PathBuf), BuildError> {
    let help = "give the folder that holds gadget.yaml and program.bpf.c";
    let dir = dir.canonicalize().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => BuildError::NotFound {
            path: dir.to_owned(),
            help,
        },
        _ => BuildError::io("opening", dir, cause),
    })?;
    Ok((Folder::open(&dir)?, dir))
}

fn make(
    folder: &Folder,
    dir: &Path,
    options: &BuildOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Parts, BuildError> {
    let definition = options
        .definition
        .clone()
        .unwrap_or_else(|| dir.join(manifest::FILE_NAME));
    let manifest_text = read_manifest(&definition)?;
    let shown = definition
        .strip_prefix(dir)
        .unwrap_or(&definition)
        .display()
        .to_string();
    let manifest = Manifest::parse(&shown, &manifest_text)?;
    let language = Language::of(dir)?;
    let (objects, compiler, ebpf_time) = compile_objects(folder, dir, options, progress)?;
    let parsed = objects.iter().map(|(arch, bytes)| {
        let object =
            Object::parse(bytes).map_err(|cause| BuildError::Object { arch: *arch, cause })?;
        manifest.resolve(&object)?;
        Ok((*arch, object))
    });
    let parsed = parsed.collect::<Result<Vec<_>, BuildError>>()?;
    let mut toolchain = vec![compiler];
    let started = Instant::now();
    let component = match language {
        Some(language) => {
            same_layouts(&manifest, &parsed)?;
            let object = parsed.first().map(|(_, object)| object);
            let sources = object
                .map(|object| match language {
                    Language::Rust => generate::rust(&manifest, object),
                    Language::C => generate::c(&manifest, object),
                    Language::Python => generate::python(&manifest, object),
                })
                .transpose()?
                .unwrap_or_default();
            let wit = generate::wit(&manifest);
            folder.generate("wit", &wit)?;
            folder.generate(language.part(), &sources)?;
            progress("compiling the guest");
            let (component, compiler) = match guest::compile(dir, language)? {
                Made::Core(core) => (component::encode(&core.module, &wit)?, core.compiler),
                Made::Finished(made) => {
                    component::check(&made.component, &manifest)?;
                    (made.component, made.compiler)
                }
            };
            toolchain.push(compiler);
            Some(component)
        }
        None => {
            manifest.check_without_guest()?;
            None
        }
    };
    let guest_time = started.elapsed();
    Ok(Parts {
        manifest,
        manifest_text,
        objects,
        component,
        toolchain,
        ebpf_time,
        guest_time,
    })
}

fn read_manifest(path: &Path) -> Result<String, BuildError> {
    fs::read_to_string(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => BuildError::NotFound {
            path: path.to_owned(),
            help: "every gadget has a manifest, gadget.yaml; --definition names another file",
        },
        _ => BuildError::io("reading", path, cause),
    })
}

type Objects = (Vec<(Arch, Vec<u8>)>, String, Duration);

fn compile_objects(
    folder: &Folder,
    dir: &Path,
    options: &BuildOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Objects, BuildError> {
    let source = match &options.prog {
        // Named from where the user stands.
        Some(prog) => prog
            .canonicalize()
            .map_err(|cause| BuildError::io("opening", prog, cause))?,
        None => dir.join(ebpf::FILE_NAME),
    };
    if !source.is_file() {
        return Err(BuildError::NotFound {
            path: source,
            help: "the eBPF side of a gadget; --prog names another file",
        });
    }
    let source = source.strip_prefix(dir).unwrap_or(&source);
    let compiler = ebpf::Compiler::find()?;
    folder.generate("include", &generate::headers())?;
    folder.generate("schema", &generate::schema())?;
    let started = Instant::now();
    let mut objects = Vec::new();
    for arch in Arch::ALL {
        progress(&format!("compiling {} for {arch}", source.display()));
        let object = folder.path(&format!("{arch}.bpf.o"));
        compiler.compile(dir, source, arch, &object)?;
        let bytes = fs::read(&object).map_err(|cause| BuildError::io("reading", &object, cause))?;
        objects.push((arch, bytes));
    }
    Ok((objects, compiler.version(), started.elapsed()))
}

/// One guest reads the records of every architecture.
fn same_layouts(manifest: &Manifest, objects: &[(Arch, Object<'_>)]) -> Result<(), BuildError> {
    let Some(((_, first), others)) = objects.split_first() else {
        return Ok(());
    };
    let expected = generate::layouts(manifest, first)?;
    for (arch, object) in others {
        let layouts = generate::layouts(manifest, object)?;
        let mut pairs = manifest.sources.iter().zip(expected.iter().zip(&layouts));
        if let Some((source, _)) = pairs.find(|(_, (one, other))| one != other) {
            return Err(BuildError::Layout {
                source_name: source.name.clone(),
                record: source.record.clone(),
                arch: *arch,
            });
        }
    }
    Ok(())
}
