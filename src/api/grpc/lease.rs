//! The lease service (etcd semantics section 8).
//!
//! What exists is replicated; how long it lives, the leader's lessor counts. A member that is not the leader asks it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Request, Response, Status, Streaming};

use super::unexpected;
use crate::api::jobs::Job;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::lease_server::Lease;
use crate::api::services::Services;
use crate::lease::{Renewal, TimeToLive};
use crate::model::{Caller, Command, LeaseId, Refusal, Reply};

/// Pause between attempts to reach the leader.
const RETRY: Duration = Duration::from_millis(50);
/// Most renewals of one stream that wait for their answers at a time.
const MAX_WAITING: usize = 64;
/// The time to live of a lease that does not exist.
const NO_LEASE_TTL: i64 = -1;

/// See the module.
pub struct LeaseService {
    services: Arc<Services>,
}

impl LeaseService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    async fn time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Refusal> {
        let found = time_to_live(&self.services, request.id).await?;
        let mut answer = pb::LeaseTimeToLiveResponse {
            header: Some(self.services.header()),
            id: request.id,
            ttl: NO_LEASE_TTL,
            ..pb::LeaseTimeToLiveResponse::default()
        };
        if let Some(found) = found {
            answer.ttl = found.remaining;
            answer.granted_ttl = found.granted;
            if request.keys {
                let store = self.services.store.clone();
                let work = move || store.lease_keys(request.id);
                answer.keys = self.services.jobs.run(Job::Read, work).await?;
            }
        }
        Ok(answer)
    }

    fn leases(&self) -> Result<pb::LeaseLeasesResponse, Refusal> {
        let ids = match self.services.lessor.by_expiry() {
            Some(ids) => ids,
            None => self.services.store.leases()?.into_iter().map(|lease| lease.id).collect(),
        };
        let leases = ids.into_iter().map(|id| pb::LeaseStatus { id }).collect();
        Ok(pb::LeaseLeasesResponse { header: Some(self.services.header()), leases })
    }
}

/// Grants a lease; `id` 0 lets the server choose one, and `ttl` (seconds) is raised to the minimum. Answers with
/// both as granted.
pub(super) async fn grant(services: &Services, id: LeaseId, ttl: i64) -> Result<(LeaseId, i64), Refusal> {
    let chosen = if id == 0 { services.lessor.new_id() } else { id };
    let command = Command::LeaseGrant { id: chosen, ttl: ttl.max(services.lessor.min_ttl()) };
    services.check_quota(&command).await?;
    match services.node.propose(Caller::Anonymous, command).await? {
        Reply::Lease { id, ttl, .. } => Ok((id, ttl)),
        other => Err(unexpected(&other)),
    }
}

