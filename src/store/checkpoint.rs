//! Folding the head into LMDB.
//!
//! A checkpoint freezes the active layer, writes it in one durable transaction together with the position of the last
//! log entry it holds, and drops it. It is the only writer of keys; what it needs of a key it finds by one lookup, and
//! it goes through the keys in their order, so that neighbours meet in the same page.

use std::sync::Arc;

use heed::{PutFlags, RwTxn};

use super::StoreError;
use super::core::{Folding, Inner};
use super::figures::timed;
use super::format::CHUNK;
use super::format::meta::Meta;
use super::head::{Layer, Version};
use super::lmdb::{Table, Tables};
use super::mvcc::keys::{self, CurrentShape, Namespace, OldShape, Shape};
use super::mvcc::records::{Live, Record, Value, encode_current, encode_history, split_current};
use super::mvcc::revision::Revision;
use crate::model::Histogram;

impl Inner {
    /// Folds everything applied so far into LMDB and returns when it is durable.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        self.checkpoint_while_writing()
    }

    /// The same for a caller that holds `writing`.
    pub fn checkpoint_while_writing(&self) -> Result<(), StoreError> {
        self.health()?;
        // What found no room the last time comes first.
        let unfinished = self.unfinished.lock().take();
        if let Some(folding) = unfinished {
            self.finish(folding)?;
        }
        self.freeze().map_or(Ok(()), |folding| self.finish(folding))
    }

    fn finish(&self, folding: Folding) -> Result<(), StoreError> {
        let meta = folding.meta(&self.shared.read().meta);
        let folded = self.pace.commit(|| fold(&folding, &meta, &self.figures.commit));
        if let Err(error) = folded {
            let error = self.not_written(&folding.tables, error);
            *self.unfinished.lock() = Some(folding);
            return Err(error);
        }
        self.space.found();
        let (idle, frozen) = {
            let mut shared = self.shared.write();
            shared.meta = meta;
            shared.durable_registry = folding.registry.clone();
            let idle = self.next_generation(&mut shared);
            (idle, shared.frozen.take())
        };
        drop((idle, frozen, folding));
        self.signal.progressed();
        Ok(())
    }

    /// Makes the active layer the frozen one; `None` if there is nothing to write.
    fn freeze(&self) -> Option<Folding> {
        let _applying = self.applying.lock();
        let mut shared = self.shared.write();
        if !shared.is_dirty() {
            return None;
        }
        debug_assert!(shared.frozen.is_none(), "one checkpoint at a time");
        let layer = std::mem::take(&mut shared.active);
        layer.write().end = Some(shared.revision);
        shared.frozen = Some(layer.clone());
        Some(Folding {
            tables: shared.tables.clone(),
            layer,
            applied: shared.applied,
            revision: shared.revision,
            compacted: shared.compacted,
            allocated: shared.allocated,
            registry: shared.registry.clone(),
            registry_changed: !Arc::ptr_eq(&shared.registry, &shared.durable_registry),
        })
    }
}

impl Folding {
    /// The meta record that replaces `before`, which a slice of a compaction may have changed since the layer was frozen.
    fn meta(&self, before: &Meta) -> Meta {
        Meta {
            applied: self.applied,
            raft_membership: self.registry.raft_membership.clone(),
            revision: self.revision,
            compacted: self.compacted,
            in_use: before.in_use + self.layer.read().growth,
            allocated: self.allocated,
            cluster_version: self.registry.cluster_version.clone(),
            // One from before says nothing about what was applied since.
            digest: None,
            ..before.clone()
        }
    }
}

fn fold(folding: &Folding, meta: &Meta, time: &Histogram) -> Result<(), StoreError> {
    let (tables, layer) = (&*folding.tables, folding.layer.read());
    let mut txn = tables.write()?;
    let mut row = Vec::new();
    for (key, versions) in &layer.keys {
        fold_key(tables, &mut txn, key, versions, &mut row)?;
    }
    for change in &layer.changes {
        row.clear();
        encode_history(change.kind, &change.key, &mut row);
        let put = tables.history.put_with_flags(&mut txn, PutFlags::APPEND, &change.at.to_bytes(), &row);
        put.map_err(StoreError::lmdb("appending history"))?;
    }
    fold_leases(tables, &mut txn, &layer)?;
    if folding.registry_changed {
        folding.registry.save(tables, &mut txn)?;
    }
    tables.put_meta(&mut txn, meta)?;
    timed(time, || tables.commit(txn, "committing a checkpoint"))
}

