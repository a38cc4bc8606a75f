//! The key space of v3: versions of keys by revision, their history, and compaction.
//!
//! - `revision`, `keys`, `records`, `rows`: a position in the history, and the bytes of keys and versions on disk; pure
//! - `written`, `ring`: versions in the head, and the recent events
//! - `scan`, `disk`, `fold`: versions of keys in LMDB: reading and writing them
//! - `read`, `range`, `events`: reading at a revision, head and LMDB combined
//! - `stored`: changes in the form of etcd's backend
//! - `hash`, `remembered`: etcd's hash of the key space, and the hashes at the last compactions
//! - `compact`, `stretch`: removing old versions, and in which order

mod compact;
pub(super) mod disk;
pub(super) mod events;
pub(super) mod fold;
pub(super) mod hash;
pub(super) mod keys;
pub(super) mod range;
pub(super) mod read;
pub(super) mod records;
pub(super) mod remembered;
pub(super) mod revision;
pub(super) mod ring;
pub(super) mod rows;
pub(super) mod scan;
pub(super) mod stored;
pub(super) mod stretch;
pub(super) mod written;
