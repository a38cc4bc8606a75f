//! The answers of a stream: a line of JSON for each message, sent as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tonic::{Code, Status};

use super::encode::encode;
use super::refusals::{Failure, line, malformed, status};
use super::schema::Message;
use crate::api::unsent::Share;

/// A body of lines, made from a body of framed messages. An error is a line, too, and the last one.
pub struct Chunks<B> {
    body: B,
    message: &'static Message,
    failure: Failure,
    first: Option<Bytes>,
    ended: bool,
}

impl<B> Chunks<B>
where
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    /// The lines for `body`, whose messages are of one kind.
    pub fn new(body: B, message: &'static Message, failure: Failure) -> Self {
        Self { body, message, failure, first: None, ended: false }
    }

    /// Waits for the first lines, as any part of a stream does that has no room yet; false if there are none.
    ///
    /// # Errors
    /// The status, if the stream ends with one before that.
    pub async fn first(&mut self, share: &Arc<Share>) -> Result<bool, Status> {
        let first = poll_fn(|context| {
            ready!(share.poll_room(context));
            self.poll_lines(context)
        });
        self.first = first.await?.map(|lines| share.hold(lines));
        Ok(self.first.is_some())
    }

    /// True if the next lines have their room already.
    pub fn has_first(&self) -> bool {
        self.first.is_some()
    }

    /// The next lines; `None` after the last.
    fn poll_lines(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            return Poll::Pending;
        };
        let end = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Poll::Ready(self.lines(&data).map(Some)),
                Err(frame) => {
                    frame.into_trailers().map_or_else(|_| Status::ok(""), |trailers| status(&trailers))
                }
            },
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        let end = self.failure.get().cloned().unwrap_or(end);
        Poll::Ready(if end.code() == Code::Ok { Ok(None) } else { Err(end) })
    }

    /// The lines for whole messages.
    fn lines(&self, data: &[u8]) -> Result<Bytes, Status> {
        let mut json = Vec::with_capacity(data.len() + data.len() / 2 + 128);
        let mut rest = data;
        while let [_, a, b, c, d, after @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            let Some((wire, after)) = after.split_at_checked(length) else { break };
            json.extend_from_slice(b"{\"result\":");
            encode(wire, self.message, &mut json).map_err(|_| malformed(self.message))?;
            json.extend_from_slice(b"}\n");
            rest = after;
        }
        if !rest.is_empty() {
            return Err(malformed(self.message));
        }
        Ok(json.into())
    }
}

impl<B> Body for Chunks<B>
where
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(lines) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(lines))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(lines) = self.poll_lines(context) else { return Poll::Pending };
        let lines = lines.unwrap_or_else(|status| {
            self.ended = true;
            Some(line(&status))
        });
        Poll::Ready(lines.map(|lines| Ok(Frame::data(lines))))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::StreamBody;

    use super::*;
    use crate::api::grpc::unary::encode;
    use crate::api::json::schema::method;
    use crate::api::proto::{etcdserverpb as pb, mvccpb};
    use crate::model::Budget;

    #[test]
    fn the_first_lines_wait_for_room_and_take_it() {
        let kv = mvccpb::KeyValue { value: vec![7; 100_000].into(), ..Default::default() };
        let piece = pb::RangeResponse { kvs: vec![kv], ..Default::default() };
        let message = encode(&pb::RangeStreamResponse { range_response: Some(piece) }).expect("encoded");
        let answers = Budget::new(1 << 20);
        let share = Share::new(answers.clone(), &answers, answers.clone());
        let answer = method("/etcdserverpb.KV/RangeStream").expect("a method").answer;
        let chunks = || {
            let frames = [Ok::<_, Status>(Frame::data(message.clone()))];
            Chunks::new(StreamBody::new(tokio_stream::iter(frames)), answer, Failure::default())
        };
        let mut one = chunks();
        share.set_blocked(true);
        assert!(one.first(&share).now_or_never().is_none(), "the client does not read");
        share.set_blocked(false);
        assert_eq!(one.first(&share).now_or_never().expect("there is room").ok(), Some(true));
        assert!(one.has_first() && answers.used() > 130_000, "{}", answers.used());
        let all: Vec<_> = (0..10).map(|_| share.hold(Bytes::from(vec![0; 100_000]))).collect();
        assert!(chunks().first(&share).now_or_never().is_none(), "too much is unread");
        drop((one, all));
        assert_eq!(answers.used(), 0);
    }
}
