//! gRPC: the framing around the handlers.
//!
//! [`Grpc::call`] is the entry ([`Grpc::serve`] for whoever has found the rule): it finds the method's rule, reads the message of a unary call, asks the gate, and
//! passes the request to the handler, within the caller's deadline. Unary calls take the short path of [`unary`]; streams
//! take the long one (`through_tonic`), behind `partial`; `requests` and `answers` are the two directions of those that go on.
//!
//! * `upload`: the body of a request. `deadline`: how long the caller waits. `leashed`: the body of a stream. `watch`: the encoding of its answers.
//! * `wording`: grpc-go's texts where tonic has others. `reflection`: descriptions of this server's services.

mod answers;
pub mod deadline;
pub mod leashed;
mod partial;
mod reflection;
mod requests;
mod through_tonic;
pub mod unary;
pub mod upload;
mod watch;
pub mod wording;

use std::fmt::Display;
use std::mem::take;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::Body;
use opentelemetry::context::FutureExt;
use prost::Message;
use tonic::codegen::StdError;
use tonic::{Code, Status};

use super::audit::Origin;
use super::body::ReplyBody;
use super::client::Client;
use super::gate::{self, leash::Bounds};
use super::jobs::Jobs;
use super::rpc::{self, UnaryFace};
use super::rules::{self, Kind, Rpc, Rule};
use super::services::Services;
use super::traces::Call;
use crate::model::{Caller, Refusal};
use leashed::{Tally, Untied, code_of, untied};
use partial::Partial;
use through_tonic::ThroughTonic;
use unary::ENCODING;
use wording::{reword, unknown_method};

/// The body of a request; empty by default.
pub trait RequestBody:
    Body<Data = Bytes, Error: Into<StdError> + Display + Send + 'static> + Default + Send + Unpin + 'static
{
}

impl<B> RequestBody for B where
    B: Body<Data = Bytes, Error: Into<StdError> + Display + Send + 'static>
        + Default
        + Send
        + Unpin
        + 'static
{
}

/// All services behind one entry point. Cheap to clone.
#[derive(Clone)]
pub struct Grpc {
    services: Arc<Services>,
    reflection: Option<reflection::Reflection>,
}

