//! The consumer of a BPF ring buffer: records are handed over in spans, as they lie in the mapped ring, and given
//! back once a span instead of once a record. Measured on a storm of 128-byte records, that is what makes both the
//! consumer and the traced program several times cheaper.

mod cursor;
mod mapping;
mod wakeup;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ig_records::span::Span;

pub use cursor::Damaged;
use cursor::{Cursor, Shared, Walked};
use mapping::Mapping;
pub(crate) use mapping::Words;
pub use wakeup::WAKEUP_SUFFIX;
pub(crate) use wakeup::Wakeup;

use crate::map::Map;
use crate::sys::bpf::{F_RB_OVERWRITE, MapInfo, kind};

/// Why a ring buffer can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The object has no map of that name.
    #[error("the object has no map {map:?}: check the map's name in the manifest")]
    NoSuchMap {
        /// As asked for.
        map: String,
    },
    /// A second consumer would give back memory that the first one still reads.
    #[error("the ring buffer {map:?} is being read already: open it once")]
    Taken {
        /// Name of the map.
        map: String,
    },
    /// Not BPF_MAP_TYPE_RINGBUF.
    #[error(
        "the map {map:?} is of type {kind}, not a ring buffer (27): declare it with BPF_MAP_TYPE_RINGBUF"
    )]
    NotARing {
        /// Name of the map.
        map: String,
        /// `enum bpf_map_type`.
        kind: u32,
    },
    /// In such a ring, records change while they are read.
    #[error(
        "the ring buffer {map:?} is in overwrite mode, which is not supported: remove BPF_F_RB_OVERWRITE"
    )]
    Overwrites {
        /// Name of the map.
        map: String,
    },
    /// The kernel did not let us.
    #[error("cannot map the ring buffer {map:?} ({size} bytes): {error}")]
    Map {
        /// Name of the map.
        map: String,
        /// Of its data, in bytes.
        size: u32,
        /// What the system said.
        error: io::Error,
    },
    /// The kernel did not let us map the word through which the consumer asks to be woken.
    #[error("cannot map {map:?}, through which the ring's consumer asks to be woken: {error}")]
    Wakeup {
        /// Name of the map.
        map: String,
        /// What the system said.
        error: io::Error,
    },
    /// Its memory holds what the kernel can't have written.
    #[error("ring buffer {map:?}: {damaged}")]
    Damaged {
        /// Name of the map.
        map: String,
        /// What is wrong where.
        damaged: Damaged,
    },
}

/// How much one span may cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// In bytes, headers and padding included. A single record that is longer is a span of its own.
    pub bytes: usize,
    /// Discarded ones included; at least one.
    pub records: u32,
}

impl SpanLimits {
    /// The longest span of any ring, in bytes: what a guest's memory grows by for good.
    pub const BYTES: usize = 64 * 1024;
    /// Most records of a span: more buy nothing.
    pub const RECORDS: u32 = 1024;

    /// A quarter of the ring, but never more than [`SpanLimits::BYTES`] and [`SpanLimits::RECORDS`].
    #[must_use]
    pub fn for_ring(size: usize) -> Self {
        Self {
            bytes: (size / 4).min(Self::BYTES),
            records: Self::RECORDS,
        }
    }
}

/// Records as they lie in the ring, one behind the other, all of them finished.
#[derive(Clone, Copy, Debug)]
pub struct SpanRef<'ring> {
    /// Headers, payloads and padding: contiguous also where the ring wraps around.
    pub bytes: &'ring [u8],
    /// How many, discarded ones included.
    pub records: u32,
    /// How many of them the program threw away.
    pub discarded: u32,
    /// Records behind these were there already when they were walked over, finished or not. Without, the consumer has
    /// caught up and may nap ([`Waiter::nap`](crate::Waiter::nap)).
    pub more: bool,
}

impl<'ring> SpanRef<'ring> {
    /// To walk over the records.
    #[must_use]
    pub fn span(&self) -> Span<'ring> {
        Span(self.bytes)
    }
}

