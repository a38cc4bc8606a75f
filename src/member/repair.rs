//! What a member does whose state is wrong: it leads no more, raises the alarm CORRUPT naming itself, and serves
//! nothing; or, if `on-divergence` or an operator asks for that, it takes the leader's state in the place of its own
//! under the log and the votes that it has (`raft/takeover.rs`).
//!
//! The alarm refuses writes on all members, as etcd's does, so it is not raised by a member that is about to replace its
//! state: only if that fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::parts::{Job, Member};
use super::states::States;
use crate::model::{Alarm, AlarmKind, Caller, Command, MemberId};
use crate::store::Condemned;

/// Interval of the comparisons with the leader.
const EVERY: Duration = Duration::from_secs(10);
/// Interval at which is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after a state could not be replaced.
const AGAIN: Duration = Duration::from_secs(10);

/// Compares this member's state with the others', and mends it.
pub fn job(member: &Member) -> Job {
    let states = member.states.clone();
    Box::pin(async move { run(states).await })
}

async fn run(states: Arc<States>) {
    let now = Instant::now();
    let (mut digest, mut hash, mut compaction) = (now, now, now);
    let checks = states.checks;
    loop {
        tokio::select! {
            biased;
            () = states.wake.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        if let Some(condemned) = states.store.condemned() {
            mend(&states, condemned).await;
            continue;
        }
        // Also if a snapshot of the leader has replaced it.
        if *states.out.borrow() {
            end(&states).await;
        }
        if digest.elapsed() >= EVERY {
            digest = Instant::now();
            states.compare().await;
        }
        if checks.corrupt_check.is_some_and(|every| hash.elapsed() >= every) {
            hash = Instant::now();
            // It reports what it finds.
            let _ = states.round_of_hashes().await;
        }
        if checks.compact_hash_check.is_some_and(|every| compaction.elapsed() >= every) {
            compaction = Instant::now();
            states.round_of_compaction().await;
        }
    }
}

/// One step towards a state that is right.
async fn mend(states: &States, condemned: Condemned) {
    let status = states.node.status();
    if status.is_leader {
        return step_aside(states, status.id).await;
    }
    if !condemned.replace {
        if !states.is_told() && states.raise(status.id).await {
            states.set_told();
        }
        return;
    }
    match states.node.take_over_state().await {
        Ok(()) => end(states).await,
        Err(why) => {
            tracing::warn!(
                why,
                "this member's state is wrong, and could not be replaced by the leader's yet"
            );
            if !states.is_told() && states.raise(status.id).await {
                states.set_told();
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Hands leadership to a member whose state is right, as far as that is known.
async fn step_aside(states: &States, own: MemberId) {
    let right = states.right.lock().clone();
    let voters = states.node.voters();
    let is_candidate = |id: &MemberId| *id != own && (right.is_empty() || right.contains(id));
    for target in voters.into_iter().filter(is_candidate) {
        match states.node.transfer(target).await {
            Ok(()) => {
                tracing::info!(%target, "leadership was handed over, because this member's state is wrong");
                return;
            }
            Err(error) => {
                tracing::warn!(%target, %error, "leadership could not be handed over, and this member's state is wrong");
            }
        }
    }
}

/// The state is another one: it is served, and compared at once.
async fn end(states: &States) {
    if states.store.is_condemned() {
        return;
    }
    tracing::info!("this member's state was replaced by the leader's and is served");
    states.served_again();
    states.replaced.fetch_add(1, Ordering::Relaxed);
    let alarm = Alarm { member: states.node.status().id, kind: AlarmKind::Corrupt };
    if states.store.alarms().contains(&alarm) {
        let cleared = states.node.propose(Caller::System, Command::AlarmClear(alarm)).await;
        if let Err(error) = cleared {
            tracing::warn!(%error, "the alarm of this member, whose state is right again, was not cleared");
        }
    }
    states.compare().await;
}
