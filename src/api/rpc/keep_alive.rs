//! `LeaseKeepAlive`: renewals in the order of their requests. If this member is the primary lessor they are answered at
//! once; otherwise they wait for the leader, many at a time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use opentelemetry::context::FutureExt;

use super::lease::renew;
use super::traced::span;
use crate::api::proto::etcdserverpb as pb;
use crate::api::services::Services;
use crate::lease::Renewal;
use crate::model::{Caller, LeaseId, Refusal};

/// Most renewals of one stream that wait for the leader at the same time.
const MAX_WAITING: usize = 64;

/// Serves a stream.
pub fn open<R>(services: &Arc<Services>, caller: Caller, requests: R) -> KeepAlives<R>
where
    R: Stream<Item = Result<pb::LeaseKeepAliveRequest, Refusal>> + Unpin,
{
    KeepAlives::new(services.clone(), caller, requests)
}

type Waiting = Pin<Box<dyn Future<Output = Result<i64, Refusal>> + Send>>;

/// A renewal that waits; its header was made when the request was read.
struct Slow {
    id: LeaseId,
    header: pb::ResponseHeader,
    answer: Waiting,
    ttl: Option<Result<i64, Refusal>>,
}

/// The answers of one keepalive stream, in the order of its requests.
pub struct KeepAlives<R> {
    services: Arc<Services>,
    caller: Caller,
    /// `None` after the last request.
    requests: Option<R>,
    /// Renewals that could not be answered at once, and the ones behind them.
    slow: VecDeque<Slow>,
    ended: bool,
}

impl<R> KeepAlives<R>
where
    R: Stream<Item = Result<pb::LeaseKeepAliveRequest, Refusal>> + Unpin,
{
    /// A stream that serves `requests`.
    pub fn new(services: Arc<Services>, caller: Caller, requests: R) -> Self {
        Self { services, caller, requests: Some(requests), slow: VecDeque::new(), ended: false }
    }

    /// The answer to the first waiting renewal, if it is there.
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
    ) -> Poll<Option<Result<pb::LeaseKeepAliveResponse, Refusal>>> {
        loop {
            if !self.slow.is_empty()
                && let Some(answer) = self.poll_slow(context)
            {
                return Poll::Ready(Some(answer));
            }
            if self.slow.len() >= MAX_WAITING {
                return Poll::Pending;
            }
            let Some(requests) = self.requests.as_mut() else {
                return if self.slow.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            };
            let request = match Pin::new(requests).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    self.requests = None;
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(request))) => request,
            };
            let (id, span) = (request.id, span(&self.services, &request));
            // Before the renewal, as etcd does.
            let header = self.services.header();
            if self.slow.is_empty()
                && self.services.reads.may_renew_all(&self.caller)
                && let Renewal::Renewed(ttl) = self.services.lessor.renew(id)
            {
                return Poll::Ready(Some(Ok(pb::LeaseKeepAliveResponse { header: Some(header), id, ttl })));
            }
            let renewed = renew_for(self.services.clone(), self.caller.clone(), id);
            let answer: Waiting = match span {
                None => Box::pin(renewed),
                Some(span) => Box::pin(renewed.with_context(span)),
            };
            self.slow.push_back(Slow { id, header, answer, ttl: None });
        }
    }
}

/// Renews a lease if its caller may do that.
async fn renew_for(services: Arc<Services>, caller: Caller, id: LeaseId) -> Result<i64, Refusal> {
    services.reads.permit_renewal(&caller, id).await?;
    renew(services, id).await
}

impl<R> Stream for KeepAlives<R>
where
    R: Stream<Item = Result<pb::LeaseKeepAliveRequest, Refusal>> + Unpin,
{
    type Item = Result<pb::LeaseKeepAliveResponse, Refusal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.poll_answer(context);
        self.ended = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }
}
