//! The body of a stream of answers, with a leash and counters.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::{Code, Status};

use super::wording::reword;
use crate::api::audit::End;
use crate::api::gate::leash::Leash;
use crate::api::metrics::Metrics;
use crate::api::rules::Rule;
use crate::api::traces::Call;

/// A response body with a leash: when the leash is ready, the body ends with that status in its trailers. It also
/// counts its messages, and how it ended.
pub struct Leashed<B> {
    body: B,
    leash: Option<Leash>,
    tally: Tally,
}

impl<B> Leashed<B> {
    /// Puts `body` on `leash`.
    pub fn new(body: B, leash: Leash, tally: Tally) -> Self {
        Self { body, leash: Some(leash), tally }
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
        let this = &mut *self;
        let Some(leash) = this.leash.as_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(refusal) = leash.as_mut().poll(context) {
            this.leash = None;
            let status = Status::from(refusal);
            this.tally.end(status.code());
            let mut trailers = HeaderMap::with_capacity(2);
            // Fails only if the text cannot be a header value; it is percent-encoded.
            let _ = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        // What happens in the stream is inside its span.
        let inside = this.tally.traced.as_ref().map(|call| call.context().clone().attach());
        let mut polled = Pin::new(&mut this.body).poll_frame(context);
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
    started: std::time::Instant,
    ended: bool,
    /// For the audit, if there is one.
    end: Option<Box<End>>,
    /// Its span, if there is one.
    traced: Option<Box<Call>>,
}

impl Tally {
    /// For a stream of that method.
    pub fn new(
        metrics: Arc<Metrics>,
        rule: &'static Rule,
        started: std::time::Instant,
        (end, traced): (Option<End>, Option<Box<Call>>),
    ) -> Self {
        Self { metrics, rule, started, ended: false, end: end.map(Box::new), traced }
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
        if !std::mem::replace(&mut self.ended, true) {
            self.metrics.handled(self.rule, code, self.started.elapsed());
            if let Some(end) = self.end.take() {
                end.record(code);
            }
            if let Some(mut call) = self.traced.take() {
                call.end(code);
            }
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}
