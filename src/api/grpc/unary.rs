//! The short path of a unary call: read one message, decode, run, encode one message.
//!
//! It exists in addition to tonic's for three reasons: the message is decoded from a buffer of exactly its size, so
//! that a key kept by the store does not keep a receive buffer of many KiB alive; the error for the size limit has
//! grpc-go's text; and it costs less.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::HeaderName;
use http_body::Body;
use http_body_util::BodyExt;
use prost::Message;
use tonic::Status;

use super::wording::message_too_large;
use crate::api::jobs::{Job, Jobs, WORTH_A_CHECK};
use crate::api::unsent::{Coming, Share, WORTH_COUNTING};
use crate::model::Refusal;

/// How messages are compressed.
pub const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Bytes before a message: the compression flag and the length.
pub const PREFIX: usize = 5;

/// A message of at least this many bytes stays in the buffer in which it arrived; a smaller one is copied out of it.
pub const WORTH_SHARING: usize = 4096;

/// An answer of at least this many bytes is encoded on a thread of its own.
pub const WORTH_A_THREAD: usize = 1 << 20;

/// An answer of at least this many bytes is compressed there.
const WORTH_A_THREAD_ZIPPED: usize = 32 << 10;

/// The message of a unary request, which may be compressed.
pub struct Received {
    pub(super) flag: u8,
    pub(super) message: Bytes,
    /// Its room, unless it is small.
    pub room: Option<Coming>,
}

/// Reads the one message of a unary request, at most `limit` bytes long as it arrives.
pub async fn receive<B>(body: &mut B, limit: usize, share: &Arc<Share>) -> Result<Received, Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut received = Bytes::new();
    while received.len() < PREFIX {
        let frame = next_data(body).await?.ok_or_else(|| Status::internal("Missing request message."))?;
        received = if received.is_empty() { frame } else { joined(&received, &frame) };
    }
    let (flag, length) = announced(&received, limit)?;
    received.advance(PREFIX);
    if received.len() >= length && length < WORTH_SHARING {
        return Ok(Received { flag, message: Bytes::copy_from_slice(&received[..length]), room: None });
    }
    let mut room = share.receive();
    room.hold(received.len())?;
    let message = if received.len() >= length {
        received.truncate(length);
        received
    } else {
        // The length is only a claim: memory is allocated as the bytes arrive, not before.
        let mut message = BytesMut::with_capacity(length.min(64 * 1024));
        message.put(received);
        while message.len() < length {
            let Some(frame) = next_data(body).await? else {
                return Err(Status::internal("unexpected EOF"));
            };
            room.hold(message.len() + frame.len())?;
            grow(&mut message, frame.len(), length);
            message.put(frame);
        }
        message.truncate(length);
        message.freeze()
    };
    room.arrived();
    Ok(Received { flag, message, room: Some(room) })
}

/// Makes room for so many bytes more of a message that is said to have `length` bytes. A buffer that would become larger
/// than the message becomes as large as it: a value is kept in the buffer in which it came.
fn grow(message: &mut BytesMut, more: usize, length: usize) {
    let needed = message.len() + more;
    if needed > message.capacity() && message.capacity().saturating_mul(2) > length {
        let mut whole = BytesMut::with_capacity(length.max(needed));
        whole.extend_from_slice(message);
        *message = whole;
    }
}

impl Received {
    /// The message itself, at most `limit` bytes long. `is_zipped` says that the request may be compressed.
    ///
    /// # Errors
    /// If it is compressed although it may not, wrongly, or too long.
    pub fn message(self, is_zipped: bool, limit: usize) -> Result<Bytes, Status> {
        match (self.flag, is_zipped) {
            (0, _) => Ok(self.message),
            (1, true) => unzip(&self.message, limit),
            (1, false) => Err(Status::internal("grpc: compressed flag set with identity or empty encoding")),
            (flag, _) => Err(Status::internal(format!("grpc: received unexpected payload format {flag}"))),
        }
    }
}

