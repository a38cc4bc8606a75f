//! Changes of membership and of the leader.
//!
//! A membership change is one entry: the new raft configuration together with the [`MemberChange`]. Raft's
//! configuration is in force as soon as it is appended, so changes that the store would refuse are found before; there
//! is one change at a time, and only on top of the configuration for which it was made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::ChangeMembershipRequest;
use openraft::{ChangeMembers, Instant, Precondition};

use super::ask::ask;
use super::inner::{Inner, Raft};
use super::reads::{Round, own_round};
use super::rules::{self, Seat};
use super::types::{Config, Payload, Peer, Types};
use super::wire::{Answer, Request};
use crate::model::{Caller, Command, Member, MemberChange, MemberId, Proposal, Refusal, Reply, Stamp};
use crate::peer::{Channel, TransportError};

/// Pause before a change that could not be appended yet is tried again.
const RETRY: Duration = Duration::from_millis(20);
/// Entries by which a member may lag behind when the leader promotes it by itself.
const PROMOTE_LAG: u64 = 200;

/// Changes the members; a follower asks the leader to do it. Without a deadline.
///
/// # Errors
/// The refusals of etcd's member calls.
pub async fn change(inner: &Arc<Inner>, caller: Caller, change: MemberChange) -> Result<Reply, Refusal> {
    loop {
        match inner.shared.leader() {
            Some(leader) if leader == inner.shared.id() => {
                match lead_change(inner, &caller, &change, true).await {
                    Err(Refusal::NotLeader) => {}
                    Ok((Reply::Refused(refusal), _)) => return Err(refusal),
                    done => return done.map(|(reply, _)| reply),
                }
            }
            Some(leader) => {
                let request = Request::Propose(vec![(caller.clone(), Command::Member(change.clone()))]);
                match ask(inner, leader, Channel::Service, &request).await {
                    Ok(Answer::Proposed { mut outcomes, index }) if outcomes.len() == 1 => {
                        // Whoever asks this member next finds the change; but nobody sends its own removal to a member.
                        let is_known = async || match change {
                            MemberChange::Remove(id) if id == inner.shared.id() => true,
                            _ => {
                                let applied = inner.shared.wait_applied(index);
                                tokio::time::timeout(inner.options.request_timeout(), applied).await.is_ok()
                            }
                        };
                        return match outcomes.pop() {
                            Some(Ok(Reply::Refused(refusal))) => Err(refusal),
                            Some(Ok(_)) if !is_known().await => Err(Refusal::TimeoutApplied),
                            Some(outcome) => outcome,
                            None => Err(Refusal::Timeout),
                        };
                    }
                    Ok(Answer::NotLeader) | Err(TransportError::Unreachable(_)) => {}
                    Ok(_) | Err(TransportError::Lost(_)) => return Err(Refusal::TimeoutConnectionLost),
                    Err(TransportError::Timeout) => return Err(Refusal::Timeout),
                }
            }
            None => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Changes the members as the leader; returns the reply and the index of the change. `asked` by a client: such changes are
/// checked.
///
/// # Errors
/// As [`change`]; [`Refusal::NotLeader`] if another member has to do it, and nothing was done.
pub async fn lead_change(
    inner: &Arc<Inner>,
    caller: &Caller,
    change: &MemberChange,
    asked: bool,
) -> Result<(Reply, u64), Refusal> {
    let raft = inner.raft().ok_or(Refusal::Stopped)?;
    let _one_at_a_time = inner.members.lock().await;
    loop {
        // From here on this member's state has everything that was ever decided: an entry of this term is committed and
        // applied.
        match own_round(inner).await {
            Round::Index(index) => inner.shared.wait_applied(index).await,
            Round::Stopped => return Err(Refusal::Stopped),
            Round::LeaderChanged => return Err(Refusal::NotLeader),
            // Cut off: the caller looks for a leader again.
            Round::Again if !inner.shared.is_leader() => return Err(Refusal::NotLeader),
            Round::Again => {
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        // Raft's configuration is in force as soon as the entry is appended, so this cannot wait until it is applied. As
        // in etcd a change of users that is appended at the same moment may come too late.
        inner.options.store.check_root(caller)?;
        let stored = raft.server_metrics().borrow_watched().membership_config.clone();
        let config = stored.membership();
        check(inner, change, config, asked)
            .inspect_err(|refusal| inner.shared.figures.changed(change, Some(refusal)))?;
        if matches!(change, MemberChange::Remove(id) if *id == inner.shared.id()) {
            hand_over(inner).await;
            if !inner.shared.is_leader() {
                return Err(Refusal::NotLeader);
            }
        }
        let next = next_config(config, change, &inner.options.store.members())?;
        let stamp = Stamp::at(inner.options.clock.now_ms());
        let command = Command::Member(change.clone());
        let proposal = Arc::new(Proposal { stamp, caller: caller.clone(), command });
        let based_on = Precondition::LastMembershipLogId { last_membership_log_id: *stored.log_id() };
        match append(raft, config, next, change, proposal, based_on).await {
            Ok((Some(reply), index)) => {
                inner.shared.figures.changed(change, reply.refusal());
                return Ok((reply, index));
            }
            Ok((None, _)) => return Err(Refusal::Internal("a change of members without a reply".into())),
            Err(RaftError::APIError(ClientWriteError::PreconditionFailed(_)))
            | Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                openraft::errors::ChangeMembershipError::InProgress(_)
                | openraft::errors::ChangeMembershipError::UncommittedLeaderLog(_),
            ))) => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(refusal_of(error)),
        }
    }
}

/// The reply, and the index of the entry.
type Appended = Result<(Option<Reply>, u64), RaftError<Types, ClientWriteError<Types>>>;

async fn append(
    raft: &Raft,
    config: &Config,
    next: Config,
    change: &MemberChange,
    proposal: Arc<Proposal>,
    based_on: Precondition<Types>,
) -> Appended {
    let payload = Payload::Change(proposal);
    let written = match change {
        // Only this call changes the data of an existing member.
        MemberChange::Update { id, peer_urls } if config.get_node(&id.0).is_some() => {
            let nodes = BTreeMap::from([(id.0, Peer { urls: peer_urls.clone() })]);
            let request = ChangeMembershipRequest::new(ChangeMembers::SetNodes(nodes), true)
                .with_payload(payload.clone(), payload)
                .with_preconditions([based_on]);
            raft.change_membership_with_payload(request).await?.uniform
        }
        _ => raft.append_membership(next, payload, [based_on]).await?,
    };
    let (index, mut replies) = (written.log_id.index, written.data.0);
    Ok((replies.pop(), index))
}

/// The configuration after the change.
fn next_config(config: &Config, change: &MemberChange, members: &[Member]) -> Result<Config, Refusal> {
    let mut voters: BTreeSet<u64> = config.voter_ids().collect();
    let mut nodes: BTreeMap<u64, Peer> = config.nodes().map(|(id, peer)| (*id, peer.clone())).collect();
    match change {
        MemberChange::Add(member) => {
            nodes.insert(member.id.0, Peer::of(member));
            // A future voter begins without a vote, too: the cluster must not wait for a member that is not running
            // yet.
            if !member.learner && !member.pending {
                voters.insert(member.id.0);
            }
        }
        MemberChange::Remove(id) => {
            nodes.remove(&id.0);
            voters.remove(&id.0);
        }
        MemberChange::Update { id, peer_urls } => {
            nodes.insert(id.0, Peer { urls: peer_urls.clone() });
        }
        MemberChange::Promote(id) => {
            if let Some(member) = members.iter().find(|member| member.id == *id) {
                nodes.entry(id.0).or_insert_with(|| Peer::of(member));
                voters.insert(id.0);
            }
        }
        MemberChange::Publish { .. } | MemberChange::Retain { .. } => {}
    }
    Config::new(vec![voters], nodes).map_err(|error| Refusal::Internal(error.to_string()))
}

/// etcd's checks before a membership change, in its order.
fn check(inner: &Arc<Inner>, change: &MemberChange, config: &Config, asked: bool) -> Result<(), Refusal> {
    let members = inner.options.store.members();
    let known = |id: &MemberId| members.iter().find(|member| member.id == *id);
    let urls_of_others = |id: &MemberId, urls: &[String]| {
        members
            .iter()
            .filter(|member| member.id != *id)
            .any(|member| member.peer_urls.iter().any(|u| urls.contains(u)))
    };
    let strict = asked && inner.options.strict_reconfig;
    match change {
        MemberChange::Add(member) => {
            if inner.options.store.removed().contains(&member.id) {
                return Err(Refusal::MemberNotFound);
            }
            if known(&member.id).is_some() {
                return Err(Refusal::MemberExists);
            }
            if urls_of_others(&member.id, &member.peer_urls) {
                return Err(Refusal::PeerUrlExists);
            }
            let learners = members.iter().filter(|member| member.learner).count();
            if member.learner && learners >= inner.options.max_learners {
                return Err(Refusal::TooManyLearners);
            }
            if strict { rules::may_add(&seats(inner, &members, config), member.learner) } else { Ok(()) }
        }
        MemberChange::Remove(id) => {
            known(id).ok_or(Refusal::MemberNotFound)?;
            if config.voter_ids().eq([id.0]) {
                return Err(Refusal::NotEnoughStarted);
            }
            if strict { rules::may_remove(&seats(inner, &members, config), *id) } else { Ok(()) }
        }
        MemberChange::Update { id, peer_urls } => {
            known(id).ok_or(Refusal::MemberNotFound)?;
            if urls_of_others(id, peer_urls) { Err(Refusal::PeerUrlExists) } else { Ok(()) }
        }
        MemberChange::Promote(id) => {
            let member = known(id).ok_or(Refusal::MemberNotFound)?;
            if !member.learner && (asked || !member.pending) {
                return Err(Refusal::MemberNotLearner);
            }
            if !caught_up(inner, *id, asked) {
                return Err(Refusal::LearnerNotReady);
            }
            let seats = seats(inner, &members, config);
            // It is not a client's request: it waits until it costs no quorum.
            if !asked && !rules::keeps_quorum(&seats, *id) {
                return Err(Refusal::Unhealthy);
            }
            if strict { rules::may_promote(&seats, *id) } else { Ok(()) }
        }
        MemberChange::Publish { .. } => Ok(()),
        MemberChange::Retain { .. } => {
            Err(Refusal::NotSupported("leaving out all others while they may run".into()))
        }
    }
}

/// The members for the rules. A member is reachable if it is connected now: etcd counts only members that have been
/// connected for five seconds, and so considers a new, healthy cluster unhealthy.
fn seats(inner: &Inner, members: &[Member], config: &Config) -> Vec<Seat> {
    let voters: BTreeSet<u64> = config.voter_ids().collect();
    let seat = |member: &Member| Seat {
        id: member.id,
        votes: voters.contains(&member.id.0),
        learner: member.learner,
        started: member.is_started(),
        active: member.id == inner.shared.id() || inner.connected(member.id, Duration::ZERO),
    };
    members.iter().map(seat).collect()
}

/// True if a member's log is long enough for it to become a voter: nine tenths of the leader's (etcd), and nearly all
/// of it if no client asked.
fn caught_up(inner: &Inner, id: MemberId, asked: bool) -> bool {
    let Some(raft) = inner.raft() else { return false };
    let metrics = raft.data_metrics();
    let metrics = metrics.borrow_watched();
    let last = metrics.last_log.map_or(0, |last| last.index + 1);
    let matched = metrics.replication.as_ref().and_then(|all| all.get(&id.0).copied().flatten());
    match matched.map(|matched| matched.index + 1) {
        None => false,
        Some(matched) if asked => matched * 10 >= last * 9,
        Some(matched) => matched + PROMOTE_LAG >= last,
    }
}

/// Promotes members that were added as voters and have caught up, as far as that costs no quorum.
pub async fn promote_pending(inner: &Arc<Inner>) {
    for member in inner.options.store.members() {
        if member.pending && inner.connected(member.id, Duration::ZERO) && caught_up(inner, member.id, false)
        {
            match lead_change(inner, &Caller::System, &MemberChange::Promote(member.id), false).await {
                // It is tried again when the missing members are back.
                Err(Refusal::Unhealthy) => {}
                Ok((Reply::Refused(error), _)) | Err(error) => {
                    tracing::warn!(member = %member.id, %error, "a member that has caught up could not be promoted");
                }
                Ok(_) => {}
            }
        }
    }
}

/// Transfers leadership to the most advanced other voter that can be reached. Without a quorum there is no transfer:
/// nobody could be elected.
pub async fn hand_over(inner: &Arc<Inner>) {
    let Some(raft) = inner.raft() else { return };
    if !inner.has_quorum() {
        tracing::info!("leadership is not handed over: there is no quorum to elect another leader");
        return;
    }
    let metrics = raft.data_metrics().borrow_watched().clone();
    let matched = |id: &u64| metrics.replication.as_ref().and_then(|all| all.get(id).copied().flatten());
    let own = inner.shared.id().0;
    let others = raft.voter_ids().filter(|id| *id != own && inner.connected(MemberId(*id), Duration::ZERO));
    let Some(best) = others.max_by_key(|id| matched(id)).map(MemberId) else { return };
    tokio::select! {
        biased;
        moved = transfer(inner, best) => {
            if let Err(error) = moved {
                tracing::warn!(target_member = %best, %error, "leadership could not be handed over");
            }
        }
        () = inner.quorum_lost() => {
            tracing::info!(target_member = %best, "leadership is not handed over: the quorum is gone");
        }
    }
}

/// Entries by which a member may lag behind when it is made leader.
const TRANSFER_LAG: u64 = 1000;

/// Transfers leadership. A transfer cannot be cancelled, so it begins only if it is likely to succeed.
///
/// # Errors
/// See [`super::Node::transfer`].
pub async fn transfer(inner: &Arc<Inner>, target: MemberId) -> Result<(), Refusal> {
    let raft = inner.raft().ok_or(Refusal::Stopped)?;
    if !inner.shared.is_leader() {
        return Err(Refusal::NotLeader);
    }
    if target == inner.shared.id() {
        return Ok(());
    }
    if !raft.voter_ids().any(|voter| voter == target.0) {
        return Err(Refusal::BadLeaderTransferee);
    }
    let ready = {
        let metrics = raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let last = metrics.last_log.map_or(0, |last| last.index);
        let matched = metrics.replication.as_ref().and_then(|all| all.get(&target.0).copied().flatten());
        let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(&target.0).cloned().flatten());
        matched.is_some_and(|matched| matched.index + TRANSFER_LAG >= last)
            && heard.is_some_and(|heard| heard.elapsed() < inner.options.election)
    };
    if !ready {
        return Err(Refusal::BadLeaderTransferee);
    }
    raft.trigger().transfer_leader(target.0).await.map_err(|_| Refusal::Stopped)?;
    let mut leadership = inner.shared.leadership();
    let moved = leadership.wait_for(|now| now.leader.is_some_and(|leader| leader != inner.shared.id()));
    match tokio::time::timeout(inner.options.request_timeout(), moved).await {
        Ok(Ok(now)) if now.leader == Some(target) => Ok(()),
        Ok(Ok(_)) => Err(Refusal::LeaderChanged),
        Ok(Err(_)) => Err(Refusal::Stopped),
        Err(_) => Err(Refusal::TransferTimedOut),
    }
}

/// What a raft call that failed means for someone who waits.
fn refusal_of(error: RaftError<Types, ClientWriteError<Types>>) -> Refusal {
    match error {
        RaftError::Fatal(_) => Refusal::Stopped,
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => Refusal::NotLeader,
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Refusal::TimeoutLeaderFailed,
        RaftError::APIError(error) => Refusal::Internal(error.to_string()),
    }
}
