//! Removes versions that a compaction made superfluous.
//!
//! A compaction at C takes effect when it is applied: nothing below C can be read any more. The store's thread removes
//! versions later, in slices. It walks through `history` up to C, stretch by stretch ([`super::stretch`]): for each key
//! changed there it removes the version before the change, and the change itself if it is a deletion below C. A
//! deletion at C itself stays until the next compaction, as in etcd, so that a watch from C on still sees it. The last
//! slice of a stretch also writes the position of the walk, so a restart continues from there. Before the first slice of a compaction the state at C is hashed
//! ([`super::remembered`]), in parts that take turns with slices.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use heed::RwTxn;

use super::disk::DiskVersion;
use super::fold::remove_markers;
use super::keys::{self, OldShape};
use super::records::{ChangeKind, Record, Value};
use super::revision::Revision;
use super::stretch::{Change, Pages, Stretch, next_most};
use super::written::VERSION_OVERHEAD;
use crate::store::core::Inner;
use crate::store::format::meta::Meta;
use crate::store::lmdb::Tables;
use crate::store::space::needed_to_remove;
use crate::store::tables::Id;
use crate::store::{StoreError, seams};

/// Rows of history that a slice visits on a disk that is nearly full, at most.
const SHORT_OF_ROOM: usize = 100;

impl Inner {
    /// True if a compaction has left something to remove.
    pub fn must_prune(&self) -> bool {
        let shared = self.shared.read();
        shared.meta.pruned < shared.compacted
    }

    /// Removes one slice; true if nothing is left to do.
    pub fn prune_slice(&self) -> Result<bool, StoreError> {
        let _writing = self.writing.lock();
        self.health()?;
        if !self.must_prune() {
            return Ok(true);
        }
        let (tables, mut meta) = {
            let shared = self.shared.read();
            (shared.tables.clone(), shared.meta.clone())
        };
        // Everything up to and including C must be in LMDB before a version that C made superfluous may be removed.
        if meta.pruned >= meta.compacted {
            self.checkpoint_while_writing()?;
            meta = self.shared.read().meta.clone();
        }
        let target = self.shared.read().remembered.removable(meta.compacted).min(meta.compacted);
        if meta.pruned >= target {
            self.hash_part()?;
            return Ok(false);
        }
        let begun = Instant::now();
        let whole_begun = *self.compaction_begun.lock().get_or_insert(begun);
        // A slice copies pages before it frees any, so on a nearly full disk slices are small.
        let batch = self.options.compaction_batch;
        let batch = if self.is_disk_full() { batch.min(SHORT_OF_ROOM) } else { batch };
        self.hold_room(&tables, needed_to_remove(batch));
        // It is lost if this transaction fails, and read again.
        let stretch = self.stretch.lock().take();
        let pruned = self.pace.commit(|| prune(&tables, &mut meta, target, stretch, batch));
        let (removed, stretch) = pruned.map_err(|error| self.not_written(&tables, error))?;
        let done = meta.pruned == target;
        *self.stretch.lock() = Some(stretch);
        self.space.found();
        self.figures.compaction_step.observe(begun.elapsed().as_secs_f64() * 1000.0);
        self.figures.compacted_versions.fetch_add(removed, Ordering::Relaxed);
        let idle = {
            let mut shared = self.shared.write();
            shared.meta = meta;
            self.next_generation(&mut shared)
        };
        drop(idle);
        if done {
            *self.compaction_begun.lock() = None;
            self.figures.compaction.observe(whole_begun.elapsed().as_secs_f64() * 1000.0);
            self.signal.progressed();
        }
        Ok(done && !self.must_prune())
    }

    /// Removes all superfluous versions, without pauses.
    pub fn prune_all(&self) -> Result<(), StoreError> {
        while !self.prune_slice()? {}
        Ok(())
    }

    /// Waits until the versions that a compaction at `revision` made superfluous are removed.
    pub fn wait_compacted(&self, revision: i64) -> Result<(), StoreError> {
        let is_due = || {
            let shared = self.shared.read();
            shared.meta.pruned < revision.min(shared.compacted)
        };
        if !matches!(self.options.checkpoint, crate::store::CheckpointPolicy::Background { .. }) {
            return if is_due() { self.prune_all() } else { Ok(()) };
        }
        let given_up = || self.health().is_err() || self.signal.is_stopped() || self.space.has_failed();
        self.signal.wait_while(is_due, given_up);
        if is_due() && self.space.has_failed() {
            return Err(StoreError::Full { what: "removing what was compacted".into() });
        }
        self.health()
    }
}

