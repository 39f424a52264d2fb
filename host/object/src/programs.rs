//! Programs and what they hook.

use crate::ObjectError;
use crate::elf::Elf;

/// A program and the section that says what it hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name of the function.
    pub name: String,
    /// As in the object, a leading `?` too.
    pub section: String,
    /// What the section says.
    pub hook: Hook,
    /// The section began with `?`: not loaded unless asked for.
    pub optional: bool,
    /// Length in instructions of 8 bytes.
    pub instructions: u32,
}

/// What a program hooks (libbpf's section names).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hook {
    /// `tracepoint/CATEGORY/NAME` or `tp/...`.
    Tracepoint {
        /// Folder of tracefs, such as `syscalls`.
        category: String,
        /// The event in it.
        name: String,
    },
    /// `raw_tp/NAME` or `raw_tracepoint/NAME`.
    RawTracepoint {
        /// The kernel's tracepoint.
        name: String,
    },
    /// `tp_btf/NAME`.
    BtfTracepoint {
        /// The kernel's tracepoint.
        name: String,
    },
    /// `uprobe/PATH:SYMBOL+OFFSET`, `uretprobe/...`, both also with `.s`.
    Uprobe {
        /// Path or library name, and symbol, offset or both; none when the section names no target.
        target: Option<(String, String)>,
        /// Runs when the function returns.
        ret: bool,
    },
    /// `iter/NAME`, `iter.s/NAME`.
    Iterator {
        /// What it goes over: `tcp`, `task_file`, ...
        target: String,
    },
    /// `socket`, `socket1` and so on, `socket/NAME`: packets of a network namespace.
    SocketFilter,
    /// Anything else.
    Other {
        /// Without the leading `?`.
        section: String,
    },
}

impl Hook {
    /// What a section's name, without a leading `?`, says.
    #[must_use]
    pub fn parse(section: &str) -> Self {
        let other = || Self::Other {
            section: section.to_owned(),
        };
        let (kind, rest) = section.split_once('/').unwrap_or((section, ""));
        let name = rest.to_owned();
        match kind {
            "tracepoint" | "tp" => match rest.split_once('/') {
                Some((category, name)) if !category.is_empty() && !name.is_empty() => {
                    Self::Tracepoint {
                        category: category.to_owned(),
                        name: name.to_owned(),
                    }
                }
                _ => other(),
            },
            "raw_tp" | "raw_tracepoint" if !rest.is_empty() => Self::RawTracepoint { name },
            "tp_btf" if !rest.is_empty() => Self::BtfTracepoint { name },
            "iter" | "iter.s" if !rest.is_empty() => Self::Iterator { target: name },
            "uprobe" | "uprobe.s" | "uretprobe" | "uretprobe.s" => Self::Uprobe {
                target: rest
                    .split_once(':')
                    .map(|(path, symbol)| (path.to_owned(), symbol.to_owned())),
                ret: kind.starts_with("uret"),
            },
            "socket" => Self::SocketFilter,
            // libbpf's old way of telling several apart.
            _ if rest.is_empty() && is_numbered_socket(kind) => Self::SocketFilter,
            _ => other(),
        }
    }
}

fn is_numbered_socket(section: &str) -> bool {
    let number = section.strip_prefix("socket").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

pub(crate) fn read(elf: &Elf<'_>) -> Result<Vec<Program>, ObjectError> {
    let mut programs = Vec::new();
    for section in elf
        .sections
        .iter()
        .filter(|section| section.holds_programs())
    {
        let hook = section.name.strip_prefix('?');
        let mut functions: Vec<_> = elf
            .symbols
            .iter()
            .filter(|symbol| symbol.section == section.index && symbol.function && symbol.global)
            .collect();
        functions.sort_by_key(|symbol| symbol.address);
        for symbol in functions {
            let end = symbol.address.checked_add(symbol.size);
            let instructions = u32::try_from(symbol.size / 8);
            let (Some(..), Ok(instructions)) =
                (end.filter(|end| *end <= section.size), instructions)
            else {
                return Err(ObjectError::Symbol {
                    symbol: symbol.name.to_owned(),
                    section: section.name.to_owned(),
                });
            };
            programs.push(Program {
                name: symbol.name.to_owned(),
                section: section.name.to_owned(),
                hook: Hook::parse(hook.unwrap_or(section.name)),
                optional: hook.is_some(),
                instructions,
            });
        }
    }
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_name_hooks() {
        let s = str::to_owned;
        for (section, hook) in [
            (
                "tracepoint/syscalls/sys_enter_execve",
                Hook::Tracepoint {
                    category: s("syscalls"),
                    name: s("sys_enter_execve"),
                },
            ),
            (
                "tp/a/b",
                Hook::Tracepoint {
                    category: s("a"),
                    name: s("b"),
                },
            ),
            ("tp/a", Hook::Other { section: s("tp/a") }),
            (
                "raw_tp/sched_process_exec",
                Hook::RawTracepoint {
                    name: s("sched_process_exec"),
                },
            ),
            ("raw_tracepoint/x", Hook::RawTracepoint { name: s("x") }),
            (
                "raw_tp",
                Hook::Other {
                    section: s("raw_tp"),
                },
            ),
            (
                "tp_btf/sched_process_fork",
                Hook::BtfTracepoint {
                    name: s("sched_process_fork"),
                },
            ),
            (
                "uprobe",
                Hook::Uprobe {
                    target: None,
                    ret: false,
                },
            ),
            (
                "uprobe.s/libc:malloc",
                Hook::Uprobe {
                    target: Some((s("libc"), s("malloc"))),
                    ret: false,
                },
            ),
            (
                "uretprobe//usr/bin/bash:readline+0x4",
                Hook::Uprobe {
                    target: Some((s("/usr/bin/bash"), s("readline+0x4"))),
                    ret: true,
                },
            ),
            ("iter/tcp", Hook::Iterator { target: s("tcp") }),
            (
                "iter.s/task_file",
                Hook::Iterator {
                    target: s("task_file"),
                },
            ),
            ("iter", Hook::Other { section: s("iter") }),
            ("socket", Hook::SocketFilter),
            ("socket1", Hook::SocketFilter),
            ("socket/packets", Hook::SocketFilter),
            (
                "sockops",
                Hook::Other {
                    section: s("sockops"),
                },
            ),
            (
                "kprobe/do_exit",
                Hook::Other {
                    section: s("kprobe/do_exit"),
                },
            ),
        ] {
            assert_eq!(Hook::parse(section), hook, "{section}");
        }
    }
}
