//! What is loaded in the kernel, asked of bpf(2) itself: the program under test is not believed.

#![allow(
    unsafe_code,
    reason = "bpf(2) has no safe face, and the crate that has one is under test here"
)]

use std::collections::BTreeSet;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

// Commands of `enum bpf_cmd`, linux/bpf.h.
const BPF_PROG_GET_NEXT_ID: u32 = 11;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_MAP_GET_FD_BY_ID: u32 = 14;
const BPF_OBJ_GET_INFO_BY_FD: u32 = 15;
const BPF_LINK_GET_FD_BY_ID: u32 = 30;

/// Offset and size of `name` in `struct bpf_prog_info`, linux/bpf.h.
const PROG_INFO_NAME: usize = 64;
const PROG_NAME_LENGTH: usize = 16;

/// Ids of what a process holds in the kernel. Ids are handed out in a circle, so that one is not
/// given again soon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Programs, those held through a link too.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links.
    pub links: BTreeSet<u32>,
}

impl Held {
    /// Adds what process `pid` holds now, read from the descriptions of its open files.
    pub fn observe(&mut self, pid: u32) {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else {
            return;
        };
        for entry in entries.flatten() {
            let Ok(text) = std::fs::read_to_string(entry.path()) else {
                continue;
            };
            for line in text.lines() {
                let Some((key, value)) = line.split_once(':') else {
                    continue;
                };
                let Ok(id) = value.trim().parse::<u32>() else {
                    continue;
                };
                match key {
                    "prog_id" => self.programs.insert(id),
                    "map_id" => self.maps.insert(id),
                    "link_id" => self.links.insert(id),
                    _ => false,
                };
            }
        }
    }

    /// What of it the kernel still has.
    #[must_use]
    pub fn left(&self) -> Self {
        let still = |ids: &BTreeSet<u32>, command: u32| {
            ids.iter()
                .copied()
                .filter(|id| by_id(command, *id).is_some())
                .collect()
        };
        Self {
            programs: still(&self.programs, BPF_PROG_GET_FD_BY_ID),
            maps: still(&self.maps, BPF_MAP_GET_FD_BY_ID),
            links: still(&self.links, BPF_LINK_GET_FD_BY_ID),
        }
    }

    /// Waits until all of it is gone: the kernel frees it after a grace period. Panics when it
    /// stays.
    pub fn assert_gone(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let left = self.left();
            if left == Self::default() {
                return;
            }
            assert!(
                Instant::now() < until,
                "left behind in the kernel: {left:?} of {self:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Ids and names of all loaded programs (15 bytes of the function's name).
#[must_use]
pub fn programs() -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut id = 0_u32;
    loop {
        // struct { start_id, next_id, open_flags }
        let mut attr = [id, 0, 0];
        if bpf(BPF_PROG_GET_NEXT_ID, &mut attr).is_none() {
            return found;
        }
        id = attr[1];
        if let Some(name) = by_id(BPF_PROG_GET_FD_BY_ID, id).and_then(|fd| program_name(&fd)) {
            found.push((id, name));
        }
    }
}

/// Whether a process holds a link of a program of this name (15 bytes at most): then that program runs.
#[must_use]
pub fn is_attached(pid: u32, program: &str) -> bool {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo"));
    entries.into_iter().flatten().flatten().any(|entry| {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let number = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key));
            value.and_then(|value| value.trim().parse::<u32>().ok())
        };
        number("link_id:").is_some()
            && number("prog_id:")
                .and_then(|id| by_id(BPF_PROG_GET_FD_BY_ID, id))
                .and_then(|fd| program_name(&fd))
                .is_some_and(|name| name == program)
    })
}

/// Loaded programs whose name begins with `start` and that no process holds: left behind, or about
/// to be freed. Those of runs that go on meanwhile do not count.
#[must_use]
pub fn orphans(start: &str) -> Vec<(u32, String)> {
    let mut loaded = programs();
    loaded.retain(|(_, name)| name.starts_with(start));
    if loaded.is_empty() {
        return loaded;
    }
    let mut held = Held::default();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        if let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            held.observe(pid);
        }
    }
    loaded.retain(|(id, _)| !held.programs.contains(id));
    loaded
}

/// Waits until there are no [`orphans`]. Panics when one stays.
pub fn assert_no_orphans(start: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let left = orphans(start);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "loaded, and nobody's: {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn by_id(command: u32, id: u32) -> Option<OwnedFd> {
    // struct { id, next_id, open_flags }
    let fd = bpf(command, &mut [id, 0, 0])?;
    let fd = i32::try_from(fd).ok()?;
    // SAFETY: these commands answer with a descriptor that is new and nobody else's.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn program_name(fd: &OwnedFd) -> Option<String> {
    let mut info = [0_u8; 256];
    let address = info.as_mut_ptr() as u64;
    // struct { bpf_fd, info_len, info (u64) }
    let mut attr = [
        u32::try_from(fd.as_raw_fd()).ok()?,
        u32::try_from(info.len()).ok()?,
        (address & 0xffff_ffff) as u32,
        (address >> 32) as u32,
    ];
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    let name = info.get(PROG_INFO_NAME..PROG_INFO_NAME + PROG_NAME_LENGTH)?;
    let name = name.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// One call of bpf(2); `None` on any error.
fn bpf(command: u32, attr: &mut [u32]) -> Option<i64> {
    // SAFETY: the kernel reads and writes `size` bytes at `attr`, which are there; the only pointer
    // inside one of them, of BPF_OBJ_GET_INFO_BY_FD, names a buffer that outlives the call with its
    // length beside it.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    (answer >= 0).then_some(answer)
}
