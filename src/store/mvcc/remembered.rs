//! The hashes at the last compactions. Each is computed before its compaction removes anything, and kept, so that a
//! revision has the same hash before it is compacted and afterwards: that is how members are compared (etcd,
//! mvcc/hash.go `hashStorage`). They are in memory only, as in etcd: a restart forgets them.
//!
//! A hash reads everything. The store's thread computes it part by part, with the pauses of a compaction between them.
//! Before that it removes what the previous compaction made superfluous, because that does not count. If compactions
//! come faster than they can be hashed, older ones are skipped, because only the last ten would be kept.

use std::collections::VecDeque;

use super::revision::Revision;
use crate::store::HashKv;

/// Compactions whose hashes are kept.
const REMEMBERED: usize = 10;

/// A hash in progress. The versions it counts are neither changed nor removed before it is complete, so each part may
/// use another reader.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Hashing {
    /// The revision that is hashed.
    pub hashed: i64,
    /// The previous compaction: versions that it made superfluous do not count.
    pub compacted: i64,
    /// True if it is computed for a compaction at the hashed revision.
    pub compacts: bool,
    /// Versions at or below `compacted` count if they are live at this revision; known after the first part is read.
    pub kept_at: Option<i64>,
    /// The first change that is not in the hash yet.
    pub next: Revision,
    pub crc: u32,
}

impl Hashing {
    /// The hash at a revision after a compaction at `compacted`.
    pub fn at(hashed: i64, compacted: i64) -> Self {
        let next = Revision { main: 0, sub: 0 };
        Self { hashed, compacted, compacts: false, kept_at: None, next, crc: crc32c::crc32c(b"key") }
    }

    /// The hash for a compaction at `hashed`, before it removes anything.
    pub fn of_compaction(hashed: i64, compacted: i64) -> Self {
        Self { compacts: true, ..Self::at(hashed, compacted) }
    }

    /// The hash, after it is complete.
    pub fn result(&self) -> HashKv {
        HashKv { hash: self.crc, compact_revision: self.compacted, hash_revision: self.hashed }
    }
}

/// Finished hashes and hashes that are due.
#[derive(Debug, Default)]
pub(in crate::store) struct Remembered {
    /// Ascending by revision.
    done: VecDeque<HashKv>,
    /// Compactions that were applied and need a hash, ascending; the first one is in progress.
    pub due: VecDeque<Hashing>,
}

/// The state of the hash at a compaction.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Known {
    /// It is known.
    Hash(HashKv),
    /// It is due, and continues from here.
    Due(Hashing),
}

impl Remembered {
    /// The state of the hash at this revision, if there was a compaction at it.
    pub fn at(&self, revision: i64) -> Option<Known> {
        let done = self.done.iter().find(|hash| hash.hash_revision == revision);
        let due = || self.due.iter().find(|due| due.hashed == revision);
        done.map(|hash| Known::Hash(*hash)).or_else(|| due().map(|due| Known::Due(*due)))
    }

    /// A compaction at `revision` was applied after one at `before`.
    pub fn compacts(&mut self, revision: i64, before: i64) {
        self.due.push_back(Hashing::of_compaction(revision, before));
        if self.due.len() > REMEMBERED {
            self.due.remove(1);
        }
    }

    /// Versions that compactions up to this revision made superfluous may be removed; the newest compaction is at
    /// `compacted`.
    pub fn removable(&self, compacted: i64) -> i64 {
        self.due.front().map_or(compacted, |due| due.compacted)
    }

    /// The hashes that stay valid after another state is adopted: its history is the same.
    pub fn carried(self) -> Self {
        Self { due: VecDeque::new(), ..self }
    }

