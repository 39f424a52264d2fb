//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    // x86-64: there Rust links with its own linker. Elsewhere the system's may not know these.
    if var("CARGO_CFG_TARGET_ARCH") == "x86_64"
        && var("CARGO_CFG_TARGET_ENV") == "gnu"
        && var("PROFILE") == "release"
    {
        // Places that the loader fills in, as bits and not as 24 bytes each: 1.6 MiB less. The C library has to be of 2022
        // or newer, as on Debian 12 and Ubuntu 24.04.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        // Functions with the same instructions are there once.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