/// Writes the versions of one key: the last one, where it is live, to `current`, all others to `old`, with the one that
/// `current` held.
fn fold_key(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    key: &[u8],
    versions: &[Version],
    row: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (versions.first(), versions.last()) else { return Ok(()) };
    // A first version of 1 created the key, so `current` cannot hold it.
    let existed = first.live.as_ref().is_none_or(|live| live.version > 1);
    let place = keys::current_key(key);
    if existed {
        let found = tables.current.get(txn, &place).map_err(StoreError::lmdb("reading a key"))?;
        if let Some((at, record)) = found.and_then(split_current) {
            row.clear();
            row.extend_from_slice(record);
            put_old(tables, txn, key, at, row)?;
        }
    }
    let (newest, superseded) = match last.live {
        Some(_) => (Some(last), &versions[..versions.len() - 1]),
        None => (None, versions),
    };
    for version in superseded {
        row.clear();
        record_of(tables, txn, version)?.encode(row);
        put_old(tables, txn, key, version.at, row)?;
    }
    match newest {
        Some(version) => {
            row.clear();
            encode_current(version.at, &record_of(tables, txn, version)?, row);
            tables.current.put(txn, &place, row).map_err(StoreError::lmdb("writing a key"))?;
            if !existed {
                add_markers::<CurrentShape>(tables.current, txn, key)?;
            }
        }
        None if existed => {
            tables.current.delete(txn, &place).map_err(StoreError::lmdb("deleting a key"))?;
            remove_markers::<CurrentShape>(tables.current, txn, key)?;
        }
        None => {}
    }
    Ok(())
}

/// The record of a version; a large value goes to `chunks`.
fn record_of<'v>(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    version: &'v Version,
) -> Result<Record<'v>, StoreError> {
    let Some(live) = &version.live else { return Ok(Record::Tombstone) };
    let value = if live.value.len() <= CHUNK {
        Value::Inline(&live.value)
    } else {
        for (n, chunk) in (0..).zip(live.value.chunks(CHUNK)) {
            let put = tables.chunks.put(txn, &keys::chunk_key(version.at, n), chunk);
            put.map_err(StoreError::lmdb("writing a value"))?;
        }
        Value::Chunked { len: live.value.len() as u64 }
    };
    Ok(Record::Live(Live { create: live.create, version: live.version, lease: live.lease, value }))
}

fn put_old(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    key: &[u8],
    at: Revision,
    record: &[u8],
) -> Result<(), StoreError> {
    tables.old.put(txn, &keys::old_key(key, at), record).map_err(StoreError::lmdb("writing a version"))?;
    add_markers::<OldShape>(tables.old, txn, key)
}

/// Makes the way to a long key's namespace visible to scans.
fn add_markers<S: Shape>(table: Table, txn: &mut RwTxn<'_>, key: &[u8]) -> Result<(), StoreError> {
    if key.len() <= keys::SEGMENT {
        return Ok(());
    }
    let write = StoreError::lmdb("writing a marker");
    // From the inside out: where one is there, those around it are, too.
    for (namespace, segment) in keys::path(key).into_iter().rev() {
        let marker = S::marker(namespace, segment);
        if table.get(txn, &marker).map_err(&write)?.is_some() {
            break;
        }
        table.put(txn, &marker, &[]).map_err(&write)?;
    }
    Ok(())
}

/// Removes the markers of namespaces that the removal of a long key has left empty.
pub(super) fn remove_markers<S: Shape>(
    table: Table,
    txn: &mut RwTxn<'_>,
    key: &[u8],
) -> Result<(), StoreError> {
    if key.len() <= keys::SEGMENT {
        return Ok(());
    }
    let write = StoreError::lmdb("removing a marker");
    let (mut below, _) = keys::place(key);
    for (namespace, segment) in keys::path(key).into_iter().rev() {
        if !is_empty(table, txn, below)? {
            break;
        }
        table.delete(txn, &S::marker(namespace, segment)).map_err(&write)?;
        below = namespace;
    }
    Ok(())
}

fn is_empty(table: Table, txn: &RwTxn<'_>, namespace: Namespace) -> Result<bool, StoreError> {
    let mut prefix = keys::KeyBuf::new();
    namespace.write(&mut prefix);
    let row =
        table.get_greater_than_or_equal_to(txn, &prefix).map_err(StoreError::lmdb("looking for keys"))?;
    Ok(row.is_none_or(|(key, _)| namespace.strip(key).is_none()))
}

fn fold_leases(tables: &Tables, txn: &mut RwTxn<'_>, layer: &Layer) -> Result<(), StoreError> {
    let write = StoreError::lmdb("writing leases");
    for (id, lease) in &layer.leases {
        let row = (*id as u64).to_be_bytes();
        match lease {
            Some(lease) => {
                let encode = |error| StoreError::Damaged(format!("encoding a lease: {error}"));
                let value = postcard::to_stdvec(lease).map_err(encode)?;
                tables.leases.put(txn, &row, &value).map_err(&write)?;
            }
            None => {
                tables.leases.delete(txn, &row).map_err(&write)?;
            }
        }
    }
    for ((lease, key), attached) in &layer.attached {
        let (row, value) = keys::attached(*lease, key);
        if *attached {
            tables.attached.put(txn, &row, value).map_err(&write)?;
        } else {
            tables.attached.delete(txn, &row).map_err(&write)?;
        }
    }
    Ok(())
}
