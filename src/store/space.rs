//! Room on the store's disk.
//!
//! A full disk is a state, not an end: applied changes stay in memory and in the log, reads continue, and the
//! checkpoint is tried again. A reserve makes it possible to free space through the API: blocks that belong to the data
//! file already, after its end. Commands that need space (see [`super::quota`]) are refused before the reserve is used;
//! deletions and compactions use it, and the pages that they free are room, too.

use std::sync::atomic::Ordering;

use super::core::Inner;
use super::head::Layer;
use super::lmdb::Tables;
use super::room::Room;
use super::{CheckpointPolicy, Store, StoreError};
use crate::files;

/// Above this, the exact room does not matter.
const PLENTY: u64 = 4 << 30;

/// Bytes that a change needs on the disk in addition to its own: its part of pages that are copied.
const PER_CHANGE: u64 = 512;

/// With less room than this a commit takes its blocks before it is made.
const NEARLY_FULL: u64 = 256 << 20;

/// If there is room for this many bytes, there is room for any command.
const ANYTHING: u64 = 2 << 20;

impl Inner {
    /// True if the room on the disk counts; simulations have their own disks.
    pub fn measures_room(&self) -> bool {
        matches!(self.options.checkpoint, CheckpointPolicy::Background { .. })
    }

    /// Determines how much room there is, and allocates the reserve.
    pub fn look_at_space(&self) {
        let tables = self.shared.read().tables.clone();
        match tables.room() {
            Ok(Room { left, spare, reserve }) => {
                self.space.left.store(left, Ordering::Relaxed);
                self.space.spare.store(spare, Ordering::Relaxed);
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

    /// See [`Store::is_disk_full`].
    pub fn is_disk_full(&self) -> bool {
        self.space.refused.load(Ordering::Relaxed) || self.lacks_room(0)
    }

    /// See [`Store::lacks_room`].
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
        self.needed_with_reserve(cost) > left
    }

    /// Bytes for what waits for a checkpoint, for `more` bytes, and for the reserve.
    fn needed_with_reserve(&self, more: u64) -> u64 {
        let shared = self.shared.read();
        let layers = shared.frozen.iter().chain([&shared.active]);
        let waiting = layers.map(|layer| needed(&layer.read())).fold(0, u64::saturating_add);
        let needed = waiting.saturating_add(more.saturating_mul(2));
        needed.saturating_add(self.space.reserve.load(Ordering::Relaxed))
    }

    /// Takes the blocks for a commit of so many bytes before LMDB writes, on a disk where that can fail: nobody else
    /// takes them then. LMDB reports a write that was cut off as an io error, and by then somebody may have made room
    /// again; so it is noted if there is none.
    pub fn hold_room(&self, tables: &Tables, bytes: u64) {
        let is_careful = self.measures_room()
            && self.space.left.load(Ordering::Relaxed) <= bytes.saturating_add(NEARLY_FULL);
        let held = match is_careful {
            true => tables.hold(bytes, self.space.reserve.load(Ordering::Relaxed)),
            false => Ok(true),
        };
        if let Err(error) = &held {
            tracing::warn!(%error, "no blocks could be taken for a commit");
        }
        self.space.short.store(held.is_ok_and(|held| !held), Ordering::Relaxed);
    }

    /// Classifies a failed write: a full disk is tried again, everything else ends the store.
    pub fn not_written(&self, tables: &Tables, error: StoreError) -> StoreError {
        let short = self.space.short.load(Ordering::Relaxed) && error.is_io();
        if !short && !error.ran_out_in(tables.dir()) {
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

/// Bytes that a checkpoint of `layer` may need.
pub(super) fn needed(layer: &Layer) -> u64 {
    2 * layer.bytes() as u64 + needed_to_remove(layer.operations())
}

/// Bytes that changes without a value may need.
pub(super) fn needed_to_remove(changes: usize) -> u64 {
    PER_CHANGE * changes as u64
}

impl Store {
    /// True if `cost` more bytes (see [`super::quota`]) do not fit on the disk in addition to its reserve. Commands
    /// without cost can still be applied.
    pub fn lacks_room(&self, cost: u64) -> bool {
        self.0.refuses(cost)
    }

    /// True if the disk is full: a write did not fit, and there is hardly more room since.
    pub fn is_disk_full(&self) -> bool {
        self.0.is_disk_full()
    }

    /// Bytes of the free space that the store needs so that what was applied, `more` bytes of commands after it, and what
    /// makes room can be written.
    pub fn room_needed(&self, more: u64) -> u64 {
        self.0.needed_with_reserve(more).saturating_sub(self.0.space.spare.load(Ordering::Relaxed))
    }

    /// Somebody has taken so many bytes of the free space.
    pub fn lost_room(&self, bytes: u64) {
        let less = |left: u64| Some(if left > PLENTY { left } else { left.saturating_sub(bytes) });
        let _ = self.0.space.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Bytes of the disk that nobody has taken yet; [`u64::MAX`] if that cannot be told.
    pub fn available(&self) -> u64 {
        files::available(&self.0.dir).unwrap_or(u64::MAX)
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

    /// A store in the background with an entry that is not in LMDB, on a disk that has room and fails as the flag says.
    fn failing_disk() -> (Arc<AtomicBool>, Bench) {
        let broken = Arc::new(AtomicBool::new(false));
        let seen = broken.clone();
        let before_commit = move || match seen.load(Ordering::Relaxed) {
            true => Err(std::io::Error::from_raw_os_error(libc::EIO)),
            false => Ok(()),
        };
        let checkpoint = CheckpointPolicy::Background {
            interval: Duration::from_secs(3600),
            bytes: 1 << 30,
            operations: 1 << 30,
        };
        let options =
            Options { checkpoint, before_commit: Some(Arc::new(before_commit)), ..Options::default() };
        let mut bench = Bench::new(options);
        bench.put("a", "1");
        (broken, bench)
    }

    fn eio() -> StoreError {
        StoreError::lmdb("committing")(heed::Error::Io(std::io::Error::from_raw_os_error(libc::EIO)))
    }

    #[test]
    fn an_io_error_counts_as_a_full_disk_if_there_was_no_room_for_the_commit() {
        let (_, bench) = failing_disk();
        let (inner, tables) = (&bench.store.0, bench.store.0.shared.read().tables.clone());
        inner.hold_room(&tables, u64::MAX / 4);
        let full = inner.not_written(&tables, eio());
        assert!(matches!(full, StoreError::Full { .. }), "{full}");
        bench.store.health().unwrap();
        assert!(bench.store.is_disk_full());
        let other =
            StoreError::Io { what: "reading".into(), source: Arc::new(std::io::Error::other("torn")) };
        assert!(!matches!(inner.not_written(&tables, other), StoreError::Full { .. }), "any other error");
        assert!(bench.store.health().is_err());
    }

    #[test]
    fn an_io_error_ends_the_store_if_there_was_room_for_the_commit() {
        // Nearly full: the room is measured, and there is enough.
        for left in [u64::MAX, NEARLY_FULL] {
            let (broken, bench) = failing_disk();
            bench.store.0.space.left.store(left, Ordering::Relaxed);
            // The commit before this one had no room.
            bench.store.0.space.short.store(true, Ordering::Relaxed);
            broken.store(true, Ordering::Relaxed);
            let failed = bench.store.checkpoint();
            assert!(matches!(failed, Err(StoreError::Lmdb { .. })), "{failed:?}");
            assert!(bench.store.health().is_err());
        }
    }

    #[test]
    fn an_io_error_ends_a_store_that_removes_what_was_compacted() {
        let (broken, mut bench) = failing_disk();
        bench.put("a", "2");
        // The test does the work of the store's thread.
        bench.store.0.signal.request_stop();
        bench.store.0.signal.join();
        bench.run(crate::model::Command::Compact { revision: bench.store.revision() });
        bench.store.checkpoint().unwrap();
        bench.store.0.space.short.store(true, Ordering::Relaxed);
        broken.store(true, Ordering::Relaxed);
        let failed = bench.store.0.prune_all();
        assert!(matches!(failed, Err(StoreError::Lmdb { .. })), "{failed:?}");
        assert!(bench.store.health().is_err());
    }

    #[test]
    fn blocks_for_a_commit_are_taken_before_it_and_once() {
        let (_, bench) = failing_disk();
        let (inner, tables) = (&bench.store.0, bench.store.0.shared.read().tables.clone());
        inner.space.left.store(NEARLY_FULL, Ordering::Relaxed);
        let spare = || tables.room().unwrap().spare;
        let (before, bytes, reserve) = (spare(), 24 << 20, inner.space.reserve.load(Ordering::Relaxed));
        if before < reserve {
            // This file system cannot allocate in advance.
            return;
        }
        inner.hold_room(&tables, bytes);
        let held = spare();
        assert!(before < bytes && held >= bytes + reserve, "{before}, {held}");
        inner.hold_room(&tables, bytes);
        assert_eq!(spare(), held, "they are there already");
        assert!(!inner.space.short.load(Ordering::Relaxed));
    }

    #[test]
    fn what_others_take_of_the_disk_is_not_left() {
        let (_, bench) = failing_disk();
        let space = &bench.store.0.space;
        for (left, spare) in [(64 << 20, 1 << 20), (3 << 30, 0)] {
            space.left.store(left, Ordering::Relaxed);
            space.spare.store(spare, Ordering::Relaxed);
            let needed = bench.store.room_needed(1 << 20);
            // Twice the commands, the entry that waits for a checkpoint, and the reserve; not what the file has already.
            let reserve = space.reserve.load(Ordering::Relaxed);
            let all = (2 << 20) + needed_by(&bench) + reserve;
            assert_eq!(needed, all - spare);
            assert!(!bench.store.lacks_room(1 << 20));
            bench.store.lost_room(left - all);
            assert!(!bench.store.lacks_room(1 << 20));
            bench.store.lost_room(1);
            assert!(bench.store.lacks_room(1 << 20));
        }
        space.left.store(u64::MAX, Ordering::Relaxed);
        bench.store.lost_room(8 << 20);
        assert!(!bench.store.lacks_room(1 << 40), "as long as nobody has measured, there is room");
    }

    fn needed_by(bench: &Bench) -> u64 {
        needed(&bench.store.0.shared.read().active.read())
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
