//! The authentication service while authentication cannot be turned on yet: it answers what etcd answers while it is
//! off, and says clearly what is not there.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::auth_server::Auth;
use crate::api::services::Services;
use crate::model::Refusal;

/// See the module.
pub struct AuthService {
    services: Arc<Services>,
}

impl AuthService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

fn not_yet<T>() -> Result<T, Status> {
    Err(Refusal::NotSupported("kvd does not support users and roles yet".into()).into())
}

macro_rules! not_yet {
    ($($method:ident: $request:ident -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl Auth for AuthService {
            async fn auth_status(
                &self,
                _request: Request<pb::AuthStatusRequest>,
            ) -> Result<Response<pb::AuthStatusResponse>, Status> {
                let header = Some(self.services.header());
                // etcd's revision of authentication begins at one.
                Ok(Response::new(pb::AuthStatusResponse { header, enabled: false, auth_revision: 1 }))
            }

            async fn authenticate(
                &self,
                _request: Request<pb::AuthenticateRequest>,
            ) -> Result<Response<pb::AuthenticateResponse>, Status> {
                self.services.read_index().await?;
                Err(Refusal::AuthNotEnabled.into())
            }

            async fn auth_disable(
                &self,
                _request: Request<pb::AuthDisableRequest>,
            ) -> Result<Response<pb::AuthDisableResponse>, Status> {
                Ok(Response::new(pb::AuthDisableResponse { header: Some(self.services.header()) }))
            }

            $(
                async fn $method(
                    &self,
                    _request: Request<pb::$request>,
                ) -> Result<Response<pb::$response>, Status> {
                    not_yet()
                }
            )*
        }
    };
}

not_yet! {
    auth_enable: AuthEnableRequest -> AuthEnableResponse;
    user_add: AuthUserAddRequest -> AuthUserAddResponse;
    user_get: AuthUserGetRequest -> AuthUserGetResponse;
    user_list: AuthUserListRequest -> AuthUserListResponse;
    user_delete: AuthUserDeleteRequest -> AuthUserDeleteResponse;
    user_change_password: AuthUserChangePasswordRequest -> AuthUserChangePasswordResponse;
    user_grant_role: AuthUserGrantRoleRequest -> AuthUserGrantRoleResponse;
    user_revoke_role: AuthUserRevokeRoleRequest -> AuthUserRevokeRoleResponse;
    role_add: AuthRoleAddRequest -> AuthRoleAddResponse;
    role_get: AuthRoleGetRequest -> AuthRoleGetResponse;
    role_list: AuthRoleListRequest -> AuthRoleListResponse;
    role_delete: AuthRoleDeleteRequest -> AuthRoleDeleteResponse;
    role_grant_permission: AuthRoleGrantPermissionRequest -> AuthRoleGrantPermissionResponse;
    role_revoke_permission: AuthRoleRevokePermissionRequest -> AuthRoleRevokePermissionResponse;
}
