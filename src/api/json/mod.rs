//! etcd's JSON gateway: every method of the table at its `/v3/` paths, as `POST` with the request as JSON.
//!
//! It translates and does nothing else. A request is rewritten as the gRPC message that it means and passed to
//! [`Grpc`], in this process; the answer is written as JSON. So the gate, deadlines, limits and counters are those of
//! gRPC, and a handler does not know the difference. Texts and details are those of grpc-gateway and Go's `protojson`,
//! which etcd uses.
//!
//! * `scan`: where a JSON value ends. `decode`: from JSON to the wire, with `number` and `text`. `encode`: back.
//! * `schema`: the shapes of all messages, generated.
//! * `metadata`: from HTTP headers to metadata. `requests`: the requests of a stream. `answers`: its answers.
//! * `refusals`: errors. `replies`: the heads of answers. `openapi`: the description of the API. [`probe`]: for fuzzing.
//! * `socket`: all of it over WebSockets.

pub mod answers;
mod decode;
mod encode;
mod metadata;
mod number;
mod openapi;
mod probe;
mod refusals;
mod replies;
mod requests;
mod scan;
mod schema;
pub mod socket;
mod text;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use tonic::Status;

use super::body::ReplyBody;
use super::client::Client;
use super::grpc::upload::Upload;
use super::grpc::{Grpc, RequestBody, unary};
use super::jobs::Job;
use super::rules::{Kind, RULES, Rule};
use super::unsent::WORTH_COUNTING;
use crate::model::Refusal;
use answers::Chunks;
use metadata::Metadata;
pub use probe::probe;
use refusals::{Failure, malformed};
use replies::{Trailers, answered, json, refused, refused_stream, trailed};
use requests::{Frames, read};

/// A method and its messages.
struct Route {
    rule: &'static Rule,
    method: &'static schema::Method,
}

static ROUTES: LazyLock<HashMap<&'static str, Route>> = LazyLock::new(|| {
    let routes = |rule: &'static Rule| {
        let method = schema::method(rule.path);
        rule.json.iter().filter_map(move |path| Some((*path, Route { rule, method: method? })))
    };
    RULES.iter().flat_map(routes).collect()
});

/// What is at a path of the gateway.
#[derive(Clone, Copy)]
pub struct Target(Place);

#[derive(Clone, Copy)]
enum Place {
    Method(&'static Route),
    Description,
    Nothing,
}

/// What is at that path (percent-decoded), if it is one of the gateway's.
pub fn find(path: &str) -> Option<Target> {
    let path = match path.strip_prefix("/v3beta/") {
        // For programs written for etcd 3.3.
        Some(rest) => Cow::Owned(format!("/v3/{rest}")),
        None => Cow::Borrowed(path),
    };
    path.starts_with("/v3/").then(|| match ROUTES.get(&*path) {
        Some(route) => Target(Place::Method(route)),
        None if path == openapi::PATH => Target(Place::Description),
        None => Target(Place::Nothing),
    })
}

/// The gateway. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    grpc: Grpc,
}

impl Gateway {
    /// A gateway to these methods.
    pub fn new(grpc: Grpc) -> Self {
        Self { grpc }
    }

    /// Answers a request.
    pub async fn call<B: RequestBody>(
        &self,
        target: Target,
        request: Request<B>,
        client: &Arc<Client>,
    ) -> Response<ReplyBody> {
        // As in etcd: the certificate would be the gateway's own.
        let client = &client.uncertified();
        let route = match target.0 {
            Place::Method(route) => route,
            Place::Description if request.method() == Method::GET => {
                return json(ReplyBody::Page(openapi::description()));
            }
            Place::Description | Place::Nothing => return refused(&Status::not_found("Not Found")),
        };
        if request.method() != Method::POST || is_overridden(request.headers()) {
            return refused(&Status::unimplemented("Method Not Allowed"));
        }
        let metadata = match metadata::of(request.headers()) {
            Ok(metadata) => metadata,
            Err(status) => return refused(&status),
        };
        let takes_trailers = takes_trailers(request.headers());
        let answer = match route.rule.kind {
            Kind::Unary => self.unary(route, metadata, request, client).await,
            Kind::ServerStream | Kind::Bidirectional => self.stream(route, metadata, request, client).await,
        };
        let (answer, trailers) = match answer {
            Ok(answer) => (answer, Trailers::None),
            Err(Refused::Here(status)) => (refused(&status), Trailers::None),
            Err(Refused::There(status)) => (refused(&status), Trailers::OfRefusal),
        };
        if takes_trailers { trailed(answer, trailers) } else { answer }
    }