/// A ring buffer and where its one consumer stands. It stays readable after the programs were detached.
pub struct Ring {
    name: String,
    mapping: Arc<Mapping>,
    cursor: Cursor,
    fd: OwnedFd,
    wakeup: Option<Wakeup>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("name", &self.name)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// With the map through which it asks to be woken, if the object has one. The caller sees to it that a map gets no
    /// second consumer.
    pub(crate) fn open(
        name: &str,
        fd: OwnedFd,
        info: &MapInfo,
        wakeup: Option<&Map>,
    ) -> Result<Self, RingError> {
        let map = || name.to_owned();
        if info.kind != kind::RINGBUF {
            return Err(RingError::NotARing {
                map: map(),
                kind: info.kind,
            });
        }
        if info.flags & F_RB_OVERWRITE != 0 {
            return Err(RingError::Overwrites { map: map() });
        }
        let mapping = Mapping::new(fd.as_fd(), info.max_entries as usize).map_err(|error| {
            RingError::Map {
                map: map(),
                size: info.max_entries,
                error,
            }
        })?;
        let mapping = Arc::new(mapping);
        let cursor = Cursor::new(mapping.consumer(), mapping.size());
        let wakeup = match wakeup {
            Some(map) => Wakeup::open(map, &mapping)?,
            None => None,
        };
        Ok(Self {
            name: map(),
            mapping,
            cursor,
            fd,
            wakeup,
        })
    }

    /// Name of its map.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of its data, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.mapping.size()
    }

    /// What a span of this ring is limited to by default.
    #[must_use]
    pub fn limits(&self) -> SpanLimits {
        SpanLimits::for_ring(self.size())
    }

    /// The records behind the last span: as many as are finished in a row and the limits allow, at least one.
    /// `None`: nothing is there, or the next record is still being written; a wake-up will follow when it is there.
    /// Until then nobody is woken, so go on until `None` before [`Waiter::wait`](crate::Waiter::wait).
    ///
    /// What the last span covered is given back first, unless [`Ring::publish`] did it. Nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`RingError::Damaged`] when the memory can't be walked; the ring is of no use then.
    #[inline]
    pub fn span(&mut self, limits: SpanLimits) -> Result<Option<SpanRef<'_>>, RingError> {
        match self
            .cursor
            .walk(&*self.mapping, limits.bytes, limits.records)
        {
            Ok(None) => Ok(None),
            Ok(Some(Walked {
                start,
                length,
                records,
                discarded,
                more,
            })) => {
                // SAFETY: walk loaded the header of every record in this range with Acquire and found it finished.
                // They are released by `publish` or the next `span` only, and both need `self` mutably, which the
                // slice's lifetime forbids. There is no other consumer of this map (see `open`).
                #[allow(unsafe_code, reason = "the range was just walked")]
                let bytes = unsafe { self.mapping.bytes(start, length) };
                Ok(Some(SpanRef {
                    bytes,
                    records,
                    discarded,
                    more,
                }))
            }
            Err(damaged) => Err(RingError::Damaged {
                map: self.name.clone(),
                damaged,
            }),
        }
    }

    /// Gives what the last span covered back to the producers (8 bytes stay until [`Ring::span`] gives `None`). Once a
    /// span, and as soon as its bytes were copied.
    #[inline]
    pub fn publish(&mut self) {
        self.cursor.release(&*self.mapping);
    }

    /// How a nap is ended when this ring fills; `None` if its programs can't do that.
    pub(crate) fn wakeup(&self) -> Option<Wakeup> {
        self.wakeup.clone()
    }

    /// Bytes that programs have reserved or written and that no span has covered yet. Busy records count, so that
    /// after detaching, zero means that nothing can follow.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.cursor.backlog(&*self.mapping)
    }

    /// The producers' position: bytes reserved since the ring was made.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.mapping.producer()
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
