//! The state: a multi-version key space with leases, members and alarms. Entries of the raft log are applied to it; it
//! can be read at any revision that is not compacted; it is kept in LMDB under an in-memory head.
//!
//! # Table of contents
//! - `tables`: one row per table; start here to add one
//! - `format/`: the bytes on disk, pure; `lmdb`: the environment with its tables, the only unsafe code; `sealed`: a table
//!   whose rows have checksums
//! - `mvcc/`: the key space of v3: versions, reading, history, hash, compaction
//! - `tree/`: the tree of v2's API: nodes, their times to live, the last changes
//! - `head`: changes that are not in LMDB yet; `registry`: members, alarms, users and other small state, all in
//!   memory
//! - `handle`: the [`Store`], the interface for other rooms
//! - `core`: the locks, readers, the pool of read transactions. Start here to understand how reads stay consistent.
//! - `entry`: applies an entry through `apply/`, with everything that is specific to this member
//! - `apply/`: one command after another, deterministically; `quota`: the cost of a command, which is checked before it
//!   is proposed
//! - `measure`: how much a command returns
//! - `permission`: checks of callers against the present users, which are in `present`
//! - `figures`: counters for metrics
//! - `leases`: reading leases; `hash`: the hash of everything
//! - `digest`: a chain of hashes over all changes, which members compare; `condemned`: the mark of a state that is wrong
//! - `effort`, `room`, `space`: how long applying may take, and how much room the disk has
//! - `checkpoint`, `worker`: folding the head into LMDB, and the thread that does it and compacts; `signal`: signals
//!   between that thread and others
//! - `seams`: conditions at the borders between parts of the store, checked in production
//! - `backup/`: the whole state in the form of etcd's backend, and back
//! - `pages/`: LMDB's file, checked without LMDB; `scrub`: the same from time to time; `clean`: the
//!   mark of an orderly end; `remains`: what takes part of a state that is damaged;
//!   `salvage`: what can be saved of one that no other member has
//! - `snapshot`, `restore`: the whole state as a stream for members, and back; `states`: several environments and the file CURRENT
//!
//! # Rules
//! - Files use only those below them: `handle` everything; `worker`, `restore` and `snapshot` the core; the core the
//!   head, LMDB and formats.
//! - Applying writes memory only. Durable is what a checkpoint wrote, in one transaction with the position of the last
//!   log entry in it; after a crash the log is applied again from there. So the log may be purged up to
//!   [`Store::checkpointed`] and never further.
//! - Reads never wait for a disk write. No lock is held across one that a reader or the applying thread needs.
//! - The store uses neither tokio nor raft nor a clock. Only `worker` has a thread, and a simulation runs without it
//!   ([`CheckpointPolicy::Manual`]).
//! - A refusal is an answer, and so is a shortage of resources for a read; the store waits until a full disk has room.
//!   Every other error is fatal: it is recorded, reported once, and nothing is served after it.

#[cfg(test)]
mod answers_test;
mod apply;
mod backup;
mod checkpoint;
mod clean;
#[cfg(test)]
mod clean_test;
mod condemned;
mod core;
#[cfg(test)]
mod damage_test;
mod digest;
#[cfg(test)]
mod digest_test;
pub mod effort;
mod entry;
mod error;
mod figures;
pub mod format;
#[cfg(test)]
mod golden;
mod handle;
mod hash;
mod head;
mod leases;
mod lmdb;
mod measure;
#[cfg(test)]
mod model_test;
mod mvcc;
mod options;
mod pages;
mod permission;
mod present;
pub mod quota;
mod registry;
mod remains;
mod restore;
mod room;
mod salvage;
#[cfg(test)]
mod salvage_test;
mod scrub;
mod sealed;
mod seams;
#[cfg(test)]
mod seams_test;
#[cfg(test)]
mod settings_test;
mod signal;
mod snapshot;
mod space;
#[cfg(test)]
mod start_test;
mod states;
mod tables;
#[cfg(test)]
mod tests;
mod tree;
#[cfg(test)]
mod tree_test;
mod unchanged;
#[cfg(test)]
mod users_test;
#[cfg(test)]
mod verify_test;
mod worker;

pub use backup::{BackupReader, Imported};
pub use condemned::Condemned;
pub use error::StoreError;
pub use figures::Figures;
pub use handle::Store;
pub use measure::may_return_much;
pub use mvcc::events::Wanted;
pub use options::{
    BeforeCommit, CheckAtStart, CheckpointPolicy, HashKv, OnDamage, OnFatal, Options, Sizes, TableFigures,
};
pub use present::UsersEpoch;
pub use restore::Prepared;
pub use salvage::Salvaged;
pub use scrub::{ScrubPlace, Scrubbed};
pub use snapshot::{SnapshotHeader, SnapshotReader};
pub use tree::Tree;
pub use unchanged::Glimpse;
