//! The package's own module: the class that the author derives from, and what its component is made of.

use super::names::{builtins, document, identifier, literal};
use crate::build::generate::naming::{is_own_method, upper_case};
use crate::manifest::{Manifest, ParamTarget, ParamType};
use std::fmt::Write as _;

/// The text of `gadget/__init__.py`. `views` gives for each source the type of its records.
pub(super) fn text(manifest: &Manifest, views: &[String]) -> String {
    let mut sources = String::new();
    let mut table = String::new();
    for (source, view) in manifest.sources.iter().zip(views) {
        let method = if is_own_method(&source.name, manifest) {
            format!("{}_record", source.name)
        } else {
            identifier(&source.name)
        };
        let _ = write!(
            sources,
            "
    @abstractmethod
    def {method}(self, record: records.{view}, tables: Tables, /) -> Outcome:
        \"\"\"A record of the source `{name}`. The answer is what the host counts it as; one that is too short for its
        struct is counted as malformed before this is called.\"\"\"
",
            name = source.name,
        );
        let _ = write!(table, "(records.{view}, {}), ", literal(&method));
    }
    let tick = if manifest.guest.timers {
        "
    @abstractmethod
    def tick(self, timer: timers.Timer, due: int, tables: Tables, /) -> None:
        \"\"\"A timer is due. `due` is how many of its periods have passed since the last call: more than 1 when late.\"\"\"
"
    } else {
        ""
    };
    let watcher = if manifest.guest.watch {
        "
    @abstractmethod
    def added(self, owners: Sequence[containers.Owner], tables: Tables, /) -> None:
        \"\"\"These containers are there now: before the first record all that were there already, then each before its
        first record.\"\"\"

    def removed(self, owners: Sequence[containers.Owner], tables: Tables, /) -> None:
        \"\"\"These containers are gone. Records of theirs may still come.\"\"\"
"
    } else {
        ""
    };
    let sequence = if manifest.guest.watch {
        ", Sequence"
    } else {
        ""
    };
    let mut exported = vec![
        "ACCEPTED",
        "DROPPED",
        "MALFORMED",
        "Gadget",
        "HostError",
        "InitError",
        "Outcome",
        "Params",
        "Tables",
        "Verdict",
        "log",
        "records",
        "split",
        "tables",
    ];
    let mut sdk = vec!["log"];
    if manifest.guest.clock {
        sdk.push("clock");
    }
    if manifest.guest.timers {
        sdk.push("timers");
    }
    if manifest.guest.asks_about_containers() {
        sdk.push("containers");
    }
    sdk.sort_unstable();
    exported.extend(sdk.iter().filter(|name| **name != "log"));
    let mut own = "from . import records, tables\n".to_owned();
    if !manifest.maps.is_empty() {
        own = "from . import maps, records, tables\n".to_owned();
        exported.push("maps");
    }
    exported.sort_unstable();
    let exported: Vec<String> = exported.into_iter().map(literal).collect();
    let mut about = format!(
        "What the gadget `{}` is written with; generated from its manifest and its eBPF object.\n",
        manifest.name
    );
    if !manifest.description.is_empty() {
        let _ = write!(about, "\n{}\n", manifest.description.trim_end());
    }
    about.push_str("\nDerive one class from `Gadget` in `guest.py`.");
    let Params {
        text: params,
        timedelta,
        builtins,
    } = params(manifest);
    format!(
        "{about}
from __future__ import annotations

{builtins}from abc import ABC, abstractmethod
from dataclasses import dataclass
{timedelta}from typing import ClassVar{sequence}

from gadget_sdk import {sdk}
from gadget_sdk import params as _params
from gadget_sdk.errors import HostError, InitError
from gadget_sdk.outcome import ACCEPTED, DROPPED, MALFORMED, Outcome, Verdict
from gadget_sdk.record import split

{own}from .tables import Tables

__all__ = [{exported}]


{params}

class Gadget(ABC):
    \"\"\"The gadget's logic. Calls come one at a time; what is added to tables in one of them is shown when it returns.\"\"\"

    def __init__(self, params: Params, /) -> None:
        \"\"\"Makes the gadget ready, before anything is watched. `InitError` ends the run with its text.\"\"\"
{sources}{tick}{watcher}
    def stop(self, tables: Tables, /) -> None:
        \"\"\"The last call, after the last record. May still add rows.\"\"\"


SOURCES = ({table})
\"\"\"By their place in the manifest, the records of each source and the method that takes them.\"\"\"
",
        about = document(&about, ""),
        sdk = sdk.join(", "),
        exported = exported.join(", "),
        table = table.trim_end(),
    )
}

/// The module that the component is made of.
pub(super) fn entry(manifest: &Manifest) -> String {
    let mut exports = vec!["Handler"];
    if manifest.guest.timers {
        exports.push("Ticker");
    }
    if manifest.guest.watch {
        exports.push("ContainerWatcher");
    }
    let names: Vec<String> = exports.iter().map(|name| literal(name)).collect();
    let exports = format!(
        "from gadget_sdk.component import {}\n\n__all__ = [{}]\n",
        exports.join(", "),
        names.join(", ")
    );
    format!(
        "\"\"\"What the component is made of.\"\"\"

import gadget
import guest
from gadget_sdk import component
{exports}
component.begin(gadget, guest)
"
    )
}

struct Params {
    text: String,
    timedelta: &'static str,
    builtins: &'static str,
}

fn params(manifest: &Manifest) -> Params {
    let mut names = String::new();
    let mut fields = String::new();
    let mut read = String::new();
    let mut timedelta = "";
    let params = manifest.params.iter().enumerate();
    let params: Vec<_> = params
        .filter(|(_, param)| param.to == ParamTarget::Guest)
        .map(|(index, param)| (index, param, identifier(&param.name)))
        .collect();
    let prefix = builtins(params.iter().map(|(_, _, name)| name.as_str()));
    for (index, param, name) in &params {
        let about = match param.description.as_str() {
            "" => format!("The parameter `{}`.", param.name),
            text => text.to_owned(),
        };
        let (kind, function) = match param.value_type {
            ParamType::Bool => ("bool", "boolean"),
            ParamType::I64 | ParamType::U64 => ("int", "integer"),
            ParamType::F64 => ("float", "number"),
            ParamType::Text => ("str", "text"),
            ParamType::Duration => ("timedelta", "duration"),
        };
        // Nothing that a parameter can be called.
        let prefix = if kind == "timedelta" {
            timedelta = "from datetime import timedelta\n";
            ""
        } else {
            prefix
        };
        let _ = write!(
            fields,
            "\n    {name}: {prefix}{kind}\n{}",
            document(&about, "    ")
        );
        let _ = write!(
            names,
            "\n    {}: ClassVar[{prefix}int] = {index}\n    \"\"\"The place of `{}` in the manifest, for `gadget_sdk.testing.set_param`.\"\"\"\n",
            upper_case(&param.name),
            param.name,
        );
        let _ = write!(read, "{name}=_params.{function}({index}), ");
    }
    let text = format!(
        "@dataclass(frozen=True)
class Params:
    \"\"\"What the user set, or the manifest's defaults.\"\"\"
{names}{fields}
    @classmethod
    def read(cls) -> Params:
        \"\"\"Asks the host for the values, which do not change while the gadget runs.\"\"\"
        return cls({})
",
        read.trim_end_matches(", ")
    );
    Params {
        text,
        timedelta,
        builtins: if prefix.is_empty() {
            ""
        } else {
            "import builtins\n"
        },
    }
}
