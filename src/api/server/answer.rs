//! The body of an answer on its connection: it keeps its stream open, takes room until it is sent, and waits for a
//! client that does not read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use super::pings::Open;
use crate::api::body::ReplyBody;
use crate::api::unsent::{Opened, Share};

/// See the module. It is a part of its stream's task, and small: the library's part of the task is two hundred bytes, and
/// beyond 256 bytes a task takes twice as much, since it is aligned to 128 bytes and the allocator has such blocks in
/// powers of two only.
pub(super) struct Answer {
    body: ReplyBody,
    kept: Box<Kept>,
}

/// What stays until the answer has ended.
struct Kept {
    share: Arc<Share>,
    _stream: Open,
    /// `None` if there was no room for the request.
    _opened: Option<Opened>,
}

impl Answer {
    /// The body of an answer on that stream, which begins now.
    pub(super) fn new(body: ReplyBody, share: Arc<Share>, stream: Open, mut opened: Option<Opened>) -> Self {
        if let Some(opened) = &mut opened {
            opened.answered();
        }
        Self { body, kept: Box::new(Kept { share, _stream: stream, _opened: opened }) }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        // Whatever else there is has taken its room before it was encoded.
        let is_encoded_now = match &this.body {
            ReplyBody::Stream(_) => true,
            ReplyBody::Json(lines) => !lines.has_first(),
            ReplyBody::Empty
            | ReplyBody::Message(_)
            | ReplyBody::OkTrailers
            | ReplyBody::Page(_)
            | ReplyBody::Trailed(_)
            | ReplyBody::Wait(_) => false,
        };
        if !is_encoded_now {
            return Pin::new(&mut this.body).poll_frame(context);
        }
        let share = &this.kept.share;
        ready!(share.poll_room(context));
        let polled = Pin::new(&mut this.body).poll_frame(context);
        polled.map_ok(|frame| frame.map_data(|part| share.hold(part)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_of_a_stream_has_room_for_it() {
        assert!(size_of::<Answer>() <= 48, "{}", size_of::<Answer>());
    }
}
