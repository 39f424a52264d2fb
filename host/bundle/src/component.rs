//! A component's imports and exports, read from its bytes without compiling or running it.

use crate::manifest::Manifest;
use wasmparser::{Encoding, Parser, Payload};

/// The package of the contract between host and guest.
pub const PACKAGE: &str = "ig:gadget";

/// The version of the contract that generated worlds name. Components of every release of this minor version link.
pub const PACKAGE_VERSION: &str = "0.1.0";

/// The largest component that is read, in bytes.
pub const MAX_COMPONENT_BYTES: usize = 32 << 20;

/// The most imports and exports that a component may have.
const MAX_NAMES: usize = 1024;

/// Differences between a component and its manifest that are told.
const MOST_DIFFERENCES: usize = 20;

/// What a component asks for and gives.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Component {
    /// The names of its imports, in its own order: `ig:gadget/tables@0.1.0`.
    pub imports: Vec<String>,
    /// The names of its exports, in its own order.
    pub exports: Vec<String>,
}

/// Why bytes are not a component that a gadget can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The bytes do not begin as WebAssembly does.
    #[error("not WebAssembly: it does not begin with `\\0asm`")]
    NotWasm,
    /// A plain module, as compilers write it before `ig image build` encodes it.
    #[error(
        "not a component but a core module: build it with `ig image build`, or encode it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Larger than any guest that is accepted.
    #[error("{size} bytes is too large for a component: at most {MAX_COMPONENT_BYTES}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The bytes contradict themselves or end too early.
    #[error("broken component: {reason} (at byte {offset})")]
    Broken {
        /// What is wrong.
        reason: String,
        /// Where in the bytes.
        offset: u64,
    },
    /// It imports or exports other things than its manifest says.
    #[error("the component and the manifest differ: {}", differences.join("; "))]
    World {
        /// Every difference, a sentence each.
        differences: Vec<String>,
    },
}

impl Component {
    /// Reads the names of a component's imports and exports.
    ///
    /// # Errors
    ///
    /// Bytes that are not a component, or that are broken before its end.
    pub fn parse(bytes: &[u8]) -> Result<Self, ComponentError> {
        if bytes.len() > MAX_COMPONENT_BYTES {
            return Err(ComponentError::TooLarge { size: bytes.len() });
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(ComponentError::NotWasm);
        }
        let mut component = Self {
            imports: Vec::new(),
            exports: Vec::new(),
        };
        // Sections of modules and components inside this one come with their own version and end.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(broken)? {
                Payload::Version { encoding, .. } => {
                    depth += 1;
                    if depth == 1 && encoding == Encoding::Module {
                        return Err(ComponentError::CoreModule);
                    }
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        component
                            .imports
                            .push(import.map_err(broken)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        component
                            .exports
                            .push(export.map_err(broken)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
            if component.imports.len() + component.exports.len() > MAX_NAMES {
                let reason = format!("more than {MAX_NAMES} imports and exports");
                return Err(ComponentError::Broken { reason, offset: 0 });
            }
        }
        Ok(component)
    }

    /// Checks that the component asks for no more than the manifest's world holds, and gives exactly what it must.
    ///
    /// # Errors
    ///
    /// [`ComponentError::World`] with every difference.
    pub fn check(&self, manifest: &Manifest) -> Result<(), ComponentError> {
        let mut differences = Vec::new();
        let world = manifest.world_imports();
        for import in &self.imports {
            match interface(import) {
                Some(name) if name == "types" || world.contains(&name) => {}
                Some(name) => {
                    let import = shown(import);
                    differences.push(format!("it imports `{import}`, but {}", cure(name)));
                }
                None => differences.push(format!(
                    "it imports `{}`, which no gadget gets: {}",
                    shown(import),
                    foreign(import)
                )),
            }
        }
        let needed = manifest.world_exports();
        for export in &self.exports {
            if !interface(export).is_some_and(|name| needed.contains(&name)) {
                let why = match interface(export) {
                    Some("ticker") => "the manifest has no `guest: {timers: true}`",
                    Some("container-watcher") => "the manifest has no `guest: {watch: true}`",
                    _ => "the host would never call it",
                };
                differences.push(format!("it exports `{}`, but {why}", shown(export)));
            }
        }
        for name in needed {
            if !self
                .exports
                .iter()
                .any(|export| interface(export) == Some(name))
            {
                differences.push(format!(
                    "it does not export `{PACKAGE}/{name}@{PACKAGE_VERSION}`"
                ));
            }
        }
        if let Some(more) = differences.len().checked_sub(MOST_DIFFERENCES)
            && more > 0
        {
            differences.truncate(MOST_DIFFERENCES);
            differences.push(format!("and {more} more"));
        }
        if differences.is_empty() {
            Ok(())
        } else {
            Err(ComponentError::World { differences })
        }
    }
}

/// A name of a component in a message.
fn shown(name: &str) -> String {
    name.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

fn broken(error: wasmparser::BinaryReaderError) -> ComponentError {
    ComponentError::Broken {
        reason: error.message().to_owned(),
        offset: u64::try_from(error.offset()).unwrap_or(u64::MAX),
    }
}

/// The interface of our package that a name means, if its version is compatible with ours.
fn interface(name: &str) -> Option<&str> {
    let (name, version) = name
        .strip_prefix(PACKAGE)?
        .strip_prefix('/')?
        .split_once('@')?;
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    (minor(version) == minor(PACKAGE_VERSION)).then_some(name)
}

/// What to do about an import of ours that the world does not hold.
fn cure(name: &str) -> &'static str {
    match name {
        "params" => "the manifest has no parameter for the guest",
        "maps" => "the manifest grants no map in `maps`",
        "clock" => "the manifest has no `guest: {clock: true}`",
        "timers" => "the manifest has no `guest: {timers: true}`",
        "containers" => "the manifest has no `guest: {containers: true}`",
        _ => "this host does not know it: the gadget may need a newer one",
    }
}

fn foreign(import: &str) -> &'static str {
    if import.starts_with("wasi:") {
        "guests have no files, sockets or environment"
    } else if import.starts_with(PACKAGE) {
        "it is another version of the contract than 0.1"
    } else {
        "only the interfaces of `ig:gadget` are there"
    }
}

impl Manifest {
    /// The interfaces of `ig:gadget` that the gadget's generated world imports: always `tables` and `log`, the others
    /// by what the manifest declares.
    #[must_use]
    pub fn world_imports(&self) -> Vec<&'static str> {
        use crate::manifest::ParamTarget::Guest;
        let optional = [
            ("params", self.params.iter().any(|param| param.to == Guest)),
            ("maps", !self.maps.is_empty()),
            ("clock", self.guest.clock),
            ("timers", self.guest.timers),
            ("containers", self.guest.asks_about_containers()),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(name, held)| held.then_some(name));
        ["tables", "log"].into_iter().chain(optional).collect()
    }

    /// The interfaces of `ig:gadget` that the gadget's generated world exports.
    #[must_use]
    pub fn world_exports(&self) -> Vec<&'static str> {
        let optional = [
            ("ticker", self.guest.timers),
            ("container-watcher", self.guest.watch),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(name, held)| held.then_some(name));
        std::iter::once("handler").chain(optional).collect()
    }
}
