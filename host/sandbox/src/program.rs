//! From a component's bytes to a program that can be instantiated.

use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::cache::{Cache, CacheUse};
use crate::compiler::Compiler;
use crate::contract;
use crate::deadline::Watcher;
use crate::guest::{Guest, StartError, export_types};
use crate::host::{Grants, Host, Nobody, State, link};
use crate::limits::Limits;

/// How a [`Sandbox`] is set up.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// Folder for compiled components. None: compile every time.
    pub cache: Option<PathBuf>,
    /// Bytes that the folder may hold; the least recently used go first. 0: the default of 256 MiB.
    pub cache_limit: u64,
    /// Who compiles what is not in the cache.
    pub compiler: Compiler,
}

/// Why a component can't be a guest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are something else.
    #[error("not a WebAssembly component: {found}")]
    NotAComponent {
        /// What they are, and what to do.
        found: &'static str,
    },
    /// It does not validate, or uses features that are switched off.
    #[error("the component is not valid: {0}")]
    Invalid(String),
    /// It is composed of several components.
    #[error("the component is composed of others: a guest must be one component")]
    Composed,
    /// It asks for something that this host does not have.
    #[error("the component imports {name}: {hint}")]
    UnknownImport {
        /// The interface or function, as the component names it.
        name: String,
        /// What this host offers instead.
        hint: String,
    },
    /// It lacks an export that every guest has.
    #[error("the component does not export {name}: it was not built for a gadget's world")]
    MissingExport {
        /// The interface.
        name: String,
    },
    /// An import or export has another type than in the contract.
    #[error("{name} of the component does not have the contract's type: {reason}")]
    WrongType {
        /// The interface or function.
        name: String,
        /// What differs.
        reason: String,
    },
    /// Compiling it takes more time than it may.
    #[error(
        "the component takes more than {seconds} s of {of} to compile, which is the most for {} KiB: an optimized build \
         with smaller functions takes less", .size.div_ceil(1024)
    )]
    CompileTime {
        /// The limit in seconds.
        seconds: u64,
        /// Which time: the compiler's own, or the clock's.
        of: &'static str,
        /// Bytes of the component.
        size: usize,
    },
    /// Compiling it takes more memory than it may.
    #[error(
        "the component takes more than {} MiB of memory to compile, which is the most for {} KiB: an optimized build \
         with smaller functions takes less", .limit >> 20, .size.div_ceil(1024)
    )]
    CompileMemory {
        /// The limit in bytes.
        limit: u64,
        /// Bytes of the component.
        size: usize,
    },
    /// Its machine code is larger than it may be.
    #[error(
        "the component gives more than {} MiB of machine code, which is the most for {} KiB", .limit >> 20,
        .size.div_ceil(1024)
    )]
    CompiledSize {
        /// The limit in bytes.
        limit: u64,
        /// Bytes of the component.
        size: usize,
    },
    /// There was no compiling, or the compiler itself failed.
    #[error("the component can't be compiled: {0}")]
    Compiler(String),
    /// The machine can't run guests.
    #[error("can't set up the WebAssembly engine: {0}")]
    Engine(String),
}

/// Where guests run: one engine, one cache, one watcher of deadlines. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) watcher: Watcher,
    cache: Option<Cache>,
    compiler: Compiler,
}

impl Sandbox {
    /// Sets up an engine. Takes well under a millisecond; the cache's folder is made at the first store.
    ///
    /// # Errors
    ///
    /// [`LoadError::Engine`].
    pub fn new(options: SandboxOptions) -> Result<Self, LoadError> {
        let engine = Engine::new(&crate::engine::config())
            .map_err(|e| LoadError::Engine(format!("{e:#}")))?;
        let watcher = Watcher::new(&engine);
        let cache = options
            .cache
            .map(|folder| Cache::new(folder, options.cache_limit));
        Ok(Self {
            shared: Arc::new(Shared {
                engine,
                watcher,
                cache,
                compiler: options.compiler,
            }),
        })
    }

