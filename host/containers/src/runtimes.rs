//! What the runtimes' APIs say: none is asked yet.

use crate::owner::{Facts, Runtime};
use std::time::Duration;

/// What a runtime says.
#[allow(dead_code, reason = "nobody says anything yet")]
#[allow(clippy::large_enum_variant, reason = "boxed where it waits")]
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// All containers that it has: what it does not name is removed.
    Listed(Runtime, Vec<Facts>),
    /// One container is new, or more is known of it.
    Changed(Facts),
    /// It has this container no more.
    Removed(Runtime, String),
    /// It does not answer any more, and why, in one line.
    Lost(Runtime, String),
    /// It answers.
    Found(Runtime),
}

/// The connections to the runtimes.
#[derive(Debug)]
pub(crate) struct Runtimes;

impl Runtimes {
    pub(crate) fn start(
        _options: &crate::Options,
        _tell: Box<dyn Fn(Said) + Send + Sync>,
    ) -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Asks for what the disk does not know of a container; what comes of it is told.
    pub(crate) fn ask(&self, _runtime: Runtime, _id: &str, _namespace: Option<&str>) {}

    /// Waits until every runtime whose socket is there has given its first list or failed.
    pub(crate) fn ready(&self, _timeout: Duration) -> bool {
        true
    }
}
