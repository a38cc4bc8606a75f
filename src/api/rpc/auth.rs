//! The authentication service while authentication cannot be enabled yet: it gives etcd's answers for disabled
//! authentication, and refuses everything else clearly.

use std::sync::Arc;

use crate::api::proto::etcdserverpb as pb;
use crate::api::services::Services;
use crate::model::{Caller, Refusal};

/// `AuthStatus`. etcd's revision of authentication begins at one.
pub async fn status(
    services: &Arc<Services>,
    _caller: Caller,
    _request: pb::AuthStatusRequest,
) -> Result<pb::AuthStatusResponse, Refusal> {
    Ok(pb::AuthStatusResponse { header: Some(services.header()), enabled: false, auth_revision: 1 })
}

/// `Authenticate`.
pub async fn authenticate(
    services: &Arc<Services>,
    _caller: Caller,
    _request: pb::AuthenticateRequest,
) -> Result<pb::AuthenticateResponse, Refusal> {
    services.reads.read_index().await?;
    Err(Refusal::AuthNotEnabled)
}

/// `AuthDisable`.
pub async fn disable(
    services: &Arc<Services>,
    _caller: Caller,
    _request: pb::AuthDisableRequest,
) -> Result<pb::AuthDisableResponse, Refusal> {
    Ok(pb::AuthDisableResponse { header: Some(services.header()) })
}

/// Everything that needs users and roles.
pub async fn not_yet<Q, A>(_services: &Arc<Services>, _caller: Caller, _request: Q) -> Result<A, Refusal> {
    Err(Refusal::NotSupported("kvd does not support users and roles yet".into()))
}
