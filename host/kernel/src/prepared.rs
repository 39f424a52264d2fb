//! What aya is given: the object's bytes made ready, and the kernel's types.

use std::ops::Deref;

use aya::{Btf, EbpfLoader, Endianness};
use ig_object::{Hook, Object};

use crate::error::{LoadError, ProgramError, Step, chain, hook_text};
use crate::host::KERNEL_BTF;

/// Bytes at an address that aya takes.
pub(crate) struct Aligned {
    words: Vec<u64>,
    length: usize,
}

impl Deref for Aligned {
    type Target = [u8];

    #[allow(unsafe_code, reason = "words as bytes")]
    fn deref(&self) -> &[u8] {
        // SAFETY: the words hold at least `length` initialized bytes.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.length) }
    }
}

/// The object as aya takes it.
pub(crate) fn prepare(bytes: &[u8], _drop: &[&str]) -> Result<Aligned, LoadError> {
    let mut words = Vec::with_capacity(bytes.len().div_ceil(8));
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        words.push(u64::from_ne_bytes(word));
    }
    Ok(Aligned {
        words,
        length: bytes.len(),
    })
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
