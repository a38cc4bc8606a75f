//! Folds versions of keys into LMDB: the only writer of keys. It needs one lookup per key.

use heed::{PutFlags, RwTxn};

use super::keys::{self, CurrentShape, Namespace, OldShape, Shape};
use super::records::{Live, Record, Value, encode_current, encode_history, split_current};
use super::revision::Revision;
use super::written::{Version, Written};
use crate::store::StoreError;
use crate::store::format::CHUNK;
use crate::store::lmdb::Tables;
use crate::store::sealed::Table;
use crate::store::tables::Id;

/// Writes a layer's versions of keys, and their history.
pub(in crate::store) fn fold_versions(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    written: &Written,
) -> Result<(), StoreError> {
    let mut row = Vec::new();
    for (key, versions) in &written.versions {
        fold_key(tables, txn, key, versions, &mut row)?;
    }
    for change in &written.changes {
        row.clear();
        encode_history(change.kind, &change.key, &mut row);
        let history = tables[Id::History];
        let put = history.put_with_flags(txn, PutFlags::APPEND, &change.at.to_bytes(), &row);
        put.map_err(StoreError::lmdb("appending history"))?;
    }
    Ok(())
}

/// Writes the versions of one key: the last one, if it is live, to `current`, all others to `old`, together with the
/// one that was in `current`.
fn fold_key(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    key: &[u8],
    versions: &[Version],
    row: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (versions.first(), versions.last()) else { return Ok(()) };
    // A version number of 1 means that the key was created, so `current` cannot have it.
    let existed = first.live.as_ref().is_none_or(|live| live.version > 1);
    let place = keys::current_key(key);
    if existed {
        let found = tables[Id::Current].get(txn, &place).map_err(StoreError::lmdb("reading a key"))?;
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
            tables[Id::Current].put(txn, &place, row).map_err(StoreError::lmdb("writing a key"))?;
            if !existed {
                add_markers::<CurrentShape>(tables[Id::Current], txn, key)?;
            }
        }
        None if existed => {
            tables[Id::Current].delete(txn, &place).map_err(StoreError::lmdb("deleting a key"))?;
            remove_markers::<CurrentShape>(tables[Id::Current], txn, key)?;
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
            let put = tables[Id::Chunks].put(txn, &keys::chunk_key(version.at, n), chunk);
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
    tables[Id::Old]
        .put(txn, &keys::old_key(key, at), record)
        .map_err(StoreError::lmdb("writing a version"))?;
    add_markers::<OldShape>(tables[Id::Old], txn, key)
}

/// Writes the markers through which scans find a long key's namespace.
fn add_markers<S: Shape>(table: Table, txn: &mut RwTxn<'_>, key: &[u8]) -> Result<(), StoreError> {
    if key.len() <= keys::SEGMENT {
        return Ok(());
    }
    let write = StoreError::lmdb("writing a marker");
    // From the inside out: if one exists, those around it exist, too.
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
pub(in crate::store) fn remove_markers<S: Shape>(
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
