//! Whole numbers as decimal digits, several digits to a step.

/// Digits are written at the start of a window this long: the longest u64 has 20, a sign 1 more.
pub(crate) const WINDOW: usize = 24;

/// Eight digits of a number below 10^8, one a byte, the first in the lowest byte, not yet ASCII.
///
/// Divides two halves at once, then four quarters, by multiplying: 10486 / 2^20 is 1/100 exactly
/// enough for numbers below 10^4, and 103 / 2^10 is 1/10 for numbers below 10^2.
#[inline(always)]
fn eight(n: u32) -> u64 {
    let n = u64::from(n);
    let high = n / 10_000;
    let halves = high | ((n - high * 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((quarters - tens * 10) << 8)
}

const ASCII: u64 = 0x3030_3030_3030_3030;

/// Eight digits in ASCII, the first in the lowest byte.
#[inline(always)]
pub(crate) fn all_eight(n: u32) -> u64 {
    eight(n) | ASCII
}

/// For numbers with the highest bit i: what to add so that bits 32 and above are how many digits.
const COUNT: [u64; 32] = {
    let mut table = [0; 32];
    let mut bit = 0;
    let mut digits = 1;
    let mut power = 10_u64;
    while bit < 32 {
        if (1 << bit) >= power {
            digits += 1;
            power *= 10;
        }
        let crosses = power < 1 << (bit + 1);
        table[bit] = if crosses {
            ((digits + 1) << 32) - power
        } else {
            digits << 32
        };
        bit += 1;
    }
    table
};

/// How many digits a number has. Shorter to compute than the digits, which matters: where the
/// next value goes depends on it, and the digits themselves can follow while that is written.
#[inline(always)]
fn count(n: u32) -> usize {
    let highest = (n | 1).ilog2() as usize & 31;
    ((u64::from(n) + COUNT[highest]) >> 32) as usize
}

/// The digits of a number below 10^8 without leading zeros, in ASCII, and how many they are.
#[inline(always)]
fn up_to_eight(n: u32) -> (u64, usize) {
    let len = count(n);
    let zeros = 8_u32.wrapping_sub(len as u32) & 7;
    (all_eight(n) >> (zeros * 8), len)
}

#[inline(always)]
fn put(out: &mut [u8; WINDOW], at: usize, digits: u64) {
    if let Some(place) = out.get_mut(at..at + 8) {
        place.copy_from_slice(&digits.to_le_bytes());
    }
}

/// Writes a number's digits at the start of a window, of which any byte may change; gives how many.
#[inline(always)]
pub(crate) fn write(n: u64, out: &mut [u8; WINDOW]) -> usize {
    const E8: u64 = 100_000_000;
    if n < E8 {
        let (digits, len) = up_to_eight(n as u32);
        put(out, 0, digits);
        return len;
    }
    let high = n / E8;
    let low = (n - high * E8) as u32;
    let at = if high < E8 {
        let (digits, len) = up_to_eight(high as u32);
        put(out, 0, digits);
        len
    } else {
        let top = high / E8;
        let (digits, len) = up_to_eight(top as u32);
        put(out, 0, digits);
        put(out, len, all_eight((high - top * E8) as u32));
        len + 8
    };
    put(out, at, all_eight(low));
    at + 8
}

/// Adds a number's digits to a text.
pub(crate) fn push(n: u64, out: &mut String) {
    let mut window = [0; WINDOW];
    let len = write(n, &mut window);
    out.extend(window.iter().take(len).map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(n: u64) -> String {
        let mut out = String::new();
        push(n, &mut out);
        out
    }

    #[test]
    fn edges() {
        for power in 0..20 {
            let n = 10_u64.pow(power);
            for n in [n - 1, n, n + 1] {
                assert_eq!(text(n), n.to_string());
            }
        }
        assert_eq!(text(u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn digits_are_counted() {
        for power in 0..10 {
            let n = 10_u32.pow(power);
            for n in [n - 1, n, n + 1, n * 2] {
                assert_eq!(count(n), n.to_string().len(), "{n}");
            }
        }
        assert_eq!(count(u32::MAX), 10);
    }

    #[test]
    fn every_group_of_four() {
        for n in 0..10_000 {
            assert_eq!(text(n), n.to_string());
            let spread = n as u32 * 10_000 + 9_999 - n as u32;
            assert_eq!(
                all_eight(spread).to_le_bytes(),
                format!("{spread:08}").as_bytes()
            );
        }
    }

    proptest! {
        #[test]
        fn any_number(n: u64, shift in 0..64_u32) {
            prop_assert_eq!(text(n >> shift), (n >> shift).to_string());
        }
    }
}
