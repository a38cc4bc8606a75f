//! What all pages answer with, and what they ask of a request.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use crate::api::body::ReplyBody;

/// How a request arrived.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Over TLS.
    pub encrypted: bool,
    /// With a certificate that names a user.
    pub certified: bool,
}

/// A page.
pub(in crate::api) fn page(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Page(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A page of plain text that browsers must not interpret as anything else.
pub(in crate::api) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = page(status, "text/plain; charset=utf-8", text);
    let nosniff = HeaderName::from_static("x-content-type-options");
    response.headers_mut().insert(nosniff, HeaderValue::from_static("nosniff"));
    response
}

/// The answer for a path without a page.
pub(super) fn not_found() -> Response<ReplyBody> {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The refusal of any method but GET.
pub(super) fn only_get<B>(request: &Request<B>) -> Option<Response<ReplyBody>> {
    if request.method() == Method::GET {
        return None;
    }
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    Some(response)
}

/// The values of a query's parameter, percent-decoded.
pub(super) fn query_values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name).then(|| decoded(value))
    })
}

/// A path, percent-decoded.
pub(super) fn decoded_path(path: &str) -> Cow<'_, str> {
    if path.contains('%') { Cow::Owned(decoded(&path.replace('+', "%2B"))) } else { Cow::Borrowed(path) }
}

/// True if a path is text, percent-decoded.
pub(in crate::api) fn is_utf8(path: &str) -> bool {
    !path.contains('%') || std::str::from_utf8(&decoded_bytes(path)).is_ok()
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&decoded_bytes(text)).into_owned()
}

fn decoded_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let values = |query, name| query_values(query, name).collect::<Vec<_>>();
        assert_eq!(values("exclude=NOSPACE&exclude=a%20b+c&x", "exclude"), ["NOSPACE", "a b c"]);
        assert_eq!(values("verbose", "verbose"), [""]);
        assert_eq!(values("a=%zz%4", "a"), ["%zz%4"]);
        assert!(values("", "a").is_empty());
        let texts = ["/a", "/%c3%a4", "/%2", "/%ff", "/%c3"].map(is_utf8);
        assert_eq!(texts, [true, true, true, false, false]);
    }
}
