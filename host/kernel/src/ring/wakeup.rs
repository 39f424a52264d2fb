//! Being woken from a nap when a ring fills: the consumer writes where the producers have to get, and the headers'
//! macros look there with each record (`struct gadget_wakeup`).

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::cursor::Shared;
use super::mapping::{Mapping, Words};
use super::{RingError, kind};
use crate::map::Map;
use crate::sys::bpf::F_MMAPABLE;

/// Suffix of the map beside a ring through which its consumer asks to be woken.
pub const WAKEUP_SUFFIX: &str = "_wakeup";

/// One ring's. Only a consumer that naps may ask.
#[derive(Clone)]
pub(crate) struct Wakeup {
    ring: Arc<Mapping>,
    /// `struct gadget_wakeup` of the headers: the position that the producers compare theirs with (0 for none), and the
    /// last one for which a producer has woken the consumer.
    words: Arc<Words>,
}

impl std::fmt::Debug for Wakeup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wakeup")
            .field("at", &self.words.first().load(Ordering::Relaxed))
            .field("done", &self.words.second().load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl Wakeup {
    /// `None` for a map that is not what the headers declare: it belongs to somebody else.
    pub(super) fn open(map: &Map, ring: &Arc<Mapping>) -> Result<Option<Self>, RingError> {
        let info = map.fd().info();
        if info.kind != kind::ARRAY
            || info.value_size != Words::SIZE
            || info.flags & F_MMAPABLE == 0
        {
            return Ok(None);
        }
        let words = Words::map(map.fd().as_fd(), true).map_err(|error| RingError::Wakeup {
            map: map.name().to_owned(),
            error,
        })?;
        Ok(Some(Self {
            ring: Arc::clone(ring),
            words: Arc::new(words),
        }))
    }

    /// Asks to be woken when half of the ring is full; false if it is already, and nobody will wake then.
    ///
    /// A record that is reserved before the programs see this is seen here, or the next one sees it: they compare
    /// positions, which only grow, so one that was missed is made up for by each that follows.
    pub(crate) fn ask(&self) -> bool {
        let half = self.ring.size() as u64 / 2;
        let at = self.ring.consumer().wrapping_add(half);
        self.words.first().store(at, Ordering::Release);
        fence(Ordering::SeqCst);
        let room = at.wrapping_sub(self.ring.producer());
        if room == 0 || room > half {
            self.cancel();
            return false;
        }
        true
    }

    /// Nobody is to wake any more.
    pub(crate) fn cancel(&self) {
        self.words.first().store(0, Ordering::Release);
    }
}
