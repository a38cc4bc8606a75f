//! The meta record: the counters and positions of the whole state.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{LogPosition, StateDigest};

/// The size that an empty store reports, in bytes (etcd's empty backend).
pub const EMPTY_SIZE: u64 = 20_480;

/// The store's record of its state, durable together with the data it describes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The last log entry contained.
    pub applied: Option<LogPosition>,
    /// Raft's configuration, opaque here, with its position.
    pub raft_membership: Option<(LogPosition, Bytes)>,
    /// The current revision.
    pub revision: i64,
    /// The compacted revision, -1 for none.
    pub compacted: i64,
    /// The compacted revision up to which superfluous versions have been removed.
    pub pruned: i64,
    /// Main and sub revision at which the removal continues: everything before is done.
    pub prune_from: (i64, u32),
    /// See [`crate::store::Sizes`].
    pub in_use: u64,
    /// See [`crate::store::Sizes`].
    pub allocated: u64,
    /// The cluster's version.
    pub cluster_version: Option<String>,
    /// Which life of the cluster this is: 0 until `--force-new-cluster` or a restore begins another one.
    pub epoch: u64,
    /// The digest of the state. It counts only if it names the last log entry contained.
    pub digest: Option<StateDigest>,
}
