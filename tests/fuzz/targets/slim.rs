//! Any bytes as the kernel's BTF, slimmed to some types.
#![no_main]

use ig_object::btf::Btf;
use ig_object::{Needed, slim};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(btf) = Btf::parse(bytes) else {
        return;
    };
    let mut needed = Needed::default();
    let mut names = Vec::new();
    for (_, ty) in btf.types().step_by(3).take(100) {
        if !ty.name().is_empty() {
            names.push((ty.kind(), ty.name()));
        }
    }
    for (kind, name) in &names {
        needed.add(*kind, name);
    }
    if let Ok(slimmed) = slim(bytes, &needed) {
        let slimmed = Btf::parse(&slimmed).expect("what was slimmed is BTF");
        assert!(slimmed.count() <= btf.count());
        for (kind, name) in names {
            assert_eq!(
                slimmed.find(name, kind),
                btf.find(name, kind),
                "{kind:?} {name}"
            );
        }
    }
});
