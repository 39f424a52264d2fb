//! The header that the author includes, and the unit that is compiled: the author's file between what it stands on.

use super::names::{comment, identifier};
use super::records::Records;
use super::tables::Tables;
use crate::build::generate::contract_version;
use crate::manifest::{Manifest, ParamTarget, ParamType};
use std::fmt::Write as _;

/// The name of the function that gets the records of a source.
fn of_source(name: &str) -> String {
    format!("gadget_on_{}", name.replace('-', "_"))
}

/// The text of `gadget.h`. `structs` gives for each source the struct of its records.
pub(super) fn header(
    manifest: &Manifest,
    structs: &[String],
    records: &Records,
    tables: &Tables,
    maps: &str,
) -> String {
    let mut about = format!(
        "What the gadget `{}` is written with; generated from its manifest and its eBPF object.",
        manifest.name
    );
    if !manifest.description.is_empty() {
        about = format!("{about}\n\n{}", manifest.description.trim_end());
    }
    let mut includes = String::new();
    let granted = [
        ("clock", manifest.guest.clock),
        ("maps", !manifest.maps.is_empty()),
        ("timers", manifest.guest.timers),
        ("containers", manifest.guest.asks_about_containers()),
    ];
    for (file, _) in granted.iter().filter(|(_, granted)| *granted) {
        let _ = writeln!(includes, "#include \"sdk/{file}.h\"");
    }
    let mut sources = String::new();
    for (source, name) in manifest.sources.iter().zip(structs) {
        let _ = write!(
            sources,
            "
/*
 * A record of the source `{}`. The answer is what the host counts it as; one that is too short for its struct is
 * counted as malformed before this is called. It is there until the call returns, which comes after many records.
 */
enum gadget_outcome {}(const struct {name} *record);
",
            source.name,
            of_source(&source.name)
        );
    }
    let tick = if manifest.guest.timers {
        "
/* A timer is due. `due` is how many of its periods have passed since the last call: more than 1 when late. */
void gadget_tick(uint32_t timer, uint32_t due);
"
    } else {
        ""
    };
    let watcher = if manifest.guest.watch {
        "
/*
 * These containers are there now: before the first record all that were there already, then each before its first
 * record.
 */
void gadget_added(const gadget_owner *owners, size_t count);

/* These containers are gone. Records of theirs may still come. May be left out. */
__attribute__((weak)) void gadget_removed(const gadget_owner *owners, size_t count);
"
    } else {
        ""
    };
    format!(
        "{}#ifndef GADGET_H
#define GADGET_H

{includes}#include \"sdk/log.h\"
#include \"sdk/memory.h\"
#include \"sdk/record.h\"
#include \"sdk/rows.h\"

/*
 * Records, as the eBPF program writes them, and values of maps.
 */
{}{}
/*
 * The gadget's tables. Rows are handed to the host when a call of the gadget ends.
 *
 * ..._row() begins a row, and what is set from then on, until the next one begins, is set in it. A column that is not
 * set is null; one that is set twice has the last value. Nothing happens when nobody needs the column.
 */
{}{maps}
/*
 * What the gadget consists of. Calls come one at a time; what is emitted in one of them is shown when it returns.
 */

/*
 * Makes the gadget ready, before anything is watched. NULL, or why it can't be: that ends the run, and the user reads
 * it. May be left out.
 */
__attribute__((weak)) const char *gadget_init(void);
{sources}{tick}{watcher}
/* The last call, after the last record. May still add rows. May be left out. */
__attribute__((weak)) void gadget_stop(void);

#endif
",
        comment(&about, ""),
        records.text(),
        params(manifest),
        tables.header,
    )
}

fn params(manifest: &Manifest) -> String {
    let mut fields = String::new();
    for param in manifest.params.iter().filter(to_guest) {
        let mut about = match param.description.as_str() {
            "" => format!("The parameter `{}`.", param.name),
            text => text.to_owned(),
        };
        let c = match param.value_type {
            ParamType::Bool => "bool",
            ParamType::I64 => "int64_t",
            ParamType::U64 => "uint64_t",
            ParamType::F64 => "double",
            ParamType::Duration => {
                about.push_str(" In nanoseconds.");
                "uint64_t"
            }
            ParamType::Text => "struct gadget_bytes",
        };
        let _ = writeln!(
            fields,
            "{}\t{c} {};",
            comment(&about, "\t"),
            identifier(&param.name)
        );
    }
    if fields.is_empty() {
        return fields;
    }
    format!(
        "
/* What the user set, or the manifest's defaults. It is there before gadget_init() and never changes. */
struct gadget_params {{
{fields}}};
extern struct gadget_params gadget_params;
"
    )
}

