//! What a gadget is built from, carried inside the program: the contract, the headers, the SDK's sources.

/// A file of text.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its path below the folder it comes from, with `/`.
    pub name: &'static str,
    /// What is in it.
    pub text: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
