//! Reads: questions to the store and its answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{KeyRange, LeaseId};

/// A key with its value and its place in history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// Revision of the put that created the key.
    pub create_revision: i64,
    /// Revision of the last change.
    pub mod_revision: i64,
    /// Number of puts since the creation, 1 at the creation.
    pub version: i64,
    /// The value.
    pub value: Bytes,
    /// The lease the key is attached to, 0 for none.
    pub lease: LeaseId,
}

/// What a result is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortTarget {
    /// The key.
    #[default]
    Key,
    /// The version.
    Version,
    /// The create revision.
    Create,
    /// The mod revision.
    Mod,
    /// The value.
    Value,
}

/// The order of a result. etcd's `SortOrder.NONE` is key order for the target key, and
/// ascending for the others with [`Sort::after_limit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sort {
    /// What is compared.
    pub target: SortTarget,
    /// Largest first.
    pub descending: bool,
    /// Only the first keys, up to one above the limit, are sorted, so that the result may lack the smallest: this is
    /// etcd's behaviour for the order "none" with a target other than the key.
    pub after_limit: bool,
}

impl Sort {
    /// True for plain key order, the order of the store.
    pub fn is_key_order(&self) -> bool {
        self.target == SortTarget::Key && !self.descending
    }
}

/// Inclusive bounds on revisions; 0 means no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionBounds {
    /// Lowest mod revision.
    pub min_mod: i64,
    /// Highest mod revision.
    pub max_mod: i64,
    /// Lowest create revision.
    pub min_create: i64,
    /// Highest create revision.
    pub max_create: i64,
}

impl RevisionBounds {
    /// True if there is no bound.
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }

    /// True if a key with these revisions passes.
    pub fn admit(&self, create_revision: i64, mod_revision: i64) -> bool {
        (self.min_mod == 0 || mod_revision >= self.min_mod)
            && (self.max_mod == 0 || mod_revision <= self.max_mod)
            && (self.min_create == 0 || create_revision >= self.min_create)
            && (self.max_create == 0 || create_revision <= self.max_create)
    }
}

/// A read of a range (etcd `RangeRequest`, semantics section 2). The caller has already decided whether it must be
/// linearizable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeQuery {
    /// The keys wanted.
    pub range: KeyRange,
    /// Revision to read at; zero and below mean the current one.
    pub revision: i64,
    /// Most keys to return; zero and below mean all.
    pub limit: i64,
    /// Order of the result.
    pub sort: Sort,
    /// Filters on revisions; they do not change `count`.
    pub bounds: RevisionBounds,
    /// Leave values out.
    pub keys_only: bool,
    /// Leave out the keys, too.
    pub count_only: bool,
}

impl RangeQuery {
    /// The plain read of `range` at the current revision.
    pub fn current(range: KeyRange) -> Self {
        Self {
            range,
            revision: 0,
            limit: 0,
            sort: Sort::default(),
            bounds: RevisionBounds::default(),
            keys_only: false,
            count_only: false,
        }
    }
}

/// The answer to a [`RangeQuery`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeResult {
    /// The store's revision at the time of the read (not the revision that was read).
    pub revision: i64,
    /// The keys found.
    pub kvs: Vec<KeyValue>,
    /// True if the limit cut the result.
    pub more: bool,
    /// Number of keys in the range at the revision that was read, regardless of limit and bounds.
    pub count: i64,
}
