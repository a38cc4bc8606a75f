//! Reads keys at a revision, head and LMDB combined.

use std::collections::btree_map;
use std::ops::Bound;

use bytes::Bytes;

use super::disk::DiskScan;
use super::records;
use super::revision::Revision;
use super::written::{Live, Version, Versions, floor};
use crate::model::{KeyRange, Refusal};
use crate::store::StoreError;
use crate::store::core::{Inner, Reader};
use crate::store::tables::Id;

impl Inner {
    /// The newest published version of a key, which may be a deletion: the fast path, without a [`Reader`].
    pub fn newest(&self, key: &[u8]) -> Result<Option<Version>, StoreError> {
        let (disk, generation, tables) = {
            let shared = self.shared.read();
            let at = Revision::last_of(shared.revision);
            if let Some(version) = shared.active.read().keys.floor(key, at) {
                return Ok(Some(version.clone()));
            }
            if let Some(frozen) = &shared.frozen
                && let Some(version) = frozen.read().keys.floor(key, at)
            {
                return Ok(Some(version.clone()));
            }
            (self.disk_read(&shared)?, shared.generation, shared.tables.clone())
        };
        // No layer has the key, so LMDB's version is the newest.
        let version = tables.current_of(&disk.txn, key)?;
        let version = version.map(|version| tables.own(&disk.txn, version)).transpose()?;
        self.put_back(disk, generation);
        Ok(version)
    }
}

/// A live key that a scan found.
pub(in crate::store) enum Found<'a> {
    /// In the head.
    Head(&'a Bytes, Revision, &'a Live),
    /// In LMDB.
    Disk(&'a [u8], Revision, records::Live<'a>),
}

/// What a scan does after a key.
#[derive(Clone, Copy)]
pub(in crate::store) enum Step {
    /// Continue with the next key.
    Go,
    /// Pause, so that the caller gets its turn.
    Pause,
    /// Stop.
    Stop,
}

/// Keys of the active layer that are copied under one hold of the lock.
const HEAD_KEYS: usize = 512;

/// Keys that a chunk of a scan visits at most.
const CHUNK_KEYS: usize = 4096;

/// The part of the active layer that a chunk needs.
struct HeadSlice {
    entries: Vec<(Bytes, Version)>,
    /// The last key visited, if there are more.
    until: Option<Bytes>,
}

type FrozenRange<'a> = btree_map::Range<'a, Bytes, Versions>;

