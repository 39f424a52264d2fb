//! What the kernel hands over: span framing, the built-in decoder, recordings.

pub mod decode;
pub mod recording;
pub mod span;
