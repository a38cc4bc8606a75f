//! The digest of the replicated state, by which members that have diverged find out.
//!
//! It is a chain: the digest after an entry is a hash of the digest before it and of everything that the entry changes:
//! versions of keys, rows, the compacted revision, the registry. So it costs no look at what was there before, whatever
//! a member's checkpoints and compactions have done with it; members that once differed never agree again; and it goes
//! on over a restart (it is in the meta record) and into the member that loads a snapshot. Damage on the disk alone does
//! not change it.
//!
//! The hash is XXH3 with 128 bits (xxHash specification, version 0.1.1): members do not deceive each other, they err.

use std::collections::VecDeque;

use xxhash_rust::xxh3::Xxh3;

use super::StoreError;
use super::format::meta::Meta;
use super::mvcc::written::Version;
use super::registry::Registry;
use super::tables::{Id, Kept, TABLES};
use crate::model::StateDigest;

/// The scheme of this chain, in [`StateDigest::scheme`].
const SCHEME: u8 = 1;

/// Entries whose digests are kept for a comparison.
const KEPT: usize = 8192;

/// The kinds of changes.
const VERSION: u64 = 1;
const ROW: u64 = 2;
const COMPACTED: u64 = 3;
const REGISTRY: u64 = 4;

/// What an entry changes, as a hash in progress.
pub(super) struct Changes {
    /// The digest before the entry; `None` if it is not known.
    before: Option<u128>,
    /// `None` as long as nothing is changed.
    hasher: Option<Xxh3>,
}

impl Changes {
    /// Nothing so far.
    pub fn after(before: Option<u128>) -> Self {
        Self { before, hasher: None }
    }

    /// A key has a new version.
    pub fn version(&mut self, key: &[u8], version: &Version) {
        let (main, sub, key_len) = (version.at.main as u64, version.at.sub.into(), key.len() as u64);
        match &version.live {
            Some(live) => {
                let (create, count, lease) = (live.create as u64, live.version as u64, live.lease as u64);
                let value_len = live.value.len() as u64;
                self.add(
                    &[VERSION, main, sub, key_len, 1, create, count, lease, value_len],
                    &[key, &live.value],
                );
            }
            None => self.add(&[VERSION, main, sub, key_len, 0], &[key]),
        }
    }

    /// A row of a table is written, or (`None`) removed.
    pub fn row(&mut self, table: Id, key: &[u8], value: Option<&[u8]>) {
        let number = TABLES[table as usize].snapshot.map_or(0, u64::from);
        let (is_there, value) = (value.is_some().into(), value.unwrap_or_default());
        self.add(&[ROW, number, key.len() as u64, is_there, value.len() as u64], &[key, value]);
    }

    /// The compacted revision is another one.
    pub fn compacted(&mut self, revision: i64) {
        self.add(&[COMPACTED, revision as u64], &[]);
    }