/// One transaction of removing up to `target`, the revision of a compaction: returns how many versions were removed, and
/// the stretch, which goes on if it is not done.
fn prune(
    tables: &Arc<Tables>,
    meta: &mut Meta,
    target: i64,
    stretch: Option<Stretch>,
    batch: usize,
) -> Result<(u64, Stretch), StoreError> {
    let mut txn = tables.write()?;
    let mut stretch = match stretch {
        Some(stretch) if stretch.is_at(tables, meta.prune_from, target) => stretch,
        before => {
            let most = next_most(before.map(|before| before.most()), batch);
            Stretch::read(tables, &txn, meta.prune_from, target, most)?
        }
    };
    let mut removal = Removal::default();
    let mut visited = 0;
    while visited < batch.max(1)
        && !removal.pages.are_enough()
        && let Some(change) = stretch.next()
    {
        let count = removal.changes.len();
        remove_before(tables, &mut txn, target, &change, &mut removal)?;
        removal.pages.changes(&stretch, &removal.changes[count..]);
        stretch.advance();
        visited += 1;
    }
    removal.remove_changes(tables, &mut txn)?;
    let before = meta.clone();
    meta.in_use = meta.in_use.saturating_sub(removal.freed);
    if stretch.next().is_none() {
        stretch.finish();
        match stretch.end() {
            Some(next) => meta.prune_from = (next.main, next.sub),
            None => {
                meta.pruned = target;
                // The next compaction visits the deletions at C again.
                meta.prune_from = (target, 0);
            }
        }
    }
    seams::pruned(&before, meta)?;
    tables.put_meta(&mut txn, meta)?;
    tables.commit(txn, "committing a compaction")?;
    Ok((removal.changes.len() as u64, stretch))
}

/// What one transaction removes.
#[derive(Default)]
struct Removal {
    /// Bytes, as they are counted for the quota.
    freed: u64,
    /// The revisions of the versions that are removed.
    changes: Vec<Revision>,
    pages: Pages,
    last_key: Vec<u8>,
}

impl Removal {
    /// Removes a version, but not its row in `history`.
    fn remove(
        &mut self,
        tables: &Tables,
        txn: &mut RwTxn<'_>,
        key: &[u8],
        version: Removed,
    ) -> Result<(), StoreError> {
        let delete = StoreError::lmdb("removing a version");
        tables[Id::Old].delete(txn, &keys::old_key(key, version.at)).map_err(&delete)?;
        for n in 0..version.chunks {
            tables[Id::Chunks].delete(txn, &keys::chunk_key(version.at, n)).map_err(&delete)?;
        }
        remove_markers::<OldShape>(tables[Id::Old], txn, key)?;
        if self.changes.is_empty() || self.last_key != key {
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
            self.pages.key();
        }
        self.freed += version.size;
        self.changes.push(version.at);
        Ok(())
    }

    /// Removes the rows of the versions in `history`, in their order.
    fn remove_changes(&mut self, tables: &Tables, txn: &mut RwTxn<'_>) -> Result<(), StoreError> {
        self.changes.sort_unstable();
        for at in &self.changes {
            let deleted = tables[Id::History].delete(txn, &at.to_bytes());
            deleted.map_err(StoreError::lmdb("removing a version"))?;
        }
        Ok(())
    }
}

/// A version to be removed.
struct Removed {
    at: Revision,
    chunks: u32,
    size: u64,
}

/// Removes what a change makes superfluous: the version before it, and itself if it is a deletion before `target`.
fn remove_before(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    target: i64,
    change: &Change<'_>,
    removal: &mut Removal,
) -> Result<(), StoreError> {
    let Change { at, kind, key } = *change;
    if let Some(before) = before(at)
        && let Some(version) = tables.old_floor(txn, key, before)?
    {
        let version = Removed { at: version.at, chunks: chunks_of(&version), size: size_of(key, &version) };
        removal.remove(tables, txn, key, version)?;
    }
    if kind == ChangeKind::Delete && at.main < target && tables.old_at(txn, key, at)?.is_some() {
        let version = Removed { at, chunks: 0, size: key.len() as u64 + VERSION_OVERHEAD };
        removal.remove(tables, txn, key, version)?;
    }
    Ok(())
}

