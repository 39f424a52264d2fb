//! The `flags` of `open(2)` as words.

/// Which machine's numbers flags have; a recording may come from another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// `amd64`.
    X86_64,
    /// `arm64`.
    Aarch64,
}

impl Arch {
    /// This machine's.
    pub const HOST: Self = if cfg!(target_arch = "aarch64") {
        Self::Aarch64
    } else {
        Self::X86_64
    };
}

const ACCESS_MODE: u64 = 0o3;
const O_DSYNC: u64 = 0o10_000;
const O_ASYNC: u64 = 0o20_000;
/// `O_SYNC` is this bit and `O_DSYNC`.
const SYNC_BIT: u64 = 0o4_000_000;
/// `O_TMPFILE` is this bit and `O_DIRECTORY`.
const TMPFILE_BIT: u64 = 0o20_000_000;

/// Equal everywhere: `include/uapi/asm-generic/fcntl.h`.
const SHARED_LOW: [(u64, &str); 6] = [
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1_000, "O_TRUNC"),
    (0o2_000, "O_APPEND"),
    (0o4_000, "O_NONBLOCK"),
];
const SHARED_HIGH: [(u64, &str); 3] = [
    (0o1_000_000, "O_NOATIME"),
    (0o2_000_000, "O_CLOEXEC"),
    (0o10_000_000, "O_PATH"),
];

/// `include/uapi/asm-generic/fcntl.h`.
const X86_64: [(u64, &str); 4] = [
    (0o40_000, "O_DIRECT"),
    (0o100_000, "O_LARGEFILE"),
    (0o200_000, "O_DIRECTORY"),
    (0o400_000, "O_NOFOLLOW"),
];
/// `arch/arm64/include/uapi/asm/fcntl.h`.
const AARCH64: [(u64, &str); 4] = [
    (0o200_000, "O_DIRECT"),
    (0o400_000, "O_LARGEFILE"),
    (0o40_000, "O_DIRECTORY"),
    (0o100_000, "O_NOFOLLOW"),
];

fn own(arch: Arch) -> &'static [(u64, &'static str)] {
    match arch {
        Arch::X86_64 => &X86_64,
        Arch::Aarch64 => &AARCH64,
    }
}

fn directory(arch: Arch) -> u64 {
    let found = own(arch).iter().find(|(_, name)| *name == "O_DIRECTORY");
    found.map_or(0, |(bit, _)| *bit)
}

/// The bits of one flag by its name; of `O_RDONLY` none. Also by the second names that libc has:
/// `O_NDELAY`, `FASYNC`, `O_RSYNC`.
#[must_use]
pub fn bits(name: &str, arch: Arch) -> Option<u64> {
    Some(match name {
        "O_RDONLY" => 0,
        "O_WRONLY" => 1,
        "O_RDWR" => 2,
        "O_SYNC" | "O_RSYNC" => SYNC_BIT | O_DSYNC,
        "O_DSYNC" => O_DSYNC,
        "O_ASYNC" | "FASYNC" => O_ASYNC,
        "O_NDELAY" => 0o4_000,
        "O_TMPFILE" => TMPFILE_BIT | directory(arch),
        _ => {
            let mut all = SHARED_LOW.iter().chain(own(arch)).chain(&SHARED_HIGH);
            all.find(|(_, other)| *other == name)?.0
        }
    })
}

/// Adds flags as `O_WRONLY|O_CREAT|O_CLOEXEC`: the access mode, then the rest; bits that have no
/// name come last, in hex. The access mode 3, which Linux has and no header names, is `0x3`.
pub fn push(flags: u64, arch: Arch, out: &mut String) {
    let mut rest = flags & !ACCESS_MODE;
    out.push_str(match flags & ACCESS_MODE {
        0 => "O_RDONLY",
        1 => "O_WRONLY",
        2 => "O_RDWR",
        _ => "0x3",
    });
    let mut take = |bits: u64, name: &str| {
        if rest & bits == bits {
            rest &= !bits;
            out.push('|');
            out.push_str(name);
        }
    };
    SHARED_LOW.iter().for_each(|(bits, name)| take(*bits, name));
    take(SYNC_BIT | O_DSYNC, "O_SYNC");
    take(O_DSYNC, "O_DSYNC");
    take(O_ASYNC, "O_ASYNC");
    take(TMPFILE_BIT | directory(arch), "O_TMPFILE");
    own(arch)
        .iter()
        .chain(&SHARED_HIGH)
        .for_each(|(bits, name)| take(*bits, name));
    if rest != 0 {
        out.push_str("|0x");
        super::push_hex(rest, out);
    }
}

