//! Raft's clock, as slow as it may be: openraft's wakes a member fifty times a second, to begin an election if there is
//! no leader and, in a leader, to send heartbeats.
//!
//! - A leader needs it for heartbeats only, which this task asks for instead.
//! - A leader without other members needs nothing.
//! - Whoever hears its leader needs it only when that leader falls silent: an election begins after 0.7 T of silence at the
//!   earliest (see [`super::settings`]), and the clock runs again when the leader's lease is over, after 0.45 T. Whoever
//!   finds then that the leader's process has ended begins at once (`succession`).

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use tokio::time::Instant;

use super::inner::{Inner, Raft};
use super::{settings, succession};

/// A message counts for raft a moment after it has arrived.
const MARGIN: Duration = Duration::from_millis(10);

/// What a member needs of the clock at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Still,
    /// Heartbeats to others.
    Heartbeats,
    /// Nothing until then.
    Until(Instant),
    /// openraft's own ticks.
    Ticks,
}

/// Runs until raft ends.
pub async fn run(inner: Arc<Inner>) {
    let Some(raft) = inner.raft() else { return };
    let (heartbeat, lease) = (inner.options.heartbeat, settings::lease(&inner.options) + MARGIN);
    let mut metrics = raft.server_metrics();
    let (mut ticking, mut next) = (true, Instant::now());
    loop {
        let (state, members) = {
            let now = metrics.borrow_and_update();
            (now.state, now.membership_config.membership().nodes().count())
        };
        let heard = inner.shared.heard_leader();
        let need = need(state, members, heard.map(|(_, heard)| heard + lease), Instant::now());
        if tick(raft, &mut ticking, need == Need::Ticks)
            && let Some(silent) = heard
        {
            inner.spawn(succession::run(inner.clone(), silent));
        }
        let until = match need {
            Need::Still => None,
            Need::Heartbeats => {
                let now = Instant::now();
                if next <= now {
                    if raft.trigger().heartbeat().await.is_err() {
                        return;
                    }
                    next = (next + heartbeat).max(now);
                }
                Some(next)
            }
            Need::Until(until) => Some(until),
            Need::Ticks => Some(Instant::now() + lease),
        };
        tokio::select! {
            biased;
            changed = metrics.changed() => if changed.is_err() { return },
            () = super::duties::at(until) => {}
        }
    }
}

fn need(state: ServerState, members: usize, silent: Option<Instant>, now: Instant) -> Need {
    match (state, silent) {
        (ServerState::Leader, _) if members == 1 => Need::Still,
        (ServerState::Leader, _) => Need::Heartbeats,
        (_, Some(silent)) if now < silent => Need::Until(silent),
        _ => Need::Ticks,
    }
}

/// True if the clock begins to run with this.
fn tick(raft: &Raft, ticking: &mut bool, wanted: bool) -> bool {
    let begins = wanted && !*ticking;
    if *ticking != wanted {
        *ticking = wanted;
        raft.runtime_config().tick(wanted);
    }
    begins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_only_when_there_is_no_leader_to_be_heard() {
        let now = Instant::now();
        let (soon, past) = (now + Duration::from_millis(1), now);
        let cases = [
            (ServerState::Leader, 1, None, Need::Still),
            (ServerState::Leader, 2, Some(soon), Need::Heartbeats),
            (ServerState::Follower, 3, Some(soon), Need::Until(soon)),
            (ServerState::Follower, 3, Some(past), Need::Ticks),
            (ServerState::Follower, 1, None, Need::Ticks),
            (ServerState::Candidate, 3, None, Need::Ticks),
            (ServerState::Learner, 3, Some(soon), Need::Until(soon)),
        ];
        for (state, members, silent, expected) in cases {
            assert_eq!(need(state, members, silent, now), expected, "{state:?} of {members}");
        }
    }
}
