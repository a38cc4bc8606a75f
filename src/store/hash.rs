//! Hashes of the stored data.
//!
//! [`Inner::hash_kv`] is etcd's hash, so that a migration can be checked against the cluster it came from: CRC32C over
//! the bytes `key` and then, in the order of revisions, what etcd's backend holds of each version: the key
//! `main _ sub` (8 bytes, an underscore, 8 bytes, big-endian; a `t` behind it for a deletion) and the protobuf encoding of
//! `mvccpb.KeyValue` (of a deletion: the key only). Left out are, whether they have been removed yet or not, the versions at or
//! below the compacted revision that are not live at the hashed one, and a deletion at the compacted revision
//! itself. (etcd, mvcc/hash.go and key_index.go `Keep`: where nothing at all is live at the hashed revision it keeps
//! what the compaction kept; so does this.)

use std::ops::Bound;

use super::StoreError;
use super::core::{Inner, Reader};
use super::disk::{DiskVersion, damaged};
use super::format::records::{Record, decode_history};
use super::format::varint;
use super::head::Version;
use super::revision::Revision;
use super::{HashKv, read, tables::Tables};
use crate::model::{KeyRange, Refusal};

impl Inner {
    /// CRC32C of all rows of all tables.
    pub fn hash(&self) -> Result<u32, StoreError> {
        self.checkpoint()?;
        let reader = self.reader()?;
        let failed = StoreError::lmdb("hashing");
        let mut crc = 0;
        for (number, table) in reader.tables.contents() {
            crc = crc32c::crc32c_append(crc, &[number]);
            for row in table.iter(&reader.disk().txn).map_err(&failed)? {
                let (key, value) = row.map_err(&failed)?;
                crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, key), value);
            }
        }
        Ok(crc)
    }

    /// etcd's hash at a revision, 0 for the current one.
    pub fn hash_kv(&self, revision: i64) -> Result<HashKv, Refusal> {
        // All that is hashed is to be in LMDB; what is applied meanwhile is above the hashed revision.
        let current = self.shared.read().revision;
        self.checkpoint()?;
        let reader = self.reader()?;
        let hashed = if revision == 0 { current } else { revision };
        if hashed > reader.revision {
            return Err(Refusal::FutureRevision);
        }
        if hashed > reader.disk().revision {
            return Err(Refusal::Internal("the revision is not durable yet".into()));
        }
        if hashed < reader.compacted {
            return Err(Refusal::Compacted { compacted: reader.compacted });
        }
        let hash = hash_kv(&reader, hashed).map_err(|error| self.fail(error))?;
        Ok(HashKv { hash, compact_revision: reader.compacted, hash_revision: hashed })
    }
}

fn hash_kv(reader: &Reader<'_>, hashed: i64) -> Result<u32, StoreError> {
    let txn = &reader.disk().txn;
    let tables = &*reader.tables;
    let any_live = any_live(reader, hashed)?;
    let failed = StoreError::lmdb("hashing");
    let last = Revision::last_of(hashed).to_bytes();
    let mut crc = crc32c::crc32c(b"key");
    let mut row = Vec::new();
    for change in
        tables.history.range(txn, &(Bound::Unbounded, Bound::Included(last.as_slice()))).map_err(&failed)?
    {
        let (at, change) = change.map_err(&failed)?;
        let at = Revision::from_bytes(at).ok_or_else(|| damaged("history"))?;
        let (tombstone, key) = decode_history(change).ok_or_else(|| damaged("history"))?;
        if at.main <= reader.compacted {
            let kept_at = if any_live { hashed } else { reader.compacted };
            if tombstone || !is_newest(tables, reader, key, at, kept_at)? {
                continue;
            }
        }
        row.clear();
        row.extend_from_slice(&at.main.to_be_bytes());
        row.push(b'_');
        row.extend_from_slice(&i64::from(at.sub).to_be_bytes());
        let version = if tombstone {
            row.push(b't');
            Version { at, live: None }
        } else {
            let missing = || StoreError::Damaged(format!("a version of revision {} is missing", at.main));
            let version: DiskVersion<'_> = tables.exact(txn, key, at)?.ok_or_else(missing)?;
            if matches!(version.record, Record::Tombstone) {
                return Err(missing());
            }
            tables.own(txn, version)?
        };
        encode_key_value(key, &version, &mut row);
        crc = crc32c::crc32c_append(crc, &row);
    }
    Ok(crc)
}

/// True where no version of `key` after `at` has a revision up to `until`.
fn is_newest(
    tables: &Tables,
    reader: &Reader<'_>,
    key: &[u8],
    at: Revision,
    until: i64,
) -> Result<bool, StoreError> {
    let txn = &reader.disk().txn;
    if tables.current_of(txn, key)?.is_some_and(|version| version.at == at) {
        return Ok(true);
    }
    let within = |version: &DiskVersion<'_>| version.at.main <= until;
    if tables.old_after(txn, key, at)?.is_some_and(|version| within(&version)) {
        return Ok(false);
    }
    Ok(!tables.current_of(txn, key)?.is_some_and(|version| within(&version)))
}

fn any_live(reader: &Reader<'_>, at: i64) -> Result<bool, StoreError> {
    let mut found = false;
    let range = KeyRange::all();
    let mut start = range.start.clone();
    while let Some(next) = reader.scan_chunk(&range, &start, Revision::last_of(at), &mut |_| {
        found = true;
        Ok(read::Step::Stop)
    })? {
        start = next;
    }
    Ok(found)
}

/// The protobuf encoding of `mvccpb.KeyValue`, fields in the order of their numbers, defaults left out.
fn encode_key_value(key: &[u8], version: &Version, out: &mut Vec<u8>) {
    let bytes = |out: &mut Vec<u8>, tag: u8, value: &[u8]| {
        if !value.is_empty() {
            out.push(tag << 3 | 2);
            varint::put(out, value.len() as u64);
            out.extend_from_slice(value);
        }
    };
    let number = |out: &mut Vec<u8>, tag: u8, value: i64| {
        if value != 0 {
            out.push(tag << 3);
            varint::put(out, value as u64);
        }
    };
    bytes(out, 1, key);
    if let Some(live) = &version.live {
        number(out, 2, live.create);
        number(out, 3, version.at.main);
        number(out, 4, live.version);
        bytes(out, 5, &live.value);
        number(out, 6, live.lease);
    }
}
