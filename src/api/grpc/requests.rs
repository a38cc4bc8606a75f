//! The requests of a stream that has many: messages, decoded as they come. There may be very many streams, most of them
//! idle, so one that waits for its next request keeps no buffer.

use std::marker::PhantomData;
use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use http_body::Body;
use prost::Message;
use tonic::codegen::StdError;
use tonic::{Code, Status};

use super::unary::{PREFIX, Received, WORTH_SHARING, announced, decode};
use super::wording::broken;
use crate::model::Refusal;

/// See the module.
pub struct Requests<B, Q> {
    /// `None` after the end.
    body: Option<B>,
    /// What has come of the next ones.
    come: BytesMut,
    /// Largest message, in bytes.
    limit: usize,
    zipped: bool,
    /// Its buffer may be much larger than what is in it.
    is_wide: bool,
    kind: PhantomData<fn() -> Q>,
}

impl<B, Q> Requests<B, Q> {
    /// The messages in `body`, of `limit` bytes at most. `zipped` says that they may be compressed.
    pub fn new(body: B, limit: usize, zipped: bool) -> Self {
        Self { body: Some(body), come: BytesMut::new(), limit, zipped, is_wide: false, kind: PhantomData }
    }

    /// The next message, if it is whole.
    fn whole(&mut self) -> Result<Option<Bytes>, Status> {
        if self.come.len() < PREFIX {
            return Ok(None);
        }
        let (flag, length) = announced(&self.come, self.limit)?;
        let end = PREFIX + length;
        if self.come.len() < end {
            return Ok(None);
        }
        // A small message leaves the buffer in which it came: its keys may stay, and would keep all of that.
        let message = match self.come.len() == end && length >= WORTH_SHARING {
            true => take(&mut self.come).freeze().slice(PREFIX..),
            false => Bytes::copy_from_slice(&self.come[PREFIX..end]),
        };
        match self.come.len() > end {
            // The buffer of a large message does not stay for the few bytes behind it.
            true if length >= WORTH_SHARING => self.come = BytesMut::from(&self.come[end..]),
            true => self.come.advance(end),
            false => self.come = BytesMut::new(),
        }
        Received { flag, message, room: None }.message(self.zipped, self.limit).map(Some)
    }

    /// Before it waits: a client that begins a message costs no more than what has come of it.
    fn narrow(&mut self) {
        if take(&mut self.is_wide) && self.come.len() < WORTH_SHARING {
            self.come = BytesMut::from(&self.come[..]);
        }
    }

    fn end(&mut self) {
        self.body = None;
        self.come = BytesMut::new();
    }
}

impl<B, Q> Requests<B, Q>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        loop {
            if let Some(message) = self.whole()? {
                return Poll::Ready(Ok(Some(message)));
            }
            let Some(body) = self.body.as_mut() else { return Poll::Ready(Ok(None)) };
            let Poll::Ready(frame) = Pin::new(body).poll_frame(context) else {
                self.narrow();
                return Poll::Pending;
            };
            match frame.map(|frame| frame.map(|frame| frame.into_data())) {
                Some(Ok(Ok(data))) => {
                    self.come.extend_from_slice(&data);
                    self.is_wide = true;
                }
                Some(Err(error)) => {
                    let status = Status::from_error(error.into());
                    // The client takes its call back: nobody reads what would be wrong with it.
                    let is_gone = status.code() == Code::Cancelled;
                    return Poll::Ready(if is_gone { Ok(None) } else { Err(status) });
                }
                None | Some(Ok(Err(_))) if self.come.is_empty() => return Poll::Ready(Ok(None)),
                None | Some(Ok(Err(_))) => return Poll::Ready(Err(Status::internal("unexpected EOF"))),
            }
        }
    }
}

