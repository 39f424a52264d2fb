//! Maps whose key and value sizes are known at run time only.

use std::io;
use std::os::fd::OwnedFd;

use crate::sys::bpf::{MapFd, kind};

/// Why a map could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The object has no map of that name.
    #[error("the object has no map {map:?}: check the map's name in the manifest")]
    NoSuchMap {
        /// As asked for.
        map: String,
    },
    /// A key or a value of another length than the map has.
    #[error("the {what} for the map {map:?} has {given} bytes, the map's has {wanted}")]
    Length {
        /// Name of the map.
        map: String,
        /// Key or value.
        what: &'static str,
        /// Bytes handed in.
        given: usize,
        /// Bytes that the map has.
        wanted: usize,
    },
    /// The map is full.
    #[error("the map {map:?} is full ({max_entries} entries): enlarge it or delete entries")]
    Full {
        /// Name of the map.
        map: String,
        /// Entries it was made for.
        max_entries: u32,
    },
    /// All entries together are more than the caller wants at once.
    #[error("the entries of the map {map:?} are more than {limit} bytes")]
    TooLarge {
        /// Name of the map.
        map: String,
        /// In bytes, with framing.
        limit: usize,
    },
    /// This type of map has no entries to walk over.
    #[error("a map of type {kind} (of enum bpf_map_type) can't be read as a whole: {map:?}")]
    Unreadable {
        /// Name of the map.
        map: String,
        /// `enum bpf_map_type`.
        kind: u32,
    },
    /// The kernel refused.
    #[error("cannot {action} the map {map:?}: {error}")]
    System {
        /// Name of the map.
        map: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

/// What to do about an entry that is or is not there (`BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// Make it or replace it.
    #[default]
    Any,
    /// Only make it.
    Insert,
    /// Only replace it.
    Replace,
}

/// How many entries one batch asks for at first.
const BATCH: u32 = 256;
/// No batch's keys and values take more than this, in bytes, unless a single hash bucket does.
const BATCH_BYTES: usize = 1 << 20;

/// A map of a loaded object, with bytes for keys and values. Values of per-CPU maps are those of all possible CPUs,
/// one behind the other, each padded to 8 bytes.
#[derive(Debug)]
pub struct Map {
    name: String,
    fd: MapFd,
}

impl Map {
    pub(crate) fn open(name: &str, fd: OwnedFd, possible_cpus: usize) -> Result<Self, MapError> {
        let fd = MapFd::new(fd, possible_cpus).map_err(|error| MapError::System {
            map: name.to_owned(),
            action: "ask for the sizes of",
            error,
        })?;
        Ok(Self {
            name: name.to_owned(),
            fd,
        })
    }

    pub(crate) fn fd(&self) -> &MapFd {
        &self.fd
    }

    /// As the object names it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `enum bpf_map_type` of include/uapi/linux/bpf.h.
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.fd.info().kind
    }

    /// Of a key, in bytes.
    #[must_use]
    pub fn key_size(&self) -> usize {
        self.fd.key_bytes()
    }

    /// Of a value as lookups give it and updates take it, in bytes: for per-CPU maps all possible CPUs together.
    #[must_use]
    pub fn value_size(&self) -> usize {
        self.fd.value_bytes()
    }

    /// Of the value of one CPU without padding; of the whole value for other maps. In bytes.
    #[must_use]
    pub fn value_size_per_cpu(&self) -> usize {
        self.fd.info().value_size as usize
    }

    /// Entries it was made for.
    #[must_use]
    pub fn max_entries(&self) -> u32 {
        self.fd.info().max_entries
    }

    fn system(&self, action: &'static str) -> impl FnOnce(io::Error) -> MapError {
        let map = self.name.clone();
        move |error| MapError::System { map, action, error }
    }

    fn check(&self, what: &'static str, given: usize, wanted: usize) -> Result<(), MapError> {
        if given == wanted {
            return Ok(());
        }
        Err(MapError::Length {
            map: self.name.clone(),
            what,
            given,
            wanted,
        })
    }

    /// The value of a key; `None` when there is none.
    ///
    /// # Errors
    ///
    /// The key's length is wrong or the kernel refused (a type of map that can't be looked up).
    pub fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        self.check("key", key.len(), self.key_size())?;
        let mut value = vec![0; self.value_size()];
        match self.fd.lookup(key, &mut value) {
            Ok(()) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(self.system("look up in")(error)),
        }
    }

    /// Writes a value; false when [`Update::Insert`] found the key there or [`Update::Replace`] did not.
    ///
    /// # Errors
    ///
    /// A wrong length, a full map, or the kernel refused.
    pub fn update(&self, key: &[u8], value: &[u8], mode: Update) -> Result<bool, MapError> {
        self.check("key", key.len(), self.key_size())?;
        self.check("value", value.len(), self.value_size())?;
        let error = match self.fd.update(key, value, mode as u64) {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        match (error.raw_os_error(), mode) {
            (Some(libc::EEXIST), Update::Insert) | (Some(libc::ENOENT), Update::Replace) => {
                Ok(false)
            }
            // Arrays and hashes say E2BIG for an index or a number of entries beyond their size, tries ENOSPC.
            (Some(libc::E2BIG | libc::ENOSPC), _) => Err(MapError::Full {
                map: self.name.clone(),
                max_entries: self.max_entries(),
            }),
            _ => Err(self.system("update")(error)),
        }
    }

    /// Deletes an entry; false when there was none.
    ///
    /// # Errors
    ///
    /// A wrong length, or the kernel refused (entries of arrays can't be deleted).
    pub fn delete(&self, key: &[u8]) -> Result<bool, MapError> {
        self.check("key", key.len(), self.key_size())?;
        match self.fd.delete(key) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(self.system("delete from")(error)),
        }
    }

    /// Appends every entry to `out`, framed as records: the key, padded to 8 bytes, then the value. Gives how many.
    /// Of a map that programs change meanwhile, each entry that is there all the time comes at least once; others
    /// may be missed.
    ///
    /// # Errors
    ///
    /// [`MapError::TooLarge`] when it would append more than `limit` bytes; `out` is then as it was. A map without
    /// entries to walk over (rings, queues, storages) is [`MapError::Unreadable`].
    pub fn read_all(&self, out: &mut Vec<u8>, limit: usize) -> Result<u32, MapError> {
        let readable = [
            kind::HASH,
            kind::ARRAY,
            kind::PERCPU_HASH,
            kind::PERCPU_ARRAY,
            kind::LRU_HASH,
            kind::LRU_PERCPU_HASH,
            kind::LPM_TRIE,
        ];
        if !readable.contains(&self.kind()) {
            return Err(MapError::Unreadable {
                map: self.name.clone(),
                kind: self.kind(),
            });
        }
        let mut entries = Entries {
            map: self,
            start: out.len(),
            out,
            limit,
            count: 0,
        };
        let read = match entries.in_batches() {
            Ok(true) => Ok(()),
            Ok(false) => entries.one_by_one(),
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            entries.restart();
            return Err(error);
        }
        Ok(entries.count)
    }
}

