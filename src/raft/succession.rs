//! The succession of a leader whose process has ended.
//!
//! A host answers datagrams to a port at which nothing listens (RFC 1122 section 4.1.3.1), so a leader that was killed,
//! unlike one that was stopped or cut off, leaves a sign. Whoever sees it does not wait for the rest of its timeout: it
//! asks for votes as soon as the leader's lease is over. Nobody's lease is cut short by that, and the sign is believed only
//! of a leader that is silent: if it is wrong, the others refuse, because they hear their leader.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::inner::Inner;
use crate::model::MemberId;

/// Begins elections while the leader is silent and its process has ended, until the election timeout is over: then raft's
/// clock has begun one, and without a quorum there is nobody to ask. A learner leaves it to the voters. `silent` is the
/// leader, whose lease is over, and when its last message arrived.
pub async fn run(inner: Arc<Inner>, silent: (MemberId, Instant)) {
    let Some(raft) = inner.raft() else { return };
    if !raft.voter_ids().any(|voter| voter == inner.options.id.0) {
        return;
    }
    let is_silent = || inner.shared.heard_leader() == Some(silent);
    // Long enough for votes to be asked for and written.
    let step = inner.options.heartbeat / 2;
    let (end, mut is_told) = (silent.1 + inner.options.election, false);
    // Without the question before, each election disturbs the others.
    while is_silent() && inner.options.pre_vote && Instant::now() < end {
        if !inner.options.transport.is_gone(silent.0).await {
            sleep(step).await;
            continue;
        }
        let (turn, others) = turn(raft.voter_ids().map(MemberId), inner.options.id, silent.0);
        sleep(step * turn).await;
        if is_silent() && !inner.has_doubts() {
            if !std::mem::replace(&mut is_told, true) {
                tracing::info!(leader = %silent.0, "the leader's process has ended: asking for votes");
            }
            if raft.trigger().elect(true).await.is_err() {
                return;
            }
        }
        sleep(step * (others - turn)).await;
    }
}

/// The turn of a member among those that are left, from 0 on, and their number: if all asked at once, each would vote for
/// itself.
fn turn(voters: impl Iterator<Item = MemberId>, own: MemberId, leader: MemberId) -> (u32, u32) {
    let others: Vec<MemberId> = voters.filter(|voter| *voter != leader).collect();
    let before = others.iter().filter(|other| **other < own).count() as u32;
    (before, (others.len() as u32).max(before + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_that_is_left_has_a_turn_of_its_own() {
        let turns = |own| turn([9, 2, 7, 5].map(MemberId).into_iter(), MemberId(own), MemberId(7));
        assert_eq!([2, 5, 9].map(turns), [(0, 3), (1, 3), (2, 3)]);
    }
}
