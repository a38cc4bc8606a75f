//! Counters of what was done with the tree, as etcd's `/v2/stats/store` shows them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{TreeCommand, TreeReply};

/// The kinds of requests by etcd's names.
const KINDS: [&str; 7] = ["gets", "sets", "delete", "update", "create", "compareAndSwap", "compareAndDelete"];

/// Counters since the start of this member.
#[derive(Debug, Default)]
pub struct TreeFigures {
    /// Refused and done, for each kind.
    counts: [[AtomicU64; 2]; KINDS.len()],
    expired: AtomicU64,
}

impl TreeFigures {
    /// Counts a command.
    pub(in crate::store) fn ran(&self, command: &TreeCommand, reply: &TreeReply) {
        let kind = match command {
            TreeCommand::Set { .. } => 1,
            TreeCommand::Delete { .. } => 2,
            TreeCommand::Update { .. } => 3,
            TreeCommand::Create { .. } => 4,
            TreeCommand::CompareAndSwap { .. } => 5,
            TreeCommand::CompareAndDelete { .. } => 6,
            TreeCommand::Expire => {
                if let TreeReply::Expired(count) = reply {
                    self.expired.fetch_add(*count, Ordering::Relaxed);
                }
                return;
            }
        };
        self.count(kind, matches!(reply, TreeReply::Done(_)));
    }

    /// Counts a read.
    pub fn read(&self, is_done: bool) {
        self.count(0, is_done);
    }

    fn count(&self, kind: usize, is_done: bool) {
        self.counts[kind][usize::from(is_done)].fetch_add(1, Ordering::Relaxed);
    }

    /// The kinds, how many requests of each were done and how many refused, and how many nodes have ended.
    pub fn counts(&self) -> (Vec<(&'static str, u64, u64)>, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let kinds = KINDS.iter().zip(&self.counts);
        let kinds = kinds.map(|(kind, [refused, done])| (*kind, load(done), load(refused)));
        (kinds.collect(), load(&self.expired))
    }
}
