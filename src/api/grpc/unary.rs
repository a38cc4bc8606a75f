//! The short path of a unary call: read one message, decode, run, encode one message.
//!
//! It exists in addition to tonic's for three reasons: the message is decoded from a buffer of exactly its size, so
//! that a key kept by the store does not keep a receive buffer of many KiB alive; the error for the size limit has
//! grpc-go's text; and it costs less.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use prost::Message;
use tonic::Status;

use super::wording::message_too_large;
use crate::api::jobs::{Job, Jobs};
use crate::api::unsent::{Share, WORTH_COUNTING};
use crate::model::Refusal;

/// Bytes before a message: the compression flag and the length.
pub const PREFIX: usize = 5;

/// A message of at least this many bytes stays in the buffer in which it arrived; a smaller one is copied out of it.
const WORTH_SHARING: usize = 4096;

/// An answer of at least this many bytes is encoded on a thread of its own.
pub const WORTH_A_THREAD: usize = 1 << 20;

/// Reads the one message of a unary request, at most `limit` bytes long.
pub async fn read_message<B>(body: &mut B, limit: usize) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    match read(body, limit).await? {
        (0, message) => Ok(message),
        _ => Err(Status::internal("grpc: compressed flag set with identity or empty encoding")),
    }
}

/// Reads the one message of a unary request that may be compressed, at most `limit` bytes long as it arrives; with its
/// prefix.
pub async fn read_framed<B>(body: &mut B, limit: usize) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let (flag, message) = read(body, limit).await?;
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    Ok([&[flag], &length[..], &message].concat().into())
}

/// The flag of a message, 1 if it is compressed, and its bytes.
async fn read<B>(body: &mut B, limit: usize) -> Result<(u8, Bytes), Status>
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
    if received.len() >= length {
        received.truncate(length);
        let message = if length < WORTH_SHARING { Bytes::copy_from_slice(&received) } else { received };
        return Ok((flag, message));
    }
    // The length is only a claim: memory is allocated as the bytes arrive, not before.
    let mut message = BytesMut::with_capacity(length.min(64 * 1024));
    message.put(received);
    while message.len() < length {
        let Some(frame) = next_data(body).await? else {
            return Err(Status::internal("unexpected EOF"));
        };
        message.put(frame);
    }
    message.truncate(length);
    Ok((flag, message.freeze()))
}

fn joined(head: &Bytes, tail: &Bytes) -> Bytes {
    [head.as_ref(), tail.as_ref()].concat().into()
}

/// What the prefix of a message says: its flag and its length.
fn announced(prefix: &[u8], limit: usize) -> Result<(u8, usize), Status> {
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

/// Decodes a request.
pub fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message)
        .map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
}

/// Encodes a client's answer with its prefix, after it has taken its room. A large one is encoded on another thread: the
/// connection's own serves others, too.
pub async fn encode_for<M: Message + 'static>(
    share: &Arc<Share>,
    jobs: &Jobs,
    answer: M,
) -> Result<Bytes, Status> {
    let length = PREFIX + answer.encoded_len();
    if length < WORTH_COUNTING {
        return encode(&answer);
    }
    let room = share.take(length)?;
    if length < WORTH_A_THREAD {
        return Ok(room.by(encode(&answer)?));
    }
    let encode = move || Ok::<_, Refusal>(encode(&answer).map(|encoded| room.by(encoded)));
    jobs.run(Job::Read, encode).await?
}

/// Encodes an answer with its prefix, into a buffer of exactly its size.
pub fn encode<M: Message>(message: &M) -> Result<Bytes, Status> {
    let length = message.encoded_len();
    let Ok(announced) = u32::try_from(length) else {
        return Err(Status::resource_exhausted(format!(
            "grpc: trying to send message larger than max ({length} vs. {})",
            u32::MAX
        )));
    };
    let mut buffer = BytesMut::with_capacity(PREFIX + length);
    buffer.put_u8(0);
    buffer.put_u32(announced);
    message.encode_raw(&mut buffer);
    Ok(buffer.freeze())
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};

    use super::*;
    use crate::api::proto::etcdserverpb::PutRequest;

    fn put(size: usize) -> PutRequest {
        PutRequest { key: "k".into(), value: vec![7; size].into(), ..PutRequest::default() }
    }

    #[tokio::test]
    async fn a_message_in_one_frame() {
        for size in [0, 10, 100_000] {
            let mut body = Full::new(encode(&put(size)).unwrap());
            let message = read_message(&mut body, 200_000).await.unwrap();
            assert_eq!(decode::<PutRequest>(message).unwrap(), put(size));
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
        let message = read_message(&mut body, 20_000).await.unwrap();
        assert_eq!(decode::<PutRequest>(message).unwrap(), put(10_000));
    }

    #[tokio::test]
    async fn a_message_above_the_limit_is_refused_by_its_length() {
        let mut body = Full::new(Bytes::from_static(&[0, 0, 0x20, 0, 1]));
        let status = read_message(&mut body, 2_097_152).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(status.message(), "grpc: received message larger than max (2097153 vs. 2097152)");
    }

    #[tokio::test]
    async fn a_message_that_ends_early_is_an_error() {
        let mut body = Full::new(Bytes::from_static(&[0, 0, 0, 0, 9, 1]));
        assert_eq!(read_message(&mut body, 100).await.unwrap_err().message(), "unexpected EOF");
        let mut body = Full::new(Bytes::new());
        assert!(read_message(&mut body, 100).await.is_err());
    }
}
