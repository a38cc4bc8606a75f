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

/// The positions of a member's vote and of its log. Both are on disk before they are sent to anybody, so they are never
/// behind what the member has acknowledged, unless its disk is replaced by an older copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The term of its vote.
    pub term: u64,
    /// The last entry of its log or, if that is further, of its state.
    pub last: Option<LogPosition>,
}

impl Progress {
    /// True if a member that stands here cannot have acknowledged `acknowledged`: within a term nothing is taken out of a
    /// log. A leader of a later term may have replaced what was acknowledged to an earlier one, so then nothing is known.
    pub fn lacks(&self, acknowledged: &Progress) -> bool {
        let end = |progress: &Progress| progress.last.map(|last| (last.term, last.index));
        self.term < acknowledged.term || self.term == acknowledged.term && end(self) < end(acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_copy_lacks_what_was_acknowledged() {
        let at = |term, log_term, index| Progress {
            term,
            last: Some(LogPosition { term: log_term, leader: 0, index }),
        };
        let acknowledged = at(4, 4, 10);
        for older in [Progress::default(), at(3, 3, 20), at(4, 4, 9), at(4, 3, 20)] {
            assert!(older.lacks(&acknowledged), "{older:?}");
        }
        for whole in [acknowledged, at(4, 4, 11), at(5, 3, 2), Progress { term: 5, last: None }] {
            assert!(!whole.lacks(&acknowledged), "{whole:?}");
        }
        assert!(!Progress::default().lacks(&Progress::default()));
    }
}
