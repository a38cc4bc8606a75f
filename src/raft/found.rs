//! The beginning of a node: the first entries of a new cluster, the existing data, or, after a disaster, the data of
//! one member alone.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::installed::cut_log;
use super::options::{NodeOptions, StartError};
use super::standing::Standing;
use super::state_machine::apply;
use super::types::{Config, Peer, decode_config, encode_config, from_log};
use crate::log::{Done, Entry, Log, LogError, Payload, Vote};
use crate::model::{Caller, Command, LogPosition, Member, MemberChange, MemberId, Proposal, Stamp};
use crate::store::Store;

/// What a node begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// The configuration that the log ends with; nothing for a member that has yet to hear of its cluster.
    pub config: Option<Config>,
    /// Which life of the cluster this is, as far as the log and the member's entry to the cluster tell.
    pub epoch: u64,
}

/// Makes log and store fit to start, and says what the node begins with.
pub async fn begin(options: &NodeOptions) -> Result<Beginning, StartError> {
    let standing = Standing::of(&options.log, options.store.applied());
    standing.check()?;
    cut_log(options).map_err(storage)?;
    let (config, raised) = last_config(options).map_err(storage)?;
    let epoch = options.epoch.max(options.store.epoch()).max(raised);
    match config {
        Some(known) if options.force_new_cluster => alone(options, known, epoch).await,
        config => Ok(Beginning { config, epoch }),
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
async fn alone(options: &NodeOptions, known: Config, epoch: u64) -> Result<Beginning, StartError> {
    let peer = known.get_node(&options.id.0).cloned().unwrap_or_default();
    let config = Config::from(BTreeMap::from([(options.id.0, peer)]));
    if known == config {
        return Ok(Beginning { config: Some(config), epoch });
    }
    let epoch = epoch + 1;
    let (bounds, applied, vote) = (options.log.bounds(), options.store.applied(), options.log.vote());
    let last = bounds.last.max(bounds.purged).max(applied);
    let term = 1 + vote.map_or(0, |vote| vote.term).max(last.map_or(0, |last| last.term));
    let index = last.map_or(0, |last| last.index + 1);
    let position = LogPosition { term, leader: 0, index };
    let stamp = Stamp::at(options.clock.now_ms());
    let command = Command::Member(MemberChange::Retain { id: options.id, epoch });
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
        epoch,
        "forced a new cluster of this member alone; all other members count as removed"
    );
    Ok(Beginning { config: Some(config), epoch })
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
    if founders.is_empty() {
        let vote = Vote { term: 0, voted_for: 0, committed: false };
        return flushed(|done| log.save_vote(vote, done)).await;
    }
    let entries = first_entries(founders, 0)?;
    flushed(|done| log.append(entries, done)).await
}

/// Founds a cluster whose state exists already, in `store`, as before the first entry. The first entries are applied to
/// it, and the log begins after them: a member that joins later does not find them, and gets the state. Durable when the
/// log is closed.
///
/// # Errors
/// [`StartError::Storage`].
pub async fn found_with_state(
    log: &Log,
    store: &Store,
    own: MemberId,
    founders: &[Member],
) -> Result<(), StartError> {
    const TERM: u64 = 1;
    let entries = first_entries(founders, TERM)?;
    let last = entries.last().map(|entry| entry.position);
    // Whatever is applied was decided in a term that the log knows, and the vote comes before entries of its term.
    let vote = Vote { term: TERM, voted_for: own.0, committed: false };
    flushed(|done| log.save_vote(vote, done)).await?;
    flushed(|done| log.append(entries.clone(), done)).await?;
    for entry in entries {
        apply(store, &from_log(entry).map_err(storage)?).map_err(storage)?;
    }
    store.checkpoint().map_err(storage)?;
    last.map_or(Ok(()), |last| log.purge(last, store.checkpointed())).map_err(storage)
}

/// The entries with which a cluster begins, as if a leader of this term had written them: the configuration with the
/// first member, then the others.
fn first_entries(founders: &[Member], term: u64) -> Result<Vec<Entry>, StartError> {
    let mut members = founders.to_vec();
    members.sort_by_key(|member| member.id);
    let Some((first, others)) = members.split_first() else { return Ok(Vec::new()) };
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
    let at = |index| LogPosition { term, leader: 0, index };
    let mut entries = vec![Entry { position: at(0), payload: Payload::Membership { raft, change } }];
    if !others.is_empty() {
        let group: Vec<Proposal> = others.iter().map(add).collect();
        entries.push(Entry { position: at(1), payload: Payload::Group(Arc::new(group.into())) });
    }
    Ok(entries)
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

/// The configuration in force: the last one in the log, or the store's; and the epoch, if the log raises it there.
fn last_config(options: &NodeOptions) -> Result<(Option<Config>, u64), io::Error> {
    let bounds = options.log.bounds();
    let applied = options.store.applied().map_or(0, |applied| applied.index + 1);
    let mut next = bounds.next;
    let floor = applied.max(bounds.first);
    while next > floor {
        let from = next.saturating_sub(256).max(floor);
        for entry in options.log.read(from..next, usize::MAX)?.into_iter().rev() {
            if let Payload::Membership { raft, change } = entry.payload {
                return Ok((Some(decode_config(&raft)?), raised_by(change.as_deref())));
            }
        }
        next = from;
    }
    let config = options.store.raft_membership().map(|(_, bytes)| decode_config(&bytes)).transpose()?;
    Ok((config, 0))
}

fn raised_by(change: Option<&Proposal>) -> u64 {
    match change.map(|change| &change.command) {
        Some(Command::Member(MemberChange::Retain { epoch, .. })) => *epoch,
        _ => 0,
    }
}
