//! Which requests are allowed: host names against DNS rebinding (CVE-2018-5702), and CORS.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use super::answer::{Origin, plain};
use crate::api::body::ReplyBody;
use crate::api::services::Access;

/// The refusal of a request whose host is not on the list. With TLS the certificate protects the name already.
pub(super) fn refuse<B>(
    access: &Access,
    origin: Origin,
    request: &Request<B>,
) -> Option<Response<ReplyBody>> {
    if origin.encrypted || allows(&access.host_whitelist, "*") || access.host_whitelist.is_empty() {
        return None;
    }
    let host = host(request);
    if allows(&access.host_whitelist, host) {
        return None;
    }
    tracing::warn!(host, "rejected an HTTP request for a host that is not on the whitelist");
    let text = format!(
        "The request names the host {host:?}, which this server does not answer for (CVE-2018-5702: DNS rebinding).\n\
         Use TLS, or add the name to host-whitelist.\n"
    );
    Some(plain(StatusCode::MISDIRECTED_REQUEST, text))
}

/// The origin whose pages may read the answer, if there is one.
pub(super) fn allowed_origin(access: &Access, asked: &HeaderMap) -> Option<HeaderValue> {
    if allows(&access.cors, "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = asked.get(ORIGIN)?;
    origin.to_str().is_ok_and(|origin| allows(&access.cors, origin)).then(|| origin.clone())
}

/// Adds the headers that allow pages of that origin to read the answer.
pub(super) fn add_cors(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("accept, content-type, authorization"),
    );
}

fn allows(list: &[String], name: &str) -> bool {
    list.iter().any(|allowed| allowed == name)
}

/// The host that a request names, without the port.
fn host<B>(request: &Request<B>) -> &str {
    let named = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    if let Some(bracketed) = named.strip_prefix('[') {
        return bracketed.split_once(']').map_or(bracketed, |(host, _)| host);
    }
    match named.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &'static str) -> Request<()> {
        let mut request = Request::new(());
        request.headers_mut().insert(HOST, HeaderValue::from_static(host));
        request
    }

    #[test]
    fn hosts() {
        for (named, host_alone) in [("a:1", "a"), ("a", "a"), ("[::1]:2379", "::1"), ("::1", "::1"), ("", "")]
        {
            assert_eq!(host(&request(named)), host_alone);
        }
    }

    #[test]
    fn the_whitelist_is_for_plain_http() {
        let access = Access { host_whitelist: vec!["good".into()], ..Access::default() };
        let refused = |encrypted, host| {
            refuse(&access, Origin { encrypted, certified: false }, &request(host)).is_some()
        };
        assert!(refused(false, "evil:2379"));
        assert!(!refused(false, "good:2379"));
        assert!(!refused(true, "evil"));
        assert!(
            refuse(&Access::default(), Origin { encrypted: false, certified: false }, &request("any"))
                .is_none()
        );
    }

    #[test]
    fn cors() {
        let access = Access { cors: vec!["http://a".into()], ..Access::default() };
        let mut asked = HeaderMap::new();
        assert_eq!(allowed_origin(&access, &asked), None);
        asked.insert(ORIGIN, HeaderValue::from_static("http://a"));
        let mut headers = HeaderMap::new();
        add_cors(allowed_origin(&access, &asked).expect("an origin"), &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://a");
        assert_eq!(allowed_origin(&Access::default(), &asked), Some(HeaderValue::from_static("*")));
    }
}
