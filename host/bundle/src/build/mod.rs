//! From a gadget's folder to its bundle.
