//! The command line: one clap definition, completed with the gadget's own parameters once the bundle is known.

use crate::gadgets::Gadget;
use crate::{
    completion, containers, doctor, list, man, new, recording, selectors, test, units, version,
};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use ig_engine::manifest::{INTERVAL, Manifest, Param, ParamType};
use ig_engine::output::{Column, OutputSpec, Table};
use ig_engine::recording::EXTENSION;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the group under which a gadget's own flags stand in `--help`.
const GADGET_FLAGS: &str = "Gadget parameters";

/// The whole program, without any gadget's flags.
pub fn program() -> Command {
    Command::new("ig")
        .about("Runs gadgets: eBPF that watches the kernel, with a sandboxed guest that turns what it saw into rows")
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(version::line())
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(new::command())
        .subcommand(run())
        .subcommand(record())
        .subcommand(recording::command())
        .subcommand(list::command())
        .subcommand(test::command())
        .subcommand(image())
        .subcommand(doctor::command())
        .subcommand(completion::command())
        .subcommand(man::command())
        .subcommand(version::command())
        .after_help(EXIT_CODES)
}

const EXIT_CODES: &str = "\
Exit codes: 0 also after Ctrl-C and timeout; with `-- CMD` its own status, 128 + n when signal n ended it;
2 usage; 120 something was lost and --fail-on-loss was given, a replay lacks an answer and --strict was, or a test
of `ig test` failed;
121 the guest trapped too often; 122 permission or kernel; 123 the bundle or the recording was refused;
125 anything else; 126 CMD can't be run; 127 CMD not found.";

fn image() -> Command {
    Command::new("image")
        .about("Builds and inspects bundles")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("build")
                .about("Builds a gadget's folder into one bundle")
                .arg(
                    Arg::new("dir")
                        .value_name("DIR")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("The gadget's folder: gadget.yaml, program.bpf.c and, for a guest, its sources"),
                )
                .arg(
                    Arg::new("out")
                        .short('o')
                        .long("output")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("Where the bundle goes [default: NAME.oci in DIR]"),
                )
                .arg(
                    Arg::new("prog")
                        .long("prog")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("The eBPF source [default: DIR/program.bpf.c]"),
                )
                .arg(
                    Arg::new("definition")
                        .long("definition")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("The manifest [default: DIR/gadget.yaml]"),
                )
                .arg(
                    Arg::new("recordings")
                        .long("recordings")
                        .action(ArgAction::SetTrue)
                        .help("Also puts the recordings of DIR/tests into the bundle, for `ig run --replay NAME`"),
                ),
        )
        .subcommand(
            Command::new("inspect")
                .about("Shows everything in a bundle without running any of it")
                .arg(
                    Arg::new("bundle")
                        .value_name("FILE")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("The bundle"),
                )
                .arg(text_or_json()),
        )
}

/// `-o text|json`, of the commands that show something that is no table.
pub fn text_or_json() -> Arg {
    Arg::new("output")
        .short('o')
        .long("output")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .default_value("text")
        .help("How to show it")
}

/// `ig run`.
pub fn run() -> Command {
    let only_live = [
        "command",
        "pid",
        "tid",
        "comm",
        "uid",
        "gid",
        "host",
        "max-rate",
        "timeout",
        "ring-size",
    ];
    of_gadget("run")
        .about(
            "Runs a gadget, or several side by side: from bundles, from folders, which are built first, or from a file \
             that lists them",
        )
        .override_usage("ig run [OPTIONS] <BUNDLE|DIR|FILE.yaml>... [GADGET PARAMETERS] [-- CMD [ARGS]...]")
        .arg(
            Arg::new("replay")
                .long("replay")
                .value_name("FILE.igrec")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with_all(only_live)
                .conflicts_with_all(containers::flags().map(|flag| flag.get_id().clone()))
                .conflicts_with_all(selectors::flags().map(|flag| flag.get_id().clone()))
                .help(
                    "Takes a recording in place of the kernel: a file, or the name of one in the bundle; \
                     needs no rights",
                ),
        )
        .arg(
            Arg::new("strict")
                .long("strict")
                .action(ArgAction::SetTrue)
                .requires("replay")
                .help("Exits with 120 when the guest asked what the recording has no answer to"),
        )
}

