//! Removes versions that a compaction made superfluous.
//!
//! A compaction at C takes effect when it is applied: nothing below C can be read any more. The store's thread removes
//! versions later, in slices. It walks through `history` up to C: for each key changed there it removes the version
//! before the change, and the change itself if it is a deletion below C. A deletion at C itself stays until the next
//! compaction, as in etcd, so that a watch from C on still sees it. Each slice also writes the position of the walk, so
//! a restart continues from there. Before the first slice of a compaction the state at C is hashed
//! ([`super::remembered`]), in parts that take turns with slices.

use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::Instant;

use heed::RwTxn;

use super::disk::{DiskVersion, damaged};
use super::fold::remove_markers;
use super::keys::{self, OldShape};
use super::records::{ChangeKind, Record, Value, decode_history};
use super::revision::Revision;
use super::written::VERSION_OVERHEAD;
use crate::store::core::Inner;
use crate::store::format::meta::Meta;
use crate::store::lmdb::Tables;
use crate::store::space::needed_to_remove;
use crate::store::tables::Id;
use crate::store::{StoreError, seams};

/// Bytes of keys that a slice visits, at most approximately.
const SLICE_BYTES: usize = 4 << 20;

/// Rows of history that a slice visits on a disk that is nearly full, at most.
const SHORT_OF_ROOM: usize = 100;

/// Rows of history that a slice skips, at most.
const SLICE_ROWS: usize = 50_000;

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
        let pruned = self.pace.commit(|| prune(&tables, &mut meta, target, batch));
        let (removed, done) = pruned.map_err(|error| self.not_written(&tables, error))?;
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

/// One transaction of removing: returns how many versions were removed, and true if `target`, the revision of a
/// compaction, is reached.
fn prune(tables: &Tables, meta: &mut Meta, target: i64, batch: usize) -> Result<(u64, bool), StoreError> {
    let mut txn = tables.write()?;
    let (rows, end) = slice(tables, &txn, meta, target, batch)?;
    let (mut freed, mut removed) = (0, 0);
    for (at, kind, key) in &rows {
        if let Some(before) = before(*at)
            && let Some(version) = tables.old_floor(&txn, key, before)?
        {
            let size = size_of(key, &version);
            freed += size;
            let (at, chunks) = (version.at, chunks_of(&version));
            remove(tables, &mut txn, key, at, chunks)?;
            removed += 1;
        }
        if *kind == ChangeKind::Delete && at.main < target && tables.old_at(&txn, key, *at)?.is_some() {
            freed += key.len() as u64 + VERSION_OVERHEAD;
            remove(tables, &mut txn, key, *at, 0)?;
            removed += 1;
        }
    }
    let before = meta.clone();
    meta.in_use = meta.in_use.saturating_sub(freed);
    match end {
        Some(next) => meta.prune_from = (next.main, next.sub),
        None => {
            meta.pruned = target;
            // The next compaction visits the deletions at C again.
            meta.prune_from = (target, 0);
        }
    }
    seams::pruned(&before, meta)?;
    tables.put_meta(&mut txn, meta)?;
    tables.commit(txn, "committing a compaction")?;
    Ok((removed, end.is_none()))
}

type HistoryRow = (Revision, ChangeKind, Vec<u8>);

/// The next rows of `history` to work on, and where to continue after them: `None` at the end. A put that created its
/// key makes nothing superfluous and is skipped.
fn slice(
    tables: &Tables,
    txn: &RwTxn<'_>,
    meta: &Meta,
    target: i64,
    batch: usize,
) -> Result<(Vec<HistoryRow>, Option<Revision>), StoreError> {
    let read = StoreError::lmdb("reading history");
    let (main, sub) = meta.prune_from;
    let first = Revision { main, sub }.to_bytes();
    let last = Revision::last_of(target).to_bytes();
    let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
    let mut rows = Vec::new();
    let (mut bytes, mut passed) = (0, 0);
    for row in tables[Id::History].range(txn, &range).map_err(&read)? {
        let (at, change) = row.map_err(&read)?;
        let at = Revision::from_bytes(at).ok_or_else(|| damaged("history"))?;
        if rows.len() >= batch.max(1) || bytes > SLICE_BYTES || passed > SLICE_ROWS {
            return Ok((rows, Some(at)));
        }
        let (kind, key) = decode_history(change).ok_or_else(|| damaged("history"))?;
        if kind == ChangeKind::Create {
            passed += 1;
        } else {
            bytes += key.len();
            rows.push((at, kind, key.to_vec()));
        }
    }
    Ok((rows, None))
}

/// The greatest revision below `at`.
fn before(at: Revision) -> Option<Revision> {
    match at.sub.checked_sub(1) {
        Some(sub) => Some(Revision { main: at.main, sub }),
        None => Some(Revision::last_of(at.main.checked_sub(1)?)),
    }
}

fn remove(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    key: &[u8],
    at: Revision,
    chunks: u32,
) -> Result<(), StoreError> {
    let delete = StoreError::lmdb("removing a version");
    tables[Id::Old].delete(txn, &keys::old_key(key, at)).map_err(&delete)?;
    tables[Id::History].delete(txn, &at.to_bytes()).map_err(&delete)?;
    for n in 0..chunks {
        tables[Id::Chunks].delete(txn, &keys::chunk_key(at, n)).map_err(&delete)?;
    }
    remove_markers::<OldShape>(tables[Id::Old], txn, key)
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
