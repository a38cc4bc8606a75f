//! The body of a stream of answers, with a leash and counters.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tonic::{Code, Status};

use super::wording::reword;
use crate::api::audit::End;
use crate::api::gate::leash::Bounds;
use crate::api::metrics::Metrics;
use crate::api::rules::Rule;
use crate::api::traces::Call;
use crate::model::Refusal;

/// The body of a stream of answers with all that belongs to it, in one piece on the heap: there may be very many of them.
pub type Streamed = Pin<Box<dyn Body<Data = Bytes, Error = Status> + Send>>;

/// A body that waits for what ends it and for its counters.
pub type Untied = Box<dyn FnOnce(Bounds, Tally) -> Streamed + Send>;

/// See [`Untied`].
pub fn untied<B>(body: B) -> Untied
where
    B: Body<Data = Bytes, Error = Status> + Send + Unpin + 'static,
{
    Box::new(|bounds, tally| -> Streamed {
        match bounds.are_everybodys() {
            true => Box::pin(Leashed::new(body, bounds.services.all_end(), tally)),
            false => Box::pin(Leashed::new(body, bounds.leash(), tally)),
        }
    })
}

pin_project! {
    /// A response body with a leash: when the leash is ready, the body ends with that status in its trailers. It also
    /// counts its messages, and how it ended.
    pub struct Leashed<B, L> {
        body: B,
        // `None` after that end.
        #[pin]
        leash: Option<L>,
        tally: Tally,
    }
}

impl<B, L> Leashed<B, L> {
    /// Puts `body` on `leash`.
    pub fn new(body: B, leash: L, tally: Tally) -> Self {
        Self { body, leash: Some(leash), tally }
    }
}

impl<B, L> Body for Leashed<B, L>
where
    B: Body<Data = Bytes> + Unpin,
    L: Future<Output = Refusal>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(leash) = this.leash.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(refusal) = leash.poll(context) {
            this.leash.set(None);
            let status = Status::from(refusal);
            this.tally.end(status.code());
            let mut trailers = HeaderMap::with_capacity(2);
            // Fails only if the text cannot be a header value; it is percent-encoded.
            let _ = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        // What happens in the stream is inside its span.
        let traced = this.tally.told.as_ref().and_then(|told| told.traced.as_ref());
        let inside = traced.map(|call| call.context().clone().attach());
        let mut polled = Pin::new(this.body).poll_frame(context);
        drop(inside);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled {
            if let Some(data) = frame.data_ref() {
                this.tally.sent(data);
            } else if let Some(trailers) = frame.trailers_mut() {
                reword(trailers);
                this.tally.end(code_of(trailers));
            }
        }
        polled
    }
}

/// The status in headers or trailers; OK if there is none.
pub fn code_of(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

/// Counts a stream's messages and its end. If a stream is dropped before its end, the client has cancelled it.
pub struct Tally {
    metrics: Arc<Metrics>,
    rule: &'static Rule,
    /// `None` after the end.
    started: Option<std::time::Instant>,
    /// `None` if nobody else wants to know of it.
    told: Option<Box<Told>>,
}

/// Who else wants to know of a stream.
struct Told {
    /// The audit.
    audit: Option<End>,
    /// Its span.
    traced: Option<Box<Call>>,
}

impl Tally {
    /// For a stream of that method.
    pub fn new(
        metrics: Arc<Metrics>,
        rule: &'static Rule,
        started: std::time::Instant,
        (audit, traced): (Option<End>, Option<Box<Call>>),
    ) -> Self {
        let told = (audit.is_some() || traced.is_some()).then(|| Box::new(Told { audit, traced }));
        Self { metrics, rule, started: Some(started), told }
    }

    /// The encoder hands out whole messages, each with its five bytes of prefix.
    fn sent(&self, data: &[u8]) {
        let mut messages = 0;
        let mut bytes = 0;
        let mut rest = data;
        while let [_, a, b, c, d, after @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            messages += 1;
            bytes += length;
            rest = after.get(length..).unwrap_or_default();
        }
        self.metrics.sent(self.rule, messages, bytes);
    }

    fn end(&mut self, code: Code) {
        let Some(started) = self.started.take() else { return };
        self.metrics.handled(self.rule, code, started.elapsed());
        let Some(told) = self.told.take() else { return };
        if let Some(end) = told.audit {
            end.record(code);
        }
        if let Some(mut call) = told.traced {
            call.end(code);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}