impl Reader<'_> {
    /// See [`crate::store::Store::live_keys`].
    pub fn live_keys(&self) -> Result<u64, StoreError> {
        let stored =
            self.tables[Id::Current].len(&self.disk().txn).map_err(StoreError::lmdb("counting keys"))?;
        let layers = self.frozen.iter().chain([&self.active]);
        let change: i64 = layers.map(|layer| layer.read().keys.live).sum();
        Ok(stored.saturating_add_signed(change))
    }

    /// The version of `key` at a revision, values included; `None` also for a deletion.
    pub fn get(&self, key: &[u8], at: Revision) -> Result<Option<Version>, StoreError> {
        let version = self.floor(key, at)?;
        Ok(version.filter(|version| version.live.is_some()))
    }

    /// The newest version of `key` that is not above `at`, deletions included.
    pub fn floor(&self, key: &[u8], at: Revision) -> Result<Option<Version>, StoreError> {
        if let Some(version) = self.active.read().keys.floor(key, at) {
            return Ok(Some(version.clone()));
        }
        if let Some(version) =
            self.frozen.as_ref().and_then(|frozen| frozen.read().keys.floor(key, at).cloned())
        {
            return Ok(Some(version));
        }
        let txn = &self.disk().txn;
        let version = self.tables.floor(txn, key, at)?;
        version.map(|version| self.tables.own(txn, version)).transpose()
    }

    /// Visits the live keys of `range` from `start` on in key order, as many as one chunk holds. Returns the key at
    /// which to continue; `None` if the range is done.
    pub fn scan_chunk(
        &self,
        range: &KeyRange,
        start: &Bytes,
        at: Revision,
        visit: &mut dyn FnMut(Found<'_>) -> Result<Step, StoreError>,
    ) -> Result<Option<Bytes>, StoreError> {
        let slice = self.head_slice(range, start, at);
        let mut active = slice.entries.iter().peekable();
        let frozen_layer = self.frozen.as_ref().map(|layer| layer.read());
        let mut frozen_rows =
            frozen_layer.as_ref().map(|layer| layer.keys.versions.range::<[u8], _>(from(start)));
        let mut frozen = next_frozen(&mut frozen_rows, range, at);
        let disk = self.disk();
        let mut rows = DiskScan::new(&self.tables, &disk.txn, start, at, disk.revision)?;
        for _ in 0..CHUNK_KEYS {
            if active.peek().is_none() && frozen.is_none() && slice.until.is_none() {
                // The usual case, and the one that must be fast: no key of the rest of the range is in the head.
                let Some(key) = rows.key().filter(|key| !range.ends_before(key)) else { return Ok(None) };
                if let Some((at, live)) = rows.live() {
                    match visit(Found::Disk(key, at, live))? {
                        Step::Go => {}
                        Step::Pause => return Ok(Some(after(key))),
                        Step::Stop => return Ok(None),
                    }
                }
                rows.advance()?;
                continue;
            }
            let disk_key = rows.key().filter(|key| !range.ends_before(key));
            let keys =
                [active.peek().map(|(key, _)| key.as_ref()), frozen.map(|(key, _)| key.as_ref()), disk_key];
            let Some(least) = keys.iter().flatten().min().copied() else { break };
            if slice.until.as_ref().is_some_and(|until| least > until.as_ref()) {
                return Ok(slice.until.map(|key| after(&key)));
            }
            let [in_active, in_frozen, in_disk] = keys.map(|key| key == Some(least));
            let head = match (in_active, active.peek(), frozen) {
                (true, Some((key, version)), _) => Some((key, version)),
                (_, _, Some((key, version))) if in_frozen => Some((key, version)),
                _ => None,
            };
            let found = match head {
                Some((key, version)) => version.live.as_ref().map(|live| Found::Head(key, version.at, live)),
                None => rows.live().map(|(at, live)| Found::Disk(least, at, live)),
            };
            if let Some(found) = found {
                match visit(found)? {
                    Step::Go => {}
                    Step::Pause => return Ok(Some(after(least))),
                    Step::Stop => return Ok(None),
                }
            }
            if in_active {
                active.next();
            }
            if in_frozen {
                frozen = next_frozen(&mut frozen_rows, range, at);
            }
            if in_disk {
                rows.advance()?;
            }
        }
        let keys = [
            active.peek().map(|(key, _)| key.as_ref()),
            frozen.map(|(key, _)| key.as_ref()),
            rows.key().filter(|key| !range.ends_before(key)),
        ];
        match (keys.iter().flatten().min(), slice.until) {
            (Some(least), None) => Ok(Some(Bytes::copy_from_slice(least))),
            (Some(least), Some(until)) if *least <= until.as_ref() => Ok(Some(Bytes::copy_from_slice(least))),
            (_, until) => Ok(until.map(|key| after(&key))),
        }
    }

    /// Copies the active layer's versions in the range at the revision, including deletions.
    fn head_slice(&self, range: &KeyRange, start: &Bytes, at: Revision) -> HeadSlice {
        let mut slice = HeadSlice { entries: Vec::new(), until: None };
        let active = self.active.read();
        let mut looked = 0;
        for (key, versions) in active.keys.versions.range::<[u8], _>(from(start)) {
            if range.ends_before(key) {
                break;
            }
            looked += 1;
            if let Some(version) = floor(versions, at) {
                slice.entries.push((key.clone(), version.clone()));
            }
            if looked == HEAD_KEYS {
                slice.until = Some(key.clone());
                break;
            }
        }
        slice
    }
}

fn next_frozen<'a>(
    rows: &mut Option<FrozenRange<'a>>,
    range: &KeyRange,
    at: Revision,
) -> Option<(&'a Bytes, &'a Version)> {
    for (key, versions) in rows.as_mut()? {
        if range.ends_before(key) {
            return None;
        }
        if let Some(version) = floor(versions, at) {
            return Some((key, version));
        }
    }
    None
}

fn from(start: &Bytes) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(start.as_ref()), Bound::Unbounded)
}

/// The very next key.
pub(in crate::store) fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// Why a scan did not finish.
#[derive(Debug)]
pub(in crate::store) enum ScanError {
    /// A compaction overtook it between two chunks.
    Overtaken,
    /// There is no room for what it finds.
    Refused(Refusal),
    /// See [`StoreError`].
    Store(StoreError),
}

impl From<Refusal> for ScanError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for ScanError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether a scan takes a new reader for each chunk, so that nothing in LMDB stays pinned, or keeps the one it has.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::store) enum Hold {
    /// A new reader each time; a compaction may overtake the scan.
    Chunk,
    /// The same reader for the whole scan.
    Whole,
}

/// Visits all live keys of `range` at a revision, in key order.
pub(in crate::store) fn scan(
    reader: &mut Reader<'_>,
    hold: Hold,
    range: &KeyRange,
    at: Revision,
    visit: &mut dyn FnMut(Found<'_>) -> Result<Step, StoreError>,
) -> Result<(), ScanError> {
    if range.is_empty() {
        return Ok(());
    }
    let mut start = range.start.clone();
    while let Some(next) = reader.scan_chunk(range, &start, at, visit)? {
        start = next;
        if hold == Hold::Chunk {
            reader.renew()?;
            if reader.compacted > at.main {
                return Err(ScanError::Overtaken);
            }
        }
    }
    Ok(())
}
