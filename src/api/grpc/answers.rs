//! The answers of a stream that goes on, as the body of a response. What is ready at the same time is sent together. An
//! idle stream keeps no buffer: there may be very many of them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::Status;

use super::unary::{PREFIX, length_of, zip};
use crate::api::encoding::Encode;
use crate::model::Refusal;

/// Answers that are ready at the same time are sent together, up to about this many bytes.
const SEND_TOGETHER: usize = 32 * 1024;

/// See the module.
pub struct Answers<S> {
    state: State<S>,
    zipped: bool,
}

enum State<S> {
    Open(S),
    /// After the last answer: the trailers are next.
    Ending(Box<HeaderMap>),
    Ended,
}

impl<S> Answers<S> {
    /// A body with these answers, each compressed if they are to be `zipped`.
    pub fn new(answers: S, zipped: bool) -> Self {
        Self { state: State::Open(answers), zipped }
    }

    fn end(&mut self, status: Status) {
        let mut trailers = HeaderMap::with_capacity(2);
        // Fails only if the text cannot be a header value; it is percent-encoded.
        let _ = status.add_header(&mut trailers);
        self.state = State::Ending(Box::new(trailers));
    }
}

impl<S, W> Body for Answers<S>
where
    S: Stream<Item = Result<W, Refusal>> + Unpin,
    W: Encode,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut together = BytesMut::new();
        while let State::Open(answers) = &mut self.state {
            match Pin::new(answers).poll_next(context) {
                Poll::Pending if together.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(None) => self.end(Status::ok("")),
                Poll::Ready(Some(Err(refusal))) => self.end(refusal.into()),
                Poll::Ready(Some(Ok(answer))) => match add(&answer, self.zipped, &mut together) {
                    Ok(()) if together.len() >= SEND_TOGETHER => break,
                    Ok(()) => {}
                    Err(status) => self.end(status),
                },
            }
        }
        if !together.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(together.freeze()))));
        }
        Poll::Ready(match std::mem::replace(&mut self.state, State::Ended) {
            State::Ending(trailers) => Some(Ok(Frame::trailers(*trailers))),
            State::Open(_) | State::Ended => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

/// Adds an answer with its prefix.
fn add(answer: &impl Encode, zipped: bool, together: &mut BytesMut) -> Result<(), Status> {
    let length = answer.encoded_len();
    if zipped {
        let mut plain = BytesMut::with_capacity(length);
        answer.encode(&mut plain);
        together.extend_from_slice(&zip(&plain)?);
        return Ok(());
    }
    let announced = length_of(length)?;
    together.reserve(PREFIX + length);
    together.put_u8(0);
    together.put_u32(announced);
    answer.encode(together);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::requests::Requests;
    use super::*;
    use crate::api::proto::etcdserverpb::PutRequest;
    use crate::api::unsent::Share;
    use crate::model::Budget;
    use futures_util::StreamExt;

    fn put(size: usize) -> PutRequest {
        PutRequest { value: vec![7; size].into(), ..PutRequest::default() }
    }

    #[tokio::test]
    async fn answers_that_are_ready_are_sent_together_and_the_status_comes_last() {
        for (last, code) in [(None, "0"), (Some(Refusal::WatchCanceled), "1")] {
            let answers = [10, 20, 40_000, 30].map(|size| Ok(put(size))).into_iter().chain(last.map(Err));
            let mut body = Answers::new(tokio_stream::iter(answers.collect::<Vec<_>>()), false);
            let mut sizes = Vec::new();
            let trailers = loop {
                match body.frame().await.expect("a status comes last").expect("a frame").into_data() {
                    Ok(data) => sizes.push(data.len()),
                    Err(trailers) => break trailers.into_trailers().expect("trailers"),
                }
            };
            assert_eq!(sizes, [17 + 27 + 40_009, 37]);
            assert_eq!(trailers["grpc-status"], code);
            assert!(body.is_end_stream() && body.frame().await.is_none());
        }
    }

    #[tokio::test]
    async fn what_is_compressed_is_read_as_it_was() {
        let answers = [5, 3000, 0].map(|size| Ok(put(size)));
        let body = Answers::new(tokio_stream::iter(answers), true);
        let none = || Budget::new(0);
        let share = Share::new(none(), &none(), none());
        let read = Requests::<_, PutRequest>::new(body, &share, 5000, true);
        let sizes: Vec<usize> = read.map(|put| put.expect("it was compressed").value.len()).collect().await;
        assert_eq!(sizes, [5, 3000, 0]);
    }
}
