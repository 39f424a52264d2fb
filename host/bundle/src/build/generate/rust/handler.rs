//! The root of the generated crate: the trait that the author implements, and what calls it.

use super::names::{document, identifier};
use crate::build::generate::contract_version;
use crate::build::generate::naming::{is_own_method, upper_case};
use crate::manifest::{Manifest, ParamTarget, ParamType};
use std::fmt::Write as _;

/// The text of `lib.rs`. `views` gives for each source the type of its records.
pub(super) fn text(manifest: &Manifest, views: &[String]) -> String {
    let about = match manifest.description.as_str() {
        "" => String::new(),
        text => format!("//!\n{}", document(text, "").replace("///", "//!")),
    };
    let timers = manifest.guest.timers;
    let mut sources = String::new();
    let mut calls = String::new();
    for (index, (source, view)) in manifest.sources.iter().zip(views).enumerate() {
        let method = if is_own_method(&source.name, manifest) {
            format!("{}_record", source.name)
        } else {
            identifier(&source.name)
        };
        let _ = write!(
            sources,
            "
    /// A record of the source `{name}`. The answer is what the host counts it as; one that is too short for its
    /// struct is counted as malformed before this is called.
    fn {method}(&mut self, record: records::{view}<'_>, tables: &mut Tables) -> Outcome;
",
            name = source.name,
        );
        let _ = write!(
            calls,
            "            {index} => {{
                for record in Records::new(span) {{
                    verdict.count(match records::{view}::parse(record) {{
                        Some(record) => self.gadget.{method}(record, &mut self.tables),
                        None => Outcome::Malformed,
                    }});
                }}
            }}
"
        );
    }
    let tick = if timers {
        "
    /// A timer is due. `due` is how many of its periods have passed since the last call: more than 1 when late.
    fn tick(&mut self, timer: timers::Timer, due: u32, tables: &mut Tables);
"
    } else {
        ""
    };
    let run_tick = if timers {
        "
    /// Hands it a timer that is due.
    pub fn tick(&mut self, timer: u32, due: u32) {
        self.tables.begin();
        self.gadget.tick(timers::Timer::from_raw(timer), due, &mut self.tables);
        self.tables.flush();
    }
"
    } else {
        ""
    };
    let export_tick = if timers {
        "
            #[unsafe(export_name = \"ig:gadget/ticker@0.1.0#tick\")]
            extern \"C\" fn export_tick(timer: u32, due: u32) {
                with(|running| running.tick(timer, due));
            }
