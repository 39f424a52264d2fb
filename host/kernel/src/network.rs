//! Network namespaces: which there are, and doing something in one.

mod list;
mod visitor;

pub use list::{ListError, NetworkNamespace, NetworkNamespaces, OpenError, OpenNamespace};
pub use visitor::Visitor;
