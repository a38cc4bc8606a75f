//! Versions of keys in memory: the changes of the key space since the last checkpoint.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::records::ChangeKind;
use super::revision::Revision;
use crate::model::{KeyValue, LeaseId};

/// Bytes counted for a stored version in addition to its key and value.
pub(in crate::store) const VERSION_OVERHEAD: u64 = 40;

/// The content of a version of a key that is not a deletion.
#[derive(Clone, Debug)]
pub(in crate::store) struct Live {
    pub create: i64,
    pub version: i64,
    pub lease: LeaseId,
    pub value: Bytes,
}

/// A version of a key.
#[derive(Clone, Debug)]
pub(in crate::store) struct Version {
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
pub(in crate::store) type Versions = SmallVec<[Version; 1]>;

/// The newest version that is not above `at`.
pub(in crate::store) fn floor(versions: &[Version], at: Revision) -> Option<&Version> {
    // Nearly always the last one is wanted.
    versions.iter().rev().find(|version| version.at <= at)
}

/// One key changed at one revision.
#[derive(Clone, Debug)]
pub(in crate::store) struct Change {
    pub at: Revision,
    pub kind: ChangeKind,
    pub key: Bytes,
}

/// The changes, in the order of revisions. Nothing writes it after its layer is frozen.
#[derive(Debug, Default)]
pub(in crate::store) struct Written {
    pub versions: BTreeMap<Bytes, Versions>,
    /// All changes of `versions` in the order of revisions.
    pub changes: Vec<Change>,
    /// Bytes of keys and values.
    pub bytes: usize,
    /// The bytes that the versions add to [`crate::store::Sizes::in_use`].
    pub growth: u64,
    /// The number of created keys minus deleted ones.
    pub live: i64,
    /// The last revision in it, if it is frozen.
    pub end: Option<i64>,
}

impl Written {
    /// Adds a version; revisions must ascend.
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
        match self.versions.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(smallvec![version]);
            }
            Entry::Occupied(entry) => entry.into_mut().push(version),
        }
    }

    /// The newest version of `key` here that is not above `at`.
    pub fn floor(&self, key: &[u8], at: Revision) -> Option<&Version> {
        floor(self.versions.get(key)?, at)
    }

    /// The changes from a main revision on.
    pub fn changes_from(&self, main: i64) -> &[Change] {
        let first = self.changes.partition_point(|change| change.at.main < main);
        &self.changes[first..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(main: i64, value: &'static [u8]) -> Version {
        let live = Live { create: main, version: 1, lease: 0, value: Bytes::from_static(value) };
        Version { at: Revision { main, sub: 0 }, live: Some(live) }
    }

    #[test]
    fn a_version_is_found_by_its_revision() {
        let mut written = Written::default();
        written.push(Bytes::from_static(b"k"), version(2, b"a"));
        written.push(Bytes::from_static(b"j"), version(3, b"a"));
        written.push(Bytes::from_static(b"k"), version(5, b"b"));
        let found = |main| written.floor(b"k", Revision::last_of(main)).map(|version| version.at.main);
        assert_eq!([found(1), found(2), found(4), found(5)], [None, Some(2), Some(2), Some(5)]);
        assert_eq!(written.changes_from(3).len(), 2);
        assert_eq!(written.growth, 3 * (1 + 1 + VERSION_OVERHEAD));
    }
}