/// `ig record`: all of `ig run`, and a recording.
pub fn record() -> Command {
    of_gadget("record")
        .about("Runs a gadget and records all that it got from the kernel, for `ig run --replay`")
        .override_usage(
            "ig record -o FILE.igrec [OPTIONS] <BUNDLE|DIR> [GADGET PARAMETERS] [-- CMD [ARGS]...]",
        )
        .mut_arg("output", |arg| {
            arg.required(true)
                .value_name("FILE.igrec|FORMAT[=FILE]")
                .value_parser(record_output)
                .help(
                    "The recording, which has its name when it is whole; rows too where a format is given, as in \
                     `ig run`: -o run.igrec -o json=rows.json [default for rows: none]",
                )
        })
}

/// One `-o` of `ig record`.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordOutput {
    /// The recording.
    Recording(PathBuf),
    /// Rows.
    Rows(OutputSpec),
}

fn record_output(text: &str) -> Result<RecordOutput, String> {
    if Path::new(text).extension().is_some_and(|e| e == EXTENSION) {
        return Ok(RecordOutput::Recording(PathBuf::from(text)));
    }
    let rows = text.parse().map(RecordOutput::Rows);
    rows.map_err(|e| format!("{e}; the name of a recording ends with .{EXTENSION}"))
}

