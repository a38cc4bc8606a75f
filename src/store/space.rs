//! Room on the store's disk.
//!
//! A full disk is a state, not an end: applied changes stay in memory and in the log, reads continue, and the
//! checkpoint is tried again. A reserve makes it possible to free space through the API: blocks that belong to the data
//! file already, after its end. Commands that need space (see [`super::quota`]) are refused before the reserve is used;
//! deletions and compactions use it, and the pages that they free are room, too.

use std::sync::atomic::Ordering;

use super::StoreError;
use super::core::Inner;
use super::lmdb::Tables;

/// Above this, the exact room does not matter.
const PLENTY: u64 = 4 << 30;

/// Bytes that a change needs on the disk in addition to its own: its part of pages that are copied.
const PER_CHANGE: u64 = 512;

/// If there is room for this many bytes, there is room for any command.
const ANYTHING: u64 = 2 << 20;

impl Inner {
    /// Determines how much room there is, and allocates the reserve.
    pub fn look_at_space(&self) {
        let tables = self.shared.read().tables.clone();
        match tables.room() {
            Ok((left, reserve)) => {
                self.space.left.store(left, Ordering::Relaxed);
                self.space.reserve.store(reserve, Ordering::Relaxed);
                if !self.lacks_room(ANYTHING) {
                    self.space.refused.store(false, Ordering::Relaxed);
                }
            }
            Err(error) => {
                let dir = tables.dir().display();
                tracing::warn!(%dir, %error, "the room on the store's disk cannot be measured");
            }
        }
    }

    /// See [`super::Store::is_disk_full`].
    pub fn is_disk_full(&self) -> bool {
        self.space.refused.load(Ordering::Relaxed) || self.lacks_room(0)
    }

    /// See [`super::Store::lacks_room`].
    pub fn refuses(&self, cost: u64) -> bool {
        let lacks = self.lacks_room(cost);
        if lacks {
            self.space.refused.store(true, Ordering::Relaxed);
        }
        lacks
    }

    /// The same as a question: nothing is refused.
    fn lacks_room(&self, cost: u64) -> bool {
        let left = self.space.left.load(Ordering::Relaxed);
        if self.space.has_failed() || left > PLENTY {
            return self.space.has_failed();
        }
        let shared = self.shared.read();
        let layers = shared.frozen.iter().chain([&shared.active]).map(|layer| layer.read());
        let waiting: u64 = layers
            .map(|layer| 2 * layer.bytes() as u64 + PER_CHANGE * layer.operations() as u64)
            .fold(0, u64::saturating_add);
        let needed = waiting.saturating_add(cost.saturating_mul(2));
        needed.saturating_add(self.space.reserve.load(Ordering::Relaxed)) > left
    }

    /// Classifies a failed write: a full disk is tried again, everything else ends the store.
    pub fn not_written(&self, tables: &Tables, error: StoreError) -> StoreError {
        if !error.ran_out_in(tables.dir()) {
            return self.fail(error);
        }
        self.found_none(&error);
        StoreError::Full { what: error.to_string() }
    }