fn unzip(zipped: &[u8], limit: usize) -> Result<Bytes, Status> {
    let mut message = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = GzDecoder::new(zipped).take(most).read_to_end(&mut message);
    read.map_err(|error| {
        Status::internal(format!("grpc: failed to decompress the received message: {error}"))
    })?;
    if message.len() > limit {
        let text = format!("grpc: received message after decompression larger than max {limit}");
        return Err(Status::resource_exhausted(text));
    }
    Ok(message.into())
}

fn joined(head: &Bytes, tail: &Bytes) -> Bytes {
    [head.as_ref(), tail.as_ref()].concat().into()
}

/// What the prefix of a message says: its flag and its length.
pub(super) fn announced(prefix: &[u8], limit: usize) -> Result<(u8, usize), Status> {
    let [flag, length @ ..] = prefix else {
        return Err(Status::internal("unexpected EOF"));
    };
    let length = length.iter().take(4).fold(0usize, |length, byte| length << 8 | usize::from(*byte));
    if length > limit {
        return Err(message_too_large(length, limit));
    }
    Ok((*flag, length))
}

/// The next data of the body; `None` at its end.
async fn next_data<B>(body: &mut B) -> Result<Option<Bytes>, Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
        match frame.into_data() {
            Ok(data) if data.is_empty() => continue,
            Ok(data) => return Ok(Some(data)),
            Err(_trailers) => return Ok(None),
        }
    }
    Ok(None)
}

/// Decodes a request. The value of a large one stays in the buffer in which it came, for as long as the log and the state
/// keep it. Its buffer would be kept with the smallest part of it, too: if it `has_parts`, each is copied, and so is what
/// there is of a request that mostly consists of fields which nobody knows, or which come again.
pub fn decode<M: Message + Default>(message: Bytes, has_parts: bool) -> Result<M, Status> {
    let length = message.len();
    let decoded = match length < WORTH_SHARING {
        true => M::decode(message),
        false if has_parts => M::decode(message.as_ref()),
        false => match M::decode(message.clone()) {
            Ok(decoded) if decoded.encoded_len() < length / 2 => M::decode(message.as_ref()),
            decoded => decoded,
        },
    };
    decoded.map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
}

/// Decodes a request, on another thread if it is large and may have very many parts: the connection's own serves others,
/// too. Most large requests have one large value, which is not even copied.
pub async fn decode_for<M>(jobs: &Jobs, message: Bytes, has_parts: bool) -> Result<M, Status>
where
    M: Message + Default + 'static,
{
    if !has_parts || message.len() < WORTH_A_CHECK {
        return decode(message, has_parts);
    }
    jobs.run(Job::Check, move || Ok::<_, Refusal>(decode(message, has_parts))).await?
}

/// Encodes a client's answer with its prefix, after it has taken its room, and compresses it if it is to be `zipped`. A
/// large one is encoded on another thread: the connection's own serves others, too.
pub async fn encode_for<M: Message + 'static>(
    share: &Arc<Share>,
    jobs: &Jobs,
    answer: M,
    zipped: bool,
) -> Result<Bytes, Status> {
    let (encode, worth_a_thread) = match zipped {
        true => (encode_zipped::<M> as fn(&M) -> _, WORTH_A_THREAD_ZIPPED),
        false => (encode::<M> as fn(&M) -> _, WORTH_A_THREAD),
    };
    let length = PREFIX + answer.encoded_len();
    if length < WORTH_COUNTING {
        return encode(&answer);
    }
    let room = share.take(length)?;
    if length < worth_a_thread {
        return Ok(room.by(encode(&answer)?));
    }
    let encode = move || Ok::<_, Refusal>(encode(&answer).map(|encoded| room.by(encoded)));
    jobs.run(Job::Read, encode).await?
}

/// Compresses an answer, with its prefix.
fn encode_zipped<M: Message>(message: &M) -> Result<Bytes, Status> {
    zip(&message.encode_to_vec())
}

/// Compresses an encoded answer, and adds the prefix.
pub(super) fn zip(plain: &[u8]) -> Result<Bytes, Status> {
    let mut zipper = GzEncoder::new(vec![0; PREFIX], Compression::default());
    let zipped = zipper.write_all(plain).and_then(|()| zipper.finish());
    let mut zipped =
        zipped.map_err(|error| Status::internal(format!("grpc: error while compressing: {error}")))?;
    let length = u32::try_from(zipped.len() - PREFIX).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(prefix) = zipped.first_chunk_mut::<PREFIX>() {
        *prefix = [1, length[0], length[1], length[2], length[3]];
    }
    Ok(zipped.into())
}