/// Every flag that has a name: the name, the bits that it is about, and what they are when it is
/// set. They differ for the access modes, which are numbers in two bits.
pub(crate) fn named(arch: Arch) -> impl Iterator<Item = (&'static str, u64, u64)> {
    let own = match arch {
        Arch::X86_64 => &X86_64,
        Arch::Aarch64 => &AARCH64,
    };
    let directory = own
        .iter()
        .find(|(_, name)| *name == "O_DIRECTORY")
        .map_or(0, |(bit, _)| *bit);
    let modes = [(0, "O_RDONLY"), (1, "O_WRONLY"), (2, "O_RDWR")];
    let composed = [
        (SYNC_BIT | O_DSYNC, "O_SYNC"),
        (O_DSYNC, "O_DSYNC"),
        (0o20_000, "O_ASYNC"),
        (TMPFILE_BIT | directory, "O_TMPFILE"),
    ];
    let bits = SHARED_LOW
        .iter()
        .copied()
        .chain(composed)
        .chain(own.iter().chain(&SHARED_HIGH).copied());
    let modes = modes
        .into_iter()
        .map(|(value, name)| (name, ACCESS_MODE, value));
    modes.chain(bits.map(|(bits, name)| (name, bits, bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(flags: u64, arch: Arch) -> String {
        let mut out = String::new();
        push(flags, arch, &mut out);
        out
    }

    #[test]
    fn flags_are_words() {
        let words = |flags| words(flags, Arch::X86_64);
        assert_eq!(words(0), "O_RDONLY");
        assert_eq!(words(0o2_000_000), "O_RDONLY|O_CLOEXEC");
        assert_eq!(words(0o1_101), "O_WRONLY|O_CREAT|O_TRUNC");
        assert_eq!(words(0o4_010_002), "O_RDWR|O_SYNC");
        assert_eq!(words(0o10_002), "O_RDWR|O_DSYNC");
        assert_eq!(words(0o4_000_000), "O_RDONLY|0x100000");
        assert_eq!(words(0o20_200_002), "O_RDWR|O_TMPFILE");
        assert_eq!(words(0o12_000_000), "O_RDONLY|O_CLOEXEC|O_PATH");
        assert_eq!(words(3), "0x3");
        assert_eq!(words(1 << 40), "O_RDONLY|0x10000000000");
    }

    #[test]
    fn every_name_is_the_word_of_its_bits() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for (name, mask, value) in named(arch) {
                assert_eq!(value & mask, value);
                let shown = words(value, arch);
                let rest = shown.strip_prefix("O_RDONLY|").unwrap_or(&shown);
                assert_eq!(rest, name);
            }
            assert_eq!(named(arch).count(), 20);
        }
    }

    #[test]
    fn architectures_differ_in_four_bits() {
        assert_eq!(words(0o200_000, Arch::X86_64), "O_RDONLY|O_DIRECTORY");
        assert_eq!(words(0o200_000, Arch::Aarch64), "O_RDONLY|O_DIRECT");
        assert_eq!(words(0o40_000, Arch::X86_64), "O_RDONLY|O_DIRECT");
        assert_eq!(words(0o40_000, Arch::Aarch64), "O_RDONLY|O_DIRECTORY");
        assert_eq!(words(0o400_000, Arch::X86_64), "O_RDONLY|O_NOFOLLOW");
        assert_eq!(words(0o400_000, Arch::Aarch64), "O_RDONLY|O_LARGEFILE");
        assert_eq!(words(0o100_000, Arch::X86_64), "O_RDONLY|O_LARGEFILE");
        assert_eq!(words(0o100_000, Arch::Aarch64), "O_RDONLY|O_NOFOLLOW");
        assert_eq!(words(0o20_040_002, Arch::Aarch64), "O_RDWR|O_TMPFILE");
    }
}
