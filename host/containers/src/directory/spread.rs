//! How ids are spread over a hash table.

use std::hash::{BuildHasherDefault, Hasher};

/// Ids of cgroups and namespaces are numbers that the kernel counts up: one multiplication spreads them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

pub(super) type IdHash = BuildHasherDefault<Spread>;

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // 2^64 / golden ratio; the table takes its tag from the top bits and the place from the low ones.
        self.0 = (self.0 ^ id)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
}
