//! What ends an open stream from outside: the server stops, the caller's deadline passes, or the leader the caller
//! insisted on is gone for too long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::Instant;
use tonic::Status;

use crate::api::services::Services;
use crate::api::status;
use crate::model::Refusal;

/// How many election timeouts a stream that asks for a leader outlives it (etcd `maxNoLeaderCnt`).
const LEADERLESS_ELECTIONS: u32 = 3;

/// The future that is ready once a stream must end, with the reason.
pub type Leash = Pin<Box<dyn Future<Output = Status> + Send>>;

/// The leash of a stream.
pub fn leash(services: Arc<Services>, deadline: Option<Instant>, requires_leader: bool) -> Leash {
    Box::pin(async move {
        tokio::select! {
            () = services.stop.stopping() => Refusal::Stopped.into(),
            () = passed(deadline) => status::deadline_exceeded(),
            () = leader_lost(&services), if requires_leader => Refusal::NoLeader.into(),
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
    let interval = services.settings.election_timeout.max(Duration::from_millis(1));
    let mut without = 0;
    while without < LEADERLESS_ELECTIONS {
        tokio::time::sleep(interval).await;
        without = if services.node.status().leader.is_none() { without + 1 } else { 0 };
    }
}

/// A response body on a leash: once the leash is ready it ends with that status in its trailers.
pub struct Leashed<B> {
    body: B,
    leash: Option<Leash>,
}

impl<B> Leashed<B> {
    /// Puts `body` on `leash`.
    pub fn new(body: B, leash: Leash) -> Self {
        Self { body, leash: Some(leash) }
    }
}

impl<B> Body for Leashed<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(leash) = self.leash.as_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(status) = leash.as_mut().poll(context) {
            self.leash = None;
            let mut trailers = HeaderMap::with_capacity(2);
            // Fails only where the text cannot be a header value; it is percent-encoded.
            let _ = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
