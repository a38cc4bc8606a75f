//! A command's way into the log: it is queued, grouped, and stamped by the leader, or sent to the leader.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::ClientWriteError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::ask::ask;
use super::inner::Inner;
use super::queue::{Charge, ReplyTo, Waiting};
use super::types::{Callback, Group, Types};
use super::wire::{Answer, Request};
use crate::log;
use crate::model::{MemberId, Planted, Proposal, Refusal, Stamp, Version, is_planted};
use crate::peer::{Channel, TransportError};

/// Most commands in one entry, and most bytes.
const GROUP_COMMANDS: usize = 1024;
const GROUP_BYTES: usize = 1 << 20;
/// Entries of this member in raft at the same time: one being flushed, one behind it. If no network is involved, more
/// would only make groups smaller.
const IN_FLIGHT_ALONE: usize = 2;
const IN_FLIGHT: usize = 16;
/// Messages to the leader at the same time.
const FORWARDS: usize = 16;
/// Interval at which a leader whose disk is behind looks whether that still counts.
const LOOK: Duration = Duration::from_millis(100);
/// Pause before a command that was refused for lack of a leader is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Runs until the node stops.
pub async fn run(inner: Arc<Inner>, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    let alone = Arc::new(Semaphore::new(IN_FLIGHT_ALONE));
    let many = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut forwards = (None, Arc::new(Semaphore::new(FORWARDS)));
    let mut leadership = inner.shared.leadership();
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() && queue.recv_many(&mut waiting, GROUP_COMMANDS).await == 0 {
            return;
        }
        let leader = inner.shared.leader();
        if forwards.0 != leader {
            // Messages lost with a failed leader do not delay those to the next one.
            forwards = (leader, Arc::new(Semaphore::new(FORWARDS)));
        }
        let gate = match leader {
            Some(leader) if leader != inner.shared.id() => &forwards.1,
            Some(_) if inner.shared.is_only_voter() => &alone,
            _ => &many,
        };
        let permit = async {
            let permit = gate.clone().acquire_owned().await;
            if leader == Some(inner.shared.id()) {
                inner.own_disk().await;
            }
            permit
        };
        let permit = tokio::select! {
            biased;
            permit = permit => permit,
            // The permit that this waits for may never come.
            Ok(()) = leadership.changed() => continue,
        };
        // The semaphores are never closed.
        let Ok(permit) = permit else { return };
        // More commands were queued while this waited for its permit.
        while waiting.len() < GROUP_COMMANDS {
            match queue.try_recv() {
                Ok(more) => waiting.push(more),
                Err(_) => break,
            }
        }
        drop_void(&inner, &mut waiting);
        hold_back_new(&inner, &mut waiting);
        if waiting.is_empty() {
            continue;
        }
        match leader {
            // What a wrong state asks for, as that a lease has ended, would change the others' right ones.
            Some(leader) if leader == inner.shared.id() && inner.options.store.is_condemned() => {
                answer_all(replies_of(std::mem::take(&mut waiting)), &Refusal::NotLeader);
            }
            Some(leader) if leader == inner.shared.id() => {
                submit(&inner, take_group(&mut waiting), permit).await;
            }
            Some(leader) => {
                let group = take_group(&mut waiting);
                if inner.is_stopped() {
                    answer_all(replies_of(group), &Refusal::NotLeader);
                    continue;
                }
                inner.spawn(forward(inner.clone(), leader, group, permit));
            }
            None => {
                drop(permit);
                tokio::select! {
                    biased;
                    _ = leadership.changed() => {}
                    () = tokio::time::sleep(RETRY * 10) => {}
                }
            }
        }
    }
}

/// Drops commands that nobody waits for, and refuses those bound to a term in which this member does not lead.
fn drop_void(inner: &Inner, waiting: &mut Vec<Waiting>) {
    let status = inner.shared.status();
    let is_void = |waiting: &mut Waiting| {
        let bound = waiting.reply.term.is_some_and(|term| !status.is_leader || status.term != term);
        bound || waiting.reply.sender.is_closed()
    };
    for void in waiting.extract_if(.., is_void) {
        void.reply.send(Err(Refusal::NotLeader));
    }
}

/// Refuses commands that some member may not know, as far as this member knows the cluster's version. It is not certain
/// of it, and puts them off, before the cluster has one, and as a leader before it has applied all entries of former
/// terms: what it appends then could follow an entry that lowers the version.
fn hold_back_new(inner: &Arc<Inner>, waiting: &mut Vec<Waiting>) {
    if waiting.iter().all(|waiting| waiting.command.since() <= Version::FIRST) {
        return;
    }
    let (leadership, limit) = (*inner.shared.leadership().borrow(), inner.options.store.version_limit());
    let is_certain = leadership.leading || leadership.leader != Some(inner.shared.id());
    let mut put_off = Vec::new();
    let allowed = limit.filter(|_| is_certain);
    for new in waiting.extract_if(.., |waiting| waiting.command.since() > allowed.unwrap_or(Version::FIRST)) {
        match allowed {
            Some(_) => new.reply.send(Err(Refusal::NotCapable)),
            None => put_off.push(new),
        }
    }
    if !put_off.is_empty() {
        inner.requeue(put_off);
    }
}

/// Removes as many commands from the front as one entry should hold.
fn take_group(waiting: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut bytes = 0;
    let fits = waiting.iter().take_while(|waiting| {
        let first = bytes == 0;
        bytes += waiting.weight;
        first || bytes <= GROUP_BYTES
    });
    let count = fits.count();
    let rest = waiting.split_off(count);
    std::mem::replace(waiting, rest)
}