/// The entries read so far.
struct Entries<'a> {
    map: &'a Map,
    out: &'a mut Vec<u8>,
    start: usize,
    limit: usize,
    count: u32,
}

impl Entries<'_> {
    fn restart(&mut self) {
        self.out.truncate(self.start);
        self.count = 0;
    }

    fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), MapError> {
        const ZEROS: [u8; 8] = [0; 8];
        let padding = key.len().next_multiple_of(8) - key.len();
        let too_large = || MapError::TooLarge {
            map: self.map.name.clone(),
            limit: self.limit,
        };
        let room = self.limit.saturating_sub(self.out.len() - self.start);
        let length =
            (key.len() + padding + value.len()).next_multiple_of(8) + ig_records::span::HEADER;
        if length > room {
            return Err(too_large());
        }
        let parts = [key, ZEROS.get(..padding).unwrap_or_default(), value];
        ig_records::span::push(self.out, &parts).map_err(|_| too_large())?;
        self.count += 1;
        Ok(())
    }

    /// False when this kernel has no batches for this type of map (5.6 and newer have them for most).
    fn in_batches(&mut self) -> Result<bool, MapError> {
        let (key, value) = (self.map.key_size(), self.map.value_size());
        let entry = (key + value).max(1);
        let fitting = u32::try_from(BATCH_BYTES / entry).unwrap_or(BATCH).max(1);
        let mut batch = BATCH.min(fitting);
        let mut cursor = vec![0; key.max(8)];
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let mut first = true;
        loop {
            keys.resize(batch as usize * key, 0);
            values.resize(batch as usize * value, 0);
            let (count, end) =
                match self
                    .map
                    .fd
                    .lookup_batch(first, &mut cursor, &mut keys, &mut values, batch)
                {
                    Ok(read) => read,
                    Err(error) => match error.raw_os_error() {
                        // A bucket of a hash holds more than a batch: the kernel has moved nothing.
                        Some(libc::ENOSPC) if batch < self.map.max_entries() => {
                            batch = batch.saturating_mul(2).min(self.map.max_entries());
                            continue;
                        }
                        // ENOTSUPP of the kernel's own, and EINVAL before 5.6.
                        Some(libc::EINVAL | 524 | libc::EOPNOTSUPP) if first => {
                            self.restart();
                            return Ok(false);
                        }
                        _ => return Err(self.map.system("read entries of")(error)),
                    },
                };
            first = false;
            for (key, value) in keys
                .chunks_exact(key.max(1))
                .zip(values.chunks_exact(value.max(1)))
                .take(count as usize)
            {
                self.push(key, value)?;
            }
            if end || count == 0 {
                return Ok(true);
            }
        }
    }

    fn one_by_one(&mut self) -> Result<(), MapError> {
        let mut key = vec![0; self.map.key_size()];
        let mut next = vec![0; self.map.key_size()];
        let mut value = vec![0; self.map.value_size()];
        // Deleting an entry that the walk stands on sends it back to the start: bounded by the map's size, doubled.
        let most = u64::from(self.map.max_entries()) * 2;
        for step in 0..most {
            let from = (step > 0).then_some(key.as_slice());
            match self.map.fd.next_key(from, &mut next) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
                Err(error) => return Err(self.map.system("read keys of")(error)),
            }
            std::mem::swap(&mut key, &mut next);
            match self.map.fd.lookup(&key, &mut value) {
                Ok(()) => self.push(&key, &value)?,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {} // deleted meanwhile
                Err(error) => return Err(self.map.system("look up in")(error)),
            }
        }
        Ok(())
    }
}
