//! The way of one command: what is checked before it is queued, and its outcome.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::inner::Inner;
use super::members;
use super::queue::{Charge, Outcome, ReplyTo, Waiting};
use crate::log::weight;
use crate::model::{Caller, Command, MAX_COMMAND_BYTES, MemberChange, Refusal};
use crate::store::quota;

/// Entries that may be committed but not applied before new commands are refused (etcd
/// `maxGapBetweenApplyAndCommitIndex`).
const MAX_BACKLOG: u64 = 5000;

/// Brings a command to its outcome, without a deadline of its own.
///
/// # Errors
/// As [`super::Node::propose`].
pub async fn outcome(inner: &Arc<Inner>, caller: Caller, command: Command) -> Outcome {
    if inner.is_stopped() {
        return Err(Refusal::Stopped);
    }
    match command {
        Command::Member(change) if !matches!(change, MemberChange::Publish { .. }) => {
            members::change(inner, caller, change).await.map(|reply| (reply, 0))
        }
        command => queued(inner, caller, command, None).await,
    }
}

/// As [`outcome`], for a command that changes no members; bound to a term if one is given.
///
/// # Errors
/// Likewise; [`Refusal::NotLeader`] if this member does not lead in that term.
pub async fn queued(inner: &Inner, caller: Caller, command: Command, term: Option<u64>) -> Outcome {
    if inner.is_stopped() {
        return Err(Refusal::Stopped);
    }
    let weight = weight(&caller, &command);
    if weight > MAX_COMMAND_BYTES {
        return Err(Refusal::RequestTooLarge);
    }
    if lacks_room(inner, &command, weight) {
        return Err(Refusal::NoSpace);
    }
    if inner.shared.backlog() > MAX_BACKLOG {
        return Err(Refusal::TooManyRequests);
    }
    let charge = Charge::new(&inner.undecided, weight).ok_or(Refusal::TooManyRequests)?;
    let (sender, outcome) = oneshot::channel();
    let reply = ReplyTo { sender, term };
    inner.enqueue(Waiting { caller, command, weight, reply, charge });
    outcome.await.unwrap_or(Err(Refusal::Stopped))
}

/// True if the disk of the store, or of the log, has no room for a command of that weight. Only checked before it
/// is proposed: an entry that was given to raft may be committed as soon as there is room, and the caller waits for
/// it.
fn lacks_room(inner: &Inner, command: &Command, weight: usize) -> bool {
    let cost = quota::cost(command);
    let ahead = inner.undecided.load(Ordering::Relaxed);
    if cost > 0 && inner.options.store.lacks_room(cost.saturating_add(ahead as u64)) {
        return true;
    }
    inner.options.log.space().lacks(ahead.saturating_add(weight) as u64, cost == 0)
}

/// The refusal for a command that was not done in time, by etcd's distinctions.
pub fn why_late(inner: &Inner, started: Instant) -> Refusal {
    let since = inner.shared.leader_since();
    let lost = since.and_then(|since| since.checked_sub(2 * inner.options.election));
    if let (Some(since), Some(lost)) = (since, lost)
        && started > lost
        && started < since
    {
        return Refusal::TimeoutLeaderFailed;
    }
    match inner.shared.leader() {
        Some(leader) if leader != inner.shared.id() && !inner.connected(leader, started.elapsed()) => {
            Refusal::TimeoutConnectionLost
        }
        Some(leader) if leader == inner.shared.id() && !inner.quorum_connected(started.elapsed()) => {
            Refusal::TimeoutConnectionLost
        }
        _ => Refusal::Timeout,
    }
}
