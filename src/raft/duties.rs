//! Background tasks of a node: follow changes of the leader, publish the member's name, and, as the leader, maintain
//! the cluster.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use super::commands::queued;
use super::inner::{Doubt, Inner};
use super::members;
use crate::log::Space;
use crate::model::{Caller, Command, MemberChange, MemberId, Refusal};

/// Lower limit for the size of the log, in bytes of entries. Entries hold groups of commands, so a number of entries
/// alone is no bound.
const LOG_BYTES: u64 = 16 << 20;
/// Upper limit.
const MAX_LOG_BYTES: u64 = 256 << 20;
/// In between the limit is this fraction of the state: a member that lags further behind is sent the whole state, so
/// the larger the state, the more of the log is worth keeping.
const LOG_SHARE: u64 = 32;

/// Interval at which the size is checked.
const LOG_CHECK: Duration = Duration::from_millis(500);

/// The interval while the log's disk is full: writes in the meantime may use up the rest.
const FULL_LOG_CHECK: Duration = Duration::from_millis(50);

/// Polling interval for a log's disk that stands still: leadership must be handed over within three seconds.
const STALL_CHECK: Duration = Duration::from_millis(250);

/// Pause between two attempts to transfer leadership because of a full disk.
const FULL_DISK: Duration = Duration::from_secs(60);

/// Pause before a failed action is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Follows raft's leader, whether it is confirmed, and the end of raft.
pub async fn watch_leader(inner: Arc<Inner>) {
    let Some(raft) = inner.raft() else { return };
    inner.shared.set_acknowledged(raft.data_metrics());
    let mut metrics = raft.server_metrics();
    let mut told = None;
    loop {
        let (term, believed) = {
            let now = metrics.borrow_and_update();
            let own = now.current_leader == Some(inner.shared.id().0);
            let leads = own && now.state == ServerState::Leader;
            (now.vote.leader_id.term, now.current_leader.filter(|_| !own || leads).map(MemberId))
        };
        inner.shared.set_leader(term, believed);
        let leader = inner.shared.leader();
        if told != leader {
            let lost = std::mem::replace(&mut told, leader);
            tell_leader(&inner, term, leader, lost.or(believed), believed.is_some());
        }
        let again = inner.shared.look_again(inner.options.heartbeat);
        tokio::select! {
            biased;
            changed = metrics.changed() => if changed.is_err() { break },
            () = at(again) => {}
        }
    }
    if !inner.is_stopped() {
        let state = raft.metrics().borrow_watched().running_state.clone();
        let why = state.err().map_or_else(|| "raft has ended".to_string(), |fatal| fatal.to_string());
        tracing::error!(%why, "this member cannot go on");
        (inner.options.on_fatal)(&why);
    }
    inner.shared.set_leader(0, None);
}

/// One line a change: the new leader, or the one that is lost, by id and, if that is known, by name.
fn tell_leader(inner: &Inner, term: u64, leader: Option<MemberId>, lost: Option<MemberId>, silent: bool) {
    let members = inner.options.store.members();
    let found = leader.or(lost).and_then(|id| members.iter().find(|member| member.id == id));
    let leader_name = found.map(|member| member.name.as_str()).filter(|name| !name.is_empty());
    let lost = lost.map(|id| id.to_string());
    match leader {
        Some(leader) => tracing::info!(%leader, leader_name, term, "elected leader"),
        None if silent => tracing::warn!(
            leader = lost,
            leader_name,
            term,
            "lost leader: not confirmed within the election timeout"
        ),
        None => tracing::warn!(leader = lost, leader_name, term, "lost leader"),
    }
}

/// Returns at that time, or never.
pub async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Publishes this member's name and client URLs, and repeats until it succeeds.
pub async fn publish(inner: Arc<Inner>) {
    let mut leadership = inner.shared.leadership();
    let options = &inner.options;
    loop {
        // Not before there is a leader, and the log is replayed far enough to contain this member.
        let _ = leadership.wait_for(|now| now.leader.is_some()).await;
        let own = options.store.members().into_iter().find(|member| member.id == options.id);
        match own {
            Some(own) if own.name == options.name && own.client_urls == options.client_urls => return,
            Some(_) => {
                let change = MemberChange::Publish {
                    id: options.id,
                    name: options.name.clone(),
                    client_urls: options.client_urls.clone(),
                };
                let outcome = queued(&inner, Caller::System, Command::Member(change), None);
                match tokio::time::timeout(options.request_timeout(), outcome).await {
                    Ok(Ok(_)) => return,
                    Ok(Err(error)) => tracing::warn!(%error, "this member could not make itself known yet"),
                    Err(_) => tracing::warn!("this member could not make itself known in time"),
                }
                tokio::time::sleep(RETRY).await;
            }
            None => tokio::time::sleep(options.heartbeat / 2).await,
        }
    }
}

