//! Users: the administrator, the one whose name the load has, and a guest who may and may not by turns.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kvd::api::proto::authpb::permission::Type;
use kvd::api::proto::authpb::{Permission, UserAddOptions};
use kvd::api::proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthRoleRevokePermissionRequest,
    AuthUserAddRequest, AuthUserGrantRoleRequest, AuthenticateRequest, PutRequest,
};
use parking_lot::Mutex;
use tonic::{Code, Request, Status};

use super::super::api::Api;
use super::super::dice::Dice;
use super::clients::{PATIENT, Record};

pub const ROOT: &str = "root";
pub const LOAD: &str = "load";
const GUEST: &str = "guest";
const PASSWORD: &str = "a-password-of-tests";
/// The guest's key.
const ROOM: &str = "guest/room";

/// A user, with the token of the last login.
pub struct Pass {
    user: &'static str,
    token: Mutex<Option<String>>,
}

impl Pass {
    pub fn of(user: &'static str) -> Pass {
        Pass { user, token: Mutex::new(None) }
    }

    /// A request of this user.
    pub fn on<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &*self.token.lock() {
            request.metadata_mut().insert("token", token.parse().expect("a token is ASCII"));
        }
        request
    }

    /// The token for a request that is not gRPC.
    pub fn token(&self) -> String {
        self.token.lock().clone().unwrap_or_default()
    }

    pub async fn log_in(&self, api: &Api) -> Result<(), Status> {
        let request = AuthenticateRequest { name: self.user.into(), password: PASSWORD.into() };
        let token = api.auth.clone().authenticate(request).await?.into_inner().token;
        *self.token.lock() = Some(token);
        Ok(())
    }

    /// Makes a call, after a login if it is refused without one: then nothing was done.
    pub async fn ask<T>(&self, api: &Api, call: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
        match call().await {
            Err(status) if needs_a_login(&status) => {
                self.log_in(api).await?;
                call().await
            }
            answer => answer,
        }
    }
}

fn needs_a_login(status: &Status) -> bool {
    status.code() == Code::Unauthenticated || status.message().contains("user name is empty")
}

fn permission(key: &str, range_end: &str) -> Permission {
    let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
    Permission { perm_type: Type::Readwrite.into(), key, range_end }
}

/// Makes the users and enables authentication.
pub async fn enable(api: &Api) -> Result<(), Status> {
    let mut auth = api.auth.clone();
    for user in [ROOT, LOAD, GUEST] {
        let options = Some(UserAddOptions { no_password: false });
        let add = AuthUserAddRequest {
            name: user.into(),
            password: PASSWORD.into(),
            options,
            ..Default::default()
        };
        auth.user_add(add).await?;
        auth.role_add(AuthRoleAddRequest { name: user.into() }).await?;
        auth.user_grant_role(AuthUserGrantRoleRequest { user: user.into(), role: user.into() }).await?;
    }
    for (key, end) in [("k/", "k0"), ("lock/", "lock0"), ("short/", "short0")] {
        let perm = Some(permission(key, end));
        auth.role_grant_permission(AuthRoleGrantPermissionRequest { name: LOAD.into(), perm }).await?;
    }
    auth.auth_enable(AuthEnableRequest {}).await.map(drop)
}

/// Gives the guest a permission and takes it away. Once a change is acknowledged it holds at every member.
pub async fn change_permissions(urls: Vec<String>, record: Arc<Record>, mut dice: Dice) {
    let passes: Vec<[Pass; 2]> = urls.iter().map(|_| [Pass::of(ROOT), Pass::of(GUEST)]).collect();
    let mut granted = false;
    while !record.stop.load(Ordering::SeqCst) {
        let of = dice.below(urls.len());
        let api = Api::lazy(&urls[of]);
        let changed = tokio::time::timeout(PATIENT, change(&api, &passes[of][0], !granted)).await;
        if let Ok(Ok(())) = changed {
            granted = !granted;
            for _ in 0..3 {
                let of = dice.below(urls.len());
                let api = Api::lazy(&urls[of]);
                let used = tokio::time::timeout(PATIENT, enter(&api, &passes[of][1])).await;
                let wrong = match &used {
                    Ok(Ok(())) => !granted,
                    Ok(Err(status)) => granted && status.code() == Code::PermissionDenied,
                    Err(_) => false,
                };
                if wrong {
                    record.wrong(format!(
                        "a put of the guest at {}, whose permission is {granted}: {used:?}",
                        urls[of]
                    ));
                }
            }
            record.permissions.fetch_add(1, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A change whose outcome is unknown is repeated: that it is done already is an error then, and as good.
async fn change(api: &Api, root: &Pass, grant: bool) -> Result<(), Status> {
    let (name, mut auth) = (GUEST.to_owned(), api.auth.clone());
    if grant {
        let request = AuthRoleGrantPermissionRequest { name, perm: Some(permission(ROOM, "")) };
        return root
            .ask(api, async || auth.clone().role_grant_permission(root.on(request.clone())).await)
            .await
            .map(drop);
    }
    let request = AuthRoleRevokePermissionRequest { role: name, key: ROOM.into(), range_end: "".into() };
    root.log_in(api).await?;
    match auth.role_revoke_permission(root.on(request)).await {
        Err(status) if !status.message().contains("permission is not granted") => Err(status),
        _ => Ok(()),
    }
}

async fn enter(api: &Api, guest: &Pass) -> Result<(), Status> {
    let put = PutRequest { key: ROOM.into(), value: "x".into(), ..Default::default() };
    guest.ask(api, async || api.kv.clone().put(guest.on(put.clone())).await.map(drop)).await
}