/// Gives a group to raft as one entry.
async fn submit(inner: &Arc<Inner>, group: Vec<Waiting>, permit: OwnedSemaphorePermit) {
    let stamp = Stamp::at(inner.options.clock.now_ms());
    let stamped = |Waiting { caller, command, weight, reply, charge }: Waiting| {
        (Proposal { stamp, caller, command }, (weight, reply, charge))
    };
    let (proposals, replies): (Vec<_>, Vec<_>) = group.into_iter().map(stamped).unzip();
    let proposals = Arc::new(log::Group::from(proposals));
    let entry = Group(proposals.clone());
    let back = inner.clone();
    let callback = Callback(Box::new(move |result: openraft::raft::ClientWriteResult<Types>| {
        drop(permit);
        match result {
            Ok(response) => {
                let index = response.log_id.index;
                for ((_, reply, _), answer) in replies.into_iter().zip(response.data.0) {
                    reply.send(Ok((answer, index)));
                }
            }
            Err(ClientWriteError::ForwardToLeader(_)) => back.retry(proposals, replies),
            // Appended, but it may be truncated: the outcome is unknown, so it is never sent again.
            Err(ClientWriteError::LogEntryDiscarded(_)) => {
                answer_all(replies.into_iter().map(|(_, reply, _)| reply), &Refusal::TimeoutLeaderFailed);
            }
            Err(error) => {
                let refusal = Refusal::Internal(error.to_string());
                answer_all(replies.into_iter().map(|(_, reply, _)| reply), &refusal);
            }
        }
    }));
    if let Some(raft) = inner.raft() {
        // If raft has stopped, dropping the callback fails every waiter.
        let _ = raft.client_write_ff(entry, Some(callback)).await;
    }
}

fn answer_all(replies: impl IntoIterator<Item = ReplyTo>, refusal: &Refusal) {
    for reply in replies {
        reply.send(Err(refusal.clone()));
    }
}

impl Inner {
    /// Waits while the disk of this leader's log is too far behind: a quorum goes on without it. On a full disk what waits
    /// may be what makes room.
    async fn own_disk(&self) {
        let pace = &self.shared.pace;
        while pace.is_behind() && self.options.log.space() == log::Space::Enough {
            let _ = tokio::time::timeout(LOOK, pace.caught_up()).await;
        }
    }

    /// Queues commands that were not appended again, after a pause.
    fn retry(self: &Arc<Self>, group: Arc<log::Group>, replies: Vec<(usize, ReplyTo, Charge)>) {
        let waiting = |(proposal, (weight, reply, charge)): (&Proposal, (usize, ReplyTo, Charge))| {
            let Proposal { caller, command, .. } = proposal.clone();
            Waiting { caller, command, weight, reply, charge }
        };
        self.requeue(group.proposals.iter().zip(replies).map(waiting).collect());
    }

    fn requeue(self: &Arc<Self>, group: Vec<Waiting>) {
        if self.is_stopped() {
            return answer_all(replies_of(group), &Refusal::NotLeader);
        }
        let inner = self.clone();
        self.spawn(async move {
            tokio::time::sleep(RETRY).await;
            for waiting in group {
                inner.enqueue(waiting);
            }
        });
    }
}

/// Sends a group to the leader and passes on its answer when the commands are applied here, too: a client that writes
/// through this member can read here what it wrote.
async fn forward(inner: Arc<Inner>, leader: MemberId, group: Vec<Waiting>, permit: OwnedSemaphorePermit) {
    let asked = group.iter().map(|waiting| (waiting.caller.clone(), waiting.command.clone())).collect();
    let answer = ask(&inner, leader, Channel::Forward, &Request::Propose(asked)).await;
    drop(permit);
    match answer {
        Ok(Answer::Proposed { outcomes, index }) if outcomes.len() == group.len() => {
            let timeout = inner.options.request_timeout();
            let applied = tokio::time::timeout(timeout, inner.shared.wait_applied(index)).await.is_ok();
            let mut again = Vec::new();
            for (waiting, outcome) in group.into_iter().zip(outcomes) {
                match (applied, outcome) {
                    // Leadership changed before it was proposed.
                    (_, Err(Refusal::NotLeader)) => again.push(waiting),
                    // It was proposed, but the leader stopped before the end.
                    (_, Err(Refusal::Stopped)) => waiting.reply.send(Err(Refusal::TimeoutLeaderFailed)),
                    (true, outcome) => waiting.reply.send(outcome.map(|reply| (reply, index))),
                    (false, _) => waiting.reply.send(Err(Refusal::TimeoutApplied)),
                }
            }
            if !again.is_empty() {
                inner.requeue(again);
            }
        }
        Ok(Answer::NotLeader) | Err(TransportError::Unreachable(_)) => inner.requeue(group),
        Ok(other) => {
            tracing::warn!(%leader, answer = other.name(), "the leader's answer to forwarded proposals makes no sense");
            answer_all(replies_of(group), &Refusal::TimeoutConnectionLost);
        }
        Err(TransportError::Lost(_) | TransportError::Timeout) if is_planted(Planted::RepeatedCommands) => {
            inner.requeue(group);
        }
        Err(TransportError::Lost(_)) => answer_all(replies_of(group), &Refusal::TimeoutConnectionLost),
        Err(TransportError::Timeout) => answer_all(replies_of(group), &Refusal::Timeout),
    }
}

fn replies_of(group: Vec<Waiting>) -> Vec<ReplyTo> {
    group.into_iter().map(|waiting| waiting.reply).collect()
}
