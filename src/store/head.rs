//! The in-memory head: what was applied since the last checkpoint, and the recent events.
//!
//! A [`Layer`] is written by the applying thread only. A checkpoint freezes it, which makes it immutable, and folds it
//! into LMDB. Versions of a revision that is not published yet (`Shared::revision`) may already stand in the active
//! layer; readers never look above the published one.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use smallvec::{SmallVec, smallvec};

use super::mvcc::records::ChangeKind;
use super::mvcc::revision::Revision;
use crate::model::{KeyValue, Lease, LeaseId, RevisionEvents};

/// Bytes counted for a stored version beside its key and value.
pub(super) const VERSION_OVERHEAD: u64 = 40;

/// What a version of a key says, where it is not a deletion.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub create: i64,
    pub version: i64,
    pub lease: LeaseId,
    pub value: Bytes,
}

/// A version of a key.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub at: Revision,
    /// `None` for a deletion.
    pub live: Option<Live>,
}

impl Version {
    /// The version as clients see it; `None` for a deletion.
    pub fn to_kv(&self, key: Bytes) -> Option<KeyValue> {
        let live = self.live.as_ref()?;
        Some(KeyValue {
            key,
            create_revision: live.create,
            mod_revision: self.at.main,
            version: live.version,
            value: live.value.clone(),
            lease: live.lease,
        })
    }

    fn bytes(&self) -> usize {
        self.live.as_ref().map_or(0, |live| live.value.len())
    }
}

/// Versions of one key, ascending.
pub(super) type Versions = SmallVec<[Version; 1]>;

/// The newest version that is not above `at`.
pub(super) fn floor(versions: &[Version], at: Revision) -> Option<&Version> {
    // Nearly always the last one is asked for.
    versions.iter().rev().find(|version| version.at <= at)
}

/// One key changed at one revision.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub at: Revision,
    pub kind: ChangeKind,
    pub key: Bytes,
}

/// A layer, shared between the applying thread, readers and a checkpoint. Nothing writes it once it is frozen.
pub(super) type LayerRef = Arc<RwLock<Layer>>;

/// Changes since a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub keys: BTreeMap<Bytes, Versions>,
    /// All changes of `keys` in the order of revisions.
    pub changes: Vec<Change>,
    /// Leases granted, changed or (`None`) gone.
    pub leases: BTreeMap<LeaseId, Option<Lease>>,
    /// Keys attached (`true`) to leases and detached.
    pub attached: BTreeMap<(LeaseId, Bytes), bool>,
    /// Bytes of keys and values.
    pub bytes: usize,
    /// What the versions add to [`super::Sizes::in_use`].
    pub growth: u64,
    /// Keys that came to life in it less those that died.
    pub live: i64,
    /// The last revision in it, once it is frozen.
    pub end: Option<i64>,
}

impl Layer {
    /// Adds a version; the caller goes up in revisions.
    pub fn push(&mut self, key: Bytes, version: Version) {
        self.growth += (key.len() + version.bytes()) as u64 + VERSION_OVERHEAD;
        self.bytes += key.len() + version.bytes();
        let kind = match &version.live {
            None => ChangeKind::Delete,
            Some(live) if live.version == 1 => ChangeKind::Create,
            Some(_) => ChangeKind::Update,
        };
        self.live += match kind {
            ChangeKind::Create => 1,
            ChangeKind::Update => 0,
            ChangeKind::Delete => -1,
        };
        self.changes.push(Change { at: version.at, kind, key: key.clone() });
        match self.keys.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(smallvec![version]);
            }
            Entry::Occupied(entry) => entry.into_mut().push(version),
        }
    }

    /// The newest version of `key` in this layer that is not above `at`.
    pub fn floor(&self, key: &[u8], at: Revision) -> Option<&Version> {
        floor(self.keys.get(key)?, at)
    }

    /// Changes, keys or not, that wait for a checkpoint.
    pub fn operations(&self) -> usize {
        self.changes.len() + self.leases.len()
    }

    /// The changes from a main revision on.
    pub fn changes_from(&self, main: i64) -> &[Change] {
        let first = self.changes.partition_point(|change| change.at.main < main);
        &self.changes[first..]
    }
}

/// The events applied last, a batch an entry; older ones are read from the layers and from LMDB.
#[derive(Debug, Default)]
pub(super) struct Ring {
    batches: VecDeque<(Arc<Vec<RevisionEvents>>, usize)>,
    revisions: usize,
    bytes: usize,
}

impl Ring {
    /// Adds what an entry did, and forgets the oldest beyond the bounds.
    pub fn push(&mut self, batch: Arc<Vec<RevisionEvents>>, max_revisions: usize, max_bytes: usize) {
        let bytes = batch.iter().map(events_bytes).sum();
        self.revisions += batch.len();
        self.bytes += bytes;
        self.batches.push_back((batch, bytes));
        while self.revisions > max_revisions || self.bytes > max_bytes {
            let Some((batch, bytes)) = self.batches.pop_front() else { break };
            self.revisions -= batch.len();
            self.bytes -= bytes;
        }
    }

    /// The batches that hold revision `from` and all later ones; `None` where `from` is older than what is kept (or
    /// newer than everything).
    pub fn from(&self, from: i64) -> Option<Vec<Arc<Vec<RevisionEvents>>>> {
        let first = self.batches.front()?.0.first()?.revision;
        let last = self.batches.back()?.0.last()?.revision;
        if from < first || from > last {
            return None;
        }
        let skip =
            self.batches.partition_point(|(batch, _)| batch.last().is_none_or(|end| end.revision < from));
        Some(self.batches.iter().skip(skip).map(|(batch, _)| batch.clone()).collect())
    }
}

/// About the memory that the events of a revision take.
pub(super) fn events_bytes(revision: &RevisionEvents) -> usize {
    let kv_bytes = |kv: &KeyValue| kv.key.len() + kv.value.len();
    let bytes = |event: &crate::model::Event| {
        std::mem::size_of_val(event) + kv_bytes(&event.kv) + event.prev_kv.as_ref().map_or(0, kv_bytes)
    };
    revision.events.iter().map(bytes).sum::<usize>() + std::mem::size_of_val(revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LogPosition;

    fn version(main: i64, value: &'static [u8]) -> Version {
        let live = Live { create: main, version: 1, lease: 0, value: Bytes::from_static(value) };
        Version { at: Revision { main, sub: 0 }, live: Some(live) }
    }

    #[test]
    fn a_layer_finds_the_version_at_a_revision() {
        let mut layer = Layer::default();
        layer.push(Bytes::from_static(b"k"), version(2, b"a"));
        layer.push(Bytes::from_static(b"j"), version(3, b"a"));
        layer.push(Bytes::from_static(b"k"), version(5, b"b"));
        let found = |main| layer.floor(b"k", Revision::last_of(main)).map(|version| version.at.main);
        assert_eq!([found(1), found(2), found(4), found(5)], [None, Some(2), Some(2), Some(5)]);
        assert_eq!(layer.changes_from(3).len(), 2);
        assert_eq!(layer.growth, 3 * (1 + 1 + VERSION_OVERHEAD));
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let mut ring = Ring::default();
        for revision in 2..10 {
            let events = RevisionEvents { revision, position: LogPosition::default(), events: Vec::new() };
            ring.push(Arc::new(vec![events]), 3, usize::MAX);
        }
        assert!(ring.from(6).is_none());
        assert_eq!(ring.from(8).map(|batches| batches.len()), Some(2));
        assert!(ring.from(10).is_none());
    }
}