    /// Records the progress of the first hash that is due.
    pub fn advanced(&mut self, hashing: Hashing, whole: bool) {
        if !whole {
            self.due[0] = hashing;
            return;
        }
        self.due.pop_front();
        self.done.push_back(hashing.result());
        if self.done.len() > REMEMBERED {
            self.done.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Command, KeyRange, Refusal};
    use crate::store::HashKv;
    use crate::store::tests::{Bench, manual};

    fn compact(bench: &mut Bench, revision: i64) {
        bench.run(Command::Compact { revision });
    }

    /// Three keys written repeatedly, one deleted sometimes, from the current revision up to `last`.
    fn write(bench: &mut Bench, last: i64) {
        for revision in bench.store.revision() + 1..=last {
            let key = ["a", "b", "c"][revision as usize % 3];
            match revision % 7 {
                0 => bench.delete(KeyRange::single(key)),
                _ => bench.put(key, revision.to_string()),
            };
            assert_eq!(bench.store.revision(), revision);
        }
    }

    #[test]
    fn a_revision_has_the_same_hash_before_and_after_it_is_compacted() {
        // Two rows per part: each hash needs several parts.
        let mut bench = Bench::new(crate::store::Options { compaction_batch: 2, ..manual() });
        let mut known: Vec<HashKv> = Vec::new();
        for round in 1..=14 {
            write(&mut bench, 5 * round);
            let before = bench.store.hash_kv(5 * round).unwrap();
            compact(&mut bench, 5 * round);
            // Before it is computed, while it is computed, and afterwards.
            assert_eq!(bench.store.hash_kv(5 * round).unwrap(), before);
            assert!(!bench.store.0.prune_slice().unwrap());
            assert_eq!(bench.store.hash_kv(5 * round).unwrap(), before);
            bench.store.prune().unwrap();
            assert_eq!(bench.store.0.shared.read().meta.pruned, 5 * round);
            known.push(before);
            let (forgotten, kept) = known.split_at(known.len().saturating_sub(10));
            for hash in kept {
                assert_eq!(bench.store.hash_kv(hash.hash_revision).unwrap(), *hash);
            }
            for hash in forgotten {
                let found = bench.store.hash_kv(hash.hash_revision);
                assert!(matches!(found, Err(Refusal::Compacted { .. })), "{found:?}");
            }
        }
    }

    #[test]
    fn compactions_that_come_at_once_are_all_hashed() {
        let mut bench = Bench::new(manual());
        write(&mut bench, 40);
        let mut known = Vec::new();
        for revision in [10, 20, 22, 39] {
            known.push(bench.store.hash_kv(revision).unwrap());
            compact(&mut bench, revision);
        }
        for _ in 0..2 {
            for hash in &known {
                assert_eq!(bench.store.hash_kv(hash.hash_revision).unwrap(), *hash);
            }
            bench.store.prune().unwrap();
        }
        for revision in 40..=70 {
            write(&mut bench, revision);
            compact(&mut bench, revision);
            assert!(bench.store.0.shared.read().remembered.due.len() <= super::REMEMBERED);
        }
        bench.store.prune().unwrap();
        assert_eq!(bench.store.0.shared.read().remembered.done.len(), super::REMEMBERED);
        assert_eq!(bench.store.0.shared.read().meta.pruned, 70);
    }

    /// The numbers are those of etcd 3.7.3. A compaction at the deletion of the last key keeps only that deletion, but
    /// a hash at its revision from before the compaction counts what the previous compaction had kept.
    #[test]
    fn a_compaction_where_the_last_key_was_deleted_is_hashed_as_etcd_does() {
        let mut bench = Bench::new(manual());
        let mut known = Vec::new();
        let mut hash = |bench: &Bench, revision| {
            let found = bench.store.hash_kv(revision).unwrap();
            known.push((found.hash, found.compact_revision));
        };
        bench.put("a", "1");
        bench.put("a", "2");
        compact(&mut bench, 3);
        bench.delete(KeyRange::single("a"));
        hash(&bench, 4);
        compact(&mut bench, 4);
        hash(&bench, 4);
        bench.put("a", "5");
        hash(&bench, 5);
        compact(&mut bench, 5);
        bench.store.prune().unwrap();
        for revision in [5, 4, 3] {
            hash(&bench, revision);
        }
        let (first, last) = ((1922329996, 3), (2956393628, 4));
        assert_eq!(known, [(573317793, 3), first, last, last, first, (535221974, -1)]);
    }

    /// A crash loses them, as in etcd; compactions that were applied and not yet durable are hashed again.
    #[test]
    fn a_compaction_that_was_not_durable_is_hashed_when_it_is_applied_again() {
        let mut bench = Bench::new(manual());
        write(&mut bench, 20);
        bench.store.checkpoint().unwrap();
        let before = bench.store.hash_kv(15).unwrap();
        let index = bench.index;
        compact(&mut bench, 15);
        let mut bench = bench.crash(manual());
        bench.index = index;
        compact(&mut bench, 15);
        bench.store.prune().unwrap();
        assert_eq!(bench.store.hash_kv(15).unwrap(), before);
        let bench = bench.crash(manual());
        assert_eq!(bench.store.hash_kv(15).unwrap().compact_revision, 15);
    }
}
