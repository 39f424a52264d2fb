//! Events as `ebpf/host/cgroups.bpf.c` writes them.

/// What happened. Take it as news that may be old: a look at everything may have found what an event behind it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupEvent<'a> {
    /// Look at everything that is there, and compare: at the start, soon after it, and after losses.
    Rescan {
        /// Events since the last time that found no room.
        lost: u64,
    },
    /// A cgroup was made. Nobody is in it yet.
    Made(Made<'a>),
    /// A cgroup was removed. Nobody was in it any more; its number does not come back.
    Removed(Removed),
    /// The last process has left a cgroup and all that are below it. Others may come.
    Emptied(Emptied),
    /// For the first time since it was made, a program was executed in a cgroup outside of its maker's mount namespace.
    Entered(Entered),
}

/// A cgroup that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made<'a> {
    /// When, in nanoseconds of CLOCK_BOOTTIME.
    pub boot_ns: u64,
    /// Its number: the inode of its directory.
    pub cgroup: u64,
    /// That of the cgroup above it.
    pub parent: u64,
    /// How many are above it.
    pub level: u32,
    /// From the root of the hierarchy on, with a slash first. Bytes of whoever made it.
    pub path: &'a [u8],
    /// The path has 1,023 bytes or more, of which these are the first.
    pub path_cut: bool,
    /// Who made it.
    pub maker: Maker<'a>,
}

/// Who made a cgroup: the process, as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maker<'a> {
    /// Its number in the initial pid namespace.
    pub pid: u32,
    /// That of its parent.
    pub parent: u32,
    /// Name of its thread, up to 15 bytes.
    pub comm: &'a [u8],
    /// Inode of its mount namespace.
    pub mntns: u32,
    /// The cgroup that it is in itself, in the same hierarchy; 0 if unknown.
    pub cgroup: u64,
    /// Its arguments, a NUL behind each; empty for the kernel's own. `None`: they were not in memory.
    pub args: Option<&'a [u8]>,
    /// The arguments are longer than 1 KiB, of which this is the first.
    pub args_cut: bool,
}

/// A cgroup that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// When, in nanoseconds of CLOCK_BOOTTIME.
    pub boot_ns: u64,
    /// Its number.
    pub cgroup: u64,
}

/// A cgroup that nobody is in any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emptied {
    /// When, in nanoseconds of CLOCK_BOOTTIME.
    pub boot_ns: u64,
    /// Its number.
    pub cgroup: u64,
}

/// The first program in a cgroup, outside of its maker's mount namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// When, in nanoseconds of CLOCK_BOOTTIME.
    pub boot_ns: u64,
    /// The cgroup's number.
    pub cgroup: u64,
    /// Inode of the mount namespace; it goes to another one soon after this one ends.
    pub mntns: u32,
    /// The mount namespace's number that no other one ever has, where the kernel has such (what `NS_GET_MNTNS_ID` and
    /// `NS_GET_ID` of nsfs give).
    pub mntns_id: Option<u64>,
    /// The process, in the initial pid namespace.
    pub pid: u32,
}

const MADE: u32 = 1;
const REMOVED: u32 = 2;
const ENTERED: u32 = 3;
const EMPTIED: u32 = 4;
const PATH_CUT: u32 = 1;
const ARGS_CUT: u32 = 2;
const ARGS_UNREADABLE: u32 = 4;

/// The event in a record; nothing for bytes that the program can't have written.
pub(super) fn read(bytes: &[u8]) -> Option<CgroupEvent<'_>> {
    let flags = u32_at(bytes, 4)?;
    let boot_ns = u64_at(bytes, 8)?;
    let cgroup = u64_at(bytes, 16)?;
    Some(match u32_at(bytes, 0)? {
        MADE => {
            let path_end = 80 + usize::from(u16_at(bytes, 56)?);
            let args_end = path_end + usize::from(u16_at(bytes, 58)?);
            let comm = bytes.get(64..80)?;
            CgroupEvent::Made(Made {
                boot_ns,
                cgroup,
                parent: u64_at(bytes, 24)?,
                level: u32_at(bytes, 52)?,
                path: bytes.get(80..path_end)?,
                path_cut: flags & PATH_CUT != 0,
                maker: Maker {
                    pid: u32_at(bytes, 44)?,
                    parent: u32_at(bytes, 48)?,
                    comm: comm.split(|byte| *byte == 0).next()?,
                    mntns: u32_at(bytes, 40)?,
                    cgroup: u64_at(bytes, 32)?,
                    args: (flags & ARGS_UNREADABLE == 0).then_some(bytes.get(path_end..args_end)?),
                    args_cut: flags & ARGS_CUT != 0,
                },
            })
        }
        REMOVED => CgroupEvent::Removed(Removed { boot_ns, cgroup }),
        EMPTIED => CgroupEvent::Emptied(Emptied { boot_ns, cgroup }),
        ENTERED => CgroupEvent::Entered(Entered {
            boot_ns,
            cgroup,
            mntns: u32_at(bytes, 32)?,
            mntns_id: Some(u64_at(bytes, 24)?).filter(|id| *id != 0),
            pid: u32_at(bytes, 36)?,
        }),
        _ => return None,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_event_are_none() {
        let mut made = vec![0; 80 + 5 + 4];
        made[0] = 1;
        made[56] = 5;
        made[58] = 4;
        assert!(matches!(read(&made), Some(CgroupEvent::Made(made)) if made.path.len() == 5));
        for length in 0..made.len() {
            assert_eq!(read(&made[..length]), None, "{length}");
        }
        made[0] = 9;
        assert_eq!(read(&made), None);
    }
}
