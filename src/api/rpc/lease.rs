//! The lease service (etcd semantics section 8).
//!
//! Which leases exist is replicated; the leader's lessor counts how long they live. A member that is not the leader
//! asks it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::convert;
use crate::api::proto::etcdserverpb as pb;
use crate::api::services::Services;
use crate::auth::Need;
use crate::lease::{Renewal, TimeToLive};
use crate::model::{Caller, Command, LeaseId, Refusal, Reply};

/// Pause between attempts to reach the leader.
const RETRY: Duration = Duration::from_millis(50);
/// The time to live of a lease that does not exist.
const NO_LEASE_TTL: i64 = -1;

/// `LeaseGrant`.
pub async fn grant(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::LeaseGrantRequest,
) -> Result<pb::LeaseGrantResponse, Refusal> {
    let (id, ttl) = granted(services, caller, request.id, request.ttl).await?;
    Ok(pb::LeaseGrantResponse { header: Some(services.header()), id, ttl, error: String::new() })
}

/// `LeaseRevoke`.
pub async fn revoke(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::LeaseRevokeRequest,
) -> Result<pb::LeaseRevokeResponse, Refusal> {
    // The revision of the deletions, not a later one.
    let reply = services.propose(caller, Command::LeaseRevoke { id: request.id }).await?;
    let header = match reply {
        Reply::Done { revision } => services.header_at(revision),
        _ => services.header(),
    };
    Ok(pb::LeaseRevokeResponse { header: Some(header) })
}

/// `LeaseTimeToLive`.
pub async fn time_to_live(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::LeaseTimeToLiveRequest,
) -> Result<pb::LeaseTimeToLiveResponse, Refusal> {
    services.store.check(&caller, Need::User)?;
    let found = remaining(services, request.id).await?;
    let mut answer = pb::LeaseTimeToLiveResponse {
        header: Some(services.header()),
        id: request.id,
        ttl: NO_LEASE_TTL,
        ..pb::LeaseTimeToLiveResponse::default()
    };
    if let Some(found) = found {
        answer.ttl = found.remaining;
        answer.granted_ttl = found.granted;
        if request.keys {
            answer.keys = services.reads.lease_keys(&caller, request.id).await?;
        }
    }
    Ok(answer)
}

/// `LeaseLeases`.
pub async fn leases(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::LeaseLeasesRequest,
) -> Result<pb::LeaseLeasesResponse, Refusal> {
    let ids = services.reads.leases(&caller).await?;
    let leases = ids.into_iter().map(|id| pb::LeaseStatus { id }).collect();
    Ok(pb::LeaseLeasesResponse { header: Some(services.header()), leases })
}

/// Grants a lease; `id` 0 lets the server choose one, and `ttl` (seconds) is raised to the minimum. Returns both as
/// granted.
pub(super) async fn granted(
    services: &Services,
    caller: Caller,
    id: LeaseId,
    ttl: i64,
) -> Result<(LeaseId, i64), Refusal> {
    let chosen = if id == 0 { services.lessor.new_id() } else { id };
    let command = Command::LeaseGrant { id: chosen, ttl: ttl.max(services.lessor.min_ttl()) };
    services.check_quota(&command).await?;
    match services.propose(caller, command).await? {
        Reply::Lease { id, ttl, .. } => Ok((id, ttl)),
        other => Err(convert::unexpected(&other)),
    }
}

/// Renews a lease, here or at the leader: the seconds it lives, 0 if it does not exist.
pub(super) async fn renew(services: Arc<Services>, id: LeaseId) -> Result<i64, Refusal> {
    let end = Instant::now() + services.settings().request_timeout();
    let mut caught_up = false;
    loop {
        match services.lessor.renew(id) {
            Renewal::Renewed(ttl) => return Ok(ttl),
            Renewal::Missing if caught_up => return Ok(0),
            Renewal::Missing => {
                // The lease may have been granted, but not be applied here yet.
                services.reads.read_index().await?;
                caught_up = true;
                continue;
            }
            Renewal::Wait(waiting) => match timeout_at(end, waiting.wait()).await {
                Ok(Ok(ttl)) => return Ok(ttl.unwrap_or(0)),
                Ok(Err(Refusal::NotPrimaryLessor)) => {}
                Ok(Err(refusal)) => return Err(refusal),
                Err(_) => return Err(Refusal::Timeout),
            },
            Renewal::NotPrimary => {
                if let Ok(Ok(ttl)) = timeout_at(end, services.lease_leader.renew(id)).await {
                    return Ok(ttl.unwrap_or(0));
                }
            }
        }
        pause(&services, end).await?;
    }
}

/// How long a lease lives, by this member's lessor or the leader's.
async fn remaining(services: &Services, id: LeaseId) -> Result<Option<TimeToLive>, Refusal> {
    let end = Instant::now() + services.settings().request_timeout();
    let mut caught_up = false;
    loop {
        match services.lessor.time_to_live(id) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) if caught_up => return Ok(None),
            Ok(None) => {
                services.reads.read_index().await?;
                caught_up = true;
                continue;
            }
            Err(_) => {
                if let Ok(Ok(found)) = timeout_at(end, services.lease_leader.time_to_live(id)).await {
                    return Ok(found);
                }
            }
        }
        pause(services, end).await?;
    }
}

/// Waits before the next attempt, or returns the refusal if there is no more time.
async fn pause(services: &Services, end: Instant) -> Result<(), Refusal> {
    if Instant::now() + RETRY < end {
        sleep(RETRY).await;
        return Ok(());
    }
    Err(if services.node.status().leader.is_none() { Refusal::NoLeader } else { Refusal::Timeout })
}
