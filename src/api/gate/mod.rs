//! The gate every RPC passes before its handler runs.
//!
//! [`table`] names each method once, with who may call it. [`Gate::admit`] is what etcd's interceptors do, in their
//! order: capability, learner, client version, leader. [`leash`] ends streams whose conditions no longer hold.

pub mod leash;
mod table;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::services::Services;
use super::status;
use crate::model::Refusal;
pub use table::{Access, Capability, Kind, Learner, RULES, Rpc, Rule, find, has_service};

/// See the module.
#[derive(Clone)]
pub struct Gate {
    services: Arc<Services>,
}

impl Gate {
    /// The gate before these services.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    /// Lets a call pass or says why not.
    pub fn admit(&self, rule: &Rule, headers: &HeaderMap) -> Result<(), Status> {
        // A call with one answer that was on its way still gets it: raft ends after the connections.
        if rule.kind != Kind::Unary && self.services.stop.is_stopping() {
            return Err(Refusal::Stopped.into());
        }
        if let Capability::ClusterVersion(needed) = rule.capability
            && !self.services.cluster_version_is_at_least(needed)
        {
            return Err(status::not_capable());
        }
        let node = &self.services.node;
        if rule.learner == Learner::Refused && node.is_learner() {
            return Err(Refusal::NotSupportedForLearner.into());
        }
        let version = match headers.get("client-api-version") {
            None => "unknown",
            Some(version) => {
                std::str::from_utf8(version.as_bytes()).map_err(|_| status::invalid_client_api_version())?
            }
        };
        self.services.metrics.client(version, rule.kind);
        if requires_leader(headers) && node.leader().is_none() {
            return Err(Refusal::NoLeader.into());
        }
        Ok(())
    }

    /// The second half of the learner rule, for handlers of [`Learner::IfSerializable`] methods.
    pub fn admit_read(services: &Services, serializable: bool) -> Result<(), Refusal> {
        if !serializable && services.node.is_learner() {
            return Err(Refusal::NotSupportedForLearner);
        }
        Ok(())
    }
}

/// True where the caller wants to be refused by a member that sees no leader (metadata `hasleader: true`).
pub fn requires_leader(headers: &HeaderMap) -> bool {
    headers.get("hasleader").is_some_and(|value| value.as_bytes() == b"true")
}

/// The credentials that come with a call: the token from metadata `token`, else `authorization`, a leading `Bearer `
/// cut off. `None` where there is none.
pub fn token(metadata: &MetadataMap) -> Option<&[u8]> {
    let headers: &HeaderMap = metadata.as_ref();
    let value: &HeaderValue = headers.get("token").or_else(|| headers.get("authorization"))?;
    let value = value.as_bytes();
    Some(value.strip_prefix(b"Bearer ").unwrap_or(value))
}

/// True where the call came through the JSON gateway, which speaks with its own certificate: the certificate's name
/// then says nothing about the caller.
pub fn came_through_gateway(metadata: &MetadataMap) -> bool {
    metadata.contains_key("grpcgateway-accept")
}