fn to_guest(param: &&crate::manifest::Param) -> bool {
    param.to == ParamTarget::Guest
}

/// The text of `unit.c`.
pub(super) fn unit(manifest: &Manifest, structs: &[String], tables: &Tables) -> String {
    let version = contract_version();
    let mut params = String::new();
    let mut read = String::new();
    for (index, param) in manifest.params.iter().enumerate() {
        if param.to == ParamTarget::Guest {
            let read_as = match param.value_type {
                // The host hands its nanoseconds out.
                ParamType::Duration => "u64",
                other => other.as_str(),
            };
            let _ = writeln!(
                read,
                "\tgadget_params.{} = gadget__param_{read_as}({index});",
                identifier(&param.name)
            );
        }
    }
    if !read.is_empty() {
        params.push_str("\nstruct gadget_params gadget_params;\n");
    }
    let mut cases = String::new();
    for (index, (source, name)) in manifest.sources.iter().zip(structs).enumerate() {
        let _ = write!(
            cases,
            "\tcase {index}:
		while (gadget__next(&gadget__span_left, &payload))
			gadget__count(&verdict, payload.size < sizeof(struct {name}) ?
							GADGET_MALFORMED :
							{}((const struct {name} *)(const void *)payload.at));
		break;
",
            of_source(&source.name)
        );
    }
    let tick = if manifest.guest.timers {
        format!(
            "
GADGET__EXPORT(\"ig:gadget/ticker@{version}#tick\") void gadget__tick(uint32_t timer, uint32_t due)
{{
	gadget_tick(timer, due);
	gadget__leave(gadget__tables, GADGET__TABLES);
}}
"
        )
    } else {
        String::new()
    };
    let watcher = if manifest.guest.watch {
        ["added", "removed"]
            .map(|name| {
                // The one may be left out.
                let check = if name == "removed" {
                    "if (gadget_removed)\n\t\t"
                } else {
                    ""
                };
                format!(
                    "
GADGET__EXPORT(\"ig:gadget/container-watcher@{version}#{name}\")
void gadget__{name}(const gadget_owner *owners, size_t count)
{{
	{check}gadget_{name}(owners, count);
	gadget__leave(gadget__tables, GADGET__TABLES);
}}
"
                )
            })
            .concat()
    } else {
        String::new()
    };
    let names = tables.names.iter().map(|name| format!("\t&{name},\n"));
    let includes = ["memory", "text", "params", "rows", "host", "calls"];
    let includes = includes.map(|file| format!("#include \"sdk/{file}.c\"\n"));
    format!(
        "/* Generated: all of the guest, in one piece so that it is optimized as one. */
#include \"gadget.h\"

{includes}{params}{state}
#define GADGET__TABLES {count}
static struct gadget__table *const gadget__tables[GADGET__TABLES + 1] = {{
{names}	NULL,
}};

GADGET__EXPORT(\"ig:gadget/handler@{version}#init\") const struct gadget__started *gadget__init(void)
{{
	const char *reason;

{read}	reason = gadget_init ? gadget_init() : NULL;
	gadget__leave(gadget__tables, GADGET__TABLES);
	return gadget__started(reason);
}}

GADGET__EXPORT(\"ig:gadget/handler@{version}#process\")
const struct gadget__verdict *gadget__process(uint32_t source, const uint8_t *span, size_t size)
{{
	static struct gadget__verdict verdict;
	struct gadget_bytes gadget__span_left = gadget_bytes(span, size), payload;

	verdict = (struct gadget__verdict){{ {{ 0, 0, 0 }} }};
	gadget__span = gadget__span_left;
	switch (source) {{
{cases}	default:
		(void)payload;
		gadget_error(\"%zu bytes of source %lu, which the manifest does not have\", size, (unsigned long)source);
	}}
	gadget__leave(gadget__tables, GADGET__TABLES);
	return &verdict;
}}

GADGET__EXPORT(\"ig:gadget/handler@{version}#stop\") void gadget__stop(void)
{{
	if (gadget_stop)
		gadget_stop();
	gadget__leave(gadget__tables, GADGET__TABLES);
}}
{tick}{watcher}
/* The author's, behind everything that its macros could change. */
#include \"guest.c\"
",
        state = tables.unit,
        count = tables.names.len(),
        names = names.collect::<String>(),
        includes = includes.concat(),
    )
}