/// As long as this member leads: decides the cluster's version, and promotes pending voters that have caught up.
pub async fn lead(inner: Arc<Inner>) {
    let mut leadership = inner.shared.leadership();
    let Some(raft) = inner.raft() else { return };
    let mut metrics = raft.server_metrics();
    loop {
        if leadership.wait_for(|now| now.leading).await.is_err() {
            return;
        }
        if let Err(error) = decide_version(&inner).await {
            tracing::warn!(%error, "the cluster version could not be decided yet");
            tokio::time::sleep(RETRY).await;
            continue;
        }
        while leadership.borrow().leading {
            let has_learners = {
                let now = metrics.borrow_and_update();
                now.membership_config.membership().learner_ids().next().is_some()
            };
            // A state that is wrong may name the wrong members.
            if has_learners && !inner.options.store.is_condemned() {
                members::promote_pending(&inner).await;
            }
            // A member that has caught up should not wait long.
            tokio::select! {
                biased;
                _ = leadership.changed() => {}
                changed = metrics.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(inner.options.heartbeat), if has_learners => {}
            }
        }
    }
}

/// Purges the log if its entries are too many bytes, or its disk is full, as far as the store's checkpoints allow.
/// openraft itself limits the number of entries (see `settings`).
pub async fn bound_log(inner: Arc<Inner>) {
    let Some(raft) = inner.raft() else { return };
    let options = &inner.options;
    loop {
        let space = options.log.space();
        tokio::time::sleep(if space == Space::Enough { LOG_CHECK } else { FULL_LOG_CHECK }).await;
        let bytes = match space {
            Space::Enough => {
                let wanted = (options.store.sizes().in_use / LOG_SHARE).clamp(LOG_BYTES, MAX_LOG_BYTES);
                wanted.min(options.log.history_bytes())
            }
            // Purging makes room for new entries, which is more important than members that lag behind.
            Space::Full { .. } => {
                if options.store.checkpointed() < options.store.applied() {
                    options.store.hurry();
                }
                0
            }
        };
        let first = options.log.first_within(bytes as usize);
        let durable = options.store.checkpointed().map_or(0, |position| position.index);
        let upto = first.saturating_sub(1).min(durable);
        if first <= options.log.bounds().first || upto < options.log.bounds().first {
            continue;
        }
        // Raft purges only entries that a snapshot contains; the store's last checkpoint becomes a snapshot at once on
        // request.
        let held = raft.metrics().borrow_watched().snapshot.as_ref().map(|last| last.index);
        let asked = match held {
            Some(held) if held >= upto => raft.trigger().purge_log(upto).await,
            _ => raft.trigger().snapshot().await,
        };
        if asked.is_err() {
            return;
        }
    }
}

/// Transfers leadership while this member's disk is full, because a leader without room refuses writes for all. Not
/// again soon: the others may have no room either.
pub async fn leave_full_disk(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(LOG_CHECK).await;
        let shared = &inner.shared;
        if shared.is_leader() && !shared.is_only_voter() && inner.is_disk_full() {
            tracing::warn!("the disk is full: handing leadership over");
            let _ = tokio::time::timeout(inner.options.election, members::hand_over(&inner)).await;
            tokio::time::sleep(FULL_DISK).await;
        }
    }
}

/// Transfers leadership while the disk of this member's log stands still: its vote would be missing, and what it has
/// acknowledged to itself. It does not stand for election until the disk goes on, and takes nothing back then.
pub async fn leave_stalled_disk(inner: Arc<Inner>) {
    let mut stalled = None;
    loop {
        stalled = look_at_log(&inner, stalled.is_some()).await;
        inner.doubt(Doubt::Disk, stalled.is_some());
        if stalled.is_some() && inner.shared.is_leader() && inner.can_go_without() {
            tracing::warn!("the disk of the raft log stands still: handing leadership over");
            let _ = tokio::time::timeout(inner.options.election, members::hand_over(&inner)).await;
        }
    }
}

/// Logs that the log's disk stands still, while it does. Not on raft's thread, which in a member without others waits for
/// that disk itself.
pub async fn tell_stalled_disk(inner: &Inner) {
    let mut is_told = false;
    loop {
        match (look_at_log(inner, is_told).await, is_told) {
            (Some(lasting), false) => tracing::warn!(?lasting, "the disk of the raft log stands still"),
            (None, true) => tracing::info!("the disk of the raft log goes on"),
            _ => continue,
        }
        is_told = !is_told;
    }
}

/// For how long the log's disk has stood still, a while later; or, if it did not stand still, as soon as that matters.
async fn look_at_log(inner: &Inner, stood_still: bool) -> Option<Duration> {
    let pace = &inner.shared.pace;
    loop {
        let seen = pace.count();
        tokio::time::sleep(STALL_CHECK).await;
        if pace.oldest().is_some() || stood_still {
            return inner.log_stalled_for();
        }
        pace.more_than(seen).await;
    }
}

/// The version that a new cluster begins with is that of its first leader.
async fn decide_version(inner: &Arc<Inner>) -> Result<(), Refusal> {
    if inner.options.store.cluster_version().is_some() {
        return Ok(());
    }
    let command = Command::ClusterVersion(inner.options.version.of_cluster());
    let outcome = queued(inner, Caller::System, command, None);
    let outcome = tokio::time::timeout(inner.options.request_timeout(), outcome).await;
    outcome.unwrap_or(Err(Refusal::Timeout)).map(|_| ())
}
