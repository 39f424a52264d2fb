//! What a gadget is: manifest, OCI layout, archive, build and inspection.
//!
//! Nothing here runs a gadget's code or makes a privileged call, and nothing here trusts a bundle's bytes.
//!
//! - [`manifest`]: `gadget.yaml`, read strictly and checked against an eBPF object;
//! - [`oci`]: the file around a gadget's parts, read and written;
//! - [`component`]: what a guest imports and exports;
//! - [`Bundle`]: the parts for one architecture, checked against each other;
//! - [`inspect`]: everything in a bundle;
//! - [`several`]: the gadgets of one run;
//! - [`build`]: from a gadget's folder to its bundle.

pub mod build;
mod bundle;
pub mod component;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
pub mod inspect;
pub mod manifest;
pub mod oci;
pub mod several;

pub use bundle::Bundle;
pub use manifest::Manifest;
pub use oci::{Arch, BundleError};