impl<B, Q> Stream for Requests<B, Q>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
    Q: Message + Default,
{
    type Item = Result<Q, Refusal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = ready!(self.poll_message(context));
        let request = polled.and_then(|message| message.map(decode).transpose());
        if !matches!(request, Ok(Some(_))) {
            self.end();
        }
        Poll::Ready(request.map_err(|status| broken(&status)).transpose())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::super::unary::encode;
    use super::*;
    use crate::api::proto::etcdserverpb::PutRequest;

    fn put(size: usize) -> PutRequest {
        PutRequest { key: "k".into(), value: vec![7; size].into(), ..PutRequest::default() }
    }

    /// The sizes of the messages in these bytes, which come in pieces of a size, and how it ends.
    async fn come(bytes: &[u8], size: usize) -> (Vec<usize>, Option<Refusal>) {
        let pieces =
            bytes.chunks(size).map(|part| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(part))));
        let body = StreamBody::new(tokio_stream::iter(pieces.collect::<Vec<_>>()));
        let mut requests = Requests::<_, PutRequest>::new(body, 5000, false);
        let mut sizes = Vec::new();
        while let Some(request) = requests.next().await {
            match request {
                Ok(request) => sizes.push(request.value.len()),
                Err(refusal) => {
                    assert!(requests.next().await.is_none(), "nothing follows an error");
                    return (sizes, Some(refusal));
                }
            }
        }
        assert_eq!(requests.come.capacity(), 0, "an idle stream keeps a buffer");
        (sizes, None)
    }

    #[tokio::test]
    async fn messages_come_whole_however_they_are_cut() {
        let all = [put(0), put(3), put(4000), put(10)].map(|put| encode(&put).expect("short")).concat();
        for size in [1, 2, 7, 100, 4000, all.len()] {
            assert_eq!(come(&all, size).await, (vec![0, 3, 4000, 10], None), "in pieces of {size}");
            let cut = come(&all[..all.len() - 1], size).await;
            assert_eq!(cut, (vec![0, 3, 4000], Some(Refusal::Internal("unexpected EOF".into()))));
        }
    }

    #[tokio::test]
    async fn what_is_wrong_ends_the_stream() {
        let good = encode(&put(3)).expect("short");
        let text = "grpc: received message larger than max (5001 vs. 5000)".to_string();
        for (bad, refusal) in [
            (&[0, 0, 0, 0x13, 0x89][..], Refusal::MessageTooLong(text)),
            (&[2, 0, 0, 0, 0], Refusal::Internal("grpc: received unexpected payload format 2".into())),
            (
                &[1, 0, 0, 0, 0],
                Refusal::Internal("grpc: compressed flag set with identity or empty encoding".into()),
            ),
        ] {
            assert_eq!(come(&[&good[..], bad, &good].concat(), 100).await, (vec![3], Some(refusal)));
        }
        let (sizes, refusal) = come(&[&good[..], &[0, 0, 0, 0, 1, 0xff]].concat(), 100).await;
        assert!(sizes == [3] && matches!(refusal, Some(Refusal::Internal(_))), "{refusal:?}");
    }

    #[tokio::test]
    async fn what_a_message_came_in_does_not_stay_for_the_beginning_of_the_next_one() {
        let large = [&encode(&put(600_000)).unwrap()[..], &[0]].concat();
        let small = [&encode(&put(100)).unwrap().repeat(100)[..], &[0]].concat();
        for (bytes, count) in [(large, 1), (small, 100)] {
            let pieces: Vec<_> = bytes
                .chunks(16_384)
                .map(|part| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(part))))
                .collect();
            let body = tokio_stream::iter(pieces).chain(futures_util::stream::pending());
            let mut requests = Requests::<_, PutRequest>::new(StreamBody::new(body), 1 << 20, false);
            for _ in 0..count {
                requests.next().await.expect("a message").expect("a whole one");
            }
            assert!(requests.next().now_or_never().is_none(), "it waits");
            assert_eq!(&requests.come[..], [0]);
            let kept = requests.come.try_reclaim(1000);
            assert!(!kept && requests.come.capacity() < 100, "{}", requests.come.capacity());
        }
    }
}
