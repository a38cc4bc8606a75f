//! The requests of a stream that has many: messages, decoded as they come. There may be very many streams, most of them
//! idle, so one that waits for its next request keeps no buffer. The bytes of a message that is not whole take their room.

use std::marker::PhantomData;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use http_body::Body;
use prost::Message;
use tonic::codegen::StdError;
use tonic::{Code, Status};

use super::unary::{PREFIX, Received, WORTH_SHARING, announced, decode};
use super::wording::broken;
use crate::api::unsent::{Coming, Share};
use crate::model::Refusal;

/// See the module.
pub struct Requests<B, Q> {
    /// `None` after the end.
    body: Option<B>,
    share: Arc<Share>,
    /// What has come of the next ones, if anything has.
    come: Option<Box<Come>>,
    /// Largest message, in bytes.
    limit: u32,
    zipped: bool,
    kind: PhantomData<fn() -> Q>,
}

/// Bytes of messages, and the room of the first one as long as it is not whole.
struct Come {
    bytes: BytesMut,
    /// Their buffer may be much larger than they are.
    is_wide: bool,
    room: Coming,
}

impl<B, Q> Requests<B, Q> {
    /// The messages in `body`, of `limit` bytes at most. `zipped` says that they may be compressed.
    pub fn new(body: B, share: &Arc<Share>, limit: usize, zipped: bool) -> Self {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Self { body: Some(body), share: share.clone(), come: None, limit, zipped, kind: PhantomData }
    }

    /// The next message, if it is whole.
    fn whole(&mut self) -> Result<Option<Bytes>, Status> {
        let limit = self.limit as usize;
        let Some(come) = self.come.as_mut() else { return Ok(None) };
        let bytes = &mut come.bytes;
        let prefix = (bytes.len() >= PREFIX).then(|| announced(bytes, limit)).transpose()?;
        let Some((flag, length)) = prefix.filter(|(_, length)| bytes.len() >= PREFIX + length) else {
            come.room.hold(bytes.len())?;
            return Ok(None);
        };
        let end = PREFIX + length;
        let is_last = bytes.len() == end;
        // A small message leaves the buffer in which it came: its keys may stay, and would keep all of that.
        let message = match is_last && length >= WORTH_SHARING {
            true => take(bytes).freeze().slice(PREFIX..),
            false => Bytes::copy_from_slice(&bytes[PREFIX..end]),
        };
        match is_last {
            true => self.come = None,
            false => {
                match length >= WORTH_SHARING {
                    // The buffer of a large message does not stay for the few bytes behind it.
                    true => *bytes = BytesMut::from(&bytes[end..]),
                    false => bytes.advance(end),
                }
                // What is left may be whole, and then it is not the client that others wait for.
                come.room.hold(0)?;
            }
        }
        Received { flag, message, room: None }.message(self.zipped, limit).map(Some)
    }

    fn add(&mut self, data: &[u8]) {
        let share = &self.share;
        let new = || Box::new(Come { bytes: BytesMut::new(), is_wide: false, room: share.receive() });
        let come = self.come.get_or_insert_with(new);
        come.bytes.extend_from_slice(data);
        come.is_wide = true;
    }

    /// Before it waits: a client that begins a message costs no more than what has come of it.
    fn narrow(&mut self) {
        if let Some(come) = &mut self.come
            && take(&mut come.is_wide)
            && come.bytes.len() < WORTH_SHARING
        {
            come.bytes = BytesMut::from(&come.bytes[..]);
        }
    }

    fn end(&mut self) {
        self.body = None;
        self.come = None;
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
                Some(Ok(Ok(data))) if data.is_empty() => {}
                Some(Ok(Ok(data))) => self.add(&data),
                Some(Err(error)) => {
                    let status = Status::from_error(error.into());
                    // The client takes its call back: nobody reads what would be wrong with it.
                    let is_gone = status.code() == Code::Cancelled;
                    return Poll::Ready(if is_gone { Ok(None) } else { Err(status) });
                }
                None | Some(Ok(Err(_))) if self.come.is_none() => return Poll::Ready(Ok(None)),
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
        let request = polled.and_then(|message| message.map(|message| decode(message, true)).transpose());
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
    use http_body_util::{Empty, StreamBody};

    use super::super::unary::encode;
    use super::*;
    use crate::api::proto::etcdserverpb::PutRequest;
    use crate::model::Budget;

    fn put(size: usize) -> PutRequest {
        PutRequest { key: "k".into(), value: vec![7; size].into(), ..PutRequest::default() }
    }

    /// The sizes of the messages in these bytes, which come in pieces of a size, and how it ends.
    async fn come(bytes: &[u8], size: usize) -> (Vec<usize>, Option<Refusal>) {
        let pieces =
            bytes.chunks(size).map(|part| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(part))));
        let body = StreamBody::new(tokio_stream::iter(pieces.collect::<Vec<_>>()));
        let mut requests = Requests::<_, PutRequest>::new(body, &share(1 << 20).0, 5000, false);
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
        assert!(requests.come.is_none(), "an idle stream keeps a buffer");
        (sizes, None)
    }

    /// A connection's share, and the room for messages.
    fn share(room: usize) -> (Arc<Share>, Arc<Budget>) {
        let messages = Budget::new(room);
        (Share::new(Budget::new(0), &Budget::new(0), messages.clone()), messages)
    }

    #[tokio::test]
    async fn only_what_is_not_whole_takes_room() {
        let (share, messages) = share(1 << 20);
        let sizes = [0, 10, 200_000, 3, 2 << 20];
        let encoded = sizes.map(|size| encode(&put(size)).expect("short"));
        let ends: Vec<usize> = encoded
            .iter()
            .scan(0, |end, message| {
                *end += message.len();
                Some(*end)
            })
            .collect();
        for size in [1 << 14, 7777, encoded[2].len()] {
            let all = encoded.concat();
            let mut pieces = all.chunks(size);
            let mut requests = Requests::<_, PutRequest>::new(Empty::<Bytes>::new(), &share, 4 << 20, false);
            let (mut come, mut read) = (0, 0);
            let refused = loop {
                let piece = pieces.next().expect("the last message is too long");
                come += piece.len();
                requests.add(piece);
                let next = loop {
                    match requests.whole() {
                        Ok(Some(_)) => read += 1,
                        Ok(None) => break None,
                        Err(status) => break Some(status),
                    }
                };
                if let Some(refused) = next {
                    break refused;
                }
                let whole = ends.iter().take_while(|end| **end <= come).count();
                assert_eq!(read, whole, "after {come} bytes");
                assert_eq!(messages.used(), come - ends[..whole].last().copied().unwrap_or_default());
            };
            assert_eq!((read, refused.code()), (4, Code::ResourceExhausted));
            assert!(come < ends[3] + (1 << 20) + size, "{come}");
            drop(requests);
            assert_eq!(messages.used(), 0);
        }
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
            let body = StreamBody::new(tokio_stream::iter(pieces).chain(futures_util::stream::pending()));
            let mut requests = Requests::<_, PutRequest>::new(body, &share(1 << 20).0, 1 << 20, false);
            for _ in 0..count {
                requests.next().await.expect("a message").expect("a whole one");
            }
            assert!(requests.next().now_or_never().is_none(), "it waits");
            let come = requests.come.as_mut().expect("the beginning of a message");
            assert_eq!(&come.bytes[..], [0]);
            let kept = come.bytes.try_reclaim(1000);
            assert!(!kept && come.bytes.capacity() < 100, "{}", come.bytes.capacity());
        }
    }
}
