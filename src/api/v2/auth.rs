//! `/v2/auth`: there are no users of v2. Reading says so; what would make one, or enable authentication, is refused.

use http::{Method, Request, Response, StatusCode};
use serde_json::Value;

use super::answer::{self, in_cluster, json, says};
use super::call::Call;
use super::form::read;
use crate::api::body::ReplyBody;
use crate::api::grpc::RequestBody;

/// The largest request, in bytes.
const LARGEST: usize = 64 << 10;

/// The one role that there is.
const ROOT: &str = r#"{"role":"root","permissions":{"kv":{"read":["/*"],"write":["/*"]}}}"#;

/// Why no user is made.
const NO_USERS: &str = "auth: kvd has no users of the v2 API; use those of v3 (etcdctl user, etcdctl auth enable): while \
                        they are on, the v2 API is for the role root alone";

/// Answers a request; `below` follows the prefix.
pub async fn call<B: RequestBody>(call: &Call<'_>, below: &str, request: Request<B>) -> Response<ReplyBody> {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = call.admit(&parts.headers).await {
        return answer::message(call.services, &refusal);
    }
    let body = match call.method {
        Method::PUT => read(body, LARGEST, call.client).await.unwrap_or_default(),
        _ => bytes::Bytes::new(),
    };
    let names: Vec<&str> = below.trim_end_matches('/').split('/').skip(1).collect();
    let response = match names.as_slice() {
        ["enable"] => enable(&call.method),
        ["users"] => json(StatusCode::OK, "{\"users\":null}\n"),
        ["roles"] => json(StatusCode::OK, format!("{{\"roles\":[{ROOT}]}}\n")),
        ["users", name] => user(&call.method, name, &body),
        ["roles", name] => role(&call.method, name, &body),
        _ => return says(StatusCode::BAD_REQUEST, "Invalid path"),
    };
    in_cluster(call.services, response)
}

fn enable(method: &Method) -> Response<ReplyBody> {
    match *method {
        Method::PUT => says(StatusCode::CONFLICT, "auth: No root user available, please create one"),
        Method::DELETE => says(StatusCode::CONFLICT, "auth: already disabled"),
        _ => json(StatusCode::OK, "{\"enabled\":false}\n"),
    }
}

fn user(method: &Method, name: &str, body: &[u8]) -> Response<ReplyBody> {
    match *method {
        Method::PUT => {
            named(body, "user", name, "User").unwrap_or_else(|| says(StatusCode::FORBIDDEN, NO_USERS))
        }
        Method::DELETE => says(StatusCode::NOT_FOUND, &format!("auth: User {name} does not exist")),
        _ => says(StatusCode::NOT_FOUND, &format!("auth: User {name} does not exist.")),
    }
}

fn role(method: &Method, name: &str, body: &[u8]) -> Response<ReplyBody> {
    let is_root = name == "root";
    match *method {
        Method::PUT => named(body, "role", name, "Role").unwrap_or_else(|| match is_root {
            true => says(StatusCode::FORBIDDEN, "auth: Cannot modify role root: is root role."),
            false => says(StatusCode::FORBIDDEN, NO_USERS),
        }),
        Method::DELETE if is_root => {
            says(StatusCode::FORBIDDEN, "auth: Cannot modify role root: is root role.")
        }
        Method::DELETE => says(StatusCode::NOT_FOUND, &format!("auth: Role {name} doesn't exist.")),
        _ if is_root => json(StatusCode::OK, format!("{ROOT}\n")),
        _ => says(StatusCode::NOT_FOUND, &format!("auth: Role {name} does not exist.")),
    }
}

/// The refusal of a body that is not about `name`.
fn named(body: &[u8], field: &str, name: &str, what: &str) -> Option<Response<ReplyBody>> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Some(says(StatusCode::BAD_REQUEST, "Invalid JSON in request body."));
    };
    let is_it = body.get(field).and_then(Value::as_str).unwrap_or_default() == name;
    let text = format!("{what} JSON name does not match the name in the URL");
    (!is_it).then(|| says(StatusCode::BAD_REQUEST, &text))
}
