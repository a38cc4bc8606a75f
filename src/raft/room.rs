//! Whether this member's disk has room for a snapshot. After a snapshot did not fit, none is received before there is
//! more room: each attempt fills the disk, and everything else that writes to it would suffer.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::peer::Pieces;
use crate::store::{Prepared, SnapshotHeader, Store, StoreError};

/// If there is this much more room than before, another attempt is made.
const MORE: u64 = 1 << 20;
/// Without more room another attempt is made after this time: the leader's state may have become smaller.
const AGAIN: Duration = Duration::from_secs(60);
/// A leader that has not asked for this long has found another way, or there is another leader.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// What is known about the room for snapshots.
#[derive(Default)]
pub struct Room(Mutex<Option<Shortage>>);

struct Shortage {
    /// The number of bytes that was not enough.
    available: u64,
    /// When that was found.
    tried: Instant,
    /// When a leader last received that answer.
    asked: Instant,
}

impl Room {
    /// Loads a snapshot, unless it is clear that there is no room for it. The inner `Err` means that there is none.
    ///
    /// # Errors
    /// The errors of [`Store::prepare`], except for a full disk.
    pub fn prepare(
        &self,
        store: &Store,
        body: Pieces,
        is_expected: impl FnOnce(&SnapshotHeader) -> bool,
    ) -> Result<Result<Prepared, String>, StoreError> {
        let before = store.available();
        if let Some(lacking) = self.lacks(before) {
            return Ok(Err(lacking));
        }
        match store.prepare(body, is_expected) {
            Ok(prepared) => {
                *self.0.lock() = None;
                Ok(Ok(prepared))
            }
            Err(error @ StoreError::Full { .. }) => {
                tracing::warn!(%error, available = before, "no room for the leader's snapshot");
                Ok(Err(self.fell_short(before.max(store.available()))))
            }
            Err(error) => Err(error),
        }
    }

    /// True while a leader waits for room for its snapshot.
    pub fn is_short(&self) -> bool {
        self.0.lock().as_ref().is_some_and(|short| short.asked.elapsed() < FORGOTTEN)
    }

    /// Why a snapshot is not received with this many bytes available; `None` if it should be tried.
    fn lacks(&self, available: u64) -> Option<String> {
        let mut known = self.0.lock();
        let now = Instant::now();
        let is_settled =
            |short: &Shortage| available < short.available.saturating_add(MORE) && now < short.tried + AGAIN;
        let short = known.as_mut().filter(|short| is_settled(short))?;
        short.asked = now;
        Some(format!("{} bytes of the disk were not enough, and {available} are free", short.available))
    }

    /// A snapshot did not fit into this many bytes. Returns the text for the leader.
    fn fell_short(&self, available: u64) -> String {
        let now = Instant::now();
        *self.0.lock() = Some(Shortage { available, tried: now, asked: now });
        format!("{available} bytes of the disk are not enough")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_did_not_fit_is_tried_with_more_room_or_much_later() {
        let room = Room::default();
        assert_eq!(room.lacks(0), None);
        room.fell_short(10 << 20);
        assert!(room.is_short());
        assert!(room.lacks(10 << 20).is_some());
        assert_eq!(room.lacks(11 << 20), None);
        tokio::time::advance(FORGOTTEN).await;
        assert!(!room.is_short(), "nobody asks any more");
        assert!(room.lacks(10 << 20).is_some_and(|why| why.contains("10485760 bytes")));
        assert!(room.is_short());
        tokio::time::advance(AGAIN - FORGOTTEN).await;
        assert_eq!(room.lacks(10 << 20), None);
    }
}
