//! Names of an enumeration's values.

use ig_object::btf::Variant;
use std::io::Write as _;

/// The names of one enumeration, by value.
#[derive(Debug)]
pub(super) struct VariantNames {
    /// Sorted; each value once, with the name that stands first in the source.
    values: Vec<(u64, Box<str>)>,
    bits: u32,
    signed: bool,
}

impl VariantNames {
    /// Of values that have `bits` bits.
    pub(super) fn new(variants: &[Variant], bits: u32, signed: bool) -> Self {
        let mask = u64::MAX >> (64 - bits.clamp(1, 64));
        let mut values: Vec<_> = variants
            .iter()
            .map(|variant| {
                (
                    variant.value.cast_unsigned() & mask,
                    variant.name.as_str().into(),
                )
            })
            .collect();
        values.sort_by_key(|(value, _)| *value);
        values.dedup_by_key(|(value, _)| *value);
        Self {
            values,
            bits: bits.clamp(1, 64),
            signed,
        }
    }

    /// Bytes of the longest text that a value becomes.
    pub(super) fn longest(&self) -> usize {
        let names = self.values.iter().map(|(_, name)| name.len());
        names.max().unwrap_or(0).max(20)
    }

    /// Adds the name of a value, which has no more than the enumeration's bits; without a name its decimal number.
    #[inline]
    pub(super) fn push(&self, value: u64, out: &mut Vec<u8>) {
        // Most enumerations count from 0.
        let at = usize::try_from(value).unwrap_or(usize::MAX);
        let direct = self.values.get(at).filter(|(other, _)| *other == value);
        let found = direct.or_else(|| {
            let index = self
                .values
                .binary_search_by_key(&value, |(value, _)| *value);
            self.values.get(index.ok()?)
        });
        match found {
            Some((_, name)) => out.extend_from_slice(name.as_bytes()),
            None => self.push_number(value, out),
        }
    }

    #[cold]
    fn push_number(&self, value: u64, out: &mut Vec<u8>) {
        let shift = 64 - self.bits;
        let signed = (value << shift).cast_signed() >> shift;
        // Writing to a vector does not fail.
        drop(if self.signed {
            write!(out, "{signed}")
        } else {
            write!(out, "{value}")
        });
    }
}
