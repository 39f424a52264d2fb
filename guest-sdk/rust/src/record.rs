//! Reading the fields of a record: any alignment, little endian, offsets known when the guest is compiled.

/// `SIZE` bytes of a record's fixed part, from `OFFSET`.
#[must_use]
#[inline(always)]
pub fn field<const OFFSET: usize, const SIZE: usize, const WHOLE: usize>(
    fixed: &[u8; WHOLE],
) -> &[u8; SIZE] {
    const { assert!(OFFSET + SIZE <= WHOLE, "the field lies in the fixed part") };
    match fixed.get(OFFSET..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => bytes,
        None => const { &[0; SIZE] },
    }
}

/// `BITS` bits of a record's fixed part, from bit `FIRST`, as an unsigned number.
#[must_use]
#[inline(always)]
pub fn bits<const FIRST: usize, const BITS: usize, const WHOLE: usize>(fixed: &[u8; WHOLE]) -> u64 {
    const {
        assert!(
            BITS >= 1 && BITS <= 64 && FIRST + BITS <= WHOLE * 8,
            "the bits lie in the fixed part"
        )
    };
    let bytes = fixed
        .iter()
        .skip(FIRST / 8)
        .take((FIRST % 8 + BITS).div_ceil(8));
    let word = bytes.enumerate().fold(0_u128, |word, (at, byte)| {
        word | u128::from(*byte) << (at * 8)
    });
    (word >> (FIRST % 8)) as u64 & (u64::MAX >> (64 - BITS))
}

/// As [`bits`], as a signed number.
#[must_use]
#[inline(always)]
pub fn signed_bits<const FIRST: usize, const BITS: usize, const WHOLE: usize>(
    fixed: &[u8; WHOLE],
) -> i64 {
    let shift = 64 - BITS;
    (bits::<FIRST, BITS, WHOLE>(fixed) << shift).cast_signed() >> shift
}

/// The elements of an array, `SIZE` bytes each; an incomplete one at the end is left out.
#[inline(always)]
pub fn elements<const SIZE: usize>(
    array: &[u8],
) -> impl ExactSizeIterator<Item = &[u8; SIZE]> + Clone {
    array.as_chunks::<SIZE>().0.iter()
}

/// What stands at the end of a record: at most `MOST` bytes.
#[must_use]
#[inline(always)]
pub fn tail<const MOST: usize>(tail: &[u8]) -> &[u8] {
    tail.get(..MOST).unwrap_or(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_at_any_offset() {
        let fixed = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u32::from_le_bytes(*field::<3, 4, 8>(&fixed)), 0x0706_0504);
        assert_eq!(u8::from_le_bytes(*field::<7, 1, 8>(&fixed)), 8);
    }

    #[test]
    fn bitfields() {
        let fixed = 0xfedc_ba98_7654_3210_u64.to_le_bytes();
        assert_eq!(bits::<4, 8, 8>(&fixed), 0x21);
        assert_eq!(bits::<0, 64, 8>(&fixed), 0xfedc_ba98_7654_3210);
        assert_eq!(bits::<63, 1, 8>(&fixed), 1);
        assert_eq!(signed_bits::<60, 4, 8>(&fixed), -1);
        assert_eq!(signed_bits::<28, 4, 8>(&fixed), 7);
        assert_eq!(
            signed_bits::<1, 3, 8>(&[0b0000_1000, 0, 0, 0, 0, 0, 0, 0]),
            -4
        );
    }

    #[test]
    fn arrays_and_tails() {
        let array = [1, 0, 2, 0, 3];
        let values: Vec<u16> = elements::<2>(&array)
            .map(|bytes| u16::from_le_bytes(*bytes))
            .collect();
        assert_eq!(values, [1, 2]);
        assert_eq!(tail::<3>(&array), [1, 0, 2]);
        assert_eq!(tail::<9>(&array), array);
    }
}
