//! Any text as `gadget.yaml`.
#![no_main]

use ig_bundle::Manifest;
use ig_bundle::build::generate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse("gadget.yaml", text) {
        let _ = generate::wit(&manifest);
        let _ = manifest.check_without_guest();
    }
});