/// The greatest revision below `at`.
fn before(at: Revision) -> Option<Revision> {
    match at.sub.checked_sub(1) {
        Some(sub) => Some(Revision { main: at.main, sub }),
        None => Some(Revision::last_of(at.main.checked_sub(1)?)),
    }
}

fn value_len(version: &DiskVersion<'_>) -> (u64, bool) {
    match version.record {
        Record::Tombstone => (0, false),
        Record::Live(live) => match live.value {
            Value::Inline(value) => (value.len() as u64, false),
            Value::Chunked { len } => (len, true),
        },
    }
}

fn chunks_of(version: &DiskVersion<'_>) -> u32 {
    match value_len(version) {
        (len, true) => u32::try_from(len.div_ceil(crate::store::format::CHUNK as u64)).unwrap_or(u32::MAX),
        _ => 0,
    }
}

fn size_of(key: &[u8], version: &DiskVersion<'_>) -> u64 {
    key.len() as u64 + value_len(version).0 + VERSION_OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::model::{Command, KeyRange};
    use crate::store::Options;
    use crate::store::tests::{Bench, manual};

    /// A store in which keys were written over and over, some deleted in between, and then compacted at a deletion.
    fn written(options: Options) -> Bench {
        let mut bench = Bench::new(options);
        for n in 0..300u32 {
            let key = format!("{:02}", n * 7 % 23);
            match n % 11 {
                10 => bench.delete(KeyRange::single(key)),
                _ => bench.put(key, vec![b'v'; if n % 50 == 0 { 100_000 } else { 10 }]),
            };
        }
        bench.delete(KeyRange::single("07"));
        let revision = bench.store.revision();
        for n in 0..20u32 {
            bench.put(format!("{:02}", n % 23), "later");
        }
        bench.store.checkpoint().unwrap();
        bench.run(Command::Compact { revision });
        bench.store.checkpoint().unwrap();
        bench
    }

    type Row = (Vec<u8>, Vec<u8>);

    /// All rows of the tables of versions, and the size.
    fn content(bench: &Bench) -> (Vec<Row>, u64) {
        let tables = bench.store.0.shared.read().tables.clone();
        let txn = tables.read().unwrap();
        let rows = |id| {
            let rows = tables[id].iter(&txn).unwrap().map(Result::unwrap);
            rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect::<Vec<_>>()
        };
        let all = [Id::Current, Id::Old, Id::History, Id::Chunks].map(rows).concat();
        (all, bench.store.sizes().in_use)
    }

    #[test]
    fn a_crash_between_any_two_slices_changes_nothing_in_the_end() {
        let options = || Options { compaction_batch: 4, ..manual() };
        let expected = {
            let mut bench = written(manual());
            bench.store.prune().unwrap();
            bench.put("last", "1");
            bench.store.checkpoint().unwrap();
            content(&bench)
        };
        for every in [1, 3, 8, 1000] {
            let mut bench = written(options());
            let mut slices = 0;
            while !bench.store.0.prune_slice().unwrap() {
                slices += 1;
                assert!(slices < 1000, "each process must come further than the one before");
                if slices % every == 0 {
                    bench = bench.crash(options());
                }
            }
            assert!(slices > 50, "{slices}");
            bench.put("last", "1");
            bench.store.checkpoint().unwrap();
            assert!(content(&bench) == expected, "with a crash after each {every} slices");
        }
    }

    #[test]
    fn versions_of_many_keys_are_removed_in_few_transactions_of_limited_size() {
        const KEYS: u32 = 3000;
        let mut bench = Bench::new(manual());
        for n in 0..4 * KEYS {
            bench.put(format!("{:05}", n % KEYS), "v");
        }
        bench.run(Command::Compact { revision: bench.store.revision() });
        bench.store.0.shared.write().remembered = Default::default();
        let (mut slices, mut most) = (0, 0);
        let removed = || bench.store.0.figures.compacted_versions.load(Ordering::Relaxed);
        loop {
            let before = removed();
            slices += 1;
            let done = bench.store.0.prune_slice().unwrap();
            most = most.max(removed() - before);
            if done {
                break;
            }
        }
        assert_eq!(removed(), u64::from(3 * KEYS));
        assert!((2..=6).contains(&slices) && most > 2000, "{slices} slices, of {most} versions at most");
    }
}
