//! What a node begins with: the data that are there, the first entries of a new cluster, or, after a disaster, the data
//! of one member alone.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::installed::cut_log;
use super::options::{NodeOptions, StartError};
use super::types::{Config, Peer, decode_config, encode_config};
use crate::log::{Done, Entry, LogError, Payload, Vote};
use crate::model::{Command, LogPosition, Member, MemberChange, Proposal, Stamp};

/// Makes log and store fit to start, and says what configuration the log ends with; `None` for a member that has yet to
/// hear of its cluster.
pub async fn begin(options: &NodeOptions) -> Result<Option<Config>, StartError> {
    let bounds = options.log.bounds();
    let (purged, applied) = (bounds.purged, options.store.applied());
    if purged.is_some_and(|purged| applied.is_none_or(|applied| applied.index < purged.index)) {
        let what = "the log begins after the end of the state: the store was removed, or is of an older date";
        return Err(StartError::Storage(format!("{what} (log after {purged:?}, state up to {applied:?})")));
    }
    cut_log(options).map_err(storage)?;
    if bounds.last.is_none() && options.log.vote().is_none() && applied.is_none() {
        return bootstrap(options).await;
    }
    if options.force_new_cluster {
        return alone(options).await.map(Some);
    }
    last_config(options).map_err(storage)
}

fn storage(error: impl Display) -> StartError {
    StartError::Storage(error.to_string())
}

/// Makes this member the only one of its cluster, for when a majority is lost for good (etcd `--force-new-cluster`): an
/// entry at the end of the log leaves all others out, and remembers them as removed, so that none of them comes back.
///
/// Unlike etcd, what is in the log but not known to be committed stays: this member may be the only one left that holds
/// what was acknowledged last.
async fn alone(options: &NodeOptions) -> Result<Config, StartError> {
    let known = last_config(options).map_err(storage)?;
    let peer = known.as_ref().and_then(|config| config.get_node(&options.id.0).cloned()).unwrap_or_default();
    let config = Config::from(BTreeMap::from([(options.id.0, peer)]));
    if known.as_ref() == Some(&config) {
        return Ok(config);
    }
    let (bounds, applied, vote) = (options.log.bounds(), options.store.applied(), options.log.vote());
    let last = bounds.last.max(bounds.purged).max(applied);
    let term = 1 + vote.map_or(0, |vote| vote.term).max(last.map_or(0, |last| last.term));
    let index = last.map_or(0, |last| last.index + 1);
    let position = LogPosition { term, leader: options.id.0, index };
    let stamp = Stamp { time_ms: options.clock.now_ms() };
    let change = Proposal { stamp, command: Command::Member(MemberChange::Retain(options.id)) };
    let raft = encode_config(&config).map_err(storage)?;
    let payload = Payload::Membership { raft, change: Some(Arc::new(change)) };
    // The vote comes first: the log must not hold an entry of a term this member never voted in.
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

/// Writes the first entries of a new cluster, the same ones on every member, and says what configuration the log ends
/// with.
///
/// They are written as though a leader of term 0 had: the configuration with the first member, then the others. Names
/// are left for their owners to publish: only what the cluster's id stands for is sure to be the same everywhere.
async fn bootstrap(options: &NodeOptions) -> Result<Option<Config>, StartError> {
    let mut members = options.bootstrap.clone();
    members.sort_by_key(|member| member.id);
    let Some((first, others)) = members.split_first() else { return Ok(None) };
    let nodes: BTreeMap<u64, Peer> = members.iter().map(|member| (member.id.0, Peer::of(member))).collect();
    let config = Config::from(nodes);
    let add = |member: &Member| Proposal {
        stamp: Stamp::default(),
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
        let group = others.iter().map(add).collect();
        entries.push(Entry { position: at(1), payload: Payload::Group(Arc::new(group)) });
    }
    flushed(|done| options.log.append(entries, done)).await?;
    Ok(Some(config))
}

/// What the log is asked to write, once it is durable.
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
