//! etcd's hash of the key space.
//!
//! [`Inner::hash_kv`] is etcd's hash, so that the result of a migration can be compared with the cluster it came from:
//! CRC32C over the bytes `key` and then, in the order of revisions, the form of each version in etcd's backend
//! ([`super::stored`]). Two kinds of versions are left out, whether they have been removed yet or not: versions at or below the compacted revision that are not live at the hashed one, and a deletion
//! at the compacted revision itself. (etcd, mvcc/hash.go and key_index.go `Keep`: if nothing at all is live at the
//! hashed revision it keeps what the compaction kept; so does this.)
//!
//! At the revisions of the last compactions the hash is the one from before that compaction: see [`super::remembered`].

use std::ops::Bound;

use super::disk::{DiskVersion, damaged};
use super::read;
use super::records::{ChangeKind, Record, decode_history};
use super::remembered::{Hashing, Known};
use super::revision::Revision;
use super::stored;
use crate::model::{KeyRange, Refusal};
use crate::store::HashKv;
use crate::store::StoreError;
use crate::store::core::{Inner, Reader};
use crate::store::tables::Id;

impl Inner {
    /// etcd's hash at a revision, 0 for the current one.
    pub fn hash_kv(&self, revision: i64) -> Result<HashKv, Refusal> {
        // Everything hashed must be in LMDB; changes that are applied in the meantime are above the hashed revision.
        let current = self.shared.read().revision;
        self.checkpoint()?;
        let (reader, known) = {
            let shared = self.shared.read();
            (self.reader_of(&shared)?, shared.remembered.at(revision))
        };
        let hashed = match known {
            Some(Known::Hash(hash)) => return Ok(hash),
            // Nothing that it counts is removed before the hash is complete, so this reader still has everything.
            Some(Known::Due(due)) => {
                return self.hash_whole(&reader, due).map_err(|error| self.fail_reading(error).into());
            }
            None if revision == 0 => current,
            None => revision,
        };
        if hashed < 0 {
            // etcd treats it as a time before all revisions.
            let hash = crc32c::crc32c(b"key");
            return Ok(HashKv { hash, compact_revision: reader.compacted, hash_revision: hashed });
        }
        if hashed > reader.revision {
            return Err(Refusal::FutureRevision);
        }
        if hashed > reader.disk().revision {
            return Err(Refusal::Internal("the revision is not durable yet".into()));
        }
        if hashed < reader.compacted {
            return Err(Refusal::Compacted { compacted: reader.compacted });
        }
        let hashing = Hashing::at(hashed, reader.compacted);
        self.hash_whole(&reader, hashing).map_err(|error| self.fail_reading(error).into())
    }

    /// Computes the next part of the hash that is due. Only for the holder of `writing`, so that no other part is
    /// computed and no other state is adopted in the meantime.
    pub(in crate::store) fn hash_part(&self) -> Result<(), StoreError> {
        let Some(mut hashing) = self.shared.read().remembered.due.front().copied() else { return Ok(()) };
        if self.shared.read().meta.revision < hashing.hashed {
            self.checkpoint_while_writing()?;
        }
        let whole = hashing.advance(&self.reader()?, self.options.compaction_batch);
        let whole = whole.map_err(|error| self.fail(error))?;
        self.shared.write().remembered.advanced(hashing, whole);
        if whole {
            let HashKv { hash, compact_revision, hash_revision } = hashing.result();
            tracing::info!(hash, hash_revision, compact_revision, "hashed the state before a compaction");
        }
        Ok(())
    }

    fn hash_whole(&self, reader: &Reader<'_>, mut hashing: Hashing) -> Result<HashKv, StoreError> {
        while !hashing.advance(reader, usize::MAX)? {}
        Ok(hashing.result())
    }
}

/// Bytes in a part, at most approximately.
const PART_BYTES: usize = 1 << 20;

