//! Requests, read from a body of JSON and handed on as framed messages of gRPC.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tonic::Status;

use super::decode::decode;
use super::refusals::Failure;
use super::scan::Scanner;
use super::schema::Message;
use crate::api::grpc::RequestBody;
use crate::api::grpc::unary::WORTH_SHARING;
use crate::api::grpc::wording::message_too_large;
use crate::api::unsent::{Coming, Share};

/// JSON takes more room than the message that it means: how many times as much a request may take.
pub const ROOM: usize = 2;

/// Reads the one request of a call; nothing at all is the empty message, and what follows the first value is ignored.
/// The message may have `limit` bytes, which is checked where it is decoded; here the memory for it is bounded.
///
/// # Errors
/// `InvalidArgument` if it is no such message; `ResourceExhausted` if it is far too long, or if there is no room for it.
pub async fn read<B: RequestBody>(
    mut body: B,
    limit: usize,
    message: &'static Message,
    share: &Arc<Share>,
) -> Result<Bytes, Status> {
    let mut room = share.receive();
    let mut json = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
        let Ok(data) = frame.into_data() else { break };
        if json.is_empty() && joined.is_empty() {
            json = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut json));
            joined.extend_from_slice(&data);
        }
        let length = json.len() + joined.len();
        if length > limit.saturating_mul(ROOM) {
            return Err(message_too_large(length, limit));
        }
        room.hold(length)?;
    }
    let json = if joined.is_empty() { &json[..] } else { &joined[..] };
    let mut scanner = Scanner::default();
    let end = match scanner.scan(json).map_err(Status::invalid_argument)? {
        Some(end) => end,
        None => match scanner.end() {
            Some(ended) => ended.map(|()| json.len()).map_err(Status::invalid_argument)?,
            None => return decode(b"{}", message).map_err(Status::invalid_argument),
        },
    };
    let value = json.get(..end).unwrap_or(json);
    decode(value.trim_ascii(), message).map_err(Status::invalid_argument)
}

/// The requests of a stream, as a body of framed messages: each is passed on as soon as its last byte is there.
pub struct Frames<B> {
    body: B,
    /// Largest message, in bytes.
    limit: usize,
    message: &'static Message,
    scanner: Scanner,
    buffer: BytesMut,
    room: Coming,
    /// How much of the buffer has been scanned.
    scanned: usize,
    /// The buffer may be much larger than what is in it.
    is_wide: bool,
    ended: bool,
    failure: Failure,
}

impl<B> Frames<B> {
    /// The requests in `body`. What is wrong with them goes to `failure`, too.
    pub fn new(
        body: B,
        limit: usize,
        message: &'static Message,
        failure: Failure,
        share: &Arc<Share>,
    ) -> Self {
        let (scanner, buffer, room) = (Scanner::default(), BytesMut::new(), share.receive());
        Self {
            body,
            limit,
            message,
            scanner,
            buffer,
            room,
            scanned: 0,
            is_wide: false,
            ended: false,
            failure,
        }
    }

    /// The next request that is complete.
    fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let unread = self.buffer.get(self.scanned..).unwrap_or_default();
        match self.scanner.scan(unread).map_err(|text| undecodable(&text))? {
            Some(end) => {
                let value = self.buffer.split_to(self.scanned + end);
                if value.len() >= WORTH_SHARING {
                    // The buffer of a large request does not stay for the few bytes behind it.
                    self.buffer = BytesMut::from(&self.buffer[..]);
                }
                self.scanned = 0;
                self.decode(&value).map(Some)
            }
            None if self.scanner.is_between() => {
                // It lets go of its memory, which a large request may have made large.
                self.buffer = BytesMut::new();
                self.scanned = 0;
                self.room.hold(0)?;
                Ok(None)
            }
            None => {
                self.scanned = self.buffer.len();
                if self.scanned > self.limit.saturating_mul(ROOM) {
                    return Err(message_too_large(self.scanned, self.limit));
                }
                self.room.hold(self.scanned)?;
                Ok(None)
            }
        }
    }

    /// The request at the end of the body, which only the end completes.
    fn last(&mut self) -> Result<Option<Bytes>, Status> {
        self.ended = true;
        match self.scanner.end() {
            None => Ok(None),
            Some(ended) => {
                ended.map_err(|text| undecodable(&text))?;
                let value = self.buffer.split();
                self.decode(&value).map(Some)
            }
        }
    }

    /// Before it waits: a client that begins a request costs no more than what has come of it.
    fn narrow(&mut self) {
        if std::mem::take(&mut self.is_wide) && self.buffer.len() < WORTH_SHARING {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
    }

    fn decode(&self, value: &[u8]) -> Result<Bytes, Status> {
        decode(value.trim_ascii(), self.message).map_err(|text| undecodable(&text))
    }

    fn fail(&mut self, status: Status) -> Status {
        self.ended = true;
        // Nobody else sets it.
        let _ = self.failure.set(status.clone());
        status
    }
}

fn undecodable(text: &str) -> Status {
    Status::invalid_argument(format!("Failed to decode request: {text}"))
}

impl<B: RequestBody> Body for Frames<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        while !this.ended {
            let next = match this.next() {
                Ok(None) => match Pin::new(&mut this.body).poll_frame(context) {
                    Poll::Pending => {
                        this.narrow();
                        return Poll::Pending;
                    }
                    Poll::Ready(None) => this.last(),
                    // The client has gone. The code is one that ends the stream: to the library "cancelled" from here
                    // is the end of the requests.
                    Poll::Ready(Some(Err(error))) => Err(Status::unavailable(error.to_string())),
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(data) = frame.into_data() {
                            this.buffer.extend_from_slice(&data);
                            this.is_wide = true;
                        }
                        continue;
                    }
                },
                next => next,
            };
            match next {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Ok(None) => {}
                Err(status) => return Poll::Ready(Some(Err(this.fail(status)))),
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, Stream, StreamExt};
    use http_body_util::StreamBody;

    use super::*;
    use crate::api::grpc::upload::Upload;
    use crate::api::json::schema::method;
    use crate::model::Budget;

    type Pieces = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Status>> + Send>>;

    #[tokio::test]
    async fn what_a_request_came_in_does_not_stay_for_the_beginning_of_the_next_one() {
        let budget = Budget::new(8 << 20);
        let share = Share::new(budget.clone(), &budget, budget.clone());
        let watch = method("/etcdserverpb.Watch/Watch").expect("a method").request;
        let large = format!("{{\"create_request\":{{\"key\":\"{}\"}}}} {{", "YWFh".repeat(150_000));
        let small = format!("{} {{", "{\"progress_request\":{}}".repeat(500));
        for (json, count) in [(large, 1), (small, 500)] {
            let pieces: Vec<_> = json
                .as_bytes()
                .chunks(16_384)
                .map(|part| Ok(Frame::data(Bytes::copy_from_slice(part))))
                .collect();
            let pieces: Pieces = Box::pin(tokio_stream::iter(pieces).chain(futures_util::stream::pending()));
            let body = Upload::new(StreamBody::new(pieces));
            let mut frames = Frames::new(body, 1 << 20, watch, Failure::default(), &share);
            for _ in 0..count {
                frames.frame().await.expect("a request").expect("a whole one");
            }
            assert!(frames.frame().now_or_never().is_none(), "it waits");
            assert_eq!(frames.buffer.trim_ascii(), b"{");
            let kept = frames.buffer.try_reclaim(1000);
            assert!(!kept && frames.buffer.capacity() < 100, "{}", frames.buffer.capacity());
        }
    }
}
