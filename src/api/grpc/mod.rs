//! The gRPC services, one file each, and the way a request takes to them.
//!
//! [`Grpc::call`] is the only entrance: it finds the method's rule, asks the gate, and hands the request to the
//! service, within the caller's deadline. Unary calls take the short way of [`unary`]; streams, and requests that are
//! compressed, take tonic's.

pub mod deadline;
pub mod unary;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use prost::Message;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::body::ReplyBody;
use super::gate::leash::{Leashed, leash};
use super::gate::{self, Gate, Kind, Rule};
use super::services::Services;
use super::status;

/// All services behind one entrance. Cheap to clone.
#[derive(Clone)]
pub struct Grpc {
    services: Arc<Services>,
    gate: Gate,
}

impl Grpc {
    /// All services on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { gate: Gate::new(services.clone()), services }
    }

    /// Answers one request, whatever it is.
    pub async fn call<B>(&self, request: Request<B>) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError> + std::fmt::Display + Send + 'static,
    {
        let Some(rule) = gate::find(request.uri().path()) else {
            return unknown_method(request.uri().path()).into_http();
        };
        let started = Instant::now();
        let outcome = self.admitted(rule, request).await;
        let took = started.elapsed();
        if took >= self.services.settings.slow_request && rule.kind == Kind::Unary {
            tracing::warn!(method = rule.path, took_ms = took.as_millis() as u64, "slow request");
        }
        outcome.unwrap_or_else(Status::into_http)
    }

    async fn admitted<B>(
        &self,
        rule: &'static Rule,
        request: Request<B>,
    ) -> Result<Response<ReplyBody>, Status>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError> + std::fmt::Display + Send + 'static,
    {
        self.gate.admit(rule, request.headers())?;
        let limit = deadline::timeout_of(request.headers());
        let compressed = is_compressed(request.headers())?;
        if rule.kind != Kind::Unary || compressed {
            let leader = gate::requires_leader(request.headers());
            let end = limit.and_then(|limit| tokio::time::Instant::now().checked_add(limit));
            let response = deadline::within(limit, self.through_tonic(rule, request, compressed))
                .await
                .ok_or_else(status::deadline_exceeded)??;
            let leash = || leash(self.services.clone(), end, leader);
            return Ok(response.map(|body| match rule.kind {
                Kind::Unary => ReplyBody::Tonic(body),
                _ => ReplyBody::Stream(Leashed::new(body, leash())),
            }));
        }
        let message = deadline::within(limit, self.unary(rule, request))
            .await
            .ok_or_else(status::deadline_exceeded)??;
        let mut response = Response::new(ReplyBody::Message(message));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Ok(response)
    }

    /// The short way.
    async fn unary<B>(&self, rule: &Rule, request: Request<B>) -> Result<Bytes, Status>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::fmt::Display,
    {
        let (parts, mut body) = request.into_parts();
        let message = unary::read_message(&mut body, self.services.settings.max_receive_bytes()).await?;
        let call = Call {
            metadata: MetadataMap::from_headers(parts.headers),
            extensions: parts.extensions,
            message,
        };
        let _ = &call;
        match rule.rpc {
            // A service joins here with one line a unary method: `Rpc::Put => call.run(|r| self.kv.put(r)).await`.
            _ => Err(unknown_method(rule.path)),
        }
    }

    /// The long way: streams, and whatever is compressed.
    async fn through_tonic<B>(
        &self,
        rule: &Rule,
        mut request: Request<B>,
        compressed: bool,
    ) -> Result<Response<tonic::body::Body>, Status>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError> + Send + 'static,
    {
        // etcd answers compressed where it was asked compressed, whatever else the client would accept.
        if !compressed {
            request.headers_mut().remove("grpc-accept-encoding");
        } else {
            request.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("gzip"));
        }
        match rule.service {
            // A service joins here with one line: `"etcdserverpb.KV" => self.kv_server.clone().call(request).await`.
            _ => Err(unknown_method(rule.path)),
        }
    }
}

/// A unary request, read but not decoded.
#[allow(dead_code)]
pub(crate) struct Call {
    metadata: MetadataMap,
    extensions: http::Extensions,
    message: Bytes,
}

#[allow(dead_code)]
impl Call {
    /// Decodes the request, runs `handler`, encodes the answer.
    pub(crate) async fn run<Q, A, F, R>(self, handler: F) -> Result<Bytes, Status>
    where
        Q: Message + Default,
        A: Message,
        F: FnOnce(tonic::Request<Q>) -> R,
        R: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let request = unary::decode(self.message)?;
        let answer = handler(tonic::Request::from_parts(self.metadata, self.extensions, request)).await?;
        unary::encode(answer.get_ref())
    }
}

/// Whether the request is compressed, in a way that can be undone.
fn is_compressed(headers: &HeaderMap) -> Result<bool, Status> {
    match headers.get("grpc-encoding").map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(other) => Err(Status::unimplemented(format!(
            "grpc: Decompressor is not installed for grpc-encoding \"{}\"",
            String::from_utf8_lossy(other)
        ))),
    }
}

/// What grpc-go says to a path that leads nowhere.
fn unknown_method(path: &str) -> Status {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) else {
        return Status::unimplemented(format!("malformed method name: \"{path}\""));
    };
    if gate::has_service(service) {
        Status::unimplemented(format!("unknown method {method} for service {service}"))
    } else {
        Status::unimplemented(format!("unknown service {service}"))
    }
}
