//! The authentication service. Changes go through the log, where they are checked again; whoever asks for one has been
//! found to have the role root before a password is hashed.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use super::convert;
use crate::api::proto::etcdserverpb as pb;
use crate::api::services::Services;
use crate::auth::{self, Need, Password, Users};
use crate::model::{AuthChange, Caller, Command, KeyRange, PasswordHash, Refusal, Reply};

/// `AuthStatus`.
pub async fn status(
    services: &Arc<Services>,
    _caller: Caller,
    _request: pb::AuthStatusRequest,
) -> Result<pb::AuthStatusResponse, Refusal> {
    services.reads.read_index().await?;
    let users = services.store.users();
    let (enabled, auth_revision) = (users.is_enabled(), users.revision());
    Ok(pb::AuthStatusResponse { header: Some(services.header()), enabled, auth_revision })
}

/// `Authenticate`.
pub async fn authenticate(
    services: &Arc<Services>,
    _caller: Caller,
    request: pb::AuthenticateRequest,
) -> Result<pb::AuthenticateResponse, Refusal> {
    let (name, password) = (request.name, Password::new(request.password));
    services.reads.read_index().await?;
    let logins = &services.logins;
    let mut fitting = None;
    loop {
        let users = services.store.users();
        if !users.is_enabled() {
            return Err(Refusal::AuthNotEnabled);
        }
        let hash = hash_of(&users, &name)?;
        if hash.is_none() || hash != fitting {
            if !logins.passwords.check(&name, password.clone(), hash.clone()).await? {
                let user = shown(&name);
                tracing::warn!(user, "authentication failed: invalid user name or password");
                return Err(Refusal::AuthFailed);
            }
            // It took long: users may have changed.
            fitting = hash;
            continue;
        }
        let applied = services.store.applied().map_or(0, |position| position.index);
        if let Some(token) = logins.tokens.issue(&users, &name, applied)? {
            return Ok(pb::AuthenticateResponse { header: Some(services.header()), token });
        }
        let first = AuthChange::TokenKey { key: logins.tokens.new_key()?, after: None };
        change(services, Caller::System, first).await?;
    }
}

/// The beginning of a name that anybody can send, for a log line.
fn shown(name: &str) -> &str {
    const LONGEST: usize = 64;
    name.char_indices().nth(LONGEST).map_or(name, |(end, _)| &name[..end])
}

/// The hash of a user's password; `None` if there is no such user.
fn hash_of(users: &Users, name: &str) -> Result<Option<PasswordHash>, Refusal> {
    match users.user(name) {
        None => Ok(None),
        Some(user) => user.hash.clone().map(Some).ok_or(Refusal::NoPasswordUser),
    }
}

/// `AuthDisable`.
pub async fn disable(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::AuthDisableRequest,
) -> Result<pb::AuthDisableResponse, Refusal> {
    let header = change(services, caller, AuthChange::Disable).await?;
    tracing::warn!("authentication is disabled: anyone may do anything");
    Ok(pb::AuthDisableResponse { header })
}

/// `AuthEnable`.
pub async fn enable(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::AuthEnableRequest,
) -> Result<pb::AuthEnableResponse, Refusal> {
    let header = change(services, caller, AuthChange::Enable).await?;
    tracing::info!("authentication is enabled");
    Ok(pb::AuthEnableResponse { header })
}

/// `UserAdd`.
pub async fn user_add(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthUserAddRequest,
) -> Result<pb::AuthUserAddResponse, Refusal> {
    services.check_size(request.encoded_len())?;
    let (name, password) = (request.name, Password::new(request.password));
    let hash = match request.options {
        Some(options) if options.no_password => None,
        _ => Some(services.logins.passwords.hash(password).await?),
    };
    let header = change(services, caller, AuthChange::UserAdd { name, hash }).await?;
    Ok(pb::AuthUserAddResponse { header })
}

/// `UserGet`.
pub async fn user_get(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthUserGetRequest,
) -> Result<pb::AuthUserGetResponse, Refusal> {
    let users = read(services, &caller, Need::KnowUser(&request.name)).await?;
    let user = users.user(&request.name).ok_or(Refusal::UserNotFound)?;
    let roles = user.roles.iter().cloned().collect();
    Ok(pb::AuthUserGetResponse { header: Some(services.header()), roles })
}

/// `UserList`.
pub async fn user_list(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::AuthUserListRequest,
) -> Result<pb::AuthUserListResponse, Refusal> {
    let users = read(services, &caller, Need::Root).await?;
    let users = users.users().map(|(name, _)| name.to_string()).collect();
    Ok(pb::AuthUserListResponse { header: Some(services.header()), users })
}

/// `UserDelete`.
pub async fn user_delete(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthUserDeleteRequest,
) -> Result<pb::AuthUserDeleteResponse, Refusal> {
    let header = change(services, caller, AuthChange::UserDelete { name: request.name }).await?;
    Ok(pb::AuthUserDeleteResponse { header })
}

