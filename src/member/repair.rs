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
use crate::store::Condemned;

/// Interval of the comparisons with the leader.
const EVERY: Duration = Duration::from_secs(10);
/// Interval at which is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);
/// If nobody leads for this long, a member whose state is wrong stands for election, too: its log is right, and it may
/// be the only one left that has everything, so that no other member can be elected.
const LAST_RESORT: Duration = Duration::from_secs(10);
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
    let mut led = now;
    let checks = states.checks;
    loop {
        tokio::select! {
            biased;
            () = states.wake.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        // Before the mark: if another state takes its place, nothing is said of that one.
        let number = states.store.state_number();
        if let Some(condemned) = states.store.condemned() {
            // The store itself may have found damage.
            states.take_out();
            if states.node.leader().is_some_and(|leader| leader != states.node.status().id) {
                led = Instant::now();
            }
            // It hands over as soon as another one has its log.
            states.node.stand(led.elapsed() >= LAST_RESORT);
            mend(&states, number, condemned).await;
            continue;
        }
        led = Instant::now();
        // Also if a snapshot of the leader has replaced it.
        if *states.out.borrow() {
            end(&states).await;
        }
        states.withdraw().await;
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
async fn mend(states: &States, number: u64, condemned: Condemned) {
    let status = states.node.status();
    states.remember(number, &condemned);
    let is_alone = states.node.voters() == [status.id];
    if status.is_leader && !is_alone {
        if let Err(why) = states.step_aside().await {
            tracing::warn!(why, "this member's state is wrong");
        }
        return;
    }
    if !condemned.replace || is_alone {
        if !states.is_told() && states.raise(status.id).await {
            states.set_told(number, &condemned);
        }
        return;
    }
    if states.node.leader().is_none_or(|leader| leader == status.id) {
        // There is nobody to take it from, and this member may have to lead for a moment: it looks again soon.
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
                states.set_told(number, &condemned);
            }
            tokio::time::sleep(AGAIN).await;
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
    states.withdraw().await;
    states.compare().await;
}
