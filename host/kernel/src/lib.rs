//! eBPF in the running kernel: load, attach, ring consumer, maps.
