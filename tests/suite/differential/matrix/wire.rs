//! Calls of any method, with messages as bytes.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use kvd::api::proto::etcdserverpb as pb;
use kvd::api::rules::{Kind, Rpc};
use prost::Message;
use tokio_stream::{Stream, StreamExt};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// After so long a call that gives no answer gives none.
const SILENCE: Duration = Duration::from_secs(30);
/// The largest message that is received.
const ANY: usize = i32::MAX as usize;

/// Messages as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Begins a call.
pub async fn open(
    channel: Channel,
    rpc: Rpc,
    token: Option<String>,
    messages: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Streaming<Bytes>, Status> {
    let mut request = Request::new(messages);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.parse().expect("a token is ASCII"));
    }
    let mut grpc = Grpc::new(channel).max_decoding_message_size(ANY);
    grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path = rpc.rule().path.parse().expect("a path");
    Ok(grpc.streaming(request, path, Raw).await?.into_inner())
}

/// The outcome of a call, by its first answer.
pub async fn outcome(channel: Channel, rpc: Rpc, token: Option<String>, message: Bytes) -> String {
    let ask = async {
        let once = tokio_stream::iter([message]);
        let answers = match rpc.rule().kind {
            Kind::Bidirectional => open(channel, rpc, token, once.chain(tokio_stream::pending())).await,
            Kind::Unary | Kind::ServerStream => open(channel, rpc, token, once).await,
        };
        match answers {
            Ok(mut answers) => next(rpc, &mut answers).await,
            Err(status) => refused(&status),
        }
    };
    tokio::time::timeout(SILENCE, ask).await.unwrap_or_else(|_| "no answer".into())
}

/// What comes next on a stream.
pub async fn next(rpc: Rpc, answers: &mut Streaming<Bytes>) -> String {
    match tokio::time::timeout(SILENCE, answers.message()).await {
        Ok(Ok(Some(answer))) => shown(rpc, answer),
        Ok(Ok(None)) => "end".into(),
        Ok(Err(status)) => refused(&status),
        Err(_) => "no answer".into(),
    }
}

fn refused(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// What is compared of an answer.
fn shown(rpc: Rpc, answer: Bytes) -> String {
    match rpc {
        Rpc::Watch => {
            let answer = pb::WatchResponse::decode(answer).expect("an answer");
            match (answer.canceled, answer.events.len()) {
                (true, _) => format!("canceled: {}", answer.cancel_reason),
                (false, 0) => "ok".into(),
                (false, events) => format!("{events} events"),
            }
        }
        Rpc::LeaseKeepAlive => {
            let ttl = pb::LeaseKeepAliveResponse::decode(answer).expect("an answer").ttl;
            if ttl > 0 { "ok".into() } else { format!("ttl {ttl}") }
        }
        Rpc::Alarm => {
            let alarms = pb::AlarmResponse::decode(answer).expect("an answer").alarms.len();
            format!("{alarms} alarms")
        }
        _ => "ok".into(),
    }
}
