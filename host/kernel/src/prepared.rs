//! What aya is given: the object's bytes made ready, and the kernel's types.

use aya::{Btf, EbpfLoader, Endianness};
use ig_object::{Hook, Needed, Note, Object, PrepareOptions, Prepared};

use crate::error::{LoadError, ProgramError, Step, chain, hook_text};
use crate::host::KERNEL_BTF;
use crate::sys::btf::KernelBtf;
use crate::sys::os;

/// The object as aya takes it, without the programs of these names, and what goes into its maps of programs.
pub(crate) fn prepare(bytes: &[u8], exclude: &[&str]) -> Result<Prepared, LoadError> {
    Ok(ig_object::prepare(
        bytes,
        &PrepareOptions { drop: exclude },
    )?)
}

/// A loader of aya's without options.
///
/// Its constructor always reads and parses all of the kernel's types (about 20 ms and 20 MB), also when the caller
/// brings types of its own. It runs in a thread whose root folder is `/sys`, where it finds no
/// `/sys/kernel/btf/vmlinux`. Where that is not allowed, it costs the time and nothing else
/// (`Default` is the same constructor).
pub(crate) fn loader() -> EbpfLoader<'static> {
    let apart = std::thread::Builder::new()
        .name("ig-loader".to_owned())
        .spawn(|| {
            // An error means only that the constructor finds the types.
            let _ = os::root_of_thread(c"/sys");
            EbpfLoader::new()
        });
    apart
        .ok()
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default()
}

/// The part of the kernel's types that an object needs; nothing for an object that needs none.
pub(crate) struct KernelTypes(Option<Btf>);

impl KernelTypes {
    pub(crate) fn for_object(object: &Object<'_>) -> Result<Self, LoadError> {
        let needed = Needed::of(object);
        if needed.is_empty() {
            return Ok(Self(None));
        }
        let error = |cause| LoadError::KernelTypes {
            path: KERNEL_BTF,
            cause,
        };
        let whole = KernelBtf::open(KERNEL_BTF).map_err(|cause| error(cause.to_string()))?;
        // Type numbers stay, everything else is the smallest type: aya's parser takes as long as there are bytes.
        let slim = ig_object::slim(&whole, &needed).map_err(|cause| error(chain(&cause)))?;
        let btf = Btf::parse(&slim, Endianness::default()).map_err(|cause| error(chain(&cause)))?;
        Ok(Self(Some(btf)))
    }

    pub(crate) fn btf(&self) -> Option<&Btf> {
        self.0.as_ref()
    }
}

/// A program that the object has and that is not in what aya was given; the notes say why.
pub(crate) fn missing_program(name: &str, hook: &Hook, notes: &[Note]) -> ProgramError {
    let reason = notes.iter().find_map(|note| match note {
        Note::LeftOut {
            programs, reason, ..
        } if programs.iter().any(|program| program == name) => Some(*reason),
        _ => None,
    });
    ProgramError {
        program: name.to_owned(),
        hook: hook_text(hook),
        step: Step::Load,
        cause: reason
            .unwrap_or("programs of this section are not supported")
            .to_owned(),
        verifier: Vec::new(),
    }
}