    /// The registry is another one.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it cannot be encoded.
    pub fn registry(&mut self, registry: &Registry) -> Result<(), StoreError> {
        let version = registry.cluster_version.as_deref().unwrap_or_default();
        let (at, membership) = match &registry.raft_membership {
            Some((at, membership)) => (at.index, membership.as_ref()),
            None => (0, &[][..]),
        };
        let head = [REGISTRY, registry.epoch, version.len() as u64, at, membership.len() as u64];
        self.add(&head, &[version.as_bytes(), membership]);
        for table in &TABLES {
            let Kept::Whole { give, .. } = table.kept else { continue };
            give(registry, &mut |key, value| {
                self.row(table.id, key, Some(value));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Numbers, which say how long each of the parts is, and the parts: no two changes look alike.
    fn add(&mut self, numbers: &[u64], parts: &[&[u8]]) {
        let Some(before) = self.before else { return };
        let hasher = self.hasher.get_or_insert_with(|| {
            let mut hasher = Xxh3::new();
            hasher.update(&before.to_be_bytes());
            hasher
        });
        let mut head = [0; 9 * size_of::<u64>()];
        for (place, number) in head.chunks_exact_mut(size_of::<u64>()).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        hasher.update(&head[..size_of_val(numbers)]);
        parts.iter().for_each(|part| hasher.update(part));
    }

    /// The digest after the entry.
    pub fn finish(self) -> Option<u128> {
        self.hasher.map(|hasher| hasher.digest128()).or(self.before)
    }
}

/// The stored form.
fn to_stored(value: u128) -> [u8; 32] {
    let mut stored = [0; 32];
    let (front, _) = stored.split_at_mut(size_of::<u128>());
    front.copy_from_slice(&value.to_be_bytes());
    stored
}

fn from_stored(stored: [u8; 32]) -> u128 {
    stored.iter().take(size_of::<u128>()).fold(0, |value, byte| value << 8 | u128::from(*byte))
}

/// The digests after the latest entries.
#[derive(Default)]
pub(super) struct Digests {
    /// Index of an entry that changed something, the digest after it; ascending.
    latest: VecDeque<(u64, u128)>,
}

impl Digests {
    /// The digest of a state that was read. An empty one, and one that begins another cluster, has no entry yet, and the
    /// same digest on each member. A state that was written without a digest has none until a snapshot replaces it.
    pub fn of(meta: &Meta) -> Self {
        let first = match (meta.applied, meta.digest) {
            (None, _) => Some((0, 0)),
            (Some(applied), Some(StateDigest { index, scheme: SCHEME, value })) if index == applied.index => {
                Some((index, from_stored(value)))
            }
            _ => None,
        };
        Self { latest: first.into_iter().collect() }
    }

    /// The present one.
    pub fn last(&self) -> Option<u128> {
        self.latest.back().map(|(_, value)| *value)
    }

    /// The entry at `index` is applied, and this is the digest after it.
    pub fn applied(&mut self, index: u64, value: Option<u128>) {
        let Some(value) = value.filter(|value| self.last() != Some(*value)) else { return };
        if self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back((index, value));
    }

    /// The digest after the entry at `index`, which has been applied; `None` if that is too long ago.
    pub fn at(&self, index: u64) -> Option<StateDigest> {
        let behind = self.latest.partition_point(|(changed, _)| *changed <= index);
        let (_, value) = self.latest.get(behind.checked_sub(1)?)?;
        Some(StateDigest { index, scheme: SCHEME, value: to_stored(*value) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LogPosition;

    #[test]
    fn an_entry_that_changes_nothing_leaves_the_digest_as_it_is() {
        assert_eq!(Changes::after(Some(7)).finish(), Some(7));
        assert_eq!(Changes::after(None).finish(), None);
        let mut unknown = Changes::after(None);
        unknown.compacted(3);
        assert_eq!(unknown.finish(), None, "what is not known stays so");
    }

    #[test]
    fn the_boundaries_of_keys_and_values_count() {
        let of = |key: &[u8], value: Option<&[u8]>| {
            let mut changes = Changes::after(Some(0));
            changes.row(Id::Leases, key, value);
            changes.finish()
        };
        let all = [of(b"ab", Some(b"c")), of(b"a", Some(b"bc")), of(b"abc", Some(b"")), of(b"abc", None)];
        for (index, digest) in all.iter().enumerate() {
            assert!(!all[..index].contains(digest), "{index}");
        }
    }

    #[test]
    fn the_digest_at_an_entry_is_that_of_the_last_change_before_it() {
        let mut digests = Digests::of(&Meta::default());
        digests.applied(3, Some(30));
        digests.applied(4, Some(30));
        digests.applied(5, Some(50));
        let found = |digests: &Digests, index| digests.at(index).map(|digest| from_stored(digest.value));
        assert_eq!([0, 2, 3, 4, 5, 9].map(|index| found(&digests, index)), [0, 0, 30, 30, 50, 50].map(Some));
        (10..10 + KEPT as u64).for_each(|index| digests.applied(index, Some(index.into())));
        assert_eq!((found(&digests, 9), found(&digests, 10)), (None, Some(10)));
    }

    #[test]
    fn a_digest_of_another_entry_says_nothing() {
        let applied = Some(LogPosition { term: 1, index: 8, ..LogPosition::default() });
        let of = |digest| Digests::of(&Meta { applied, digest, ..Meta::default() }).last();
        assert_eq!(of(None), None);
        let value = to_stored(5);
        assert_eq!(of(Some(StateDigest { index: 7, scheme: SCHEME, value })), None);
        assert_eq!(of(Some(StateDigest { index: 8, scheme: SCHEME + 1, value })), None);
        assert_eq!(of(Some(StateDigest { index: 8, scheme: SCHEME, value })), Some(5));
    }
}
