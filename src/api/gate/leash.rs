//! Ends an open stream: the server stops, the caller's deadline passes, this member's state is found wrong, or the
//! stream requires a leader and there has been none for too long.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::api::services::Services;
use crate::model::Refusal;

/// For how many election timeouts a stream that requires a leader stays open without one (etcd `maxNoLeaderCnt`).
const LEADERLESS_ELECTIONS: u32 = 3;

/// A future that is ready when a stream must end, with the reason.
pub type Leash = Pin<Box<dyn Future<Output = Refusal> + Send>>;

/// What ends a stream.
pub struct Bounds {
    /// Everything.
    pub services: Arc<Services>,
    /// When its caller stops waiting.
    pub deadline: Option<Instant>,
    /// It ends if there has been no leader for too long.
    pub requires_leader: bool,
}

impl Bounds {
    /// True if only that ends it which ends all streams ([`Services::all_end`]).
    pub fn are_everybodys(&self) -> bool {
        self.deadline.is_none() && !self.requires_leader
    }

    /// The leash of the stream.
    pub fn leash(self) -> Leash {
        let Self { services, deadline, requires_leader } = self;
        // There may be very many streams, so each has the room for what it waits for, and most only for the stop.
        match (deadline, requires_leader) {
            (None, false) => Box::pin(services.all_end()),
            (None, true) => Box::pin(async move {
                tokio::select! {
                    refusal = services.clone().all_end() => refusal,
                    () = leader_lost(&services) => Refusal::NoLeader,
                }
            }),
            (Some(deadline), _) => Box::pin(async move {
                tokio::select! {
                    refusal = services.clone().all_end() => refusal,
                    () = sleep_until(deadline) => Refusal::DeadlineExceeded,
                    () = leader_lost(&services), if requires_leader => Refusal::NoLeader,
                }
            }),
        }
    }
}

/// Ready after three consecutive election timeouts without a leader.
async fn leader_lost(services: &Services) {
    let interval = services.settings().election_timeout.max(Duration::from_millis(1));
    let mut without = 0;
    while without < LEADERLESS_ELECTIONS {
        tokio::time::sleep(interval).await;
        without = if services.node.leader().is_none() { without + 1 } else { 0 };
    }
}
