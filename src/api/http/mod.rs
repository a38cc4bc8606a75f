//! The plain HTTP pages of the client port and of the metrics port.
//!
//! * `answer`: what all pages answer with, and what they ask of a request.
//! * `access`: which requests are allowed (host names, CORS).
//! * `health`: `/health`, `/livez`, `/readyz`.
//! * `figures`: `/metrics`. `vars`: `/debug/vars`. `pprof`: `/debug/pprof/`.
//! * `shared`: a page that is not rendered more often than somebody can use it.

mod access;
pub(super) mod answer;
pub(super) mod figures;
mod health;
mod pprof;
mod shared;
mod vars;

use std::mem::take;
use std::sync::Arc;

use answer::{Origin, decoded_path, not_found, only_get, plain};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};

use self::shared::SharedPage;
use super::body::ReplyBody;
use super::client::Client;
use super::grpc::RequestBody;
use super::json::{self, Gateway, socket};
use super::page;
use super::services::Services;
use super::v2::{self, V2};

/// etcd's refusal of a request to the gateway with a certificate that names a user: the name would be ignored.
const COMMON_NAME: &str =
    "CommonName of client sending a request against gateway will be ignored and not used as expected\n";

/// All pages.
#[derive(Clone)]
pub struct Pages {
    services: Arc<Services>,
    figures: Arc<SharedPage>,
    status: Arc<page::Shared>,
    gateway: Gateway,
    v2: V2,
}

impl Pages {
    /// The pages about `services`, and the gateway.
    pub fn new(services: Arc<Services>, gateway: Gateway) -> Self {
        let v2 = V2::new(services.clone());
        Self { services, figures: Arc::default(), status: Arc::default(), gateway, v2 }
    }

    /// The JSON gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Answers on the client port: all pages and the gateway, behind the access filters.
    pub async fn client<B: RequestBody>(
        &self,
        client: &Arc<Client>,
        request: &mut Request<B>,
    ) -> Response<ReplyBody> {
        // As in etcd: a certificate without a common name names nobody.
        let certified = client.certified.as_ref().is_some_and(|name| !name.is_empty());
        let origin = Origin { encrypted: client.encrypted, certified };
        let settings = arc_swap::Guard::into_inner(self.services.settings());
        let filter = &settings.access;
        let refused = access::refuse(filter, origin, request);
        if let Some(refused) = refused.or_else(|| access::refuse_foreign(filter, request)) {
            return refused;
        }
        if let Some(part) = page::find(request.uri().path()).filter(|_| settings.page) {
            let from = (&*self.services, &*self.status, &self.gateway);
            return Box::pin(page::answer(part, from, client, take(request))).await;
        }
        let path = decoded_path(request.uri().path());
        let in_gateway = json::find(&path).filter(|_| settings.gateway);
        let in_v2 = (settings.v2 && v2::has(&path)).then(|| path.into_owned());
        if in_gateway.is_some() && origin.certified && self.services.store.users_epoch().is_enabled() {
            return plain(StatusCode::BAD_REQUEST, COMMON_NAME);
        }
        if in_gateway.is_some() || in_v2.is_some() {
            own_target(request);
        }
        let readable_by = access::allowed_origin(filter, request.headers());
        let mut response = match (in_gateway, in_v2, request.uri().path()) {
            _ if request.method() == Method::OPTIONS => Response::new(ReplyBody::Empty),
            (Some(target), ..) if socket::is_asked(request) => socket::handshake(target, request),
            // On the heap: other requests need less space.
            (Some(target), ..) => Box::pin(self.gateway.call(target, take(request), client)).await,
            (None, Some(path), _) => Box::pin(self.v2.call(&path, take(request), client)).await,
            (None, None, "/version") => only_get(request).unwrap_or_else(|| self.version()),
            (None, None, "/debug/vars") => only_get(request).unwrap_or_else(|| vars::vars(&self.services)),
            (None, None, path) => match path.strip_prefix("/debug/pprof").filter(|_| settings.pprof) {
                Some(below) => self.profile(below, request).await,
                None => self.metrics_only(request).await,
            },
        };
        if let Some(origin) = readable_by.filter(|_| response.status() != StatusCode::SWITCHING_PROTOCOLS) {
            access::add_cors(origin, response.headers_mut());
        }
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
                None => Box::pin(health::health(&self.services, query)).await,
            },
            _ => match health::Probe::find(path) {
                Some((probe, check)) => match only_get(request) {
                    Some(refused) => refused,
                    None => Box::pin(health::probe(&self.services, probe, check, query)).await,
                },
                None => not_found(),
            },
        }
    }

    async fn profile<B>(&self, below: &str, request: &Request<B>) -> Response<ReplyBody> {
        let query = request.uri().query().unwrap_or_default();
        let answer = Box::pin(pprof::answer(below, query, &self.services.stop));
        answer.await.unwrap_or_else(not_found)
    }

    fn version(&self) -> Response<ReplyBody> {
        let cluster = self.services.store.cluster_version();
        let cluster = cluster.as_deref().unwrap_or("not_decided");
        let (server, storage) = (self.services.server_version(), self.services.storage_version());
        let text = format!(
            "{{\"etcdserver\":\"{server}\",\"etcdcluster\":\"{cluster}\",\"storage\":\"{storage}\"}}"
        );
        answer::page(StatusCode::OK, "application/json", text)
    }
}

/// Copies the target of a request: its body may come much later, and the buffer in which it came may be large.
fn own_target<B>(request: &mut Request<B>) {
    let target = request.uri().path_and_query().map(|target| target.as_str().to_owned());
    if let Some(Ok(target)) = target.map(PathAndQuery::try_from) {
        *request.uri_mut() = target.into();
    }
}