/// Renews a lease, wherever its time is counted: the seconds it lives, 0 where it does not exist.
async fn renew(services: Arc<Services>, id: LeaseId) -> Result<i64, Refusal> {
    let end = Instant::now() + services.settings().request_timeout();
    let mut caught_up = false;
    loop {
        match services.lessor.renew(id) {
            Renewal::Renewed(ttl) => return Ok(ttl),
            Renewal::Missing if caught_up => return Ok(0),
            Renewal::Missing => {
                // It may have been granted, and not be applied here yet.
                services.read_index().await?;
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

/// How long a lease lives, wherever its time is counted.
async fn time_to_live(services: &Services, id: LeaseId) -> Result<Option<TimeToLive>, Refusal> {
    let end = Instant::now() + services.settings().request_timeout();
    let mut caught_up = false;
    loop {
        match services.lessor.time_to_live(id) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) if caught_up => return Ok(None),
            Ok(None) => {
                services.read_index().await?;
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

/// Waits before the next attempt, or says why there is none.
async fn pause(services: &Services, end: Instant) -> Result<(), Refusal> {
    if Instant::now() + RETRY < end {
        sleep(RETRY).await;
        return Ok(());
    }
    Err(if services.node.status().leader.is_none() { Refusal::NoLeader } else { Refusal::Timeout })
}

#[tonic::async_trait]
impl Lease for LeaseService {
    type LeaseKeepAliveStream = KeepAlives<Streaming<pb::LeaseKeepAliveRequest>>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let request = request.into_inner();
        let (id, ttl) = grant(&self.services, request.id, request.ttl).await?;
        let header = Some(self.services.header());
        Ok(Response::new(pb::LeaseGrantResponse { header, id, ttl, error: String::new() }))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        // The revision of the deletions, not one that came after it.
        let reply = self
            .services
            .node
            .propose(Caller::Anonymous, Command::LeaseRevoke { id: request.into_inner().id })
            .await?;
        let header = match reply {
            Reply::Done { revision } => self.services.header_at(revision),
            _ => self.services.header(),
        };
        Ok(Response::new(pb::LeaseRevokeResponse { header: Some(header) }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        Ok(Response::new(KeepAlives::new(self.services.clone(), request.into_inner())))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        Ok(Response::new(self.time_to_live(request.into_inner()).await?))
    }

    async fn lease_leases(
        &self,
        _request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        Ok(Response::new(self.leases()?))
    }
}

type Waiting = Pin<Box<dyn Future<Output = Result<i64, Refusal>> + Send>>;

/// A renewal on its way; the header was filled when its request was read.
struct Slow {
    id: LeaseId,
    header: pb::ResponseHeader,
    answer: Waiting,
    ttl: Option<Result<i64, Refusal>>,
}

/// The answers of one keepalive stream, in the order of its requests.
pub struct KeepAlives<R> {
    services: Arc<Services>,
    /// `None` after the last request.
    requests: Option<R>,
    /// Renewals that could not be answered at once, and those behind them.
    slow: VecDeque<Slow>,
    ended: bool,
}

impl<R> KeepAlives<R>
where
    R: Stream<Item = Result<pb::LeaseKeepAliveRequest, Status>> + Unpin,
{
    /// A stream that serves `requests`.
    pub fn new(services: Arc<Services>, requests: R) -> Self {
        Self { services, requests: Some(requests), slow: VecDeque::new(), ended: false }
    }

    /// The answer of the first that waits, if it is there.
    fn poll_slow(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<Result<pb::LeaseKeepAliveResponse, Refusal>> {
        for slow in &mut self.slow {
            if slow.ttl.is_none()
                && let Poll::Ready(ttl) = slow.answer.as_mut().poll(context)
            {
                slow.ttl = Some(ttl);
            }
        }
        self.slow.front()?.ttl.as_ref()?;
        let Slow { id, header, ttl, .. } = self.slow.pop_front()?;
        Some(ttl?.map(|ttl| pb::LeaseKeepAliveResponse { header: Some(header), id, ttl }))
    }

    fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<pb::LeaseKeepAliveResponse, Status>>> {
        loop {
            if !self.slow.is_empty()
                && let Some(answer) = self.poll_slow(context)
            {
                return Poll::Ready(Some(answer.map_err(Status::from)));
            }
            if self.slow.len() >= MAX_WAITING {
                return Poll::Pending;
            }
            let Some(requests) = self.requests.as_mut() else {
                return if self.slow.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            };
            let id = match Pin::new(requests).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    self.requests = None;
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(request))) => request.id,
            };
            // Before the renewal, as etcd does.
            let header = self.services.header();
            if self.slow.is_empty()
                && let Renewal::Renewed(ttl) = self.services.lessor.renew(id)
            {
                return Poll::Ready(Some(Ok(pb::LeaseKeepAliveResponse { header: Some(header), id, ttl })));
            }
            let answer = Box::pin(renew(self.services.clone(), id));
            self.slow.push_back(Slow { id, header, answer, ttl: None });
        }
    }
}

impl<R> Stream for KeepAlives<R>
where
    R: Stream<Item = Result<pb::LeaseKeepAliveRequest, Status>> + Unpin,
{
    type Item = Result<pb::LeaseKeepAliveResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.poll_answer(context);
        self.ended = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }
}
