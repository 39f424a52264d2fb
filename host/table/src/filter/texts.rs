//! Tests of whole columns of text.

use arrow_array::{Array as _, BinaryArray};
use arrow_buffer::{BooleanBuffer, Buffer};
use memchr::memmem::Finder;

use super::mask::{Bits, as_long_as};
use super::pattern::Pattern;

/// So many texts are compared with one by one.
const TEXTS: usize = 16;

/// So many different lengths of texts are looked for one by one.
const LENGTHS: usize = 6;

/// To search one text costs about as much as to search this many in a row: see [`containing`].
const SPARSE: usize = 24;

/// Whether each value matches; `among`: the rows that are asked for.
pub(super) fn text(
    array: &BinaryArray,
    pattern: &Pattern,
    among: Option<&BooleanBuffer>,
) -> BooleanBuffer {
    // One loop for each, so that the test is part of it.
    match pattern {
        Pattern::Equal(want) => equal(array, &[want.as_slice()], among),
        Pattern::OneOf(any) => {
            let mut any: Vec<&[u8]> = any.iter().map(Vec::as_slice).collect();
            any.sort_by_key(|text| text.len());
            let by_len = any.chunk_by(|a, b| a.len() == b.len());
            if any.len() > TEXTS || by_len.clone().count() > LENGTHS {
                return each(array, among, |text| pattern.matches(text));
            }
            let mut masks = by_len.map(|any| equal(array, any, among));
            let mask = masks.next();
            let mask = mask.unwrap_or_else(|| BooleanBuffer::new_unset(array.len()));
            masks.fold(mask, |mask, more| &mask | &more)
        }
        Pattern::Prefix(start) => each(array, among, |text| text.starts_with(start)),
        Pattern::Suffix(end) => each(array, among, |text| text.ends_with(end)),
        Pattern::Contains(finder) => match among {
            Some(rows) if rows.count_set_bits() < array.len() / SPARSE => {
                each(array, among, |text| finder.find(text).is_some())
            }
            _ => containing(array, finder),
        },
        Pattern::Pieces(pieces) => each(array, among, |text| pieces.matches(text)),
        Pattern::Regex(regex) => each(array, among, |text| regex.is_match(text)),
        pattern => each(array, among, |text| pattern.matches(text)),
    }
}

/// Values that are one of several texts of one length. Lengths are compared many at a time, and of the texts that are
/// left the first bytes as numbers.
fn equal(array: &BinaryArray, any: &[&[u8]], among: Option<&BooleanBuffer>) -> BooleanBuffer {
    let len = any.first().map_or(0, |text| text.len());
    let offsets = array.value_offsets();
    let data = array.value_data();
    let mut words = as_long_as(len, offsets);
    if let Some(among) = among {
        for (word, among) in words.iter_mut().zip(among.bit_chunks().iter_padded()) {
            *word &= among;
        }
    }
    let mask = match len {
        8.. => u64::MAX,
        len => (1 << (len * 8)) - 1,
    };
    let heads: Vec<(u64, &[u8])> = any.iter().map(|text| (head(text), *text)).collect();
    let is = |from: i32| {
        let text = data.get(from as usize..).unwrap_or_default();
        let head = head(text) & mask;
        if len <= 8 {
            heads
                .iter()
                .fold(false, |any, (one, _)| any | (*one == head))
        } else {
            let mut same = heads.iter().filter(|(one, _)| *one == head);
            same.any(|(_, one)| text.starts_with(one))
        }
    };
    for (word, offsets) in words.iter_mut().zip(offsets.chunks(64)) {
        let mut left = *word;
        while left != 0 {
            let at = left.trailing_zeros();
            left &= left - 1;
            let is = offsets.get(at as usize).is_some_and(|from| is(*from));
            *word &= !(u64::from(!is) << at);
        }
    }
    BooleanBuffer::new(Buffer::from_vec(words), 0, array.len())
}

/// The first eight bytes as a number; what there is not is 0.
#[inline(always)]
fn head(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => text
            .iter()
            .rev()
            .fold(0, |head, byte| head << 8 | u64::from(*byte)),
    }
}

/// Whether a test says yes to each value.
pub(super) fn each(
    array: &BinaryArray,
    among: Option<&BooleanBuffer>,
    test: impl Fn(&[u8]) -> bool,
) -> BooleanBuffer {
    let offsets = array.value_offsets();
    let data = array.value_data();
    let ends = offsets.get(1..).unwrap_or_default();
    let value = |from: i32, to: i32| data.get(from as usize..to as usize).unwrap_or_default();
    let mut bits = Bits::clear(array.len());
    match among {
        None => {
            for (row, (from, to)) in offsets.iter().zip(ends).enumerate() {
                if test(value(*from, *to)) {
                    bits.set(row);
                }
            }
        }
        Some(among) => {
            for row in among.set_indices() {
                if let (Some(from), Some(to)) = (offsets.get(row), ends.get(row))
                    && test(value(*from, *to))
                {
                    bits.set(row);
                }
            }
        }
    }
    bits.finish()
}

/// Values that contain a text: all of them are searched as the one text that they are in memory,
/// and what is found across an end is not counted. To start a search costs more than to search
/// a short text.
fn containing(array: &BinaryArray, finder: &Finder<'_>) -> BooleanBuffer {
    let len = finder.needle().len();
    if len == 0 {
        return BooleanBuffer::new_set(array.len());
    }
    let offsets = array.value_offsets();
    let data = array.value_data();
    let ends = offsets.get(1..).unwrap_or_default();
    let mut at = offsets.first().map_or(0, |first| *first as usize);
    let last = ends.last().map_or(at, |last| *last as usize);
    let mut bits = Bits::clear(array.len());
    let mut rows = ends.iter().map(|end| *end as usize).enumerate();
    let mut current = rows.next();
    while let Some(hit) = data.get(at..last).and_then(|rest| finder.find(rest)) {
        let hit = at + hit;
        let (row, end) = loop {
            match current {
                Some((row, end)) if hit < end => break (row, end),
                Some(_) => current = rows.next(),
                None => return bits.finish(),
            }
        };
        if hit + len <= end {
            bits.set(row);
            at = end;
        } else {
            at = hit + 1;
        }
    }
    bits.finish()
}
