//! The gate: every call passes it before its handler runs.
//!
//! [`admit`] returns the caller, or the refusal; it does what etcd's interceptors do, in their order: learner, client
//! version, leader; before them it refuses what needs the state of a member whose state is wrong. Then `identity` determines the caller if authentication is on. [`leash`] ends streams whose
//! conditions no longer hold.

mod identity;
pub mod leash;

use std::sync::Arc;

use http::HeaderMap;

use super::reads::Freshness;
use super::rules::{Access, Kind, Learner, Rule};
use super::services::Services;
use crate::model::{Caller, Refusal};

/// Admits a call on behalf of the caller that its metadata names, or refuses it. `certified` is the user that the client's
/// certificate names, if certificates name users here.
///
/// # Errors
/// [`Refusal::Stopped`], [`Refusal::Corrupt`], [`Refusal::NotSupportedForLearner`], [`Refusal::InvalidClientVersion`], [`Refusal::NoLeader`];
/// while authentication is on [`Refusal::InvalidToken`], and those of [`Rule::access`].
pub async fn admit(
    services: &Services,
    rule: &Rule,
    metadata: &HeaderMap,
    certified: Option<&Arc<str>>,
) -> Result<Caller, Refusal> {
    // A unary call that has arrived still gets its answer: raft ends after the connections.
    if rule.kind != Kind::Unary && services.stop.is_stopping() {
        return Err(Refusal::Stopped);
    }
    if services.store.is_condemned() && !rule.rpc.needs_no_state() {
        return Err(Refusal::Corrupt);
    }
    let node = &services.node;
    if rule.learner == Learner::Refused && node.is_learner() {
        return Err(Refusal::NotSupportedForLearner);
    }
    let version = match metadata.get("client-api-version") {
        None => "unknown",
        Some(version) => {
            std::str::from_utf8(version.as_bytes()).map_err(|_| Refusal::InvalidClientVersion)?
        }
    };
    services.metrics.client(version, rule.kind);
    if requires_leader(metadata) && node.leader().is_none() {
        return Err(Refusal::NoLeader);
    }
    // As in etcd credentials are ignored while authentication is off.
    if !services.store.users_epoch().is_enabled() {
        return Ok(Caller::Anonymous);
    }
    // On the heap: without users no request needs the space.
    Box::pin(identity::identify(services, rule, metadata, certified)).await
}

/// Admits a request that is no method of the table, on behalf of the caller that its headers name.
///
/// # Errors
/// [`Refusal::Stopped`], [`Refusal::Corrupt`]; while authentication is on [`Refusal::InvalidToken`], and those of
/// `access`.
pub async fn admit_as(
    services: &Services,
    access: Access,
    headers: &HeaderMap,
    certified: Option<&Arc<str>>,
) -> Result<Caller, Refusal> {
    if services.stop.is_stopping() {
        return Err(Refusal::Stopped);
    }
    if services.store.is_condemned() {
        return Err(Refusal::Corrupt);
    }
    if !services.store.users_epoch().is_enabled() {
        return Ok(Caller::Anonymous);
    }
    Box::pin(identity::identify_as(services, access, headers, certified)).await
}

/// The second half of the learner rule, for handlers of [`Learner::IfSerializable`] methods.
///
/// # Errors
/// [`Refusal::NotSupportedForLearner`].
pub fn admit_read(services: &Services, freshness: Freshness) -> Result<(), Refusal> {
    if freshness == Freshness::Linearizable && services.node.is_learner() {
        return Err(Refusal::NotSupportedForLearner);
    }
    Ok(())
}

/// True if a member without a leader must refuse the call (metadata `hasleader: true`).
pub fn requires_leader(metadata: &HeaderMap) -> bool {
    metadata.get("hasleader").is_some_and(|value| value.as_bytes() == b"true")
}
