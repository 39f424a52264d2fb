//! What a gadget is: manifest, OCI layout, archive, build and inspection.

pub mod build;
pub mod manifest;
