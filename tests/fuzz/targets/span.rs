//! Any bytes as a span of records.
#![no_main]

use ig_records::decode::Picked;
use ig_records::span::Span;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let span = Span(bytes);
    let (mut records, mut discarded) = (0, 0);
    for record in span.iter() {
        records += 1;
        discarded += u64::from(record.discarded);
        let start = record.offset as usize + 8;
        assert_eq!(
            bytes.get(start..start + record.payload.len()),
            Some(record.payload)
        );
    }
    match span.check() {
        Ok(counts) => assert_eq!((counts.records, counts.discarded), (records, discarded)),
        Err(_) => assert!(Picked::all(bytes).is_err()),
    }
    // Offsets that a guest might send.
    let origins: Vec<u32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| u32::from_le_bytes(*b) % 64)
        .collect();
    let _ = Picked::origins(bytes, &origins);
});
