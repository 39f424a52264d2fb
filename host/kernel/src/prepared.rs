//! What aya is given: the object's bytes made ready, and the kernel's types.

use aya::{Btf, EbpfLoader, Endianness};
use ig_object::{AlignedBytes, Hook, Object, PrepareOptions};

use crate::error::{LoadError, ProgramError, Step, chain, hook_text};
use crate::host::KERNEL_BTF;

/// The object as aya takes it, without the programs of these names.
pub(crate) fn prepare(bytes: &[u8], exclude: &[&str]) -> Result<AlignedBytes, LoadError> {
    Ok(ig_object::prepare(bytes, &PrepareOptions { drop: exclude })?.bytes)
}

/// A loader of aya's without options.
pub(crate) fn loader() -> EbpfLoader<'static> {
    EbpfLoader::new()
}

/// The part of the kernel's types that an object needs; nothing for an object that needs none.
pub(crate) struct KernelTypes(Option<Btf>);

impl KernelTypes {
    pub(crate) fn for_object(object: &Object<'_>) -> Result<Self, LoadError> {
        let typed = |hook: &Hook| matches!(hook, Hook::BtfTracepoint { .. });
        if object.core_relocations().is_empty()
            && !object.programs().iter().any(|program| typed(&program.hook))
        {
            return Ok(Self(None));
        }
        let error = |cause| LoadError::KernelTypes {
            path: KERNEL_BTF,
            cause,
        };
        let bytes = std::fs::read(KERNEL_BTF).map_err(|cause| error(cause.to_string()))?;
        let btf =
            Btf::parse(&bytes, Endianness::default()).map_err(|cause| error(chain(&cause)))?;
        Ok(Self(Some(btf)))
    }

    pub(crate) fn btf(&self) -> Option<&Btf> {
        self.0.as_ref()
    }
}

/// A program that the object has and aya did not give.
pub(crate) fn missing_program(name: &str, hook: &Hook) -> ProgramError {
    ProgramError {
        program: name.to_owned(),
        hook: hook_text(hook),
        step: Step::Load,
        cause: "programs of this section are not supported".to_owned(),
        verifier: Vec::new(),
    }
}