impl Hashing {
    /// Adds the next changes, at most `rows` and about a megabyte; true when the hash is complete.
    pub fn advance(&mut self, reader: &Reader<'_>, rows: usize) -> Result<bool, StoreError> {
        let kept_at = match self.kept_at {
            Some(kept_at) => kept_at,
            None => *self.kept_at.insert(self.find_kept_at(reader)?),
        };
        let failed = StoreError::lmdb("hashing");
        let (first, last) = (self.next.to_bytes(), Revision::last_of(self.hashed).to_bytes());
        let bounds = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
        let mut row = Vec::new();
        let (mut looked_at, mut bytes) = (0, 0);
        for change in reader.tables[Id::History].range(&reader.disk().txn, &bounds).map_err(&failed)? {
            let (at, change) = change.map_err(&failed)?;
            let at = Revision::from_bytes(at).ok_or_else(|| damaged("history"))?;
            if looked_at >= rows.max(1) || bytes > PART_BYTES {
                self.next = at;
                return Ok(false);
            }
            let (kind, key) = decode_history(change).ok_or_else(|| damaged("history"))?;
            looked_at += 1;
            if at.main <= self.compacted
                && (kind == ChangeKind::Delete || !is_newest(reader, key, at, kept_at)?)
            {
                continue;
            }
            row.clear();
            stored::put_row(&reader.tables, &reader.disk().txn, (at, kind), key, &mut row)?;
            bytes += row.len();
            self.crc = crc32c::crc32c_append(self.crc, &row);
        }
        Ok(true)
    }

    /// etcd counts the versions that its index keeps at the hashed revision and, if there are none, all versions. A
    /// compaction keeps the deletions at its own revision as well (key_index.go `compact`).
    fn find_kept_at(&self, reader: &Reader<'_>) -> Result<i64, StoreError> {
        let keeps = (self.compacts && any_deleted_at(reader, self.hashed)?) || any_live(reader, self.hashed)?;
        Ok(if keeps { self.hashed } else { self.compacted })
    }
}

/// True if revision `main` deleted a key.
fn any_deleted_at(reader: &Reader<'_>, main: i64) -> Result<bool, StoreError> {
    let failed = StoreError::lmdb("hashing");
    let (first, last) = (Revision { main, sub: 0 }.to_bytes(), Revision::last_of(main).to_bytes());
    let bounds = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
    for change in reader.tables[Id::History].range(&reader.disk().txn, &bounds).map_err(&failed)? {
        let (_, change) = change.map_err(&failed)?;
        let (kind, _) = decode_history(change).ok_or_else(|| damaged("history"))?;
        if kind == ChangeKind::Delete {
            return Ok(true);
        }
    }
    Ok(false)
}

/// True if no version of `key` after `at` has a revision up to `until`.
fn is_newest(reader: &Reader<'_>, key: &[u8], at: Revision, until: i64) -> Result<bool, StoreError> {
    let (tables, txn) = (&reader.tables, &reader.disk().txn);
    if tables.current_of(txn, key)?.is_some_and(|version| version.at == at) {
        return Ok(true);
    }
    let within = |version: &DiskVersion<'_>| version.at.main <= until;
    if tables.old_after(txn, key, at)?.is_some_and(|version| within(&version)) {
        return Ok(false);
    }
    Ok(!tables.current_of(txn, key)?.is_some_and(|version| within(&version)))
}

/// True if anything is live at a revision, by etcd's rule: its index does not see a key that the same revision deleted
/// before writing it.
fn any_live(reader: &Reader<'_>, hashed: i64) -> Result<bool, StoreError> {
    let mut found = false;
    let range = KeyRange::all();
    let mut start = range.start.clone();
    while let Some(next) = reader.scan_chunk(&range, &start, Revision::last_of(hashed), &mut |live| {
        let (key, at) = match &live {
            read::Found::Head(key, at, _) => (key.as_ref(), *at),
            read::Found::Disk(key, at, _) => (*key, *at),
        };
        found = !is_deleted_before(reader, key, at, hashed)?;
        Ok(if found { read::Step::Stop } else { read::Step::Go })
    })? {
        start = next;
    }
    Ok(found)
}

/// True if revision `main` deleted the key before the version at `at`.
fn is_deleted_before(reader: &Reader<'_>, key: &[u8], at: Revision, main: i64) -> Result<bool, StoreError> {
    let before = at.sub.checked_sub(1).map(|sub| Revision { sub, ..at });
    let Some(before) = before.filter(|before| before.main == main) else { return Ok(false) };
    let version = reader.tables.old_floor(&reader.disk().txn, key, before)?;
    Ok(version.is_some_and(|version| version.at.main == main && matches!(version.record, Record::Tombstone)))
}

