//! The gateway over WebSockets (RFC 6455), as etcd serves it: `ws://…/v3/watch` and every other path of the gateway. A
//! message of the client is a request, or a part of one; a line of the answer is a message.
//!
//! As in etcd the handshake is a `GET` with any path of the gateway, the call is its `POST`, and browsers, which cannot set
//! `Authorization`, give the token as a protocol (`Bearer, TOKEN`) or as the cookie `token`. Unlike there, a method with
//! one request is answered when its first message is there, the header `Authorization` counts, and the end is a closing
//! frame with a reason.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use sha1::{Digest, Sha1};
use tokio::sync::mpsc;

use super::super::http::answer::plain;
use super::{Gateway, Place, Target};
use crate::api::body::ReplyBody;
use crate::api::client::Client;
use crate::api::rules::Kind;

/// What RFC 6455 adds to the client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The only version.
const VERSION: HeaderValue = HeaderValue::from_static("13");
const BEARER: &str = "Bearer";
/// Parts of requests that are not read yet.
const AHEAD: usize = 2;

/// What a connection becomes with the answer to a handshake, whose extension it is.
#[derive(Clone)]
pub struct Switch {
    target: Target,
    authorization: Option<HeaderValue>,
}

/// True if a request asks for a WebSocket. HTTP/1.0 has no other protocols to change to.
pub fn is_asked<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && has_token(request.headers(), &CONNECTION, "upgrade")
        && has_token(request.headers(), &UPGRADE, "websocket")
}

/// The answer to a handshake, in the order of etcd's checks. A body would have to end before the connection can change, and
/// nobody waits for that.
pub fn handshake<B: Body>(target: Target, request: &Request<B>) -> Response<ReplyBody> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_key = STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    if !has_token(headers, &SEC_WEBSOCKET_VERSION, "13") || !is_key || !request.body().is_end_stream() {
        return refused(StatusCode::BAD_REQUEST, "Bad Request\n");
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let Ok(accept) = HeaderValue::from_str(&STANDARD.encode(digest)) else {
        return refused(StatusCode::BAD_REQUEST, "Bad Request\n");
    };
    let mut response = Response::new(ReplyBody::Empty);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answered = response.headers_mut();
    answered.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answered.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answered.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if protocol(headers).starts_with(BEARER) {
        answered.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(BEARER));
    }
    response.extensions_mut().insert(Switch { target, authorization: authorization(headers) });
    response
}

fn refused(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    let mut response = plain(status, text);
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
    response
}

/// True if one of the words of a header is that one.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let mut words = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case(token))
}

/// The protocols that the client names.
fn protocol(headers: &HeaderMap) -> &str {
    headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The token of a handshake: the cookie's before the protocol's before the header's.
fn authorization(headers: &HeaderMap) -> Option<HeaderValue> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|value| value.split(';')).map(str::trim);
    if let Some(token) = cookies.find_map(|cookie| cookie.strip_prefix("token=")) {
        return HeaderValue::from_str(&format!("{BEARER} {}", token.trim_matches('"'))).ok();
    }
    let protocol = protocol(headers);
    if protocol.is_empty() {
        return headers.get(AUTHORIZATION).cloned();
    }
    // Without a token: an empty one, as in etcd.
    let token =
        protocol.split_once("Bearer,").map(|(_, token)| format!("{BEARER} {}", token.trim_matches(' ')));
    HeaderValue::from_str(&token.unwrap_or_default()).ok()
}

/// The client's messages, as the body of a request. The default is empty.
#[derive(Default)]
pub struct Messages(Option<mpsc::Receiver<Bytes>>);

impl Body for Messages {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match &mut self.0 {
            Some(messages) => messages.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part)))),
            None => Poll::Ready(None),
        }
    }
}

/// Passes the client's messages to the call. The default drops them.
#[derive(Default)]
pub struct Feed {
    messages: Option<mpsc::Sender<Bytes>>,
    takes_many: bool,
}

impl Feed {
    /// Passes on a message, and waits until there is room for it. What the call does not read any more is dropped.
    pub async fn pass(&mut self, message: Bytes) {
        let Some(messages) = &self.messages else { return };
        // A number does not end before what follows it.
        let taken =
            messages.send(message).await.is_ok() && messages.send(Bytes::from_static(b"\n")).await.is_ok();
        if !taken || !self.takes_many {
            self.messages = None;
        }
    }
}

impl Gateway {
    /// The call that a WebSocket makes, with what passes the client's messages to it.
    pub fn switched(
        &self,
        switch: Switch,
        client: &Arc<Client>,
    ) -> (Feed, impl Future<Output = Response<ReplyBody>> + Send + use<>) {
        let Switch { target, authorization } = switch;
        let (messages, received) = mpsc::channel(AHEAD);
        let takes_many = matches!(target.0, Place::Method(route) if route.rule.kind == Kind::Bidirectional);
        let mut request = Request::new(Messages(Some(received)));
        *request.method_mut() = Method::POST;
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        let (gateway, client) = (self.clone(), client.clone());
        let call = async move { gateway.call(target, request, &client).await };
        (Feed { messages: Some(messages), takes_many }, call)
    }

    /// The largest message, in bytes.
    pub fn largest_message(&self) -> usize {
        self.grpc.max_receive_bytes().saturating_mul(super::requests::ROOM)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;
    use crate::api::json::find;

    fn asked(headers: &[(&'static str, &'static str)]) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn the_handshake_of_the_standard() {
        let request = asked(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]);
        assert!(is_asked(&request));
        let target = find("/v3/watch").expect("a path of the gateway");
        let mut response = handshake(target, &request);
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
        assert!(response.extensions_mut().remove::<Switch>().is_some());
        for (name, value) in [("sec-websocket-key", "c2hvcnQ="), ("sec-websocket-version", "12")] {
            let mut wrong = request.clone();
            wrong.headers_mut().insert(name, HeaderValue::from_static(value));
            let response = handshake(target, &wrong);
            assert_eq!(
                (response.status().as_u16(), &response.headers()[SEC_WEBSOCKET_VERSION]),
                (400, &VERSION)
            );
        }
        let with_body = request.clone().map(|_| Full::new(Bytes::from_static(b"body")));
        assert_eq!(handshake(target, &with_body).status(), 400);
        let mut old = request;
        *old.version_mut() = Version::HTTP_10;
        assert!(!is_asked(&old));
        assert!(!is_asked(&asked(&[("connection", "upgrade"), ("upgrade", "h2c")])));
    }

    #[test]
    fn tokens() {
        for (headers, token) in [
            (&[][..], None),
            (&[("sec-websocket-protocol", "Bearer, abc.1")], Some("Bearer abc.1")),
            (&[("sec-websocket-protocol", "Bearer,abc.1")], Some("Bearer abc.1")),
            (&[("sec-websocket-protocol", "other")], Some("")),
            (&[("cookie", "a=b; token=\"c\""), ("sec-websocket-protocol", "Bearer, d")], Some("Bearer c")),
            (&[("cookie", "nottoken=c")], None),
            (&[("authorization", "e")], Some("e")),
        ] {
            let found = authorization(asked(headers).headers());
            assert_eq!(found.as_ref().map(|value| value.to_str().expect("text")), token, "{headers:?}");
        }
    }
}
