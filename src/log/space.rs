//! Whether the disk has room for what must be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::state::State;
use crate::model::LogPosition;

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
        /// Bytes of entries that the existing segments can still take; 0 if some wait already.
        available: u64,
        /// So many of them should be left to what makes room.
        reserve: u64,
    },
}

/// Bytes that an entry takes in the log beside its payload, at most.
const PER_ENTRY: u64 = 128;

impl Space {
    /// True if an entry of `bytes` would have to wait for room. With `makes_room` it may use the reserve.
    pub fn lacks(&self, bytes: u64, makes_room: bool) -> bool {
        match *self {
            Space::Enough => false,
            Space::Full { available, reserve, .. } => {
                let kept = if makes_room { 0 } else { reserve };
                bytes.saturating_add(PER_ENTRY).saturating_add(kept) > available
            }
        }
    }
}

/// A user of the same disk that stores what the log holds a second time. Its needs come before a new segment: if it has
/// no room, nothing can be purged.
pub trait Neighbour: Send + Sync {
    /// The last entry that it has taken from the log.
    fn applied(&self) -> Option<LogPosition>;
    /// Bytes of the free space that it needs for everything up to that entry and for `entries` bytes of the next ones.
    fn needs(&self, entries: u64) -> u64;
    /// The log has taken so many bytes of the free space.
    fn lost(&self, bytes: u64);
}

/// The neighbour, and what the log holds for it.
pub struct Beside {
    /// The neighbour.
    pub neighbour: Arc<dyn Neighbour>,
    /// The log's entries.
    pub state: Arc<Mutex<State>>,
}

impl Beside {
    /// Bytes of the free space that a new segment must leave, if it is filled with that many bytes of entries.
    pub fn needs(&self, segment: u64) -> u64 {
        let applied = self.neighbour.applied();
        let held = self.state.lock().weight_after(applied);
        self.neighbour.needs(held.saturating_add(segment))
    }
}

/// Called when the disk has become full, and when it has room again. It must not call the log.
pub type OnSpace = Arc<dyn Fn(Space) + Send + Sync>;

/// The reserve is this part of a segment.
const RESERVE_SHARE: u64 = 8;

/// The state of the room, shared by the writer and the makers of segments.
pub struct Gauge {
    /// The log's directory, for messages.
    dir: String,
    needed: AtomicU64,
    available: AtomicU64,
    reserve: u64,
    on_space: OnSpace,
}

impl Gauge {
    /// Starts with enough room, in the directory `dir`. `segment`: bytes of a usual segment.
    pub fn new(dir: String, segment: u64, on_space: OnSpace) -> Self {
        let reserve = segment / RESERVE_SHARE;
        Self { dir, needed: AtomicU64::new(0), available: AtomicU64::new(0), reserve, on_space }
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
            Space::Full { needed, available, .. } => {
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
            needed => {
                let available = self.available.load(Ordering::Relaxed);
                Space::Full { needed, available, reserve: self.reserve }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_for_what_makes_room() {
        let gauge = Gauge::new("log".into(), 8 << 20, Arc::new(|_| {}));
        gauge.set_available(2 << 20);
        assert!(!gauge.space().lacks(100 << 20, false), "there will be another segment");
        gauge.set_needed(8 << 20);
        let space = gauge.space();
        assert!(!space.lacks(900 << 10, false) && space.lacks(1100 << 10, false), "{space:?}");
        assert!(!space.lacks(1900 << 10, true) && space.lacks(2 << 20, true), "{space:?}");
        gauge.set_available(0);
        assert!(gauge.space().lacks(0, true), "what waits comes first");
        gauge.set_needed(0);
        assert!(!gauge.space().lacks(1 << 20, false));
    }
}
