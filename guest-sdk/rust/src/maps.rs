//! The gadget's own eBPF maps, as far as the manifest grants them.
//!
//! The generated crate wraps these functions in types that know keys and values.

use crate::host;
pub use crate::span::Entries;

/// The value of `key`, or `None` when there is none. A per-CPU value is all CPUs', padded to 8 bytes each.
///
/// # Errors
///
/// The host's reason.
pub fn lookup(grant: u16, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
    host::map_lookup(grant, key)
}

/// Sets the value of `key`.
///
/// # Errors
///
/// The host's reason, for example that the map is full.
pub fn update(grant: u16, key: &[u8], value: &[u8]) -> Result<(), String> {
    host::map_update(grant, key, value)
}

/// Removes `key`; false when there was none.
///
/// # Errors
///
/// The host's reason.
pub fn delete(grant: u16, key: &[u8]) -> Result<bool, String> {
    host::map_delete(grant, key)
}

/// All entries, to be read with [`Entries`].
///
/// # Errors
///
/// The host's reason, for example that they are more than the budget of one call.
pub fn read_all(grant: u16) -> Result<Vec<u8>, String> {
    host::map_read_all(grant)
}
