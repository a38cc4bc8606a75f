//! Whether the disk has room for what must be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether the disk has room for the log's next segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// It has, or the segment exists already.
    #[default]
    Enough,
    /// It has not. Entries are appended to the existing segments, and wait when those are full; the disk is tried again
    /// regularly. Purging makes room, and so does freeing that many bytes of the disk.
    Full {
        /// Bytes of the next segment, which the disk does not have.
        needed: u64,
        /// Bytes of entries that the existing segments can still take.
        available: u64,
    },
}

/// Called when the disk has become full, and when it has room again. It must not call the log.
pub type OnSpace = Arc<dyn Fn(Space) + Send + Sync>;

/// The state of the room, shared by the writer and the makers of segments.
pub struct Gauge {
    /// The log's directory, for messages.
    dir: String,
    needed: AtomicU64,
    available: AtomicU64,
    on_space: OnSpace,
}

impl Gauge {
    /// Starts with enough room, in the directory `dir`.
    pub fn new(dir: String, on_space: OnSpace) -> Self {
        Self { dir, needed: AtomicU64::new(0), available: AtomicU64::new(0), on_space }
    }

    /// The disk has no room for a segment of `needed` bytes; 0 if it has room.
    pub fn set_needed(&self, needed: u64) {
        let before = self.needed.swap(needed, Ordering::Relaxed);
        if (before == 0) == (needed == 0) {
            return;
        }
        let (space, dir) = (self.space(), &self.dir);
        match space {
            Space::Enough => tracing::info!(dir, "the log's disk has room again"),
            Space::Full { needed, available } => {
                tracing::warn!(
                    dir,
                    needed,
                    available,
                    "the log's disk is full: no room for the next segment"
                );
            }
        }
        (self.on_space)(space);
    }

    /// The current segment can take this many bytes of entries.
    pub fn set_available(&self, available: u64) {
        self.available.store(available, Ordering::Relaxed);
    }

    /// The present state.
    pub fn space(&self) -> Space {
        match self.needed.load(Ordering::Relaxed) {
            0 => Space::Enough,
            needed => Space::Full { needed, available: self.available.load(Ordering::Relaxed) },
        }
    }
}
