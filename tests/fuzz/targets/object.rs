//! Any bytes as an eBPF object: what the host learns from it, and what it makes of it for the loader.
#![no_main]

use ig_object::{Object, PrepareOptions, prepare};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = Object::parse(bytes) else {
        return;
    };
    let _ = (object.licence(), object.params(), object.core_relocations());
    for tracer in object.tracers() {
        let _ = object.btf().layout(&tracer.struct_name);
    }
    for (id, _) in object.btf().types().take(10_000) {
        let _ = object.btf().layout_of(id);
        let _ = object.btf().size_of(id);
    }
    let names: Vec<&str> = object.programs().iter().map(|p| p.name.as_str()).collect();
    for drop in [&[][..], &names[..names.len().min(1)]] {
        // What was prepared is an object again.
        if let Ok(prepared) = prepare(bytes, &PrepareOptions { drop }) {
            let _ = Object::parse(&prepared.bytes);
        }
    }
});
