//! Why an object did not get into the kernel.

use std::error::Error;
use std::io;

use ig_object::{Hook, ObjectError};

/// What was being done to a program when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The kernel's verifier looked at it.
    Load,
    /// It was hung onto its hook.
    Attach,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Load => "load",
            Self::Attach => "attach",
        })
    }
}

/// Why one program did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramError {
    /// As the object names it.
    pub program: String,
    /// What it hooks, as in the section's name.
    pub hook: String,
    /// Which step failed.
    pub step: Step,
    /// In words; without the verifier's.
    pub cause: String,
    /// The last lines of the verifier's log that say something; empty when it was not the verifier.
    pub verifier: Vec<String>,
}

impl std::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            program,
            hook,
            step,
            cause,
            verifier,
        } = self;
        write!(f, "cannot {step} the program {program:?} ({hook}): {cause}")?;
        for line in verifier {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

impl Error for ProgramError {}

/// Why an object could not be loaded or attached.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its bytes could not be made ready.
    #[error("cannot prepare the eBPF object: {0}")]
    Object(#[from] ObjectError),
    /// The kernel's types could not be read.
    #[error(
        "cannot read the kernel's types in {path}: {cause}; a kernel with CONFIG_DEBUG_INFO_BTF=y has them"
    )]
    KernelTypes {
        /// Of the file.
        path: &'static str,
        /// In words.
        cause: String,
    },
    /// A variable that the host should set.
    #[error("cannot set the eBPF variable {variable:?}: {cause}")]
    Variable {
        /// As the object names it.
        variable: String,
        /// In words.
        cause: String,
    },
    /// An option that names a map.
    #[error("cannot size the map {map:?}: {cause}")]
    MapSize {
        /// As asked for.
        map: String,
        /// In words.
        cause: String,
    },
    /// An option that names a program.
    #[error("the object has no program {program:?}: it has {have}")]
    NoSuchProgram {
        /// As asked for.
        program: String,
        /// The names there are.
        have: String,
    },
    /// Maps could not be made, or references in the code not be resolved.
    #[error("cannot load the eBPF object: {0}")]
    Kernel(String),
    /// One of the programs.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Asking the kernel about a loaded program failed.
    #[error("cannot read the kernel's counters of the program {program:?}: {error}")]
    Stats {
        /// As the object names it.
        program: String,
        /// What the system said.
        error: io::Error,
    },
}

/// An error and what it came from, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

/// The last lines of a verifier's log that say something: the source line it was at and what came after, at most
/// `most` lines.
pub(crate) fn last_lines(log: &str, most: usize) -> Vec<String> {
    const COUNTS: [&str; 6] = [
        "processed ",
        "verification time",
        "stack depth",
        "max_states",
        "mark_precise",
        "func#",
    ];
    let lines: Vec<&str> = log
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !COUNTS.iter().any(|start| line.starts_with(start)))
        .collect();
    let tail = lines.len().saturating_sub(most);
    let mut kept: Vec<&str> = lines.get(tail..).unwrap_or_default().to_vec();
    // The source line before, if it did not fit.
    if !kept.iter().any(|line| line.starts_with(';'))
        && let Some(source) = lines.iter().rfind(|line| line.starts_with(';'))
    {
        kept.insert(0, source);
        if kept.len() > most {
            kept.remove(1);
        }
    }
    kept.into_iter()
        .map(|line| line.chars().take(240).collect())
        .collect()
}

/// A hook as its section would name it.
pub(crate) fn hook_text(hook: &Hook) -> String {
    match hook {
        Hook::Tracepoint { category, name } => format!("tracepoint/{category}/{name}"),
        Hook::RawTracepoint { name } => format!("raw_tp/{name}"),
        Hook::BtfTracepoint { name } => format!("tp_btf/{name}"),
        Hook::Uprobe { target, ret } => {
            let kind = if *ret { "uretprobe" } else { "uprobe" };
            match target {
                Some((path, symbol)) => format!("{kind}/{path}:{symbol}"),
                None => kind.to_owned(),
            }
        }
        Hook::Iterator { target } => format!("iter/{target}"),
        Hook::SocketFilter => "socket".to_owned(),
        Hook::Other { section } => section.clone(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_and_its_source_line_are_kept() {
        let log = "func#0 @0\n\
                   0: R1=ctx() R10=fp0\n\
                   ; long *p = bpf_map_lookup_elem(&m, &k); @ t.bpf.c:10\n\
                   0: (b7) r1 = 0\n\
                   ; return *p; @ t.bpf.c:12\n\
                   5: (79) r0 = *(u64 *)(r0 +0)\n\
                   R0 invalid mem access 'map_value_or_null'\n\
                   verification time 45 usec\n\
                   stack depth 4\n\
                   processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";
        assert_eq!(
            last_lines(log, 3),
            [
                "; return *p; @ t.bpf.c:12",
                "5: (79) r0 = *(u64 *)(r0 +0)",
                "R0 invalid mem access 'map_value_or_null'"
            ]
        );
        assert_eq!(
            last_lines(log, 2),
            [
                "; return *p; @ t.bpf.c:12",
                "R0 invalid mem access 'map_value_or_null'"
            ]
        );
        assert_eq!(last_lines("", 3), Vec::<String>::new());
        assert_eq!(last_lines("processed 0 insns\n", 3), Vec::<String>::new());
    }
}