/// `UserChangePassword`.
pub async fn user_change_password(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthUserChangePasswordRequest,
) -> Result<pb::AuthUserChangePasswordResponse, Refusal> {
    services.check_size(request.encoded_len())?;
    let (name, password) = (request.name, Password::new(request.password));
    let hash = if !password.is_empty() {
        services.logins.passwords.hash(password).await?
    } else if let Ok(hash) = STANDARD.decode(request.hashed_password) {
        let hash = PasswordHash::new(hash);
        auth::check_cost(&hash)?;
        hash
    } else {
        let users = read(services, &caller, Need::Root).await?;
        match users.user(&name) {
            None => return Err(Refusal::UserNotFound),
            Some(user) if user.hash.is_some() => return Err(Refusal::NoPasswordUser),
            // As in etcd it counts as a change, and has no effect.
            Some(_) => PasswordHash::default(),
        }
    };
    let header = change(services, caller, AuthChange::UserPassword { name, hash }).await?;
    Ok(pb::AuthUserChangePasswordResponse { header })
}

/// `UserGrantRole`.
pub async fn user_grant_role(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthUserGrantRoleRequest,
) -> Result<pb::AuthUserGrantRoleResponse, Refusal> {
    let grant = AuthChange::UserGrantRole { user: request.user, role: request.role };
    let header = change(services, caller, grant).await?;
    Ok(pb::AuthUserGrantRoleResponse { header })
}

/// `UserRevokeRole`.
pub async fn user_revoke_role(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthUserRevokeRoleRequest,
) -> Result<pb::AuthUserRevokeRoleResponse, Refusal> {
    let revoke = AuthChange::UserRevokeRole { user: request.name, role: request.role };
    let header = change(services, caller, revoke).await?;
    Ok(pb::AuthUserRevokeRoleResponse { header })
}

/// `RoleAdd`.
pub async fn role_add(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthRoleAddRequest,
) -> Result<pb::AuthRoleAddResponse, Refusal> {
    services.check_size(request.encoded_len())?;
    let header = change(services, caller, AuthChange::RoleAdd { name: request.name }).await?;
    Ok(pb::AuthRoleAddResponse { header })
}

/// `RoleGet`.
pub async fn role_get(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthRoleGetRequest,
) -> Result<pb::AuthRoleGetResponse, Refusal> {
    let users = read(services, &caller, Need::KnowRole(&request.role)).await?;
    let permissions = users.permissions(&request.role).ok_or(Refusal::RoleNotFound)?;
    let perm = permissions.into_iter().map(convert::permission_message).collect();
    Ok(pb::AuthRoleGetResponse { header: Some(services.header()), perm })
}

/// `RoleList`.
pub async fn role_list(
    services: &Arc<Services>,
    caller: Caller,
    _request: pb::AuthRoleListRequest,
) -> Result<pb::AuthRoleListResponse, Refusal> {
    let users = read(services, &caller, Need::Root).await?;
    let roles = users.roles().map(|(name, _)| name.to_string()).collect();
    Ok(pb::AuthRoleListResponse { header: Some(services.header()), roles })
}

/// `RoleDelete`.
pub async fn role_delete(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthRoleDeleteRequest,
) -> Result<pb::AuthRoleDeleteResponse, Refusal> {
    let header = change(services, caller, AuthChange::RoleDelete { name: request.role }).await?;
    Ok(pb::AuthRoleDeleteResponse { header })
}

/// `RoleGrantPermission`.
pub async fn role_grant_permission(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthRoleGrantPermissionRequest,
) -> Result<pb::AuthRoleGrantPermissionResponse, Refusal> {
    services.check_size(request.encoded_len())?;
    let permission = request.perm.map(convert::permission).transpose()?;
    let grant = AuthChange::RoleGrant { role: request.name, permission };
    let header = change(services, caller, grant).await?;
    Ok(pb::AuthRoleGrantPermissionResponse { header })
}

/// `RoleRevokePermission`.
pub async fn role_revoke_permission(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::AuthRoleRevokePermissionRequest,
) -> Result<pb::AuthRoleRevokePermissionResponse, Refusal> {
    let range = KeyRange::from_wire(request.key, request.range_end);
    let header = change(services, caller, AuthChange::RoleRevoke { role: request.role, range }).await?;
    Ok(pb::AuthRoleRevokePermissionResponse { header })
}

/// Makes a change; the header has the store's revision after it.
async fn change(
    services: &Services,
    caller: Caller,
    change: AuthChange,
) -> Result<Option<pb::ResponseHeader>, Refusal> {
    match services.propose(caller, Command::Auth(change)).await? {
        Reply::Done { revision } => Ok(Some(services.header_at(revision))),
        other => Err(convert::unexpected(&other)),
    }
}

/// The users of the present state, if the caller may know what it asks for.
async fn read(services: &Services, caller: &Caller, need: Need<'_>) -> Result<Arc<Users>, Refusal> {
    services.reads.read_index().await?;
    let users = services.store.users();
    users.check(caller, need)?;
    Ok(users)
}
