//! How far a member's log and state have come, and whether they can be of one history.

use crate::log::{Bounds, Log, Vote};
use crate::model::LogPosition;

/// The positions of log and store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The log's vote.
    pub vote: Option<Vote>,
    /// The range of the log.
    pub log: Bounds,
    /// The last entry that is in the store.
    pub applied: Option<LogPosition>,
}

/// Why log and store cannot belong to one history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Entries between the two are missing.
    #[error(
        "the log begins after the end of the state: the store was removed, or is of an older date (log from entry {}, \
         {})", .purged + 1, end(.applied)
    )]
    StoreBehind {
        /// The last entry that is not in the log any more.
        purged: u64,
        /// The last entry in the store.
        applied: Option<LogPosition>,
    },
    /// The vote and entries that the log once held are missing.
    #[error(
        "the state holds entries of a term that the log knows nothing of: the log was removed, or is of an older date \
         (log in term {term}, {}); votes and acknowledged writes may be lost", end(.applied)
    )]
    LogBehind {
        /// The newest term that the log knows.
        term: u64,
        /// The last entry in the store.
        applied: Option<LogPosition>,
    },
}

fn end(applied: &Option<LogPosition>) -> String {
    match applied {
        Some(LogPosition { term, index, .. }) => format!("state up to entry {index} of term {term}"),
        None => "an empty state".to_string(),
    }
}

impl Standing {
    /// The positions of these.
    pub fn of(log: &Log, applied: Option<LogPosition>) -> Self {
        Self { vote: log.vote(), log: log.bounds(), applied }
    }

    /// True for a log to which nothing was ever written. A member has such a log until it is founded, and never again.
    pub fn is_log_empty(&self) -> bool {
        self.vote.is_none() && self.log.last.is_none()
    }

    /// True if nothing but [`super::found()`] ever wrote here: this member has voted for nobody and acknowledged nothing.
    pub fn is_untouched(&self) -> bool {
        self.term() == 0 && self.log.purged.is_none() && self.applied.is_none()
    }

    /// The newest term that the log knows.
    fn term(&self) -> u64 {
        let voted = self.vote.map_or(0, |vote| vote.term);
        voted.max(self.log.last.map_or(0, |last| last.term))
    }

    /// Checks that log and store can belong to one history. A store may be ahead of its log: entries are applied once a
    /// quorum has them, perhaps before they are flushed here, and a snapshot is installed before the log is truncated.
    ///
    /// # Errors
    /// See [`Misfit`].
    pub fn check(&self) -> Result<(), Misfit> {
        let applied = self.applied;
        if let Some(LogPosition { index: purged, .. }) = self.log.purged
            && applied.is_none_or(|applied| applied.index < purged)
        {
            return Err(Misfit::StoreBehind { purged, applied });
        }
        // Every applied entry was sent by a leader, whose vote is durable before its entries are accepted. The
        // founders' entries have term 0, but a leader of a later term committed them.
        let term = self.term();
        if applied.is_some_and(|applied| applied.term.max(1) > term) {
            return Err(Misfit::LogBehind { term, applied });
        }
        Ok(())
    }
}
