//! Records framed as the BPF ring buffer frames them (kernel/bpf/ringbuf.c):
//! u32 length with the busy and discard bits, u32 page offset, payload, padding to 8.

/// Bytes before each payload (`BPF_RINGBUF_HDR_SZ`).
pub const HEADER: usize = 8;
/// The producer is still writing (`BPF_RINGBUF_BUSY_BIT`).
pub const BUSY: u32 = 1 << 31;
/// The producer threw the record away (`BPF_RINGBUF_DISCARD_BIT`).
pub const DISCARD: u32 = 1 << 30;
