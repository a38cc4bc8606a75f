//! The log for raft: [`crate::log`] behind openraft's traits.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use tokio::sync::oneshot;

use super::runtime::offload;
use super::shared::Shared;
use super::types::{
    Entry, LogId, Payload, RaftVote, Types, from_log, from_vote, log_id, position, to_log, to_vote,
};
use crate::log::{Log, LogError};
use crate::model::{LogPosition, Planted, is_planted};

/// Most bytes of entries sent to a member at once.
const REPLICATION_BYTES: usize = 4 << 20;

/// Most commands in entries that raft's thread writes itself, if no other member waits for it: more of them are worth the
/// log's thread, because raft can go on in the meantime.
const SMALL: usize = 8;

fn is_small(entries: &[crate::log::Entry]) -> bool {
    let commands = |entry: &crate::log::Entry| match &entry.payload {
        crate::log::Payload::Group(group) => group.proposals.len(),
        _ => 1,
    };
    entries.iter().map(commands).sum::<usize>() <= SMALL
}

/// The log of a node. Clones share it.
#[derive(Clone)]
pub struct LogStore {
    log: Log,
    shared: Arc<Shared>,
    durable: Durable,
}

/// Returns the last entry in the state that a restart finds.
pub type Durable = Arc<dyn Fn() -> Option<LogPosition> + Send + Sync>;

impl LogStore {
    /// A view of `log` that keeps `shared` up to date.
    pub fn new(log: Log, shared: Arc<Shared>, durable: Durable) -> Self {
        shared.set_last_log(log.bounds().last);
        shared.set_committed(log.committed());
        Self { log, shared, durable }
    }

    /// The part of the range that the log holds.
    fn held(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let bounds = self.log.bounds();
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        start.max(bounds.first)..end.min(bounds.next)
    }

    /// Reads from memory at once, from disk outside this thread, because heartbeats need it.
    async fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, io::Error> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let entries = match self.log.read_cached(range.clone(), max_bytes)? {
            Some(entries) => entries,
            None => {
                let log = self.log.clone();
                offload(move || log.read(range, max_bytes)).await??
            }
        };
        entries.into_iter().map(from_log).collect()
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(self.held(&range), usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        Ok(self.log.vote().map(from_vote))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start..end, REPLICATION_BYTES).await
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let bounds = self.log.bounds();
        Ok(LogState { last_purged_log_id: bounds.purged.map(log_id), last_log_id: bounds.last.map(log_id) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        let leads = vote.committed && vote.leader_id.voted_for == self.shared.id().0;
        self.shared.set_leading_term(leads.then_some(vote.leader_id.term));
        let (done, flushed) = oneshot::channel();
        let write = self.shared.pace.begin();
        let done = Box::new(move |result: Result<(), LogError>| {
            drop(write);
            drop(done.send(result));
        });
        self.log.save_vote(to_vote(vote), done)?;
        if is_planted(Planted::UnflushedVotes) {
            return Ok(());
        }
        Ok(flushed.await.map_err(|_| LogError::Closed)??)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = committed.as_ref().map(position) {
            self.shared.set_committed(Some(committed));
            self.log.set_committed(committed);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        // Entries known to be committed were applied before raft started (see `replay`), as far as there was room.
        Ok(None)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut list = Vec::new();
        for entry in entries {
            if let Payload::Config { config, .. } = &entry.payload {
                self.shared.set_config(config);
            }
            list.push(to_log(&entry)?);
        }
        let last = list.last().map(|entry| entry.position);
        let mut callback = Some(callback);
        if is_planted(Planted::UnflushedEntries)
            && let Some(callback) = callback.take()
        {
            callback.io_completed(Ok(()));
        }
        let bytes = list.iter().map(|entry| entry.payload.weight()).sum();
        let write = self.shared.pace.begin_entries(last.map(|last| last.index), bytes);
        let done = Box::new(move |result: Result<(), LogError>| {
            drop(write);
            if let Some(callback) = callback {
                callback.io_completed(result.map_err(Into::into));
            }
        });
        match self.shared.is_alone() && is_small(&list) {
            true => self.log.append_here(list, done)?,
            false => self.log.append(list, done)?,
        }
        self.shared.set_last_log(last);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let last = last.as_ref().map(position);
        let (kept, applied) = (last.map_or(0, |last| last.index + 1), self.shared.applied());
        if kept < applied {
            let what = format!("{kept} entries are to be kept, while {applied} are applied");
            return Err(LogError::Broken(what).into());
        }
        self.shared.forget_config();
        self.log.truncate_after(last)?;
        self.shared.set_last_log(last);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        Ok(self.log.purge(position(&upto), (self.durable)())?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use openraft::storage::RaftLogStorageExt;

    use super::*;
    use crate::log::{Options, SimDisk};
    use crate::model::{ClusterId, Entropy, MemberId};
    use crate::raft::types::{Config, Peer};

    struct One;

    impl Entropy for One {
        fn next(&self) -> u64 {
            1
        }
    }

    /// True if this thread writes, at least now and then, what a member of the configuration appends.
    async fn writes_here(voters: &[u64], learners: &[u64]) -> bool {
        let disk = SimDisk::new(1);
        let log = Log::open(Arc::new(disk.clone()), Options::new(Arc::new(One))).unwrap();
        let (own, here) = (std::thread::current().id(), Arc::new(AtomicBool::new(false)));
        let seen = here.clone();
        disk.watch(Some(Arc::new(move || {
            seen.fetch_or(std::thread::current().id() == own, Ordering::SeqCst);
        })));
        let shared = Arc::new(Shared::new(MemberId(1), ClusterId(1), Duration::from_secs(1)));
        let nodes: BTreeMap<u64, Peer> =
            voters.iter().chain(learners).map(|id| (*id, Peer::default())).collect();
        shared.set_config(&Config::new(vec![BTreeSet::from_iter(voters.iter().copied())], nodes).unwrap());
        let mut store = LogStore::new(log, shared, Arc::new(|| None));
        // The log's thread may be at it when it has just begun.
        for index in 0..50 {
            let at = log_id(LogPosition { term: 1, leader: 1, index });
            store.blocking_append([Entry { log_id: at, payload: Payload::Blank }]).await.unwrap();
        }
        here.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn only_a_member_without_others_writes_on_rafts_thread() {
        assert!(writes_here(&[1], &[]).await);
        assert!(!writes_here(&[1, 2], &[]).await, "the other one waits for heartbeats");
        assert!(!writes_here(&[1], &[2]).await, "so does a learner");
        assert!(!writes_here(&[2], &[1]).await);
    }
}