/// What runs a gadget, by the name of its command.
fn of_gadget(name: &'static str) -> Command {
    let target = "What to trace";
    let output = "Output";
    let limits = "Limits of the guest";
    let flag =
        |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    let bundle = Arg::new("bundle")
        .value_name("BUNDLE|DIR")
        .required(true)
        .value_parser(value_parser!(PathBuf));
    let bundle = if name == "run" {
        bundle
            .value_name("BUNDLE|DIR|FILE.yaml")
            .num_args(1..)
            .action(ArgAction::Append)
            .help(
                "The bundle, a gadget's folder, or a file that lists gadgets with what is said of each \
                 (docs/several.md); several run side by side",
            )
    } else {
        bundle.help("The bundle, or a gadget's folder")
    };
    Command::new(name)
        .arg(bundle)
        .arg(
            Arg::new("command")
                .value_name("CMD")
                .last(true)
                .num_args(1..)
                .value_parser(value_parser!(OsString))
                .help("Starts this command as the calling user, traces only it and its children, and ends with it"),
        )
        .arg(
            flag("pid", "PID")
                .short('p')
                .value_parser(value_parser!(u32).range(1..))
                .conflicts_with("command")
                .help("Only this process, and the children that it starts from now on")
                .help_heading(target),
        )
        .arg(
            flag("tid", "TID")
                .value_parser(value_parser!(u32).range(1..))
                .help("Only this thread")
                .help_heading(target),
        )
        .arg(
            flag("comm", "NAME")
                .value_parser(comm)
                .help("Only tasks of exactly this name, 15 bytes at most")
                .help_heading(target),
        )
        .arg(flag("uid", "UID").value_parser(value_parser!(u32)).help("Only this user id").help_heading(target))
        .arg(flag("gid", "GID").value_parser(value_parser!(u32)).help("Only this group id").help_heading(target))
        .arg(
            flag("max-rate", "N")
                .value_parser(value_parser!(u64).range(1..))
                .help("At most so many records a second of each container, so that none hides the others; the rest is counted")
                .help_heading(target),
        )
        .args(selectors::flags())
        .arg(selectors::host())
        .arg(
            flag("timeout", "TIME")
                .short('t')
                .value_parser(units::duration)
                .help("Ends after this time: 10s, 500ms, 2m; a bare number is seconds"),
        )
        .arg(
            flag("output", "FORMAT[=FILE]")
                .short('o')
                .action(ArgAction::Append)
                .value_parser(|text: &str| text.parse::<OutputSpec>())
                .help(
                    "How rows are written, and where to: columns, json, jsonpretty, yaml, csv, arrow (IPC stream), \
                     parquet=FILE, none; repeat it for several outputs, of which the first is the main one \
                     [default: columns]",
                )
                .help_heading(output),
        )
        .arg(
            flag("output-file", "FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where rows go instead of standard output; the file has its name when it is whole")
                .help_heading(output),
        )
        .arg(
            flag("rotate-size", "BYTES")
                .value_parser(units::bytes)
                .help("A file ends when it has this many bytes, and the next begins; files are numbered")
                .help_heading(output),
        )
        .arg(
            flag("rotate-time", "TIME")
                .value_parser(units::duration)
                .help("A file ends this long after its first row; files are numbered")
                .help_heading(output),
        )
        .arg(
            flag("redact", "COLUMN[=REGEX]")
                .action(ArgAction::Append)
                .value_parser(value_parser!(String))
                .help("Replaces a column's text, or what matches in it, by *** before any output sees it; can be repeated")
                .help_heading(output),
        )
        .arg(
            flag("fields", "COLUMNS")
                .value_parser(value_parser!(String))
                .allow_hyphen_values(true)
                .help("Only these columns, in this order: a,b,c; or the default ones with changes: +hidden,-comm")
                .help_heading(output),
        )
        .arg(
            flag("table", "NAME")
                .value_parser(value_parser!(String))
                .help(
                    "The one table that is shown, of a gadget that has several \
                     [default: all of them in json, jsonpretty and yaml, in the others the first]",
                )
                .help_heading(output),
        )
        .arg(
            flag("filter", "EXPRESSION")
                .short('F')
                .value_parser(value_parser!(String))
                .allow_hyphen_values(true)
                .help("Shows only rows for which this holds: 'error == ENOENT and path like \"/etc/*\"'")
                .help_heading(output),
        )
        .arg(
            flag("sort", "COLUMNS")
                .value_parser(value_parser!(String))
                .allow_hyphen_values(true)
                .help("Orders the rows of each frame: a,-b is by a, then by b with the largest first")
                .help_heading(output),
        )
        .arg(
            flag("max-rows", "N")
                .value_parser(value_parser!(u64).range(1..))
                .help("Shows only the first N rows of each frame")
                .help_heading(output),
        )
        .arg(
            flag("interval", "TIME")
                .value_parser(units::duration)
                .help("How often a live view changes: 500ms, 2s [default: 1s]")
                .help_heading(output),
        )
        .arg(
            flag("summary", "json:PATH")
                .value_parser(summary)
                .help("Writes the ledgers of records and rows to a file as well; they always go to standard error")
                .help_heading(output),
        )
        .arg(
            Arg::new("fail-on-loss")
                .long("fail-on-loss")
                .action(ArgAction::SetTrue)
                .help("Exits with 120 when anything was lost, or when nobody can know")
                .help_heading(output),
        )
        .arg(
            Arg::new("verbose")
                .short('v')
                .long("verbose")
                .action(ArgAction::SetTrue)
                .help("Also shows the guest's debug messages and what was made ready"),
        )
        .arg(
            flag("param", "NAME=VALUE")
                .action(ArgAction::Append)
                .value_parser(pair)
                .help("Sets a parameter of the gadget; the same as --NAME VALUE after the bundle"),
        )
        .arg(
            flag("ring-size", "BYTES")
                .value_parser(units::bytes)
                .help("Size of each ring buffer, rounded up to a power of two [default: 4M, or what the gadget asks for]"),
        )
        .args(containers::flags())
        .arg(
            flag("guest-cpu-time", "TIME")
                .value_parser(units::duration)
                .default_value("100ms")
                .help("CPU time that one call into the guest may take")
                .help_heading(limits),
        )
        .arg(
            flag("guest-memory", "BYTES")
                .value_parser(units::bytes)
                .default_value("64M")
                .help("Memory that the guest may hold")
                .help_heading(limits),
        )
        .arg(
            flag("guest-host-calls", "N")
                .value_parser(value_parser!(u32).range(1..))
                .default_value("100000")
                .help("Host functions that one call into the guest may use")
                .help_heading(limits),
        )
        .arg(
            flag("guest-staging", "BYTES")
                .value_parser(units::bytes)
                .default_value("8M")
                .help("Bytes of rows that one call into the guest may emit")
                .help_heading(limits),
        )
        .arg(
            flag("max-traps", "N")
                .value_parser(value_parser!(u32).range(1..))
                .default_value("3")
                .help("Ends after this many traps; until then a new instance takes over")
                .help_heading(limits),
        )
        .after_help(EXIT_CODES)
}

/// The flags that can be said for one gadget of several: `--GADGET.FLAG`.
pub const SCOPED: [&str; 7] = [
    "redact", "fields", "table", "filter", "sort", "max-rows", "interval",
];

/// The id of a flag for one gadget of several.
pub fn of_gadget_id(gadget: &str, flag: &str) -> String {
    format!("{gadget}.{flag}")
}

/// `run` with the parameters and the columns of several gadgets: `--PARAM` is for all that have it, `--GADGET.PARAM` for
/// one.
pub fn with_gadgets(command: Command, gadgets: &[Gadget]) -> Command {
    let mut command = with_flags_of_each(command, gadgets);
    let mut help = String::new();
    for gadget in gadgets {
        for p in &gadget.bundle.manifest.params {
            let id = param_id(&p.name);
            if p.name != INTERVAL
                && command
                    .get_arguments()
                    .all(|arg| arg.get_id() != id.as_str())
            {
                command = command.arg(param_flag(id, p.name.clone(), p).help_heading(GADGET_FLAGS));
            }
        }
        help.push_str(&columns(&gadget.name, &gadget.tables));
    }
    help.push_str(EXIT_CODES);
    command.after_help(help)
}