    async fn unary<B: RequestBody>(
        &self,
        route: &Route,
        metadata: Metadata,
        request: Request<B>,
        client: &Arc<Client>,
    ) -> Result<Response<ReplyBody>, Refused> {
        let limit = self.grpc.max_receive_bytes();
        let message = read(request.into_body(), limit, route.method.request, &client.share).await?;
        let response =
            self.grpc.serve(route.rule, &mut called(metadata.checked()?, Full::new(message)), client).await;
        let (parts, body) = response.into_parts();
        let ReplyBody::Message(message) = body else {
            return Err(Refused::There(refusals::status(&parts.headers)));
        };
        let json = match message.len() < unary::WORTH_A_THREAD {
            true => encoded(&message, route.method.answer),
            false => {
                let answer = route.method.answer;
                let read = move || Ok::<_, Refusal>(encoded(&message, answer));
                self.grpc.jobs().run(Job::Read, read).await.map_err(Status::from)?
            }
        }?;
        if json.len() < WORTH_COUNTING {
            return Ok(answered(ReplyBody::Page(json)));
        }
        Ok(answered(ReplyBody::Page(client.share.take(json.len()).map_err(Status::from)?.by(json))))
    }

    async fn stream<B: RequestBody>(
        &self,
        route: &Route,
        metadata: Metadata,
        request: Request<B>,
        client: &Arc<Client>,
    ) -> Result<Response<ReplyBody>, Refused> {
        let limit = self.grpc.max_receive_bytes();
        let failure = Failure::default();
        let body = request.into_body();
        let response = if route.rule.kind == Kind::Bidirectional {
            let frames = Frames::new(body, limit, route.method.request, failure.clone(), &client.share);
            self.grpc.serve(route.rule, &mut called(metadata.checked()?, frames), client).await
        } else {
            let message = read(body, limit, route.method.request, &client.share).await?;
            self.grpc.serve(route.rule, &mut called(metadata.checked()?, Full::new(message)), client).await
        };
        let (parts, body) = response.into_parts();
        let ReplyBody::Stream(body) = body else {
            return Ok(refused_stream(failure.get().unwrap_or(&refusals::status(&parts.headers))));
        };
        // The status of the answer depends on what comes first, so nothing is answered before that.
        let mut chunks = Chunks::new(body, route.method.answer, failure);
        Ok(match chunks.first(&client.share).await {
            Ok(true) => answered(ReplyBody::Json(Box::new(chunks))),
            Ok(false) => Response::new(ReplyBody::Empty),
            Err(status) => refused_stream(&status),
        })
    }
}

/// Why a call has no answer. Only a refusal of the method itself has trailers.
enum Refused {
    /// The gateway refuses it.
    Here(Status),
    /// The method does.
    There(Status),
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::Here(status)
    }
}

/// A framed message as JSON.
fn encoded(message: &[u8], answer: &'static schema::Message) -> Result<Bytes, Status> {
    let wire = message.get(unary::PREFIX..).unwrap_or_default();
    let mut json = Vec::with_capacity(wire.len() + wire.len() / 2 + 128);
    encode::encode(wire, answer, &mut json).map_err(|_| malformed(answer))?;
    Ok(json.into())
}

/// A call of a method with a body of framed messages.
fn called<B>(metadata: HeaderMap, body: B) -> Request<Upload<B>> {
    let mut request = Request::new(Upload::new(body));
    *request.headers_mut() = metadata;
    request
}

/// True if the client takes trailers: etcd looks for the word.
fn takes_trailers(headers: &HeaderMap) -> bool {
    let te = headers.get(TE).map(HeaderValue::as_bytes).unwrap_or_default();
    te.to_ascii_lowercase().windows(8).any(|word| word == b"trailers")
}

/// True if a form asks for another method than `POST`.
fn is_overridden(headers: &HeaderMap) -> bool {
    let is_form = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes() == b"application/x-www-form-urlencoded");
    let method = headers.get("x-http-method-override").map(HeaderValue::as_bytes).unwrap_or_default();
    is_form && !method.is_empty() && !method.eq_ignore_ascii_case(b"post")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rules::Rpc;

    #[test]
    fn every_method_has_a_route_or_a_reason() {
        for rule in RULES {
            let routes = rule.json.iter().filter_map(|path| ROUTES.get(path));
            assert!(routes.clone().all(|route| route.rule.rpc == rule.rpc && route.method.path == rule.path));
            let routes = routes.count();
            assert_eq!(routes, rule.json.len(), "{}", rule.path);
            // Health and reflection are protocols of gRPC itself; HTTP has /health.
            let reason = ["grpc.health", "grpc.reflection"].iter().any(|name| rule.service.starts_with(name));
            assert_eq!(routes == 0, reason, "{}", rule.path);
        }
    }

    #[test]
    fn paths() {
        let rpc = |path| {
            find(path).map(|target| match target.0 {
                Place::Method(route) => Some(route.rule.rpc),
                Place::Description | Place::Nothing => None,
            })
        };
        for (path, found) in [
            ("/v3/kv/put", Some(Some(Rpc::Put))),
            ("/v3beta/kv/put", Some(Some(Rpc::Put))),
            ("/v3/kv/put/", Some(None)),
            ("/v3/nothing", Some(None)),
            ("/v3", None),
            ("/v3alpha/kv/put", None),
            ("/version", None),
        ] {
            assert_eq!(rpc(path), found, "{path}");
        }
    }
}
