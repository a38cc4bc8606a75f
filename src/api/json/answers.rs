//! The answers of a stream: a line of JSON for each message, sent as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tonic::{Code, Status};

use super::encode::encode;
use super::refusals::{Failure, line, malformed, status};
use super::schema::Message;

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

    /// Waits for the first lines; false if there are none.
    ///
    /// # Errors
    /// The status, if the stream ends with one before that.
    pub async fn first(&mut self) -> Result<bool, Status> {
        self.first = poll_fn(|context| self.poll_lines(context)).await?;
        Ok(self.first.is_some())
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
