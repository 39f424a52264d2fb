//! Any bytes as a bundle: parsed or refused. See `documents` for bundles whose digests are right.
#![no_main]

use ig_bundle::oci::Archive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Archive::parse("fuzz.oci", bytes);
});
