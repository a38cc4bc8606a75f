//! How quickly the disk of this member's log takes what is written: a disk that stands still is noticed while it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A write that takes this long is no longer slow: the disk stands still.
pub const STALLED: Duration = Duration::from_secs(1);

/// The writes that are under way.
#[derive(Default)]
pub struct Pace {
    writes: Mutex<Writes>,
    begins: Notify,
}

#[derive(Default)]
struct Writes {
    next: u64,
    begun: BTreeMap<u64, Instant>,
    /// Somebody waits for the next one.
    awaited: bool,
}

/// A write that is under way until this is dropped.
pub struct Write {
    pace: Arc<Pace>,
    number: u64,
}

impl Pace {
    /// A write begins.
    pub fn begin(self: &Arc<Self>) -> Write {
        let mut writes = self.writes.lock();
        let number = writes.next;
        writes.next += 1;
        writes.begun.insert(number, Instant::now());
        if std::mem::take(&mut writes.awaited) {
            self.begins.notify_one();
        }
        Write { pace: self.clone(), number }
    }

    /// For how long the oldest write has been under way.
    pub fn oldest(&self) -> Option<Duration> {
        self.writes.lock().begun.first_key_value().map(|(_, begun)| begun.elapsed())
    }

    /// How many writes have begun.
    pub fn count(&self) -> u64 {
        self.writes.lock().next
    }

    /// Waits until more than so many writes have begun: nobody looks at a disk to which nothing is written.
    pub async fn more_than(&self, count: u64) {
        {
            let mut writes = self.writes.lock();
            if writes.next > count {
                return;
            }
            writes.awaited = true;
        }
        self.begins.notified().await;
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.pace.writes.lock().begun.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_write_counts_until_it_ends() {
        let pace = Arc::<Pace>::default();
        assert_eq!(pace.oldest(), None);
        let first = pace.begin();
        tokio::time::advance(Duration::from_millis(700)).await;
        let second = pace.begin();
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.oldest(), Some(Duration::from_millis(1100)));
        drop(first);
        assert_eq!(pace.oldest(), Some(Duration::from_millis(400)));
        drop(second);
        assert_eq!(pace.oldest(), None);
        let waiting = tokio::spawn({
            let pace = pace.clone();
            async move { pace.more_than(2).await }
        });
        pace.more_than(1).await;
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!waiting.is_finished());
        drop(pace.begin());
        waiting.await.expect("it ends with the third write");
    }
}
