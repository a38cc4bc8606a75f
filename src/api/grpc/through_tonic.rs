//! The long path: streams. Those with one request go through tonic; those with many have a decoder and an encoder of
//! their own, which keep nothing while they wait.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body::Body;
use prost::Message;
use tonic::codec::{
    BufferSettings, Codec, CompressionEncoding, DecodeBuf, Decoder, EnabledCompressionEncodings, EncodeBuf,
    Encoder,
};
use tonic::codegen::StdError;
use tonic::{Request, Response, Status};
use tower::service_fn;

use super::answers::Answers;
use super::leashed::{Untied, untied};
use super::partial::Partial;
use super::requests::Requests;
use super::unary::ENCODING;
use crate::api::audit::Origin;
use crate::api::encoding::Encode;
use crate::api::rpc::StreamFace;
use crate::api::unsent::Share;
use crate::model::{Caller, Refusal};

/// Initial buffer of a stream, in bytes: there may be very many streams, most of them idle.
const FIRST_BUFFER: usize = 64;
/// Answers that are ready at the same time are sent together, up to about this many bytes.
const SEND_TOGETHER: usize = 32 * 1024;

/// A request whose messages tonic decodes and encodes.
pub struct ThroughTonic<B> {
    /// For the audit, if there is one.
    origin: Option<Origin>,
    caller: Caller,
    request: http::Request<B>,
    share: Arc<Share>,
    /// Largest message, in bytes.
    limit: usize,
    compressed: bool,
}

impl<B> ThroughTonic<B> {
    /// A caller's request. `limit` is its largest message, in bytes.
    pub fn new(
        origin: Option<Origin>,
        caller: Caller,
        mut request: http::Request<B>,
        share: &Arc<Share>,
        limit: usize,
        compressed: bool,
    ) -> Self {
        // etcd compresses the answer if the request was compressed, whatever else the client would accept.
        if compressed {
            request.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("gzip"));
        } else {
            request.headers_mut().remove("grpc-accept-encoding");
        }
        Self { origin, caller, request, share: share.clone(), limit, compressed }
    }
}

/// tonic's server of one method.
fn server<Q, W>(limit: usize) -> tonic::server::Grpc<Wire<Q, W>>
where
    Q: Message + Default + 'static,
    W: Encode + Send + 'static,
{
    let mut gzip = EnabledCompressionEncodings::default();
    gzip.enable(CompressionEncoding::Gzip);
    tonic::server::Grpc::new(Wire(PhantomData))
        .apply_compression_config(gzip, gzip)
        .apply_max_message_size_config(Some(limit), None)
}

impl<B> StreamFace for ThroughTonic<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Done = http::Response<Untied>;
    type Requests<Q: Message + Default + 'static> = Requests<B, Q>;

    fn origin(&self) -> Option<Origin> {
        self.origin.clone()
    }

    async fn server_stream<Q, A, S, H, F>(self, handler: H) -> Self::Done
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
        S: Stream<Item = Result<A, Refusal>> + Send + 'static,
        H: Fn(Caller, Q) -> F + Send,
        F: Future<Output = Result<S, Refusal>> + Send,
    {
        let Self { caller, request, share, limit, .. } = self;
        let request = request.map(|body| Partial::new(body, &share));
        let service = service_fn(move |request: Request<Q>| {
            let answers = handler(caller.clone(), request.into_inner());
            async move { Ok::<_, Status>(Response::new(answers.await?.map_err(Status::from))) }
        });
        server::<Q, A>(limit).server_streaming(service, request).await.map(untied)
    }

    async fn bidirectional<Q, A, W, S, H>(self, handler: H) -> Self::Done
    where
        Q: Message + Default + 'static,
        W: Encode + Into<A> + Send + 'static,
        S: Stream<Item = Result<W, Refusal>> + Send + Unpin + 'static,
        H: Fn(Caller, Requests<B, Q>) -> S + Send,
    {
        let Self { caller, request, share, limit, compressed, .. } = self;
        let answers = handler(caller, Requests::new(request.into_body(), &share, limit, compressed));
        let mut response = http::Response::new(untied(Answers::new(answers, compressed)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        if compressed {
            response.headers_mut().insert(ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// The codec: requests `Q` are decoded, answers `W` encode themselves.
struct Wire<Q, W>(PhantomData<fn(Q) -> W>);

impl<Q, W> Codec for Wire<Q, W>
where
    Q: Message + Default + 'static,
    W: Encode + Send + 'static,
{
    type Encode = W;
    type Decode = Q;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Self {
        Self(PhantomData)
    }
}

impl<Q, W: Encode> Encoder for Wire<Q, W> {
    type Item = W;
    type Error = Status;

    fn encode(&mut self, answer: W, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(answer.encoded_len());
        answer.encode(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(FIRST_BUFFER, SEND_TOGETHER)
    }
}

impl<Q: Message + Default, W> Decoder for Wire<Q, W> {
    type Item = Q;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Q>, Status> {
        Q::decode(buffer)
            .map(Some)
            .map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(FIRST_BUFFER, SEND_TOGETHER)
    }
}
