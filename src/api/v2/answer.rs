//! What all answers have.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::errors::Error;
use super::json;
use crate::api::body::ReplyBody;
use crate::api::services::Services;
use crate::api::status;
use crate::model::Refusal;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// JSON with a status.
pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Page(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Plain text that browsers must not interpret as anything else.
pub fn plain(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Page(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

/// The answer for a path without a page.
pub fn not_found() -> Response<ReplyBody> {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The refusal of a method.
pub fn not_allowed(allowed: &[&str]) -> Response<ReplyBody> {
    let mut response = method_not_allowed();
    if let Ok(allowed) = HeaderValue::from_str(&allowed.join(",")) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

/// Go's refusal of a method inside of a handler.
pub fn method_not_allowed() -> Response<ReplyBody> {
    plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
}

/// Adds a header with a number.
pub fn number(response: &mut Response<ReplyBody>, name: &'static str, number: u64) {
    response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(number));
}

/// Adds the cluster's id.
pub fn in_cluster(services: &Services, mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    if let Ok(id) = HeaderValue::from_str(&services.cluster_id().to_string()) {
        response.headers_mut().insert(HeaderName::from_static("x-etcd-cluster-id"), id);
    }
    response
}

/// Adds the tree's index, and raft's index and term.
pub fn at(services: &Services, index: u64, mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    let status = services.node.status();
    number(&mut response, "x-etcd-index", index);
    number(&mut response, "x-raft-index", status.committed);
    number(&mut response, "x-raft-term", status.term);
    response
}

/// An error of a request on nodes.
pub fn error(error: &Error) -> Response<ReplyBody> {
    let (text, status) = error.row();
    let mut body = format!("{{\"errorCode\":{},\"message\":\"{text}\"", error.code);
    if !error.cause.is_empty() {
        body.push_str(",\"cause\":");
        body.push_str(&json::quoted(&error.cause));
    }
    body.push_str(&format!(",\"index\":{}}}\n", error.index));
    let mut response = json(status, body);
    number(&mut response, "x-etcd-index", error.index);
    response
}

/// An error of any other request: `{"message":...}`.
pub fn says(status: StatusCode, text: &str) -> Response<ReplyBody> {
    json(status, format!("{{\"message\":{}}}", json::quoted(text)))
}

/// The refusal of any other request.
pub fn message(services: &Services, refusal: &Refusal) -> Response<ReplyBody> {
    const UNAUTHORIZED: u16 = 110;
    let row = status::of(refusal);
    let response = match row.v2 {
        Some(UNAUTHORIZED) => says(StatusCode::UNAUTHORIZED, "Insufficient credentials"),
        _ => {
            tracing::warn!(reason = row.text, "a v2 request was refused");
            says(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    };
    in_cluster(services, response)
}