    /// Checks a component and compiles it, or takes its machine code from the cache.
    ///
    /// No code of the component runs. A cache that can't be used is no error: see [`Program::cache`].
    ///
    /// # Errors
    ///
    /// Whatever makes it unfit for a guest; see [`LoadError`].
    pub fn load(&self, component: &[u8]) -> Result<Program, LoadError> {
        if let Some(found) = contract::not_a_component(component) {
            return Err(LoadError::NotAComponent { found });
        }
        if contract::is_composed(component) {
            return Err(LoadError::Composed);
        }
        let engine = &self.shared.engine;
        let compile = || self.shared.compiler.compile(engine, component);
        let (compiled, cache) = match &self.shared.cache {
            Some(cache) => cache.load(engine, component, compile)?,
            None => (machine_code(engine, &compile()?)?, CacheUse::Off),
        };
        let imports = contract::imports(engine, &compiled)?;
        let exports = contract::exports(engine, &compiled)?;
        let program = Program {
            shared: Arc::clone(&self.shared),
            has_ticker: compiled.get_export_index(None, contract::TICKER).is_some(),
            has_watcher: compiled.get_export_index(None, contract::WATCHER).is_some(),
            component: compiled,
            imports: imports.into(),
            exports: exports.into(),
            cache: Arc::new(cache),
        };
        // Types are compared when linking. This links everything once, for no host in particular.
        let linked = program.link::<Nobody>(Grants::ALL)?;
        export_types(&linked, program.has_ticker, program.has_watcher)?;
        Ok(program)
    }
}

/// A component from what [`Compiler::compile`] gave.
pub(crate) fn machine_code(engine: &Engine, code: &[u8]) -> Result<Component, LoadError> {
    // SAFETY: `deserialize` runs what it is given as machine code, so it must be given only what the compiler wrote. The
    // only caller's bytes come from `Compiler::compile`: made in this process, or by a child that is this very program,
    // whose answer nobody else could write: the file has no name. wasmtime compares version and configuration.
    unsafe { Component::deserialize(engine, code) }
        .map_err(|e| LoadError::Compiler(format!("{e:#}").replace('\n', " ")))
}

/// A component that was checked and compiled. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    pub(crate) shared: Arc<Shared>,
    pub(crate) component: Component,
    imports: Arc<[String]>,
    exports: Arc<[String]>,
    cache: Arc<CacheUse>,
    pub(crate) has_ticker: bool,
    pub(crate) has_watcher: bool,
}

impl Program {
    /// The names of the interfaces that the component imports, sorted: `ig:gadget/clock@0.1.0`. Interfaces that hold
    /// only types are among them.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The names of the interfaces that the component exports, sorted.
    #[must_use]
    pub fn exports(&self) -> &[String] {
        &self.exports
    }

    /// Whether the guest takes timers.
    #[must_use]
    pub fn has_ticker(&self) -> bool {
        self.has_ticker
    }

    /// Whether the guest wants to know of containers that come and go.
    #[must_use]
    pub fn has_watcher(&self) -> bool {
        self.has_watcher
    }

    /// Where the machine code came from, and what was wrong with the cache if something was.
    #[must_use]
    pub fn cache(&self) -> &CacheUse {
        &self.cache
    }

    /// Makes an instance. Runs the component's start function, if it has one, within
    /// [`Limits::cpu_to_start_or_stop`]; `init` is not called.
    ///
    /// # Errors
    ///
    /// [`StartError::NotGranted`] for an import without a grant, [`StartError::Trap`] when the start function traps or the
    /// initial memory is over its cap. The host is dropped.
    pub fn instantiate<H: Host>(
        &self,
        host: H,
        limits: Limits,
        grants: Grants,
    ) -> Result<Guest<H>, StartError> {
        Guest::new(self, host, limits, grants)
    }

    pub(crate) fn link<H: Host>(&self, grants: Grants) -> Result<InstancePre<State<H>>, LoadError> {
        let mut linker = Linker::new(&self.shared.engine);
        link(&mut linker, grants, contract::CONTRACT_VERSION)
            .map_err(|e| LoadError::Engine(format!("{e:#}")))?;
        linker
            .instantiate_pre(&self.component)
            .map_err(|e| LoadError::WrongType {
                name: "an import".to_owned(),
                reason: format!("{e:#}").replace('\n', " "),
            })
    }
}
