//! What ends an open stream from outside: the server stops, the caller's deadline passes, or the leader the caller
//! insisted on is gone for too long.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::services::Services;
use crate::model::Refusal;

/// How many election timeouts a stream that asks for a leader outlives it (etcd `maxNoLeaderCnt`).
const LEADERLESS_ELECTIONS: u32 = 3;

/// The future that is ready once a stream must end, with the reason.
pub type Leash = Pin<Box<dyn Future<Output = Refusal> + Send>>;

/// The leash of a stream.
pub fn leash(services: Arc<Services>, deadline: Option<Instant>, requires_leader: bool) -> Leash {
    Box::pin(async move {
        tokio::select! {
            () = services.stop.stopping() => Refusal::Stopped,
            () = passed(deadline) => Refusal::DeadlineExceeded,
            () = leader_lost(&services), if requires_leader => Refusal::NoLeader,
        }
    })
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
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
