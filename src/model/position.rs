//! Positions in the raft log.

use serde::{Deserialize, Serialize};

/// The position of an entry in the raft log: the leader's term and the index. Ordered by term, then index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// Term of the leader that appended the entry.
    pub term: u64,
    /// Member id of that leader.
    pub leader: u64,
    /// Index of the entry, counted from zero.
    pub index: u64,
}
