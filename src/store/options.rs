//! The options of a [`super::Store`], and the small types of its answers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::StoreError;
use crate::model::Budget;

/// When recent changes are folded into LMDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointPolicy {
    /// A thread of the store folds as soon as one of the limits is reached.
    Background {
        /// Longest time a change stays in memory only.
        interval: Duration,
        /// Bytes of keys and values in memory that start a checkpoint.
        bytes: usize,
        /// Changes in memory that start a checkpoint.
        operations: usize,
    },
    /// The store has no thread: the caller calls [`super::Store::checkpoint`] and [`super::Store::prune`]. For
    /// simulation and tests.
    Manual,
    /// As [`CheckpointPolicy::Manual`], but from this many changes in memory on the store reports that applying may
    /// wait for its disk: for simulations, in which an observer of what is applied lets time pass.
    Stepped {
        /// Changes in memory without a checkpoint.
        operations: usize,
    },
}

impl Default for CheckpointPolicy {
    fn default() -> Self {
        Self::Background { interval: Duration::from_secs(1), bytes: 32 << 20, operations: 2_000 }
    }
}

/// Called once if the store cannot continue (an io error): the process must end.
pub type OnFatal = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// Called before every commit to LMDB, and before another state is put in its place, which fails with what it gives: how
/// tests and simulations make the store's disk slow, full or broken.
pub type BeforeCommit = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// What is done with a state of which something on the disk is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// The store fails: for programs that only use it for a moment.
    Fail,
    /// The state is condemned ([`super::Store::condemn`]): nothing of it is served any more. The store itself fails only
    /// if entries cannot be applied without what is damaged.
    Condemn {
        /// Whether it is to be replaced by the leader's.
        replace: bool,
    },
}

/// Which start reads all pages of the data, but those of large values, before LMDB opens them; see `pages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckAtStart {
    /// None.
    Never,
    /// Each one that does not follow an orderly end. After one the names and the roots of the tables are checked, and the
    /// caller has the rest verified beside serving ([`super::Store::verify`]).
    AfterCrash,
    /// Each one.
    Always,
}

/// The options of a store.
#[derive(Clone)]
pub struct Options {
    /// Address space for LMDB in bytes: an upper bound of the data file, not an allocation. It is halved until the
    /// address space has room for it.
    pub map_size: usize,
    /// Most concurrent readers.
    pub max_readers: u32,
    /// Space quota in bytes of [`Sizes::in_use`]; `None` is unlimited.
    pub quota: Option<u64>,
    /// When recent changes are folded into LMDB.
    pub checkpoint: CheckpointPolicy,
    /// History rows a compaction visits in one transaction.
    pub compaction_batch: usize,
    /// Pause between these transactions.
    pub compaction_sleep: Duration,
    /// Most revisions that are kept in memory for watchers slightly behind.
    pub recent_revisions: usize,
    /// Most bytes of these.
    pub recent_bytes: usize,
    /// An entry whose application takes longer is logged and counted (`--warning-apply-duration`).
    pub slow_apply: Duration,
    /// The memory for what is read for clients, and for their answers: shared with the API.
    pub answers: Arc<Budget>,
    /// When the data are checked before LMDB opens them.
    pub check_at_start: CheckAtStart,
    /// What is done with a state that is damaged.
    pub on_damage: OnDamage,
    /// Called once if the store cannot continue.
    pub on_fatal: Option<OnFatal>,
    /// See [`BeforeCommit`]; `None` outside of tests.
    pub before_commit: Option<BeforeCommit>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            map_size: 256 << 30,
            max_readers: 4096,
            quota: Some(2 << 30),
            checkpoint: CheckpointPolicy::default(),
            compaction_batch: 10_000,
            compaction_sleep: Duration::from_millis(10),
            recent_revisions: 8192,
            recent_bytes: 16 << 20,
            slow_apply: Duration::from_millis(100),
            answers: Budget::new(320 << 20),
            check_at_start: CheckAtStart::Always,
            on_damage: OnDamage::Fail,
            on_fatal: None,
            before_commit: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("map_size", &self.map_size)
            .field("quota", &self.quota)
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}

/// The size of the data, counted logically: the bytes of the keys and values of all stored versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Highest `in_use` since the last [`super::Store::defragment`], in bytes: this is reported as the size.
    pub allocated: u64,
    /// Bytes of the versions that are stored now; the quota limits this value, because free space can be reused at
    /// once.
    pub in_use: u64,
    /// The quota, `None` if there is none.
    pub quota: Option<u64>,
}

impl Sizes {
    /// True if `cost` more bytes (see [`super::quota`]) do not fit.
    pub fn exceeded_by(&self, cost: u64) -> bool {
        self.quota.is_some_and(|quota| self.in_use.saturating_add(cost) >= quota)
    }
}

/// The size of a table in LMDB at the last checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFigures {
    /// The table's name.
    pub name: &'static str,
    /// Its rows.
    pub rows: u64,
    /// Bytes of the pages that hold them.
    pub bytes: u64,
}

/// A hash of the key space, equal on all members (and on a real etcd) with the same history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKv {
    /// CRC32C of the versions up to `hash_revision`.
    pub hash: u32,
    /// The compacted revision; only hashes with the same one can be compared. -1 if nothing was compacted.
    pub compact_revision: i64,
    /// The revision that was hashed.
    pub hash_revision: i64,
}
