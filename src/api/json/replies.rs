//! The heads of answers.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TRAILER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::{Code, Status};

use super::refusals::{http_status, line, written};
use crate::api::body::ReplyBody;

/// What a method has answered.
pub fn answered(body: ReplyBody) -> Response<ReplyBody> {
    let mut response = json(body);
    let name = HeaderName::from_static("grpc-metadata-content-type");
    response.headers_mut().insert(name, HeaderValue::from_static("application/grpc"));
    response
}

/// JSON of the gateway's own.
pub fn json(body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a request that is refused.
pub fn refused(status: &Status) -> Response<ReplyBody> {
    let mut response = page(status, written(status).into());
    if status.code() == Code::Unauthenticated
        && let Ok(reason) = HeaderValue::from_str(status.message())
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, reason);
    }
    response
}

/// The answer to a stream that ends before its first answer.
pub fn refused_stream(status: &Status) -> Response<ReplyBody> {
    page(status, line(status))
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailers {
    /// Nothing.
    None,
    /// What follows a refusal in gRPC: it has no headers, so its trailers have the type.
    OfRefusal,
}

/// The answer for a client that takes trailers (`TE: trailers`): of no known length, and with those that there are.
pub fn trailed(response: Response<ReplyBody>, trailers: Trailers) -> Response<ReplyBody> {
    const CONTENT_TYPE: HeaderName = HeaderName::from_static("grpc-trailer-content-type");
    let (mut parts, body) = response.into_parts();
    let ReplyBody::Page(page) = body else { return Response::from_parts(parts, body) };
    let mut after = HeaderMap::new();
    if trailers == Trailers::OfRefusal {
        parts.headers.insert(TRAILER, HeaderValue::from_static("Grpc-Trailer-Content-Type"));
        after.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    }
    Response::from_parts(parts, ReplyBody::Trailed(Box::new((page, after))))
}

fn page(status: &Status, body: Bytes) -> Response<ReplyBody> {
    let mut response = json(ReplyBody::Page(body));
    *response.status_mut() = http_status(status.code());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_valid_token_is_told_so_in_a_header() {
        let status = Status::new(Code::Unauthenticated, "etcdserver: \"no\"");
        let response = refused(&status);
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "etcdserver: \"no\"");
        assert!(!refused_stream(&status).headers().contains_key(WWW_AUTHENTICATE));
    }
}
