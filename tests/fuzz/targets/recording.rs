//! Any bytes as a recording: entries until an error or the end; and once more with lengths, numbers and checksums of its
//! chunks that are right, which would otherwise keep a fuzzer out.
#![no_main]

use ig_records::recording::{Reader, check};
use libfuzzer_sys::fuzz_target;

/// Mark and version; a chunk's header (`docs/recording-format.md`).
const START: usize = 12;
const HEADER: usize = 24;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    read(&mended(bytes));
});

fn read(bytes: &[u8]) {
    let _ = check(bytes);
    let Ok(mut reader) = Reader::new(bytes) else {
        return;
    };
    while let Ok(Some(_)) = reader.next() {}
}

fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let (mut at, mut number) = (START, 0_u32);
    while let Some(header) = bytes.get(at..at + HEADER) {
        let stored = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
        let end = bytes.len().min(at + HEADER + stored);
        let stored = u32::try_from(end - at - HEADER).expect("a short input");
        bytes[at + 4..at + 8].copy_from_slice(&number.to_le_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&stored.to_le_bytes());
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&bytes[at..at + 20]);
        checksum.update(&bytes[at + HEADER..end]);
        bytes[at + 20..at + HEADER].copy_from_slice(&checksum.finalize().to_le_bytes());
        (at, number) = (end, number + 1);
    }
    bytes
}