/// Encodes an answer with its prefix, into a buffer of exactly its size.
pub fn encode<M: Message>(message: &M) -> Result<Bytes, Status> {
    let length = message.encoded_len();
    let announced = length_of(length)?;
    let mut buffer = BytesMut::with_capacity(PREFIX + length);
    buffer.put_u8(0);
    buffer.put_u32(announced);
    message.encode_raw(&mut buffer);
    Ok(buffer.freeze())
}

/// The length of an answer, as its prefix says it.
pub(super) fn length_of(length: usize) -> Result<u32, Status> {
    u32::try_from(length).map_err(|_| {
        Status::resource_exhausted(format!(
            "grpc: trying to send message larger than max ({length} vs. {})",
            u32::MAX
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use http_body_util::{Full, StreamBody};

    use super::*;
    use crate::api::proto::etcdserverpb as pb;
    use crate::api::proto::etcdserverpb::PutRequest;
    use crate::model::Budget;

    /// Reads a message with room for `room` bytes.
    async fn read<B>(body: &mut B, limit: usize, room: usize) -> Result<Bytes, Status>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let budget = Budget::new(room);
        let share = Share::new(budget.clone(), &budget, budget.clone());
        let received = receive(body, limit, &share).await?;
        assert_eq!(budget.used(), received.room.as_ref().map_or(0, |_| received.message.len()));
        let message = received.message(false, limit);
        assert_eq!(budget.used(), 0);
        message
    }

    fn put(size: usize) -> PutRequest {
        PutRequest { key: "k".into(), value: vec![7; size].into(), ..PutRequest::default() }
    }

    #[tokio::test]
    async fn a_message_in_one_frame() {
        for size in [0, 10, 100_000] {
            let mut body = Full::new(encode(&put(size)).unwrap());
            let message = read(&mut body, 200_000, 1 << 20).await.unwrap();
            assert_eq!(decode::<PutRequest>(message, false).unwrap(), put(size));
        }
    }

    #[tokio::test]
    async fn a_message_in_crumbs() {
        let bytes = encode(&put(10_000)).unwrap();
        let crumbs: Vec<_> = bytes
            .chunks(3)
            .map(|crumb| Ok::<_, Status>(http_body::Frame::data(Bytes::copy_from_slice(crumb))))
            .collect();
        let mut body = StreamBody::new(tokio_stream::iter(crumbs));
        let message = read(&mut body, 20_000, 1 << 20).await.unwrap();
        assert_eq!(decode::<PutRequest>(message, false).unwrap(), put(10_000));
    }

    #[tokio::test]
    async fn a_message_takes_no_more_memory_than_its_length() {
        let bytes = encode(&put(1_400_000)).unwrap();
        let frames =
            bytes.chunks(16_384).map(|part| Ok::<_, Status>(http_body::Frame::data(part.to_vec().into())));
        let mut body = StreamBody::new(tokio_stream::iter(frames));
        let message = read(&mut body, 2_000_000, 2_000_000).await.unwrap();
        let message = message.try_into_mut().expect("nobody else has it");
        assert_eq!((message.len(), message.capacity()), (bytes.len() - PREFIX, bytes.len() - PREFIX));
    }

    /// A field of 4 kB of zeros with this tag.
    fn four_kb(tag: &[u8]) -> Vec<u8> {
        [tag, &[0x80, 0x20], &[0; 4096]].concat()
    }

    #[test]
    fn a_small_part_does_not_keep_the_buffer_of_its_request() {
        // Much that nobody knows (field 101), and a key that comes once more.
        let unknown = [put(10).encode_to_vec(), four_kb(&[0xaa, 6])].concat();
        let again = [four_kb(&[0x0a]), put(10).encode_to_vec()].concat();
        for message in [unknown, again].map(Bytes::from) {
            let decoded = decode::<PutRequest>(message.clone(), false).unwrap();
            assert_eq!((decoded, message.is_unique()), (put(10), true));
        }
        // A transaction of which one branch is not executed.
        let op = |length| pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put(length))) };
        let (success, failure) = (vec![op(1)], vec![op(9000)]);
        let transaction = pb::TxnRequest { success, failure, ..Default::default() };
        let message = Bytes::from(transaction.encode_to_vec());
        let decoded = decode::<pb::TxnRequest>(message.clone(), true).unwrap();
        assert_eq!((decoded, message.is_unique()), (transaction, true));

        let message = Bytes::from(put(9000).encode_to_vec());
        let decoded = decode::<PutRequest>(message.clone(), false).unwrap();
        assert_eq!((decoded, message.is_unique()), (put(9000), false), "a large value is not copied");
    }

    #[tokio::test]
    async fn a_message_above_the_limit_is_refused_by_its_length() {
        let mut body = Full::new(Bytes::from_static(&[0, 0, 0x20, 0, 1]));
        let status = read(&mut body, 2_097_152, 0).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(status.message(), "grpc: received message larger than max (2097153 vs. 2097152)");
    }

    #[tokio::test]
    async fn a_message_that_ends_early_is_an_error() {
        let mut body = Full::new(Bytes::from_static(&[0, 0, 0, 0, 9, 1]));
        assert_eq!(read(&mut body, 100, 0).await.unwrap_err().message(), "unexpected EOF");
        let mut body = Full::new(Bytes::new());
        assert!(read(&mut body, 100, 0).await.is_err());
    }

    #[tokio::test]
    async fn nobody_waits_while_a_request_of_very_many_parts_is_decoded() {
        let part = || pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put(0))) };
        let decoded = async |parts: usize, has_parts| {
            let request = pb::TxnRequest { success: vec![part(); parts], ..Default::default() };
            let jobs = Jobs::default();
            let message = request.encode_to_vec().into();
            let mut decoded = Box::pin(decode_for::<pb::TxnRequest>(&jobs, message, has_parts));
            let at_once = poll_fn(|context| Poll::Ready(decoded.as_mut().poll(context))).await;
            let is_at_once = at_once.is_ready();
            let decoded = match at_once {
                Poll::Ready(decoded) => decoded,
                Poll::Pending => decoded.await,
            };
            assert_eq!(decoded.expect("it is whole"), request);
            is_at_once
        };
        assert!(decoded(10, true).await && decoded(20_000, false).await);
        assert!(!decoded(20_000, true).await);
    }

    #[tokio::test]
    async fn a_message_without_room_is_refused_before_it_is_there() {
        let bytes = encode(&put(200_000)).unwrap();
        let mut frames =
            bytes.chunks(16_384).map(|part| Ok::<_, Status>(http_body::Frame::data(part.to_vec().into())));
        let refused = {
            let mut body = StreamBody::new(tokio_stream::iter(frames.by_ref()));
            read(&mut body, 300_000, 100_000).await.unwrap_err()
        };
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(frames.count(), 6, "the rest was read for nothing");
    }

    #[test]
    fn what_is_compressed_comes_back_whole_and_has_the_same_limit() {
        let zipped = encode_zipped(&put(50_000)).unwrap();
        let [flag, length @ ..] = *zipped.first_chunk::<PREFIX>().unwrap();
        assert_eq!((flag, u32::from_be_bytes(length) as usize), (1, zipped.len() - PREFIX));
        let message = zipped.slice(PREFIX..);
        let received = |flag| Received { flag, message: message.clone(), room: None };
        assert_eq!(
            decode::<PutRequest>(received(1).message(true, 60_000).unwrap(), false).unwrap(),
            put(50_000)
        );
        let refused = |flag, zipped, limit| received(flag).message(zipped, limit).unwrap_err().code();
        assert_eq!(refused(1, true, 50_000), tonic::Code::ResourceExhausted);
        assert_eq!([refused(1, false, 60_000), refused(2, true, 60_000)], [tonic::Code::Internal; 2]);
        assert!(unzip(&message[..message.len() / 2], 60_000).is_err());
    }
}
