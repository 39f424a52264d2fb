//! How ids are spread over a hash table.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// A map that has room for no more than this keeps it.
const SMALL: usize = 1 << 10;

/// Ids of cgroups and namespaces, and handles, are numbers that are counted up: one multiplication spreads them.
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

    fn write_u32(&mut self, handle: u32) {
        self.write_u64(u64::from(handle));
    }

    fn write_u64(&mut self, id: u64) {
        // 2^64 / golden ratio; the table takes its tag from the top bits and the place from the low ones.
        self.0 = (self.0 ^ id)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
}

/// Gives back the memory of a map most of whose entries are gone: a walk over it takes as long as there is room. What is
/// left has room to double.
pub(super) fn give_back<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if map.capacity() > SMALL && map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}