/// The flags that are for one gadget alone, of each of them.
fn with_flags_of_each(mut command: Command, gadgets: &[Gadget]) -> Command {
    for gadget in gadgets {
        let name = &gadget.name;
        let heading = format!("For {name} alone");
        for flag in SCOPED {
            let plain = command.get_arguments().find(|arg| arg.get_id() == flag);
            if let Some(plain) = plain.cloned() {
                let arg = plain
                    .id(of_gadget_id(name, flag))
                    .long(of_gadget_id(name, flag))
                    .short(None)
                    .help_heading(heading.clone());
                command = command.arg(arg);
            }
        }
        for p in &gadget.bundle.manifest.params {
            if p.name != INTERVAL {
                let long = of_gadget_id(name, &p.name);
                let arg = param_flag(param_id(&long), long, p);
                command = command.arg(arg.help_heading(heading.clone()));
            }
        }
    }
    command
}

/// `run` or `record` with the parameters and the columns of one gadget.
pub fn with_gadget(command: Command, manifest: &Manifest, tables: &[Table]) -> Command {
    let name = format!("ig {} {}", command.get_name(), manifest.name);
    let mut command = command.display_name(name);
    if !manifest.description.is_empty() {
        command = command.about(manifest.description.clone());
    }
    for p in &manifest.params {
        if p.name == INTERVAL {
            // The host's own flag, with what the gadget says of it.
            let default = p.default.as_deref().unwrap_or("0s");
            let help = format!("{} [default: {default}]", p.description);
            command = command.mut_arg(INTERVAL, |arg| arg.help(help).help_heading(GADGET_FLAGS));
            continue;
        }
        let arg = param_flag(param_id(&p.name), p.name.clone(), p);
        command = command.arg(arg.help_heading(GADGET_FLAGS));
    }
    command.after_help(format!("{}{EXIT_CODES}", columns("", tables)))
}

/// The flag of a gadget's parameter.
fn param_flag(id: String, long: String, p: &Param) -> Arg {
    let arg = Arg::new(id).long(long).value_parser(value_parser!(String));
    let mut help = p.description.clone();
    if !p.values.is_empty() {
        help.push_str(&format!(" [one of: {}]", p.values.join(", ")));
    }
    if let Some(default) = &p.default {
        help.push_str(&format!(" [default: {default}]"));
    }
    let arg = match p.value_type {
        ParamType::Bool => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false"),
        ParamType::I64 | ParamType::U64 => arg.value_name("N").allow_negative_numbers(true),
        ParamType::F64 => arg.value_name("X").allow_negative_numbers(true),
        ParamType::Text => arg.value_name("TEXT"),
        ParamType::Duration => arg.value_name("TIME"),
    };
    arg.help(help)
}

/// The id of a parameter's flag: apart from the host's own, whatever its name.
pub fn param_id(name: &str) -> String {
    format!("param {name}")
}