impl Grpc {
    /// All services on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        let reflection = reflection::Reflection::new();
        let reflection =
            reflection.inspect_err(|error| tracing::error!(%error, "server reflection is not offered")).ok();
        Self { services, reflection }
    }

    /// Answers any request of a client. The request is left empty if it is not needed any more.
    pub async fn call<B: RequestBody>(
        &self,
        request: &mut Request<B>,
        client: &Arc<Client>,
    ) -> Response<ReplyBody> {
        match rules::find(request.uri().path()) {
            Some(rule) => {
                // Its message may come much later, and the buffer in which the path came may be large.
                *request.uri_mut() = Uri::from_static(rule.path);
                self.serve(rule, request, client).await
            }
            None => unknown_method(request.uri().path()).into_http(),
        }
    }

    /// Largest message that a client may send, in bytes.
    pub fn max_receive_bytes(&self) -> usize {
        self.services.settings().max_receive_bytes()
    }

    /// Work that blocks.
    pub fn jobs(&self) -> &Jobs {
        &self.services.jobs
    }

    /// Answers a request of the method `rule`, whatever its path.
    pub async fn serve<B: RequestBody>(
        &self,
        rule: &'static Rule,
        request: &mut Request<B>,
        client: &Arc<Client>,
    ) -> Response<ReplyBody> {
        match self.services.traces.get() {
            None => self.answer(rule, request, client, None).await,
            Some(traces) => {
                let call = traces.call(rule, request.headers(), client);
                let context = call.context().clone();
                Box::pin(self.answer(rule, request, client, Some(Box::new(call))).with_context(context)).await
            }
        }
    }

    async fn answer<B: RequestBody>(
        &self,
        rule: &'static Rule,
        request: &mut Request<B>,
        client: &Arc<Client>,
        mut traced: Option<Box<Call>>,
    ) -> Response<ReplyBody> {
        self.services.metrics.started(rule);
        let started = Instant::now();
        let answer = match rule.kind {
            Kind::Unary => self.answer_unary(rule, request, client, started).await,
            // On the heap, as on every other rare path: anything held here directly would be allocated for each
            // request.
            Kind::ServerStream | Kind::Bidirectional => {
                Box::pin(self.open_stream(rule, request, client, (started, &mut traced))).await
            }
        };
        let took = started.elapsed();
        if took >= self.services.settings().slow_request && rule.kind == Kind::Unary {
            tracing::warn!(method = rule.path, took_ms = took.as_millis() as u64, "slow request");
        }
        if let Some(mut call) = traced {
            call.end(answer.as_ref().map_or_else(Status::code, |_| Code::Ok));
        }
        answer.unwrap_or_else(|status| {
            self.services.metrics.handled(rule, status.code(), took);
            status.into_http()
        })
    }

    async fn answer_unary<B: RequestBody>(
        &self,
        rule: &'static Rule,
        request: &mut Request<B>,
        client: &Arc<Client>,
        started: Instant,
    ) -> Result<Response<ReplyBody>, Status> {
        let limit = deadline::timeout_of(request.headers());
        let end = limit.and_then(|limit| started.checked_add(limit));
        let zipped = is_compressed(request.headers())?;
        let answer = pin!(self.plain(rule, request, client, zipped, end));
        let message = deadline::within(limit, answer).await.ok_or(Refusal::DeadlineExceeded)??;
        self.services.metrics.sent(rule, 1, message.len().saturating_sub(unary::PREFIX));
        self.services.metrics.handled(rule, Code::Ok, started.elapsed());
        let mut response = Response::new(ReplyBody::Message(message));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        if zipped {
            response.headers_mut().insert(ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }

    async fn open_stream<B: RequestBody>(
        &self,
        rule: &'static Rule,
        request: &mut Request<B>,
        client: &Arc<Client>,
        (started, traced): (Instant, &mut Option<Box<Call>>),
    ) -> Result<Response<ReplyBody>, Status> {
        let caller = self.admit(rule, request.headers(), client).await?;
        let limit = deadline::timeout_of(request.headers());
        let end = limit.and_then(|limit| tokio::time::Instant::now().checked_add(limit));
        let requires_leader = gate::requires_leader(request.headers());
        let compressed = is_compressed(request.headers())?;
        let (origin, audited) =
            self.services.audit.get().map(|audit| audit.stream(rule, client, &caller, started)).unzip();
        let opened = pin!(self.stream(rule, client, origin, caller, request, compressed));
        let response = deadline::within(limit, opened).await.ok_or(Refusal::DeadlineExceeded)??;
        if response.headers().contains_key("grpc-status") {
            let code = code_of(response.headers());
            self.services.metrics.handled(rule, code, started.elapsed());
            if let Some(mut call) = traced.take() {
                call.end(code);
            }
            // A refusal is in its headers, and nothing follows.
            return Ok(response.map(|_| ReplyBody::Empty));
        }
        let tally = Tally::new(self.services.metrics.clone(), rule, started, (audited, traced.take()));
        let bounds = Bounds { services: self.services.clone(), deadline: end, requires_leader };
        Ok(response.map(|body| ReplyBody::Stream(body(bounds, tally))))
    }

    /// The caller, if the gate admits it.
    async fn admit(
        &self,
        rule: &'static Rule,
        metadata: &HeaderMap,
        client: &Arc<Client>,
    ) -> Result<Caller, Status> {
        let began = Instant::now();
        let admitted = gate::admit(&self.services, rule, metadata, client.certified.as_ref()).await;
        let admitted = admitted.inspect_err(|refusal| {
            if let Some(audit) = self.services.audit.get() {
                audit.refused(rule, client, refusal, began);
            }
        });
        Ok(admitted?)
    }

    /// The short path. As in etcd the gate is passed once the message is there: a message that is held back keeps no
    /// right that is taken away meanwhile. If the request is `zipped`, the answer is, too, whatever else the client would
    /// accept: as in etcd.
    async fn plain<B: RequestBody>(
        &self,
        rule: &'static Rule,
        request: &mut Request<B>,
        client: &Arc<Client>,
        zipped: bool,
        end: Option<Instant>,
    ) -> Result<Bytes, Status> {
        let limit = self.services.settings().max_receive_bytes();
        let mut received = unary::receive(request.body_mut(), limit, &client.share).await?;
        let _room = received.room.take();
        let message = received.message(zipped, limit)?;
        let caller = self.admit(rule, request.headers(), client).await?;
        drop(take(request));
        self.services.metrics.received(rule, 1, message.len());
        match rpc::unary(
            rule.rpc,
            &self.services,
            Plain { caller, message, rpc: rule.rpc, services: &self.services, client, zipped, end },
        ) {
            Some(answer) => answer.await,
            None => Err(unknown_method(rule.path)),
        }
    }

    async fn stream<B: RequestBody>(
        &self,
        rule: &'static Rule,
        client: &Arc<Client>,
        origin: Option<Origin>,
        caller: Caller,
        request: &mut Request<B>,
        compressed: bool,
    ) -> Result<Response<Untied>, Status> {
        if let (Some(reflection), Rpc::Reflection | Rpc::ReflectionAlpha) = (&self.reflection, rule.rpc) {
            let older = rule.rpc == Rpc::ReflectionAlpha;
            let request = take(request).map(|body| tonic::body::Body::new(Partial::new(body, &client.share)));
            return Ok(reworded(reflection.call(older, request).await.map(untied)));
        }
        let limit = self.services.settings().max_receive_bytes();
        let request = ThroughTonic::new(origin, caller, take(request), &client.share, limit, compressed);
        match rpc::stream(rule.rpc, &self.services, request) {
            Some(answer) => Ok(reworded(answer.await)),
            None => Err(unknown_method(rule.path)),
        }
    }
}

/// A unary request, read but not decoded. It is decoded once, and its answer is encoded once, into a buffer of exactly
/// its size.
struct Plain<'a> {
    caller: Caller,
    message: Bytes,
    rpc: Rpc,
    services: &'a Services,
    client: &'a Arc<Client>,
    zipped: bool,
    /// When its caller stops waiting.
    end: Option<Instant>,
}

impl UnaryFace for Plain<'_> {
    type Done = Result<Bytes, Status>;

    fn origin(&self) -> Option<Origin> {
        self.services.audit.get().map(|_| Origin::of_call(self.client, self.end))
    }

    async fn unary<Q, A, H, F>(self, handler: H) -> Result<Bytes, Status>
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
        H: Fn(Caller, Q) -> F + Send,
        F: Future<Output = Result<A, Refusal>> + Send,
    {
        let has_parts = self.rpc == Rpc::Txn;
        let request = unary::decode_for(&self.services.jobs, self.message, has_parts).await?;
        let answer = handler(self.caller, request).await?;
        unary::encode_for(&self.client.share, &self.services.jobs, answer, self.zipped).await
    }
}

fn reworded<B>(mut response: Response<B>) -> Response<B> {
    reword(response.headers_mut());
    response
}

/// True if the request is compressed; an error if the compression is not supported.
fn is_compressed(headers: &HeaderMap) -> Result<bool, Status> {
    match headers.get(ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(other) => Err(Status::unimplemented(format!(
            "grpc: Decompressor is not installed for grpc-encoding \"{}\"",
            String::from_utf8_lossy(other)
        ))),
    }
}
