//! Which requests are allowed: host names against DNS rebinding (CVE-2018-5702), CORS, and what pages of other sites may do
//! in a browser.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::answer::{Origin, plain};
use crate::api::body::ReplyBody;
use crate::api::services::Access;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

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

/// The refusal of a request that may change something and that a browser makes for a page of another site, unless `cors`
/// allows that page. CORS alone does not stop it: browsers send forms without asking first, and open WebSockets for
/// anybody. Programs that are no browsers send neither header, so it does not concern them.
pub(super) fn refuse_foreign<B>(access: &Access, request: &Request<B>) -> Option<Response<ReplyBody>> {
    let headers = request.headers();
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if only_reads && !headers.contains_key(UPGRADE) || allowed_origin(access, headers).is_some() {
        return None;
    }
    let text = |name: HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let (origin, site) = (text(ORIGIN), text(SEC_FETCH_SITE));
    let is_own = match (&site, &origin) {
        (Some(site), _) if matches!(&**site, "same-origin" | "none") => true,
        (_, Some(origin)) => origin.split_once("://").is_some_and(|(_, named)| {
            // The scheme is not compared: something in front of this member may have taken the TLS off.
            named.eq_ignore_ascii_case(authority(request))
        }),
        (site, None) => site.is_none(),
    };
    if is_own {
        return None;
    }
    let origin = origin.unwrap_or_default();
    tracing::warn!(%origin, path = request.uri().path(), "refused a request of another site's page");
    let text = format!(
        "A page of another site ({origin:?}) makes this request in a browser, which --cors does not allow.\n\
         Add the origin to cors if it may.\n"
    );
    Some(plain(StatusCode::FORBIDDEN, text))
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
    let named = authority(request);
    if let Some(bracketed) = named.strip_prefix('[') {
        return bracketed.split_once(']').map_or(bracketed, |(host, _)| host);
    }
    match named.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => named,
    }
}

/// The same with the port, if it is named.
fn authority<B>(request: &Request<B>) -> &str {
    match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
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

    #[test]
    fn pages_of_other_sites_change_nothing_unless_they_are_allowed() {
        const CASES: &str = "
            POST -                    -           a       | passes: no browser
            POST http://a:2379        -           a:2379  | passes: its own page
            POST https://A            -           a       | passes: TLS ends before this member
            POST http://a:2379        -           a       | refused
            POST http://evil          -           a       | refused
            PUT  http://evil          -           a       | refused
            POST http://page:80       cross-site  a       | passes: cors names it
            POST null                 -           a       | refused
            POST -                    cross-site  a       | refused
            POST http://b             same-site   a       | refused
            POST http://outside       same-origin inside  | passes: something in between has changed Host
            POST -                    none        a       | passes: its user's own doing
            GET  http://evil          cross-site  a       | passes: it only reads
            UPGRADE http://evil       -           a       | refused
            UPGRADE http://a          same-origin a       | passes
            UPGRADE -                 -           a       | passes
        ";
        let access = Access { cors: vec!["http://page:80".into()], ..Access::default() };
        for case in CASES.trim().lines() {
            let mut words = case.split_whitespace();
            let mut word = || words.next().expect("a word");
            let (method, origin, site, host) = (word(), word(), word(), word());
            let mut request = request(Box::leak(host.to_owned().into_boxed_str()));
            let is_upgrade = method == "UPGRADE";
            *request.method_mut() = if is_upgrade { Method::GET } else { method.parse().expect("a method") };
            let upgrade = if is_upgrade { "websocket" } else { "-" };
            for (name, value) in [(ORIGIN, origin), (SEC_FETCH_SITE, site), (UPGRADE, upgrade)] {
                if value != "-" {
                    request.headers_mut().insert(name, value.parse().expect("a value"));
                }
            }
            assert_eq!(refuse_foreign(&access, &request).is_some(), case.contains("refused"), "{case}");
            assert!(refuse_foreign(&Access::default(), &request).is_none(), "cors allows all: {case}");
        }
    }
}
