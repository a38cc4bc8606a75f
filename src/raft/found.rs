//! The beginning of a node: the first entries of a new cluster, the existing data, or, after a disaster, the data of
//! one member alone.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::installed::cut_log;
use super::options::{NodeOptions, StartError};
use super::types::{Config, Peer, decode_config, encode_config};
use crate::log::{Bounds, Done, Entry, Log, LogError, Payload, Vote};
use crate::model::{Caller, Command, LogPosition, Member, MemberChange, Proposal, Stamp};

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

    /// True if nothing but [`found`] ever wrote here: this member has voted for nobody and acknowledged nothing.
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

/// Prepares log and store for the start, and returns the configuration at the end of the log; `None` for a member that
/// knows no cluster yet.
pub async fn begin(options: &NodeOptions) -> Result<Option<Config>, StartError> {
    let standing = Standing::of(&options.log, options.store.applied());
    standing.check()?;
    cut_log(options).map_err(storage)?;
    match last_config(options).map_err(storage)? {
        Some(known) if options.force_new_cluster => alone(options, known).await.map(Some),
        known => Ok(known),
    }
}

fn storage(error: impl Display) -> StartError {
    StartError::Storage(error.to_string())
}

/// Makes this member the only one of its cluster, for when a majority is lost for good (etcd `--force-new-cluster`): an
/// entry at the end of the log removes all others, and records them as removed, so that none of them comes back.
///
/// Unlike in etcd, entries in the log that are not known to be committed stay: this member may be the only one left
/// that holds the last acknowledged ones.
async fn alone(options: &NodeOptions, known: Config) -> Result<Config, StartError> {
    let peer = known.get_node(&options.id.0).cloned().unwrap_or_default();
    let config = Config::from(BTreeMap::from([(options.id.0, peer)]));
    if known == config {
        return Ok(config);
    }
    let (bounds, applied, vote) = (options.log.bounds(), options.store.applied(), options.log.vote());
    let last = bounds.last.max(bounds.purged).max(applied);
    let term = 1 + vote.map_or(0, |vote| vote.term).max(last.map_or(0, |last| last.term));
    let index = last.map_or(0, |last| last.index + 1);
    let position = LogPosition { term, leader: 0, index };
    let stamp = Stamp::at(options.clock.now_ms());
    let command = Command::Member(MemberChange::Retain(options.id));
    let change = Proposal { stamp, caller: Caller::System, command };
    let raft = encode_config(&config).map_err(storage)?;
    let payload = Payload::Membership { raft, change: Some(Arc::new(change)) };
    // The vote comes first: the log must not hold an entry of a term in which this member never voted.
    let vote = Vote { term, voted_for: options.id.0, committed: false };
    flushed(|done| options.log.save_vote(vote, done)).await?;
    flushed(|done| options.log.append(vec![Entry { position, payload }], done)).await?;
    tracing::warn!(
        member = %options.id,
        cluster = %options.cluster,
        "forced a new cluster of this member alone; all other members count as removed"
    );
    Ok(config)
}

/// Writes the first entries of a member to a log that is untouched ([`Standing::is_untouched`]), and replaces what an
/// earlier attempt has left. Durable when it returns.
///
/// A new cluster begins with `founders`, including this member. All of them write the same entries, as if a leader of
/// term 0 had written them: the configuration with the first member, then the others. Each member publishes its name
/// later: only what the cluster's id is computed from is certain to be the same everywhere.
///
/// Without founders the member joins a cluster: then the log gets a vote for nobody in term 0, which has no other
/// meaning, but distinguishes the log of a member from one that is empty because its disk is not mounted.
///
/// # Errors
/// [`StartError::Storage`].
pub async fn found(log: &Log, founders: &[Member]) -> Result<(), StartError> {
    if log.bounds().last.is_some() {
        log.truncate_after(None).map_err(storage)?;
    }
    let mut members = founders.to_vec();
    members.sort_by_key(|member| member.id);
    let Some((first, others)) = members.split_first() else {
        let vote = Vote { term: 0, voted_for: 0, committed: false };
        return flushed(|done| log.save_vote(vote, done)).await;
    };
    let nodes: BTreeMap<u64, Peer> = members.iter().map(|member| (member.id.0, Peer::of(member))).collect();
    let config = Config::from(nodes);
    let add = |member: &Member| Proposal {
        stamp: Stamp::default(),
        caller: Caller::System,
        command: Command::Member(MemberChange::Add(Member {
            name: String::new(),
            client_urls: Vec::new(),
            ..member.clone()
        })),
    };
    let change = Some(Arc::new(add(first)));
    let raft = encode_config(&config).map_err(storage)?;
    let at = |index| LogPosition { term: 0, leader: 0, index };
    let mut entries = vec![Entry { position: at(0), payload: Payload::Membership { raft, change } }];
    if !others.is_empty() {
        let group: Vec<Proposal> = others.iter().map(add).collect();
        entries.push(Entry { position: at(1), payload: Payload::Group(Arc::new(group.into())) });
    }
    flushed(|done| log.append(entries, done)).await
}

/// Waits until a write to the log is durable.
async fn flushed(write: impl FnOnce(Done) -> Result<(), LogError>) -> Result<(), StartError> {
    let (done, flushed) = oneshot::channel();
    write(Box::new(move |result| drop(done.send(result)))).map_err(storage)?;
    match flushed.await {
        Ok(written) => written.map_err(storage),
        Err(_) => Err(StartError::Storage("the log was closed".into())),
    }
}

/// The configuration in force: the last one in the log, or the store's.
fn last_config(options: &NodeOptions) -> Result<Option<Config>, io::Error> {
    let bounds = options.log.bounds();
    let applied = options.store.applied().map_or(0, |applied| applied.index + 1);
    let mut next = bounds.next;
    let floor = applied.max(bounds.first);
    while next > floor {
        let from = next.saturating_sub(256).max(floor);
        for entry in options.log.read(from..next, usize::MAX)?.into_iter().rev() {
            if let Payload::Membership { raft, .. } = entry.payload {
                return decode_config(&raft).map(Some);
            }
        }
        next = from;
    }
    options.store.raft_membership().map(|(_, bytes)| decode_config(&bytes)).transpose()
}
