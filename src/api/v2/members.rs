//! `/v2/members` and `/v2/machines`: through the handlers of v3's methods.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;

use super::answer::{self, in_cluster, method_not_allowed, says};
use super::call::Call;
use super::form::read;
use super::json;
use crate::api::audit::Origin;
use crate::api::body::ReplyBody;
use crate::api::client::Client;
use crate::api::grpc::RequestBody;
use crate::api::proto::etcdserverpb as pb;
use crate::api::rpc::audited::audited;
use crate::api::rpc::cluster;
use crate::api::rpc::traced::still_served;
use crate::api::rules::Rpc;
use crate::api::services::Services;
use crate::model::{MemberId, Refusal};

/// The largest request, in bytes.
const LARGEST: usize = 64 << 10;

/// The client URLs of all members.
pub fn machines(services: &Services) -> Response<ReplyBody> {
    let mut urls: Vec<String> =
        services.store.members().into_iter().flat_map(|member| member.client_urls).collect();
    urls.sort_unstable();
    let mut response = answer::json(StatusCode::OK, urls.join(", "));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Answers a request; `below` follows the prefix.
pub async fn call<B: RequestBody>(call: &Call<'_>, below: &str, request: Request<B>) -> Response<ReplyBody> {
    let below = below.strip_prefix('/').unwrap_or(below);
    let services = call.services;
    let (parts, body) = request.into_parts();
    let rpc = match call.method {
        Method::POST => Rpc::MemberAdd,
        Method::DELETE => Rpc::MemberRemove,
        Method::PUT => Rpc::MemberUpdate,
        _ => Rpc::MemberList,
    };
    let caller = match call.admit_as(rpc, &parts.headers).await {
        Ok(caller) => caller,
        Err(refusal) => return answer::message(services, &refusal),
    };
    let id = match call.method {
        Method::DELETE | Method::PUT if below.is_empty() => {
            return in_cluster(services, method_not_allowed());
        }
        Method::DELETE | Method::PUT => match u64::from_str_radix(below, 16) {
            Ok(id) if !below.starts_with('+') => id,
            _ => return in_cluster(services, no_such(below)),
        },
        _ => 0,
    };
    let peer_urls = match call.method {
        Method::POST | Method::PUT => match peer_urls(&parts.headers, body, call.client).await {
            Ok(urls) => urls,
            Err(response) => return in_cluster(services, response),
        },
        _ => Vec::new(),
    };
    let origin = Some(Origin::of_call(call.client, None));
    let done = match call.method {
        Method::POST => {
            let request = pb::MemberAddRequest { peer_ur_ls: peer_urls, is_learner: false };
            let add = |caller, request| cluster::member_add(services, caller, request);
            let added = audited(services, rpc, origin, (caller, request), add).await;
            added.map(|added| {
                let member = added.member.unwrap_or_default();
                answer::json(StatusCode::CREATED, shown(&member) + "\n")
            })
        }
        Method::DELETE => {
            let request = pb::MemberRemoveRequest { id };
            let remove = |caller, request| cluster::member_remove(services, caller, request);
            let removed = audited(services, rpc, origin, (caller, request), remove).await;
            removed.map(|_| no_content())
        }
        Method::PUT => {
            let request = pb::MemberUpdateRequest { id, peer_ur_ls: peer_urls };
            let update = |caller, request| cluster::member_update(services, caller, request);
            let updated = audited(services, rpc, origin, (caller, request), update).await;
            updated.map(|_| no_content())
        }
        _ => {
            let request = pb::MemberListRequest { linearizable: false };
            let list = |caller, request| cluster::member_list(services, caller, request);
            let listed = audited(services, rpc, origin, (caller, request), list).await;
            listed.map(|listed| list_of(call, &listed.members, below))
        }
    };
    let done = done.and_then(|answer| still_served(services, rpc).map(|()| answer));
    let response = done.unwrap_or_else(|refusal| refused(services, &refusal, MemberId(id)));
    in_cluster(services, response)
}

fn list_of(call: &Call<'_>, members: &[pb::Member], below: &str) -> Response<ReplyBody> {
    match below {
        "" => {
            let members: Vec<String> = members.iter().map(shown).collect();
            answer::json(StatusCode::OK, format!("{{\"members\":[{}]}}\n", members.join(",")))
        }
        "leader" => {
            let leader = call.services.node.leader().map_or(0, |leader| leader.0);
            match members.iter().find(|member| member.id == leader) {
                Some(leader) => answer::json(StatusCode::OK, shown(leader) + "\n"),
                None => says(StatusCode::SERVICE_UNAVAILABLE, "During election"),
            }
        }
        _ => says(StatusCode::NOT_FOUND, "Not found"),
    }
}

fn shown(member: &pb::Member) -> String {
    let urls = |urls: &[String]| {
        let urls: Vec<String> = urls.iter().map(|url| json::quoted(url)).collect();
        format!("[{}]", urls.join(","))
    };
    format!(
        "{{\"id\":\"{}\",\"name\":{},\"peerURLs\":{},\"clientURLs\":{}}}",
        MemberId(member.id),
        json::quoted(&member.name),
        urls(&member.peer_ur_ls),
        urls(&member.client_ur_ls),
    )
}

fn no_content() -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn no_such(id: &str) -> Response<ReplyBody> {
    says(StatusCode::NOT_FOUND, &format!("No such member: {id}"))
}

fn refused(services: &Services, refusal: &Refusal, id: MemberId) -> Response<ReplyBody> {
    match refusal {
        Refusal::MemberExists => says(StatusCode::CONFLICT, "membership: ID exists"),
        Refusal::PeerUrlExists => says(StatusCode::CONFLICT, "membership: peerURL exists"),
        Refusal::MemberNotFound if services.store.removed().contains(&id) => {
            says(StatusCode::GONE, &format!("Member permanently removed: {id}"))
        }
        Refusal::MemberNotFound => no_such(&id.to_string()),
        Refusal::MemberBadUrls => says(StatusCode::BAD_REQUEST, "no valid URLs given"),
        refusal => answer::message(services, refusal),
    }
}

#[derive(Deserialize)]
struct PeerUrls {
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
}

/// The peer URLs in a request, or the refusal of it.
async fn peer_urls<B: RequestBody>(
    headers: &HeaderMap,
    body: B,
    client: &Client,
) -> Result<Vec<String>, Response<ReplyBody>> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = match kind.split_once(';') {
        Some((kind, _)) => kind.to_lowercase().trim().to_owned(),
        None => kind.to_owned(),
    };
    if kind != "application/json" {
        let text = format!("Bad Content-Type {kind}, accept application/json");
        return Err(says(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text));
    }
    let bad = |text: &str| says(StatusCode::BAD_REQUEST, text);
    let body = read(body, LARGEST, client).await.map_err(|_| bad("http: request body too large"))?;
    let request: PeerUrls = serde_json::from_slice(&body).map_err(|error| match error.is_eof() {
        true => bad("unexpected end of JSON input"),
        false => bad(&error.to_string()),
    })?;
    if request.peer_urls.is_empty() {
        return Err(bad("no valid URLs given"));
    }
    let mut urls: Vec<String> = request.peer_urls.iter().map(|url| url.trim().to_owned()).collect();
    if let Some(wrong) = urls.iter().find_map(|url| wrong_with(url)) {
        return Err(bad(&wrong));
    }
    urls.sort_unstable();
    Ok(urls)
}

/// What is wrong with a peer URL, in etcd's words.
fn wrong_with(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match scheme {
        "unix" | "unixs" => return None,
        "http" | "https" | "quic" => {}
        _ => return Some(format!("URL scheme must be http, https, unix, or unixs: {url}")),
    }
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let has_port = host.rsplit_once(':').is_some_and(|(name, _)| !name.contains(':') || name.ends_with(']'));
    if !has_port {
        return Some(format!("URL address does not have the form \"host:port\": {url}"));
    }
    (!path.is_empty()).then(|| format!("URL must not contain a path: {url}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_urls_are_named_as_by_etcd() {
        for (url, wrong) in [
            ("x", "URL scheme must be http, https, unix, or unixs: x"),
            ("http://127.0.0.1", "URL address does not have the form \"host:port\": http://127.0.0.1"),
            ("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"),
            ("http://a:1/p", "URL must not contain a path: http://a:1/p"),
        ] {
            assert_eq!(wrong_with(url).as_deref(), Some(wrong));
        }
        assert_eq!(wrong_with("http://[::1]:2380"), None);
    }
}
