//! The state: a multi-version key space with leases, members and alarms, in LMDB under an in-memory head.

mod error;
mod options;

pub use error::StoreError;
pub use options::{CheckpointPolicy, HashKv, OnFatal, Options, Sizes};

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{
    Alarm, KeyRange, KeyValue, Lease, LeaseId, LogPosition, Member, MemberId, Observer, OpReply, Proposal,
    RangeQuery, RangeResult, Refusal, Reply, RevisionEvents, Txn,
};

/// The store of one member. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<()>);

fn unfinished() -> Refusal {
    Refusal::Internal("the store is being built".into())
}

impl Store {
    /// Opens the store in `dir`, creating it where it is empty.
    pub fn open(_dir: &Path, _options: Options) -> Result<Store, StoreError> {
        Ok(Store(Arc::new(())))
    }
    /// Replaces those who hear of what is applied.
    pub fn set_observers(&self, _observers: Vec<Arc<dyn Observer>>) {}
    /// Applies one log entry; readable and observed when it returns. The applying thread only.
    pub fn apply(&self, _position: LogPosition, _proposals: &[Proposal]) -> Result<Vec<Reply>, StoreError> {
        Err(StoreError::Damaged("the store is being built".into()))
    }
    /// Applies a membership entry: raft's own configuration (opaque here) and the member change that goes with it.
    pub fn apply_membership(
        &self,
        _position: LogPosition,
        _raft_membership: Bytes,
        _change: Option<&Proposal>,
    ) -> Result<Option<Reply>, StoreError> {
        Err(StoreError::Damaged("the store is being built".into()))
    }
    /// Applies an entry that changes nothing.
    pub fn apply_blank(&self, _position: LogPosition) -> Result<(), StoreError> {
        Err(StoreError::Damaged("the store is being built".into()))
    }
    /// The last entry applied.
    pub fn applied(&self) -> Option<LogPosition> {
        None
    }
    /// Raft's configuration with the position of its entry.
    pub fn raft_membership(&self) -> Option<(LogPosition, Bytes)> {
        None
    }
    /// The last entry that is durable in LMDB: the log may be purged up to here.
    pub fn checkpointed(&self) -> Option<LogPosition> {
        None
    }
    /// Folds everything applied so far into LMDB and returns when it is durable.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Removes what compactions have left, without pauses (the store's thread does it by itself in background mode).
    pub fn prune(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Makes everything durable and stops the store's thread.
    pub fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// The current revision; 1 in an empty store.
    pub fn revision(&self) -> i64 {
        1
    }
    /// The compacted revision; -1 where nothing was compacted.
    pub fn compacted_revision(&self) -> i64 {
        -1
    }
    /// Reads a range.
    pub fn range(&self, _query: &RangeQuery) -> Result<RangeResult, Refusal> {
        Err(unfinished())
    }
    /// Reads one key at the current revision.
    pub fn get(&self, _key: &[u8]) -> Result<Option<KeyValue>, Refusal> {
        Err(unfinished())
    }
    /// Runs a read-only transaction at the current revision.
    pub fn read_txn(&self, _txn: &Txn) -> Result<OpReply, Refusal> {
        Err(unfinished())
    }
    /// The events of `range` from revision `from` to `to` inclusive, at most about so many revisions and bytes (always
    /// whole revisions, at least one where there is one), and the revision to go on from.
    pub fn events(
        &self,
        _range: &KeyRange,
        _from: i64,
        _to: i64,
        _max_revisions: usize,
        _max_bytes: usize,
        _prev_kv: bool,
    ) -> Result<(Vec<RevisionEvents>, i64), Refusal> {
        Err(unfinished())
    }
    /// All leases, ascending by id.
    pub fn leases(&self) -> Result<Vec<Lease>, Refusal> {
        Err(unfinished())
    }
    /// One lease.
    pub fn lease(&self, _id: LeaseId) -> Result<Option<Lease>, Refusal> {
        Err(unfinished())
    }
    /// The keys attached to a lease, ascending.
    pub fn lease_keys(&self, _id: LeaseId) -> Result<Vec<Bytes>, Refusal> {
        Err(unfinished())
    }
    /// All members, ascending by id.
    pub fn members(&self) -> Vec<Member> {
        Vec::new()
    }
    /// The ids of members that were removed, for ever.
    pub fn removed(&self) -> Vec<MemberId> {
        Vec::new()
    }
    /// The cluster's version, `None` until it was decided.
    pub fn cluster_version(&self) -> Option<String> {
        None
    }
    /// The alarms that are raised.
    pub fn alarms(&self) -> Vec<Alarm> {
        Vec::new()
    }
    /// The size of the data.
    pub fn sizes(&self) -> Sizes {
        Sizes { allocated: 20480, in_use: 20480, quota: None }
    }
    /// Lets `allocated` fall to `in_use` (LMDB reuses freed pages by itself).
    pub fn defragment(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// CRC32C of everything stored.
    pub fn hash(&self) -> Result<u32, Refusal> {
        Err(unfinished())
    }
    /// etcd's hash of the key space at a revision (0: the current one).
    pub fn hash_kv(&self, _revision: i64) -> Result<HashKv, Refusal> {
        Err(unfinished())
    }
    /// Waits until what a compaction at `revision` made superfluous is deleted.
    pub fn wait_compacted(&self, _revision: i64) -> Result<(), StoreError> {
        Ok(())
    }
    /// A stream of the whole state as it was at the last checkpoint; O(1) to open, bounded memory to read.
    pub fn snapshot(&self) -> Result<SnapshotReader, StoreError> {
        Err(StoreError::Snapshot("the store is being built".into()))
    }
    /// Replaces the whole state by that of a snapshot stream. On an error the store is as it was.
    pub fn restore(&self, _stream: impl Read) -> Result<SnapshotHeader, StoreError> {
        Err(StoreError::Snapshot("the store is being built".into()))
    }
    /// Ok, or the error that stopped the store.
    pub fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a snapshot stream begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The last log entry it contains.
    pub position: Option<LogPosition>,
    /// Raft's configuration at that point, with its position.
    pub raft_membership: Option<(LogPosition, Bytes)>,
    /// The current revision.
    pub revision: i64,
    /// The compacted revision.
    pub compacted: i64,
}

/// A snapshot as a stream of bytes.
pub struct SnapshotReader(());

impl SnapshotReader {
    /// What the stream holds.
    pub fn header(&self) -> &SnapshotHeader {
        unreachable!("no snapshot is made yet")
    }
    /// The exact length of the stream in bytes; walks through all rows.
    pub fn total_size(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(0)
    }
}

/// The space that etcd counts for a command before it is proposed.
pub mod quota {
    use crate::model::Command;

    /// Cost in bytes; 0 for what is always allowed.
    pub fn cost(_command: &Command) -> u64 {
        0
    }
}
