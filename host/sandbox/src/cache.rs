//! Machine code of components that were compiled before.
//!
//! Loading machine code means running it, so the folder is trusted only if nobody else can have written there: it belongs
//! to the user that runs this, no other may write to it, and the same goes for each file. It is opened once and
//! everything happens relative to that, so that renaming folders on the way changes nothing. Code never comes from
//! a bundle.
//!
//! A file's name is the digest of the component and of all that decides about the code (the runtime's version, its
//! settings, the CPU's features). It holds a mark, the digest of the code, and the code; a file that was torn or changed is
//! compiled anew. Two that start at once: one compiles, the other waits for its lock. The least recently used files
//! go when the folder is full.

use std::fs::{DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::program::{LoadError, machine_code};

/// First bytes of each file; another layout gets another mark.
const MARK: [u8; 8] = *b"igcode1\n";
const HEADER: usize = MARK.len() + 32;

const DEFAULT_LIMIT: u64 = 256 << 20;

/// How long to wait for another process that compiles the same component.
const LOCK_WAIT: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_millis(5);

/// Where a program's machine code came from.
#[derive(Debug)]
#[non_exhaustive]
pub enum CacheUse {
    /// There is no cache.
    Off,
    /// From the cache.
    Hit,
    /// Compiled, and stored for the next time. `repaired`: a file was there and was no good.
    Stored {
        /// The file that was there had been torn or changed.
        repaired: bool,
    },
    /// Compiled and not stored, or not even looked for: worth a warning.
    Unusable(CacheProblem),
}

/// Why the cache could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheProblem {
    /// The folder or a file belongs to somebody else.
    #[error("{} belongs to user {owner}: compiled code there is not trusted; remove it, or choose another folder", path.display())]
    NotOurs {
        /// The folder or file.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
    },
    /// Others may write to the folder or a file.
    #[error("{} can be written by others (mode {mode:o}): compiled code there is not trusted; chmod 700, or choose another folder", path.display())]
    Writable {
        /// The folder or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The compiled component is larger than the whole cache may be.
    #[error("{size} bytes of compiled code are more than the cache may hold ({limit})")]
    TooLarge {
        /// Bytes of this component's code.
        size: u64,
        /// Bytes that the cache may hold.
        limit: u64,
    },
    /// Another process holds the lock for too long.
    #[error("{} has been locked by another process for {} s", path.display(), LOCK_WAIT.as_secs())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The machine refused something.
    #[error("can't {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which folder or file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// What a file in the cache turned out to be.
enum Found {
    Code(Component),
    Nothing,
    Bad,
}

pub(crate) struct Cache {
    folder: PathBuf,
    limit: u64,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf, limit: u64) -> Self {
        Self {
            folder,
            limit: if limit == 0 { DEFAULT_LIMIT } else { limit },
        }
    }

    /// The code of `component`: from the cache, or from `compile`, whose error alone is an error. Nothing is stored then.
    pub(crate) fn load(
        &self,
        engine: &Engine,
        component: &[u8],
        compile: impl Fn() -> Result<Vec<u8>, LoadError>,
    ) -> Result<(Component, CacheUse), LoadError> {
        let without = |problem| {
            let code = machine_code(engine, &compile()?)?;
            Ok((code, CacheUse::Unusable(problem)))
        };
        let name = key(engine, component);
        let folder = match self.open() {
            Ok(folder) => folder,
            Err(problem) => return without(problem),
        };
        // The common case takes no lock: files appear whole, by a rename.
        if let Ok(Found::Code(code)) = self.read(&folder, &name, engine) {
            return Ok((code, CacheUse::Hit));
        }
        let lock = match self.lock(&folder, &name) {
            Ok(lock) => lock,
            Err(problem) => return without(problem),
        };
        let repaired = match self.read(&folder, &name, engine) {
            Ok(Found::Code(code)) => return Ok((code, CacheUse::Hit)),
            Ok(Found::Nothing) => false,
            Ok(Found::Bad) => true,
            Err(problem) => return without(problem),
        };
        let code = compile()?;
        let cache = match self.store(&folder, &name, &code) {
            Ok(()) => CacheUse::Stored { repaired },
            Err(problem) => CacheUse::Unusable(problem),
        };
        drop(lock);
        Ok((machine_code(engine, &code)?, cache))
    }

    /// The folder, made if it is not there, and checked.
    fn open(&self) -> Result<OwnedFd, CacheProblem> {
        let path = &self.folder;
        let open = || {
            rustix::fs::open(
                path,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
                Mode::empty(),
            )
        };
        let folder = match open() {
            Err(Errno::NOENT) => {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(|e| self.io("make", parent, e))?;
                }
                match DirBuilder::new().mode(0o700).create(path) {
                    Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                        return Err(self.io("make", path, e));
                    }
                    _ => open(),
                }
            }
            opened => opened,
        }
        .map_err(|e| self.io("open", path, e.into()))?;
        self.trusted(&rustix::fs::fstat(&folder), path)?;
        Ok(folder)
    }

    /// Nobody but us can have written what lies here.
    fn trusted(
        &self,
        stat: &rustix::io::Result<rustix::fs::Stat>,
        path: &Path,
    ) -> Result<(), CacheProblem> {
        let stat = stat
            .as_ref()
            .map_err(|e| self.io("look at", path, (*e).into()))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(CacheProblem::NotOurs {
                path: path.to_owned(),
                owner: stat.st_uid,
            });
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(CacheProblem::Writable {
                path: path.to_owned(),
                mode: stat.st_mode & 0o7777,
            });
        }
        Ok(())
    }

    fn read(&self, folder: &OwnedFd, name: &str, engine: &Engine) -> Result<Found, CacheProblem> {
        let path = self.folder.join(name);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(e) => return Err(self.io("open", &path, e.into())),
        };
        self.trusted(&rustix::fs::fstat(&file), &path)?;
        let about = file.metadata().map_err(|e| self.io("look at", &path, e))?;
        if !about.is_file() || about.size() > self.limit {
            return Ok(Found::Bad);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(about.size()).unwrap_or(0) + 1);
        file.read_to_end(&mut bytes)
            .map_err(|e| self.io("read", &path, e))?;
        let Some((digest, code)) = bytes
            .strip_prefix(&MARK)
            .and_then(|rest| rest.split_first_chunk::<32>())
            .filter(|(digest, code)| Sha256::digest(code)[..] == digest[..])
        else {
            return Ok(Found::Bad);
        };
        let _ = digest;
        // SAFETY: `deserialize` runs what it is given as machine code, so it must be given only what
        // `Component::serialize` wrote. This file and the folder that was opened to reach it belong to our user
        // and no other user may write to either (`trusted`, on the open descriptors, which nobody can
        // swap), so that only programs of our own user can have put it there, and those can do to this
        // process whatever they like anyway. That it is what `store` wrote, whole, is what the mark and the digest
        // show; they guard against accidents, not against that user. wasmtime itself refuses code of another
        // version, configuration or CPU. `code` is copied by it, so later changes of the file don't matter.
        let Ok(component) = (unsafe { Component::deserialize(engine, code) }) else {
            return Ok(Found::Bad);
        };
        // Used now: the last to be evicted. No harm if it fails.
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        };
        let _ = rustix::fs::futimens(
            &file,
            &Timestamps {
                last_access: now,
                last_modification: now,
            },
        );
        Ok(Found::Code(component))
    }

    /// The right to store under this name. The lock's file goes when it is released.
    fn lock(&self, folder: &OwnedFd, name: &str) -> Result<Lock, CacheProblem> {
        let name = format!("{name}.lock");
        let path = self.folder.join(&name);
        let from = Instant::now();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            let file = rustix::fs::openat(folder, &name, flags, Mode::from_raw_mode(0o600))
                .map_err(|e| self.io("open", &path, e.into()))?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let stat = rustix::fs::fstat(&file);
                    self.trusted(&stat, &path)?;
                    // Its last owner may have removed the file between our open and our lock.
                    if stat.is_ok_and(|stat| stat.st_nlink > 0) {
                        let folder = folder
                            .try_clone()
                            .map_err(|e| self.io("open", &self.folder, e))?;
                        return Ok(Lock {
                            folder,
                            name,
                            _file: file,
                        });
                    }
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    if from.elapsed() > LOCK_WAIT {
                        return Err(CacheProblem::Locked { path });
                    }
                    std::thread::sleep(LOCK_POLL);
                }
                Err(e) => return Err(self.io("lock", &path, e.into())),
            }
        }
    }

    fn store(&self, folder: &OwnedFd, name: &str, code: &[u8]) -> Result<(), CacheProblem> {
        let path = self.folder.join(name);
        let size = (HEADER + code.len()) as u64;
        if size > self.limit {
            return Err(CacheProblem::TooLarge {
                size,
                limit: self.limit,
            });
        }
        // One writer a name, by the lock; what a killed one left is overwritten.
        let new = format!("{name}.new");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = rustix::fs::openat(folder, &new, flags, Mode::from_raw_mode(0o600))
            .map(File::from)
            .map_err(|e| self.io("make", &path, e.into()))?;
        let written = file
            .write_all(&MARK)
            .and_then(|()| file.write_all(&Sha256::digest(code)))
            .and_then(|()| file.write_all(code))
            .map_err(|e| self.io("write", &path, e))
            .and_then(|()| {
                rustix::fs::renameat(folder, &new, folder, name)
                    .map_err(|e| self.io("rename", &path, e.into()))
            });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(folder, &new, AtFlags::empty());
            return written;
        }
        self.evict(folder, name)
    }

    /// Removes the least recently used files until the rest fits. `keep` stays.
    fn evict(&self, folder: &OwnedFd, keep: &str) -> Result<(), CacheProblem> {
        let entries = rustix::fs::Dir::read_from(folder)
            .map_err(|e| self.io("list", &self.folder, e.into()))?;
        let mut files = Vec::new();
        let mut total = 0u64;
        for entry in entries {
            let entry = entry.map_err(|e| self.io("list", &self.folder, e.into()))?;
            let name = entry.file_name();
            if !name.to_bytes().ends_with(SUFFIX.as_bytes()) {
                continue;
            }
            // one that is gone meanwhile takes no room
            if let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                total = total.saturating_add(size);
                if name.to_bytes() != keep.as_bytes() {
                    files.push(((stat.st_mtime, stat.st_mtime_nsec), size, name.to_owned()));
                }
            }
        }
        files.sort_unstable();
        for (_, size, name) in files {
            if total <= self.limit {
                break;
            }
            match rustix::fs::unlinkat(folder, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => total = total.saturating_sub(size),
                Err(e) => return Err(self.io("remove a file of", &self.folder, e.into())),
            }
        }
        Ok(())
    }

    fn io(&self, what: &'static str, path: &Path, source: std::io::Error) -> CacheProblem {
        CacheProblem::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

/// Held while this process compiles and stores one component.
struct Lock {
    folder: OwnedFd,
    name: String,
    _file: OwnedFd,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked: who opens it now finds it without a link, and opens again.
        let _ = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}

const SUFFIX: &str = ".code";

/// The name of a component's file under this engine.
fn key(engine: &Engine, component: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut digest = Digester(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut digest);
    digest.0.update(Sha256::digest(component));
    let mut name = String::with_capacity(64 + SUFFIX.len());
    for byte in digest.0.finalize() {
        let _ = write!(name, "{byte:02x}");
    }
    name.push_str(SUFFIX);
    name
}

/// Lets `Hash` feed a digest that is the same in every process.
struct Digester(Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0 // nobody asks: the digest itself is used
    }
}
