//! Transactions and the operations in them (etcd semantics sections 3 to 5).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::nesting::nested;
use super::{KeyRange, LeaseId, RangeQuery};

/// A put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The key, not empty.
    pub key: Bytes,
    /// The value; empty with `ignore_value`.
    pub value: Bytes,
    /// The lease to attach, 0 for none; 0 with `ignore_lease`.
    pub lease: LeaseId,
    /// Answer with the state before.
    pub prev_kv: bool,
    /// Keep the current value.
    pub ignore_value: bool,
    /// Keep the current lease.
    pub ignore_lease: bool,
}

/// A deletion of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The keys to delete.
    pub range: KeyRange,
    /// Answer with the states before.
    pub prev_kv: bool,
}

/// How a [`Compare`] compares: the key's attribute on the left, the operand on the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareOp {
    /// Equal.
    Equal,
    /// Greater.
    Greater,
    /// Less.
    Less,
    /// Not equal.
    NotEqual,
    /// A number this version does not know, which etcd treats as true.
    Unknown,
}

/// The attribute compared, with its operand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareTarget {
    /// The version.
    Version(i64),
    /// The create revision.
    Create(i64),
    /// The mod revision.
    Mod(i64),
    /// The value.
    Value(Bytes),
    /// The lease.
    Lease(LeaseId),
    /// A number this version does not know, which etcd treats as true.
    Unknown,
}

/// A guard: it must hold for every key of the range. For a missing key or an empty range see etcd semantics section 5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// The keys compared.
    pub range: KeyRange,
    /// The comparison.
    pub op: CompareOp,
    /// The attribute, with the operand.
    pub target: CompareTarget,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Read.
    Range(RangeQuery),
    /// Put.
    Put(Put),
    /// Delete.
    Delete(Delete),
    /// A transaction inside the transaction. All compares are evaluated before any operation runs.
    Txn(#[serde(deserialize_with = "nested")] Txn),
}

/// If all compares hold run `success`, else `failure`, as one change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Txn {
    /// The guards, all of which must hold; none means true.
    pub compares: Vec<Compare>,
    /// Run if they hold.
    pub success: Vec<Op>,
    /// Run if they do not.
    pub failure: Vec<Op>,
}

impl Txn {
    /// True if neither branch can change anything, so that no log entry is needed. A nested transaction counts as
    /// a write, as in etcd.
    pub fn is_read_only(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|op| matches!(op, Op::Range(_)))
    }
}
