//! etcd's v2 API as etcd 3.4 serves it: `/v2/keys`, `/v2/members`, `/v2/machines`, `/v2/stats`, `/v2/auth`.
//!
//! It knows nothing of v3's users. While authentication is on, it answers those alone who have the role root, by a token
//! or a certificate, and users of its own do not exist: what would make them is refused.
//!
//! * `call`: a request and its caller. `routes`: what is at a path, and which methods it takes; paths that are not clean.
//! * `form`: the parameters of a request, from its query and its body, as Go reads them.
//! * `keys`: nodes. `wait`: the body of an answer that comes later. `members`, `stats`, `auth`: the rest.
//! * `json`: Go's JSON. `errors`: the table of v2's errors. `answer`: what all answers have.

mod answer;
mod auth;
mod call;
mod errors;
mod form;
mod json;
mod keys;
mod members;
mod routes;
mod stats;
pub mod wait;

use std::sync::Arc;

use http::{Request, Response};

use super::body::ReplyBody;
use super::client::Client;
use super::grpc::RequestBody;
use super::services::Services;
use answer::not_found;
use call::Call;
use routes::{Place, Target};

/// True for a path (percent-decoded) of the v2 API.
pub fn has(path: &str) -> bool {
    path.starts_with("/v2/")
}

/// The v2 API. Cheap to clone.
#[derive(Clone)]
pub struct V2 {
    services: Arc<Services>,
    started_ms: i64,
}

impl V2 {
    /// The API of a member.
    pub fn new(services: Arc<Services>) -> Self {
        Self { started_ms: services.node.now_ms(), services }
    }

    /// Answers a request; `path` is its percent-decoded path.
    pub async fn call<B: RequestBody>(
        &self,
        path: &str,
        request: Request<B>,
        client: &Arc<Client>,
    ) -> Response<ReplyBody> {
        let place = match routes::find(path) {
            Target::Place(place) => place,
            Target::Moved(clean) => return routes::moved(&clean, &request),
            Target::Nothing => return not_found(),
        };
        let allowed = place.methods();
        if !allowed.contains(&request.method().as_str()) {
            return answer::not_allowed(allowed);
        }
        let services = &self.services;
        let call = Call { services, client, method: request.method().clone() };
        match place {
            Place::Keys(below) => keys::call(&call, below, request).await,
            Place::Members(below) => members::call(&call, below, request).await,
            Place::Auth(below) => auth::call(&call, below, request).await,
            Place::Machines => match call.admit(request.headers()).await {
                Ok(_) => members::machines(services),
                Err(refusal) => answer::message(services, &refusal),
            },
            Place::Stats(which) => match call.admit(request.headers()).await {
                Ok(_) => stats::page(services, which, self.started_ms),
                Err(refusal) => answer::message(services, &refusal),
            },
        }
    }
}