"
    } else {
        ""
    };
    let Watcher {
        methods: watcher,
        running: run_watcher,
        exports: export_watcher,
    } = watcher(manifest.guest.watch);
    let mut modules = "\n".to_owned();
    let mut uses = String::new();
    if manifest.guest.clock {
        uses.push_str("pub use gadget_sdk::clock;\n");
    }
    if manifest.guest.asks_about_containers() {
        uses.push_str("pub use gadget_sdk::containers;\n");
    }
    if timers {
        uses.push_str("pub use gadget_sdk::timers;\n");
    }
    if !manifest.maps.is_empty() {
        modules.push_str("pub mod maps;\n\n");
    }
    let version = contract_version();
    let export_tick = export_tick.replace("@0.1.0", &format!("@{version}"));
    format!(
        r##"//! What the gadget `{name}` is written with; generated from its manifest and its eBPF object.
{about}//!
//! Implement [`Gadget`] and name the type in [`export!`].

pub mod records;
pub mod tables;{modules}{uses}#[doc(hidden)]
pub use gadget_sdk as sdk;
pub use gadget_sdk::column::Nullable;
#[cfg(not(target_family = "wasm"))]
pub use gadget_sdk::testing;
pub use gadget_sdk::text::Chars;
pub use gadget_sdk::verdict::{{Outcome, Verdict}};
pub use gadget_sdk::{{debug, error, info, warn}};
pub use tables::Tables;

#[allow(unused_imports, reason = "a gadget may have no source")]
use gadget_sdk::span::Records;

{params}
/// The gadget's logic. Calls come one at a time; what is emitted in one of them is shown when it returns.
pub trait Gadget: Sized {{
    /// Makes the gadget ready, before anything is watched.
    ///
    /// # Errors
    ///
    /// Ends the run; the user reads the reason.
    fn init(params: Params) -> Result<Self, String>;
{sources}{tick}{watcher}
    /// The last call, after the last record. May still add rows.
    fn stop(&mut self, tables: &mut Tables) {{
        let _ = tables;
    }}
}}

/// A gadget and its tables. [`export!`] makes the component's exports of it; tests and benches use it natively,
/// with [`testing`] in place of the host.
#[derive(Debug)]
pub struct Running<G> {{
    gadget: G,
    tables: Tables,
}}

impl<G: Gadget> Running<G> {{
    /// Reads the parameters and starts the gadget.
    ///
    /// # Errors
    ///
    /// The gadget's own.
    pub fn start() -> Result<Self, String> {{
        let gadget = G::init(Params::read())?;
        Ok(Self {{ gadget, tables: Tables::new() }})
    }}

    /// Hands it a span of records of a source.
    #[allow(unused_mut, reason = "a gadget may have no source")]
    pub fn process(&mut self, source: u16, span: &[u8]) -> Verdict {{
        let mut verdict = Verdict::default();
        self.tables.begin();
        match source {{
{calls}            _ => error!("{{}} bytes of source {{source}}, which the manifest does not have", span.len()),
        }}
        self.tables.flush();
        verdict
    }}
{run_tick}{run_watcher}
    /// Ends it.
    pub fn stop(&mut self) {{
        self.tables.begin();
        self.gadget.stop(&mut self.tables);
        self.tables.flush();
    }}

    /// The gadget.
    pub fn gadget(&mut self) -> &mut G {{
        &mut self.gadget
    }}
}}

/// Makes a type that implements [`Gadget`] the gadget's guest.
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! export {{
    ($gadget:ty) => {{
        const _: () = {{
            ::std::thread_local! {{
                static RUNNING: ::std::cell::RefCell<::std::option::Option<$crate::Running<$gadget>>> =
                    const {{ ::std::cell::RefCell::new(::std::option::Option::None) }};
            }}
            static VERDICT: $crate::sdk::host::exports::Place = $crate::sdk::host::exports::Place::new();

            fn with<T>(call: impl FnOnce(&mut $crate::Running<$gadget>) -> T) -> T {{
                RUNNING.with_borrow_mut(|running| match running {{
                    ::std::option::Option::Some(running) => call(running),
                    ::std::option::Option::None => ::std::panic!("called before init"),
                }})
            }}

            #[unsafe(export_name = "ig:gadget/handler@{version}#init")]
            extern "C" fn export_init() -> *const $crate::sdk::host::exports::Started {{
                $crate::sdk::log::panics();
                let started = $crate::Running::start();
                $crate::sdk::host::exports::started(started.map(|started| RUNNING.set(::std::option::Option::Some(started))))
            }}

            #[unsafe(export_name = "ig:gadget/handler@{version}#process")]
            unsafe extern "C" fn export_process(source: u32, start: *mut u8, length: usize) -> *const $crate::Verdict {{
                // SAFETY: the host's own arguments, taken once.
                let span = unsafe {{ $crate::sdk::host::exports::span(start, length) }};
                VERDICT.set(with(|running| running.process(source as u16, &span)))
            }}

            #[unsafe(export_name = "ig:gadget/handler@{version}#stop")]
            extern "C" fn export_stop() {{
                with(|running| running.stop());
            }}
{export_tick}{export_watcher}
            #[unsafe(export_name = "cabi_realloc")]
            unsafe extern "C" fn export_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {{
                // SAFETY: the host keeps the canonical ABI's rules.
                unsafe {{ $crate::sdk::host::exports::realloc(old, old_size, align, size) }}
            }}
        }};
    }};
}}

/// Makes a type that implements [`Gadget`] the gadget's guest. Here, where the guest is not WebAssembly, it only
/// checks that the type does.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export {{
    ($gadget:ty) => {{
        const _: fn() -> ::std::result::Result<$crate::Running<$gadget>, ::std::string::String> = $crate::Running::start;
    }};
}}
"##,
        name = manifest.name,
        params = params(manifest),
    )
}

