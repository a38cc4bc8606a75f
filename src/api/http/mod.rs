//! The plain HTTP pages of the client port and of the metrics port.
//!
//! * `access`: which requests are allowed (host names, CORS).
//! * `health`: `/health`, `/livez`, `/readyz`.
//! * `figures`: `/metrics`.
//! * `shared`: a page that is not rendered more often than somebody can use it.

mod access;
mod figures;
mod health;
mod shared;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use self::shared::SharedPage;
use super::body::ReplyBody;
use super::services::{ETCD_VERSION, STORAGE_VERSION, Services};

/// How a request arrived.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Over TLS.
    pub encrypted: bool,
}

/// All pages.
#[derive(Clone)]
pub struct Pages {
    services: Arc<Services>,
    figures: Arc<SharedPage>,
}

impl Pages {
    /// The pages about `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, figures: Arc::default() }
    }

    /// Answers on the client port: all pages, behind the access filters.
    pub async fn client<B>(&self, origin: Origin, request: Request<B>) -> Response<ReplyBody> {
        let settings = arc_swap::Guard::into_inner(self.services.settings());
        let filter = &settings.access;
        if let Some(refused) = access::refuse(filter, origin, &request) {
            return refused;
        }
        let mut response = if request.method() == Method::OPTIONS {
            Response::new(ReplyBody::Empty)
        } else {
            match request.uri().path() {
                "/version" => only_get(&request).unwrap_or_else(|| self.version()),
                _ => self.metrics_only(&request).await,
            }
        };
        access::add_cors(filter, request.headers(), response.headers_mut());
        response
    }

    /// Answers on the metrics port: health and metrics.
    pub async fn metrics_only<B>(&self, request: &Request<B>) -> Response<ReplyBody> {
        let query = request.uri().query().unwrap_or_default();
        let path = request.uri().path();
        match path {
            "/metrics" => figures::scrape(&self.services, &self.figures),
            "/health" => match only_get(request) {
                Some(refused) => refused,
                None => health::health(&self.services, query).await,
            },
            _ => match health::Probe::find(path) {
                Some((probe, check)) => match only_get(request) {
                    Some(refused) => refused,
                    None => health::probe(&self.services, probe, check, query).await,
                },
                None => not_found(),
            },
        }
    }

    fn version(&self) -> Response<ReplyBody> {
        let cluster = self.services.store.cluster_version();
        let cluster = cluster.as_deref().unwrap_or("not_decided");
        let text = format!(
            "{{\"etcdserver\":\"{ETCD_VERSION}\",\"etcdcluster\":\"{cluster}\",\"storage\":\"{STORAGE_VERSION}\"}}"
        );
        page(StatusCode::OK, "application/json", text)
    }
}

/// A page.
fn page(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Page(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A page of plain text that browsers must not interpret as anything else.
fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = page(status, "text/plain; charset=utf-8", text);
    let nosniff = HeaderName::from_static("x-content-type-options");
    response.headers_mut().insert(nosniff, HeaderValue::from_static("nosniff"));
    response
}

fn not_found() -> Response<ReplyBody> {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The refusal of any method but GET.
fn only_get<B>(request: &Request<B>) -> Option<Response<ReplyBody>> {
    if request.method() == Method::GET {
        return None;
    }
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    Some(response)
}

/// The values of a query's parameter, percent-decoded.
fn query_values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name).then(|| decoded(value))
    })
}

fn decoded(text: &str) -> String {
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
    String::from_utf8_lossy(&bytes).into_owned()
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
    }
}
