//! How quickly the disk of this member's log takes what is written: a disk that stands still is noticed while it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A write that takes this long is no longer slow: the disk stands still.
pub const STALLED: Duration = Duration::from_secs(1);

/// Bytes of entries that a leader gives to its log ahead of the disk. The others may go on without it: then only this keeps
/// it from holding ever more entries in memory.
const AHEAD: usize = 64 << 20;

/// The writes that are under way.
#[derive(Default)]
pub struct Pace {
    writes: Mutex<Writes>,
    begins: Notify,
    catches_up: Notify,
}

#[derive(Default)]
struct Writes {
    next: u64,
    begun: BTreeMap<u64, Begun>,
    /// Their bytes.
    bytes: usize,
    /// When the last one ended.
    ended: Option<Instant>,
    /// Somebody waits for the next one.
    awaited: bool,
}

#[derive(Clone, Copy)]
struct Begun {
    at: Instant,
    /// The index of the last entry in it.
    last: Option<u64>,
    bytes: usize,
}

/// A write that is under way until this is dropped.
pub struct Write {
    pace: Arc<Pace>,
    number: u64,
}

impl Pace {
    /// A write of a vote, or of something else that is small, begins.
    pub fn begin(self: &Arc<Self>) -> Write {
        self.begin_entries(None, 0)
    }

    /// A write of so many bytes of entries begins; `last` is the index of the last one.
    pub fn begin_entries(self: &Arc<Self>, last: Option<u64>, bytes: usize) -> Write {
        let mut writes = self.writes.lock();
        let number = writes.next;
        writes.next += 1;
        writes.begun.insert(number, Begun { at: Instant::now(), last, bytes });
        writes.bytes += bytes;
        if std::mem::take(&mut writes.awaited) {
            self.begins.notify_waiters();
        }
        Write { pace: self.clone(), number }
    }

    /// For how long the disk has been at the oldest write under way: not as long as it was at another one before that.
    /// Much that is queued at once takes long, however the disk goes on.
    pub fn oldest(&self) -> Option<Duration> {
        let writes = self.writes.lock();
        let (_, oldest) = writes.begun.first_key_value()?;
        Some(oldest.at.max(writes.ended.unwrap_or(oldest.at)).elapsed())
    }

    /// The index of the last entry in the oldest write under way; `None` if that is a vote, or there is none.
    pub fn oldest_entry(&self) -> Option<u64> {
        self.writes.lock().begun.first_key_value().and_then(|(_, begun)| begun.last)
    }

    /// True if so much is given to the disk that it should catch up first.
    pub fn is_behind(&self) -> bool {
        self.writes.lock().bytes >= AHEAD
    }

    /// Returns when the disk has caught up, if it was behind; perhaps before that.
    pub async fn caught_up(&self) {
        let mut catches_up = std::pin::pin!(self.catches_up.notified());
        catches_up.as_mut().enable();
        if self.is_behind() {
            catches_up.await;
        }
    }

    /// How many writes have begun.
    pub fn count(&self) -> u64 {
        self.writes.lock().next
    }

    /// Waits until more than so many writes have begun: nobody looks at a disk to which nothing is written.
    pub async fn more_than(&self, count: u64) {
        let mut begins = std::pin::pin!(self.begins.notified());
        begins.as_mut().enable();
        {
            let mut writes = self.writes.lock();
            if writes.next > count {
                return;
            }
            writes.awaited = true;
        }
        begins.await;
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        let mut writes = self.pace.writes.lock();
        let was_behind = writes.bytes >= AHEAD;
        writes.bytes -= writes.begun.remove(&self.number).map_or(0, |begun| begun.bytes);
        writes.ended = Some(Instant::now());
        if was_behind && writes.bytes < AHEAD {
            self.pace.catches_up.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred writes are queued at once, and the disk takes a twentieth of a second for each.
    #[tokio::test(start_paused = true)]
    async fn a_disk_that_goes_on_does_not_stand_still_however_much_is_queued() {
        let pace = Arc::<Pace>::default();
        let queued: Vec<Write> = (0..100).map(|index| pace.begin_entries(Some(index), 1)).collect();
        for write in queued {
            tokio::time::advance(STALLED / 20).await;
            assert_eq!(pace.oldest(), Some(STALLED / 20));
            drop(write);
        }
        let _write = pace.begin_entries(Some(100), 1);
        tokio::time::advance(STALLED).await;
        assert_eq!(pace.oldest(), Some(STALLED));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_write_counts_until_it_ends() {
        let pace = Arc::<Pace>::default();
        assert_eq!(pace.oldest(), None);
        let first = pace.begin_entries(Some(7), 1);
        tokio::time::advance(Duration::from_millis(700)).await;
        let second = pace.begin();
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.oldest(), Some(Duration::from_millis(1100)));
        assert_eq!(pace.oldest_entry(), Some(7));
        drop(first);
        assert_eq!(pace.oldest_entry(), None, "a vote");
        assert_eq!(pace.oldest(), Some(Duration::ZERO), "it was behind the first one");
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.oldest(), Some(Duration::from_millis(400)));
        drop(second);
        assert_eq!(pace.oldest(), None);
        let waiting = [(); 2].map(|()| {
            let pace = pace.clone();
            tokio::spawn(async move { pace.more_than(2).await })
        });
        pace.more_than(1).await;
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        drop(pace.begin());
        for waiting in waiting {
            waiting.await.expect("it ends with the third write");
        }
    }
}
