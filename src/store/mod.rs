//! The state: a multi-version key space with leases, members and alarms. It is applied to from the raft log, read at
//! any revision that is not compacted, and kept in LMDB under an in-memory head.
//!
//! # Table of contents
//! - `tables`: one row a table; begin here to add one
//! - `format/`: the bytes on disk, pure; `lmdb`: the environment with its tables, the only unsafe code
//! - `mvcc/`: the key space of v3: versions, reading, history, hash, compaction
//! - `head`: what is not in LMDB yet; `registry`: members, alarms and such, whole in memory
//! - `handle`: the [`Store`], what other rooms see of it
//! - `core`: the locks, readers, the pool of read transactions. Begin here to understand how reads stay consistent.
//! - `entry`: an entry on its way through `apply/`, with everything that is this member's own
//! - `apply/`: one command after another, deterministically; `quota`: what an API decides before it proposes
//! - `figures`: what is counted for metrics
//! - `leases`: reading leases; `hash`: the hash of everything
//! - `effort`, `room`, `space`: what applying may take, and what room the disk has
//! - `checkpoint`, `worker`: folding the head into LMDB, and the thread that does it and compacts; `signal`: how that one
//!   and others hear of each other
//! - `seams`: what must hold where one part hands over to another, checked in production
//! - `snapshot`, `restore`: the whole state as a stream, and back; `states`: environments beside each other and CURRENT
//!
//! The nodes, TTLs and history of v2 get their place beside `mvcc/`, as `tree/`, over the same core: tables, head,
//! checkpoint, snapshot, worker.
//!
//! # Rules
//! - Files know those below them only: `handle` everything; `worker`, `restore` and `snapshot` the core; the core the head,
//!   LMDB and formats.
//! - Applying writes memory only. What is durable is what a checkpoint wrote, in one transaction with the position of
//!   the last log entry it holds; after a crash the log is applied again from there. So the log may be purged up to
//!   [`Store::checkpointed`] and never further.
//! - Reads never wait for a disk write. No lock is held across one that a reader or the applying thread needs.
//! - The store knows nothing of tokio, of raft or of the clock. Only `worker` has a thread, and a simulation runs
//!   without it ([`CheckpointPolicy::Manual`]).
//! - A refusal is an answer, and so is a shortage of what reading takes; a full disk is waited out. Every other error is
//!   fatal: it is recorded, reported once, and nothing is served after it.

mod apply;
mod checkpoint;
mod core;
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
#[cfg(test)]
mod model_test;
mod mvcc;
mod options;
pub mod quota;
mod registry;
mod restore;
mod room;
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
mod worker;

pub use error::StoreError;
pub use figures::Figures;
pub use handle::Store;
pub use options::{BeforeCommit, CheckpointPolicy, HashKv, OnFatal, Options, Sizes, TableFigures};
pub use restore::Prepared;
pub use snapshot::{SnapshotHeader, SnapshotReader};
