//! The one body type of all answers, so that the common one (a single gRPC message) needs no boxing.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use super::grpc::leashed::Streamed;
use super::json::answers::Chunks;
use super::v2::wait::Waiting;

/// See the module.
#[derive(Default)]
pub enum ReplyBody {
    /// Nothing.
    #[default]
    Empty,
    /// One framed gRPC message, then the trailers that say OK.
    Message(Bytes),
    /// Only the trailers are left.
    OkTrailers,
    /// A page of plain HTTP.
    Page(Bytes),
    /// The same of no known length, with trailers.
    Trailed(Box<(Bytes, HeaderMap)>),
    /// A stream of messages that the gate can end.
    Stream(Streamed),
    /// The same as lines of JSON.
    Json(Box<Chunks<Streamed>>),
    /// Changes of v2's tree, when they come.
    Wait(Box<Waiting>),
}

fn ok_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    trailers
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut *self {
            ReplyBody::Empty => Poll::Ready(None),
            ReplyBody::Message(message) => {
                let message = std::mem::take(message);
                *self = ReplyBody::OkTrailers;
                Poll::Ready(Some(Ok(Frame::data(message))))
            }
            ReplyBody::OkTrailers => {
                *self = ReplyBody::Empty;
                Poll::Ready(Some(Ok(Frame::trailers(ok_trailers()))))
            }
            ReplyBody::Page(page) => {
                let page = std::mem::take(page);
                *self = ReplyBody::Empty;
                Poll::Ready(Some(Ok(Frame::data(page))))
            }
            ReplyBody::Trailed(trailed) => {
                let (page, trailers) = &mut **trailed;
                let frame = match (page.is_empty(), trailers.is_empty()) {
                    (false, _) => Some(Frame::data(std::mem::take(page))),
                    (true, false) => Some(Frame::trailers(std::mem::take(trailers))),
                    (true, true) => None,
                };
                Poll::Ready(frame.map(Ok))
            }
            ReplyBody::Stream(body) => Pin::new(body).poll_frame(context),
            ReplyBody::Json(body) => Pin::new(body).poll_frame(context),
            ReplyBody::Wait(waiting) => {
                waiting.poll_line(context).map(|line| line.map(|line| Ok(Frame::data(line))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyBody::Empty => true,
            ReplyBody::Page(page) => page.is_empty(),
            ReplyBody::Message(_)
            | ReplyBody::OkTrailers
            | ReplyBody::Trailed(_)
            | ReplyBody::Stream(_)
            | ReplyBody::Json(_)
            | ReplyBody::Wait(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Empty => SizeHint::with_exact(0),
            ReplyBody::Page(page) => SizeHint::with_exact(page.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
