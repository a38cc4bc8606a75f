//! Ends an open stream: the server stops, the caller's deadline passes, or the stream requires a leader and there has
//! been none for too long.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::services::Services;
use crate::model::Refusal;

/// For how many election timeouts a stream that requires a leader stays open without one (etcd `maxNoLeaderCnt`).
const LEADERLESS_ELECTIONS: u32 = 3;

/// A future that is ready when a stream must end, with the reason.
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
