//! Masks: a bit for each row.

use arrow_buffer::{BooleanBuffer, Buffer};

/// Values that are tested at a time.
const BLOCK: usize = 256;

/// A bit for each value.
pub(super) fn pack<T: Copy>(values: &[T], test: impl Fn(T) -> bool) -> BooleanBuffer {
    let mut words = Vec::with_capacity(values.len().div_ceil(64));
    fast(
        #[inline(always)]
        |avx2| {
            let (whole, rest) = values.as_chunks::<64>();
            if avx2 && size_of::<T>() == 8 {
                // To make bytes of what 4 values say costs more than to shift it.
                words.extend(whole.iter().map(|values| bits(values, &test)));
            } else {
                let mut bytes = [0_u8; BLOCK];
                for block in whole.as_flattened().chunks(BLOCK) {
                    for (byte, value) in bytes.iter_mut().zip(block) {
                        *byte = u8::from(test(*value));
                    }
                    let (bytes, _) = bytes.as_chunks();
                    words.extend(bytes.iter().take(block.len() / 64).map(gather));
                }
            }
            if !rest.is_empty() {
                words.push(bits(rest, &test));
            }
        },
    );
    BooleanBuffer::new(Buffer::from_vec(words), 0, values.len())
}

/// A bit for each text that is `len` bytes long. `offsets`: where each begins, and the end.
pub(super) fn as_long_as(len: usize, offsets: &[i32]) -> Vec<u64> {
    let count = offsets.len().saturating_sub(1);
    let Ok(len) = i32::try_from(len) else {
        return vec![0; count.div_ceil(64)];
    };
    let mut words = Vec::with_capacity(count.div_ceil(64));
    let ends = offsets.get(1..).unwrap_or_default();
    fast(
        #[inline(always)]
        |_| {
            let mut bytes = [0_u8; BLOCK];
            for (from, to) in offsets.chunks(BLOCK).zip(ends.chunks(BLOCK)) {
                for (byte, (from, to)) in bytes.iter_mut().zip(from.iter().zip(to)) {
                    *byte = u8::from(to.wrapping_sub(*from) == len);
                }
                if let Some(beyond) = bytes.get_mut(to.len()..) {
                    beyond.fill(0);
                }
                let (bytes, _) = bytes.as_chunks();
                words.extend(bytes.iter().take(to.len().div_ceil(64)).map(gather));
            }
        },
    );
    words
}

/// Runs a loop over values with what the processor has beyond the least of its kind; tells it whether that is AVX2.
#[inline(always)]
fn fast(work: impl FnOnce(bool)) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = fearless_simd::Level::new().as_avx2() {
        use fearless_simd::Simd as _;
        return avx2.vectorize(
            #[inline(always)]
            || work(true),
        );
    }
    work(false);
}

/// At most 64 tests as bits.
#[inline(always)]
fn bits<T: Copy>(values: &[T], test: impl Fn(T) -> bool) -> u64 {
    let tests = values.iter().enumerate();
    tests.fold(0, |word, (at, value)| word | u64::from(test(*value)) << at)
}

/// The lowest bits of bytes that are 0 or 1: a multiplication gathers those of eight in the highest byte.
#[inline(always)]
fn gather(bytes: &[u8; 64]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    let mut word = [0_u8; 8];
    for (byte, eight) in word.iter_mut().zip(eights) {
        *byte = (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    u64::from_le_bytes(word)
}

/// A mask that begins with every bit clear.
pub(super) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    pub(super) fn clear(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(64)],
            len,
        }
    }

    #[inline(always)]
    pub(super) fn set(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    pub(super) fn finish(self) -> BooleanBuffer {
        BooleanBuffer::new(Buffer::from_vec(self.words), 0, self.len)
    }
}

/// Parents of which at least one child is in `children`. `offsets`: where each parent's children
/// begin, and the end; `base` is taken off them.
pub(super) fn parents(children: &BooleanBuffer, offsets: &[i32], base: i32) -> BooleanBuffer {
    let mut bits = Bits::clear(offsets.len().saturating_sub(1));
    let ends = offsets.get(1..).unwrap_or_default();
    let end = |row: usize| ends.get(row).map(|end| (end - base) as usize);
    let mut row = 0;
    for child in children.set_indices() {
        while end(row).is_some_and(|end| end <= child) {
            row += 1;
        }
        bits.set(row);
    }
    bits.finish()
}

/// The children of the parents in `rows`.
pub(super) fn children(rows: &BooleanBuffer, offsets: &[i32], base: i32) -> BooleanBuffer {
    let at = |row: usize| offsets.get(row).map_or(0, |at| (at - base) as usize);
    let mut bits = Bits::clear(at(offsets.len().saturating_sub(1)));
    for row in rows.set_indices() {
        (at(row)..at(row + 1)).for_each(|child| bits.set(child));
    }
    bits.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_packed_in_order() {
        for len in [0, 1, 7, 63, 64, 65, 127, 128, 200, 255, 256, 257, 700] {
            let values: Vec<u32> = (0..len)
                .map(|i: u32| i.wrapping_mul(2_654_435_761) % 7)
                .collect();
            let mask = pack(&values, |value| value < 3);
            let want: Vec<bool> = values.iter().map(|value| *value < 3).collect();
            assert_eq!(mask.iter().collect::<Vec<_>>(), want, "{len}");
            let wide: Vec<u64> = values.iter().map(|value| (*value).into()).collect();
            assert_eq!(pack(&wide, |value| value < 3), mask, "{len}");
        }
    }

    #[test]
    fn lengths() {
        let lens: Vec<i32> = (0..600).map(|i| i * 7 % 5).collect();
        let mut offsets = vec![3];
        lens.iter()
            .for_each(|len| offsets.push(offsets[offsets.len() - 1] + len));
        for count in [0, 1, 63, 64, 65, 200, 256, 257, 512, 600] {
            let words = as_long_as(2, &offsets[..=count]);
            assert_eq!(words.len(), count.div_ceil(64));
            let mask = BooleanBuffer::new(Buffer::from_vec(words), 0, count);
            let want: Vec<bool> = lens[..count].iter().map(|len| *len == 2).collect();
            assert_eq!(mask.iter().collect::<Vec<_>>(), want, "{count}");
        }
        assert_eq!(as_long_as(1 << 40, &offsets), [0; 10]);
        assert!(as_long_as(0, &[]).is_empty());
    }

    #[test]
    fn children_and_parents() {
        let offsets = [5, 5, 7, 8, 8, 11];
        let mask = |bits: &[bool]| bits.iter().copied().collect::<BooleanBuffer>();
        let some = mask(&[false, true, false, false, false, true]);
        assert_eq!(
            parents(&some, &offsets, 5),
            mask(&[false, true, false, false, true])
        );
        let rows = mask(&[true, false, true, true, true]);
        assert_eq!(
            children(&rows, &offsets, 5),
            mask(&[false, false, true, true, true, true])
        );
    }
}