#[cfg(test)]
mod tests {
    use crate::model::{Command, Delete, KeyRange, Op, Put, RangeEnd, Txn};
    use crate::store::tests::{Bench, manual};

    fn check(bench: &Bench, compacted: i64, from: i64, hashes: &[u32]) {
        for (revision, hash) in (from..).zip(hashes) {
            let found = bench.store.hash_kv(revision).unwrap();
            assert_eq!(
                (found.hash, found.compact_revision, found.hash_revision),
                (*hash, compacted, revision),
                "at revision {revision}, compacted {compacted}"
            );
        }
    }

    /// Compacts, and checks before and after the superfluous versions are removed.
    fn compact(bench: &mut Bench, at: i64, from: i64, hashes: &[u32]) {
        bench.run(Command::Compact { revision: at });
        check(bench, at, from, hashes);
        bench.store.prune().unwrap();
        check(bench, at, from, hashes);
    }

    fn put(key: &'static str, value: &'static str, lease: i64) -> Put {
        Put { key: key.into(), value: value.into(), lease, ..Put::default() }
    }

    /// The same operations were given to etcd 3.7.3, and these are its answers.
    #[test]
    fn hashes_are_those_of_etcd() {
        let mut bench = Bench::new(manual());
        let range = |start: &'static str, end: &'static str| KeyRange {
            start: start.into(),
            end: RangeEnd::Before(end.into()),
        };
        bench.run(Command::LeaseGrant { id: 7, ttl: 1000 });
        bench.put("a", "1");
        bench.run(Command::Put(put("b", "2", 7)));
        bench.put("a", "3");
        bench.delete(KeyRange::single("b"));
        bench.put("c", "4".repeat(300));
        bench.run(Command::Put(put("b", "5", 7)));
        let delete = Op::Delete(Delete { range: KeyRange::single("a"), prev_kv: false });
        let success = vec![Op::Put(put("t1", "x", 0)), Op::Put(put("t2", "", 0)), delete];
        bench.run(Command::Txn(Txn { success, ..Txn::default() }));
        bench.put("a", "6");
        // Python wrote U+00FF as UTF-8.
        bench.put("a\0\u{ff}", "7");
        bench.put("d", "8");
        bench.run(Command::LeaseRevoke { id: 7 });
        bench.delete(range("t", "u"));
        bench.put("e", "9");
        bench.put("e", "10");
        let fresh = [
            1084519789, 2587454935, 1848723582, 2719140733, 4179884692, 2752203508, 2081173848, 2451281611,
            324706094, 1384970721, 642610772, 3673391423, 3166563234, 3338449214, 2192383806,
        ];
        check(&bench, -1, 1, &fresh);
        let after_5 = [
            1679618293, 652581672, 2879341341, 3705369297, 3600137488, 2533790544, 2859057012, 2172986657,
            443687885, 4009428551,
        ];
        compact(&mut bench, 5, 6, &after_5);
        let after_8 = [4090609660, 3142737786, 3418515951, 2984333519, 2620284996, 4238407772, 3549484197];
        compact(&mut bench, 8, 9, &after_8);
        compact(&mut bench, 13, 14, &[2221187822, 1395642425]);
        compact(&mut bench, 15, 16, &[]);
        bench.delete(KeyRange::all());
        bench.put("z", "1");
        bench.delete(KeyRange::single("z"));
        check(&bench, 15, 16, &[4223750276, 525651349, 73026341]);
        compact(&mut bench, 17, 18, &[1982771723]);
        compact(&mut bench, 18, 19, &[]);
        bench.put("y", "1");
        check(&bench, 18, 19, &[1010227120]);
    }

    /// etcd 3.7.3 considers nothing live at a revision that deleted its only key and wrote it again.
    #[test]
    fn a_key_that_is_deleted_and_written_at_once_is_hashed_as_etcd_does() {
        let mut bench = Bench::new(manual());
        bench.put("a", "1");
        bench.put("a", "2");
        compact(&mut bench, 2, 3, &[1483641527]);
        let from_a = KeyRange { start: "a".into(), end: RangeEnd::Open };
        let delete = Op::Delete(Delete { range: from_a, prev_kv: false });
        let success = vec![delete, Op::Put(put("a", "3", 0))];
        bench.run(Command::Txn(Txn { success, ..Txn::default() }));
        check(&bench, 2, 3, &[1483641527, 1499896283]);
    }
}