/// The columns of tables; of the gadget of this name, where there are several.
fn columns(gadget: &str, tables: &[Table]) -> String {
    let mut text = String::new();
    let of = if gadget.is_empty() { "" } else { "." };
    for table in tables {
        text.push_str(&format!(
            "Columns of {gadget}{of}{} (hidden ones in brackets):\n",
            table.name
        ));
        let name = |c: &Column| {
            if c.hidden {
                format!("[{}]", c.name)
            } else {
                c.name.clone()
            }
        };
        let width = table
            .columns
            .iter()
            .map(|c| name(c).len())
            .max()
            .unwrap_or(0);
        for c in &table.columns {
            text.push_str(format!("  {:width$}  {}", name(c), c.description).trim_end());
            if let Some(alias) = &c.alias {
                text.push_str(&format!(" (also {alias})"));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// The arguments that are neither flags nor flags' values: the bundles. `args` begin after the command's name.
pub fn find_bundles<'a>(command: &Command, args: &'a [OsString]) -> Vec<&'a OsStr> {
    let takes_value = |arg: &Arg| arg.get_action().takes_values() && !arg.is_require_equals_set();
    let mut found = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if text == "--" {
            break;
        }
        if let Some(long) = text.strip_prefix("--") {
            let is_called = |a: &&Arg| {
                let other = || a.get_all_aliases().is_some_and(|all| all.contains(&long));
                a.get_long() == Some(long) || other()
            };
            let known = command.get_arguments().find(is_called);
            if known.is_some_and(takes_value) {
                args.next();
            }
        } else if let Some(short) = text.strip_prefix('-').filter(|s| !s.is_empty()) {
            let mut letters = short.chars();
            let known = letters
                .next()
                .and_then(|c| command.get_arguments().find(|a| a.get_short() == Some(c)));
            if known.is_some_and(takes_value) && letters.next().is_none() {
                args.next();
            }
        } else {
            found.push(arg.as_os_str());
        }
    }
    found
}

/// What the user set, by parameter name: the gadget's flags first, then `--param`.
pub fn params(manifest: &Manifest, matches: &ArgMatches) -> Vec<(String, String)> {
    let flags = manifest.params.iter().filter(|p| p.name != INTERVAL);
    let flags = flags.filter_map(|p| {
        let value = matches.get_one::<String>(&param_id(&p.name))?;
        Some((p.name.clone(), value.clone()))
    });
    let pairs = matches
        .get_many::<(String, String)>("param")
        .into_iter()
        .flatten()
        .cloned();
    flags.chain(pairs).collect()
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn comm(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 15 {
        return Err(format!(
            "a task's name has 1 to 15 bytes; this has {}",
            text.len()
        ));
    }
    Ok(text.to_owned())
}

fn summary(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("json:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err("write json: and a path, such as json:summary.json".to_owned()),
    }
}

/// A duration of a flag that has a default.
pub fn duration(matches: &ArgMatches, name: &str) -> Duration {
    matches
        .get_one::<Duration>(name)
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(args: &[&str]) -> Vec<OsString> {
        args.iter().map(Into::into).collect()
    }

    #[test]
    fn the_definition_is_sound() {
        program().debug_assert();
    }

    #[test]
    fn bundles_are_found_among_flags() {
        for (args, bundles) in [
            (&["x.oci"][..], &["x.oci"][..]),
            (&["-o", "json", "x.oci", "--failed-only"], &["x.oci"]),
            (&["-ojson", "x.oci"], &["x.oci"]),
            (&["--output=json", "--fail-on-loss", "x.oci"], &["x.oci"]),
            (&["--timeout", "2s", "dir/", "--", "ls"], &["dir/"]),
            (&["--replay", "a.igrec", "--strict", "x.oci"], &["x.oci"]),
            (
                &["a.oci", "-o", "json", "b/", "c.oci", "--", "ls"],
                &["a.oci", "b/", "c.oci"],
            ),
            (&["--runtime-containername", "web", "x.oci"], &["x.oci"]),
            (&["--", "ls"], &[]),
            (&["--help"], &[]),
        ] {
            let bundles: Vec<&OsStr> = bundles.iter().map(OsStr::new).collect();
            assert_eq!(find_bundles(&run(), &os(args)), bundles, "{args:?}");
        }
    }

    #[test]
    fn several_bundles_stand_before_a_command_with_flags_between_them() {
        let args = ["run", "a.oci", "-o", "json", "b.oci", "--", "ls", "-l"];
        let matches = run().get_matches_from(args);
        let all = |name: &str| {
            let raw = matches.get_raw(name).unwrap();
            raw.map(|word| word.to_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(all("bundle"), ["a.oci", "b.oci"]);
        assert_eq!(all("command"), ["ls", "-l"]);
    }

    #[test]
    fn a_recording_is_known_by_its_name() {
        let recording = |text: &str| RecordOutput::Recording(PathBuf::from(text));
        for text in ["run.igrec", "a/b=c.igrec"] {
            assert_eq!(record_output(text), Ok(recording(text)));
        }
        assert_eq!(
            record_output("json=a"),
            Ok(RecordOutput::Rows("json=a".parse().unwrap()))
        );
        let error = record_output("run.rec").unwrap_err();
        assert!(error.contains("ends with .igrec"), "{error}");
    }

    #[test]
    fn no_gadget_parameter_can_take_a_flag_of_the_host() {
        let run = run();
        let aliases = run.get_arguments().filter_map(Arg::get_all_aliases);
        let flags = run.get_arguments().filter_map(Arg::get_long);
        for arg in flags.chain(aliases.flatten()).chain(["help", "version"]) {
            assert!(
                ig_engine::manifest::HOST_FLAGS.contains(&arg),
                "--{arg} is missing in HOST_FLAGS"
            );
        }
    }
}
