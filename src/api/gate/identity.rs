//! Who calls while authentication is on, as etcd's `AuthInfoFromCtx` and `AuthInfoFromTLS` determine it: by the token in
//! the metadata; without one, by the name in the client's certificate.

use std::sync::Arc;

use http::HeaderMap;

use crate::api::rules::{Access, Rpc, Rule};
use crate::api::services::Services;
use crate::api::status::plain;
use crate::auth::Need;
use crate::model::{Caller, Refusal};

/// The caller, who may call the method as far as its rule says. Permissions on keys are checked where keys are read and
/// written.
///
/// # Errors
/// [`Refusal::InvalidToken`]; [`Refusal::UserEmpty`] without a user where one is needed; [`Refusal::PermissionDenied`]
/// and [`Refusal::UserNotFound`] without the role root where that is needed.
pub async fn identify(
    services: &Services,
    rule: &Rule,
    metadata: &HeaderMap,
    certified: Option<&Arc<str>>,
) -> Result<Caller, Refusal> {
    if !is_identified(rule) {
        return Ok(Caller::Anonymous);
    }
    let caller = identify_as(services, rule.access, metadata, certified).await;
    caller.or_else(|refusal| without_token(rule, refusal))
}

/// The caller, who may do what `access` says.
///
/// # Errors
/// As of [`identify`].
pub async fn identify_as(
    services: &Services,
    access: Access,
    metadata: &HeaderMap,
    certified: Option<&Arc<str>>,
) -> Result<Caller, Refusal> {
    let caller = match token(metadata) {
        Some(token) => by_token(services, token?).await?,
        None => by_certificate(services, metadata, certified),
    };
    let need = match access {
        Access::Anyone | Access::Keys | Access::RootOrOwn => return Ok(caller),
        Access::Authenticated | Access::RootUnlessReading => Need::User,
        Access::Root => Need::Root,
    };
    if let Err(refusal) = services.store.check(&caller, need) {
        // This member may not know yet what has been granted. Without a leader nobody knows better.
        if services.node.leader().is_none() {
            return Err(refusal);
        }
        services.reads.read_index().await.map_err(|_| refusal)?;
        services.store.check(&caller, need)?;
    }
    Ok(caller)
}

/// An outdated token does not prevent its owner from logging in, but it is refused when the status is asked for.
fn is_identified(rule: &Rule) -> bool {
    rule.access != Access::Anyone || rule.rpc == Rpc::AuthStatus
}

/// The token of a call.
fn token(metadata: &HeaderMap) -> Option<Result<&str, Refusal>> {
    let value = metadata.get("token").or_else(|| metadata.get("authorization"))?;
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Refusal::InvalidToken);
    Some(text.map(|text| text.strip_prefix("Bearer ").unwrap_or(text)))
}

/// What a call with a token that does not count meets. As in etcd a stream of watches stays open and each of its
/// watchers is refused, for clientv3 logs in again then; and locks and elections say the text without the code.
fn without_token(rule: &Rule, refusal: Refusal) -> Result<Caller, Refusal> {
    match rule.service {
        "etcdserverpb.Watch" if refusal == Refusal::InvalidToken => Ok(Caller::with_void_token()),
        "v3lockpb.Lock" | "v3electionpb.Election" => Err(plain(refusal)),
        _ => Err(refusal),
    }
}

async fn by_token(services: &Services, token: &str) -> Result<Caller, Refusal> {
    let tokens = &services.logins.tokens;
    let judged = || {
        let users = services.store.users();
        // It may have been disabled just now.
        if users.is_enabled() { tokens.caller(&users, token) } else { Ok(Caller::Anonymous) }
    };
    let applied = services.store.applied().map_or(0, |position| position.index);
    match judged() {
        Err(_) if tokens.is_ahead(token, applied) => {
            services.reads.read_index().await?;
            judged()
        }
        judged => judged,
    }
}

/// As in etcd certificates do not count for what a JSON gateway has sent: the certificate would be its own.
fn by_certificate(services: &Services, metadata: &HeaderMap, certified: Option<&Arc<str>>) -> Caller {
    match certified {
        Some(name) if !metadata.contains_key("grpcgateway-accept") => {
            let auth_revision = services.store.users().revision();
            Caller::User { name: name.clone(), auth_revision, certified: true }
        }
        _ => Caller::Anonymous,
    }
}