/// What there is for containers that come and go.
#[derive(Default)]
struct Watcher {
    /// Of the trait.
    methods: &'static str,
    /// Of `Running`.
    running: &'static str,
    exports: String,
}

fn watcher(granted: bool) -> Watcher {
    if !granted {
        return Watcher::default();
    }
    let exports = ["added", "removed"].map(|name| {
        format!(
            "
            #[unsafe(export_name = \"ig:gadget/container-watcher@{version}#{name}\")]
            unsafe extern \"C\" fn export_{name}(start: *mut u8, length: usize) {{
                // SAFETY: the host's own arguments, taken once.
                let owners = unsafe {{ $crate::sdk::host::exports::owners(start, length) }};
                with(|running| running.{name}(&owners));
            }}
",
            version = contract_version()
        )
    });
    Watcher {
        methods: "
    /// These containers are there now: before the first record all that were there already, then each before its first
    /// record.
    fn added(&mut self, owners: &[containers::Owner], tables: &mut Tables);

    /// These containers are gone. Records of theirs may still come.
    fn removed(&mut self, owners: &[containers::Owner], tables: &mut Tables) {
        let _ = (owners, tables);
    }
",
        running: "
    /// Tells it of containers that are there now.
    pub fn added(&mut self, owners: &[containers::Owner]) {
        self.tables.begin();
        self.gadget.added(owners, &mut self.tables);
        self.tables.flush();
    }

    /// Tells it of containers that are gone.
    pub fn removed(&mut self, owners: &[containers::Owner]) {
        self.tables.begin();
        self.gadget.removed(owners, &mut self.tables);
        self.tables.flush();
    }
",
        exports: exports.concat(),
    }
}

fn params(manifest: &Manifest) -> String {
    let mut fields = String::new();
    let mut read = String::new();
    let mut names = String::new();
    for (index, param) in manifest.params.iter().enumerate() {
        if param.to != ParamTarget::Guest {
            continue;
        }
        let name = identifier(&param.name);
        let about = match param.description.as_str() {
            "" => format!("The parameter `{}`.", param.name),
            text => text.to_owned(),
        };
        let rust = match param.value_type {
            ParamType::Bool => "bool",
            ParamType::I64 => "i64",
            ParamType::U64 => "u64",
            ParamType::F64 => "f64",
            ParamType::Text => "String",
            ParamType::Duration => "core::time::Duration",
        };
        let value = match param.value_type {
            ParamType::Text => format!("gadget_sdk::params::text({index})"),
            ParamType::Duration => format!("gadget_sdk::params::duration({index})"),
            _ => format!("gadget_sdk::params::value({index})"),
        };
        let _ = writeln!(
            fields,
            "{}    pub {name}: {rust},",
            document(&about, "    ")
        );
        let _ = writeln!(read, "            {name}: {value},");
        let _ = write!(
            names,
            "\n    /// The place of `{}` in the manifest, for `testing::set_param`.\n    pub const {}: u16 = {index};\n",
            param.name,
            upper_case(&param.name)
        );
    }
    format!(
        "/// What the user set, or the manifest's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {{
{fields}}}

impl Params {{{names}
    /// Asks the host for the values, which do not change while the gadget runs.
    #[must_use]
    pub fn read() -> Self {{
        Self {{
{read}        }}
    }}
}}
"
    )
}
