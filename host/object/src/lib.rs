//! An eBPF object's bytes: ELF and BTF walker, struct layouts, made ready for the loader.
