//! The key space of v3: versions of keys under revisions, their history, and what a compaction leaves of it.
//!
//! - `revision`, `keys`, `records`: a place in the history, and the bytes of keys and versions on disk; pure
//! - `scan`, `disk`: versions of keys in LMDB
//! - `read`, `range`, `events`: reading at a revision, head and LMDB as one
//! - `hash`, `remembered`: etcd's hash of the key space, and those at the last compactions
//! - `compact`: removing old versions

mod compact;
pub(super) mod disk;
pub(super) mod events;
pub(super) mod hash;
pub(super) mod keys;
pub(super) mod range;
pub(super) mod read;
pub(super) mod records;
pub(super) mod remembered;
pub(super) mod revision;
mod scan;
