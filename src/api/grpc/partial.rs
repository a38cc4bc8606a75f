//! The requests of a stream on their way to tonic, which collects each message until it is whole: the bytes of the one
//! that is not whole take their room.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tonic::Status;
use tonic::codegen::StdError;

use super::unary::PREFIX;
use crate::api::unsent::{Coming, Share};

/// A body of framed messages.
pub struct Partial<B> {
    body: B,
    room: Coming,
    /// The prefix of the present message, and how much of it has come.
    prefix: ([u8; PREFIX], usize),
    /// How much of the message itself has come, and how much is to come.
    message: (usize, usize),
}

impl<B> Partial<B> {
    /// The requests in `body`.
    pub fn new(body: B, share: &Arc<Share>) -> Self {
        Self { body, room: share.receive(), prefix: ([0; PREFIX], 0), message: (0, 0) }
    }

    /// Goes through bytes that have come; returns how many belong to the message that is not whole after them.
    fn incomplete(&mut self, mut bytes: &[u8]) -> usize {
        while !bytes.is_empty() {
            let (prefix, known) = &mut self.prefix;
            if *known < PREFIX {
                let (head, rest) = bytes.split_at(bytes.len().min(PREFIX - *known));
                prefix[*known..*known + head.len()].copy_from_slice(head);
                *known += head.len();
                bytes = rest;
                if *known == PREFIX {
                    let [_, length @ ..] = *prefix;
                    self.message = (0, u32::from_be_bytes(length) as usize);
                }
            }
            let (come, left) = &mut self.message;
            let count = bytes.len().min(*left);
            (*come, *left) = (*come + count, *left - count);
            bytes = &bytes[count..];
            if *known == PREFIX && *left == 0 {
                *known = 0;
                *come = 0;
            }
        }
        self.message.0
    }
}

impl<B> Body for Partial<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context).map_err(Into::into);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            let incomplete = this.incomplete(data);
            if let Err(refusal) = this.room.hold(incomplete) {
                return Poll::Ready(Some(Err(Status::from(refusal).into())));
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::model::Budget;

    fn framed(length: usize) -> Vec<u8> {
        [&[0][..], &(length as u32).to_be_bytes(), &vec![7; length]].concat()
    }

    #[tokio::test]
    async fn only_what_is_not_whole_takes_room() {
        let messages = Budget::new(1 << 20);
        let share = Share::new(Budget::new(0), &Budget::new(0), messages.clone());
        let all = [framed(0), framed(10), framed(200_000), framed(3), framed(2 << 20)].concat();
        for size in [1 << 14, 7777, 200_016] {
            let pieces: Vec<_> =
                all.chunks(size).map(|part| Ok::<_, Status>(Frame::data(part.to_vec().into()))).collect();
            let mut body = Partial::new(StreamBody::new(tokio_stream::iter(pieces)), &share);
            let (mut come, mut whole) = (0, 0);
            let refused = loop {
                match body.frame().await.expect("the last message is too long") {
                    Ok(frame) => come += frame.into_data().expect("data").len(),
                    Err(error) => break error,
                }
                for end in [5, 20, 200_025, 200_033] {
                    whole = if come >= end { end } else { whole };
                }
                let most = come.saturating_sub(whole);
                assert!(
                    messages.used() <= most && messages.used() + PREFIX >= most,
                    "{come}: {}",
                    messages.used()
                );
            };
            assert_eq!(Status::from_error(refused).code(), tonic::Code::ResourceExhausted);
            assert!(come < 200_033 + (1 << 20) + size, "{come}");
            drop(body);
            assert_eq!(messages.used(), 0);
        }
    }
}