    /// Something has found no room.
    pub fn found_none(&self, error: &StoreError) {
        if !self.space.failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, dir = %self.dir.display(), "no room on the store's disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::{KeyRange, RangeQuery};
    use crate::store::tests::{Bench, manual};
    use crate::store::{CheckpointPolicy, Options, Prepared, SnapshotHeader};

    /// A disk that is full as long as the flag is set.
    fn full_disk() -> (Arc<AtomicBool>, Options) {
        let full = Arc::new(AtomicBool::new(false));
        let seen = full.clone();
        let before_commit = move || match seen.load(Ordering::Relaxed) {
            true => Err(std::io::Error::from_raw_os_error(libc::ENOSPC)),
            false => Ok(()),
        };
        (full, Options { before_commit: Some(Arc::new(before_commit)), ..manual() })
    }

    fn keys(bench: &Bench) -> i64 {
        bench.store.range(&RangeQuery::current(KeyRange::all())).unwrap().count
    }

    #[test]
    fn a_full_disk_is_waited_out_and_nothing_is_lost() {
        let (full, options) = full_disk();
        let mut bench = Bench::new(options);
        bench.put("a", "1");
        bench.store.checkpoint().unwrap();
        bench.put("b", "2");
        full.store(true, Ordering::Relaxed);
        let before = bench.store.checkpointed();
        for key in ["c", "d"] {
            assert!(matches!(bench.store.checkpoint(), Err(StoreError::Full { .. })));
            assert!(bench.store.lacks_room(0));
            // Changes in memory can be read, and more can be applied.
            bench.put(key, "3");
        }
        assert_eq!(keys(&bench), 4);
        assert_eq!(bench.store.checkpointed(), before, "the log is still needed");
        bench.store.health().unwrap();
        full.store(false, Ordering::Relaxed);
        bench.store.checkpoint().unwrap();
        assert!(!bench.store.lacks_room(0));
        assert_eq!(bench.store.checkpointed(), Some(bench.position()));
        let bench = bench.crash(manual());
        assert_eq!(keys(&bench), 4);
        assert_eq!(bench.store.revision(), 5);
    }

    /// A store in the background, and another one's state that it has loaded.
    fn prepared(options: Options) -> (Bench, Prepared) {
        let mut other = Bench::new(manual());
        other.put("theirs", "1");
        other.store.checkpoint().unwrap();
        let checkpoint = CheckpointPolicy::Background {
            interval: Duration::from_secs(3600),
            bytes: 1 << 20,
            operations: 1000,
        };
        let mut bench = Bench::new(Options { checkpoint, ..options });
        bench.put("own", "1");
        bench.store.checkpoint().unwrap();
        let prepared = bench.store.prepare(other.store.snapshot().unwrap(), |_| true).unwrap();
        (bench, prepared)
    }

    /// Waits until the store has found out that there is no room to take another state over.
    fn adopting(bench: &Bench, prepared: Prepared) -> JoinHandle<Result<SnapshotHeader, StoreError>> {
        let store = bench.store.clone();
        let adopting = std::thread::spawn(move || store.adopt(prepared));
        let begun = Instant::now();
        while !bench.store.is_disk_full() {
            assert!(!adopting.is_finished() && begun.elapsed() < Duration::from_secs(60), "it waits");
            std::thread::sleep(Duration::from_millis(1));
        }
        adopting
    }

    fn has(bench: &Bench, key: &'static str) -> bool {
        !bench.values(KeyRange::single(key), 0).is_empty()
    }

    #[test]
    fn a_state_is_taken_over_once_there_is_room() {
        let (full, options) = full_disk();
        let (bench, prepared) = prepared(options);
        full.store(true, Ordering::Relaxed);
        let adopting = adopting(&bench, prepared);
        bench.store.health().unwrap();
        assert!(has(&bench, "own") && !has(&bench, "theirs"), "the old one is served");
        full.store(false, Ordering::Relaxed);
        adopting.join().unwrap().unwrap();
        assert!(!bench.store.is_disk_full());
        let bench = bench.crash(manual());
        assert!(has(&bench, "theirs") && !has(&bench, "own"));
    }

    #[test]
    fn waiting_to_take_a_state_over_ends_with_the_process() {
        let (full, options) = full_disk();
        let (bench, prepared) = prepared(options);
        full.store(true, Ordering::Relaxed);
        let adopting = adopting(&bench, prepared);
        bench.store.stop_waiting();
        assert!(adopting.join().unwrap().is_err());
        let bench = bench.crash(manual());
        assert!(has(&bench, "own") && !has(&bench, "theirs"));
    }

    #[test]
    fn a_snapshot_that_does_not_fit_is_no_fault() {
        let (full, options) = full_disk();
        let mut other = Bench::new(manual());
        other.put("theirs", "1");
        other.store.checkpoint().unwrap();
        let bench = Bench::new(options);
        full.store(true, Ordering::Relaxed);
        let refused = bench.store.prepare(other.store.snapshot().unwrap(), |_| true).map(|_| ());
        assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
        bench.store.health().unwrap();
        let states = std::fs::read_dir(bench.dir.path()).unwrap();
        let names = states.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        assert_eq!(names.filter(|name| name.starts_with("state-")).count(), 1, "nothing of it is left");
    }

    #[test]
    fn what_is_removed_while_the_disk_is_full_counts_once() {
        let (full, options) = full_disk();
        let mut bench = Bench::new(options);
        for n in 0..20 {
            bench.put("k", vec![n; 1000]);
        }
        bench.run(crate::model::Command::Compact { revision: bench.store.revision() });
        bench.store.checkpoint().unwrap();
        bench.put("k", "last");
        full.store(true, Ordering::Relaxed);
        assert!(matches!(bench.store.checkpoint(), Err(StoreError::Full { .. })));
        assert!(matches!(bench.store.prune(), Err(StoreError::Full { .. })));
        full.store(false, Ordering::Relaxed);
        // Slices come between the checkpoint that failed and its second try.
        bench.store.prune().unwrap();
        bench.store.checkpoint().unwrap();
        assert!(!bench.store.is_compacting());
        let used = bench.store.sizes().in_use;
        let bench = bench.crash(manual());
        assert_eq!(bench.store.sizes().in_use, used);
        assert!(!bench.store.is_compacting());
    }

    #[test]
    fn a_map_that_is_too_small_is_a_full_disk() {
        let mut bench = Bench::new(Options { map_size: 1 << 20, ..manual() });
        bench.put("a", "1");
        bench.store.checkpoint().unwrap();
        bench.put("b", vec![1; 4 << 20]);
        assert!(matches!(bench.store.checkpoint(), Err(StoreError::Full { .. })));
        bench.store.health().unwrap();
        assert_eq!(keys(&bench), 2);
        assert!(bench.store.lacks_room(0));
    }

    #[test]
    fn what_does_not_fit_beside_the_reserve_lacks_room() {
        let mut bench = Bench::new(Options { map_size: 16 << 20, ..manual() });
        bench.store.0.look_at_space();
        assert!(!bench.store.lacks_room(1 << 20));
        assert!(bench.store.lacks_room(8 << 20));
        bench.put("a", vec![0; 5 << 20]);
        assert!(bench.store.lacks_room(1 << 20), "what waits for a checkpoint needs room, too");
    }
}
