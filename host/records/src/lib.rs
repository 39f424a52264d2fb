//! What the kernel hands over: span framing and the built-in decoder.

pub mod decode;
pub mod span;
