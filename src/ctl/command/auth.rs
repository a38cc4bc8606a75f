//! `kvctl auth`, `kvctl user` and `kvctl role`. They wait as long as the server does, as etcdctl's do.

use tonic::Status;

use crate::api::proto::authpb::{Permission, UserAddOptions};
use crate::api::proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest, AuthStatusRequest,
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
};
use crate::client::text;
use crate::ctl::arguments::{Auth, Keys, Role, User};
use crate::ctl::client::Client;
use crate::ctl::failure::Failure;
use crate::ctl::keys::ZERO;
use crate::ctl::output::{print, print_bytes};
use crate::ctl::print::{Style, auth};
use crate::ctl::secret::{NewPassword, Secret};
use crate::ctl::target::Target;

/// The role that may do everything, and the user who must have it.
const ROOT: &str = "root";
const ROOT_HAS_NO_ROLE: &str = "etcdserver: root user does not have root role";

fn failed(status: Status) -> Failure {
    Failure::error(text(&status))
}

/// `kvctl auth`.
pub(in crate::ctl) async fn run(target: &Target, style: Style, asked: Auth) -> Result<(), Failure> {
    let mut client = Client::open(target).await?;
    match asked {
        Auth::Enable => {
            let enabled = tokio::time::timeout(target.command_timeout, enable(&mut client)).await;
            enabled.map_err(|_| Failure::error(crate::client::DEADLINE))?.map_err(failed)?;
            print("Authentication Enabled\n");
        }
        Auth::Disable => {
            client.ask(async |to| to.auth.auth_disable(AuthDisableRequest {}).await).await.map_err(failed)?;
            print("Authentication Disabled\n");
        }
        Auth::Status => {
            let status = client.ask(async |to| to.auth.auth_status(AuthStatusRequest {}).await).await;
            print_bytes(&auth::status(&status.map_err(failed)?, style)?);
        }
    }
    Ok(())
}

/// Gives the role root to the user root if that is all that is missing.
async fn enable(client: &mut Client<'_>) -> Result<(), Status> {
    loop {
        match client.ask_forever(async |to| to.auth.auth_enable(AuthEnableRequest {}).await).await {
            Ok(_) => return Ok(()),
            Err(status) if status.message() == ROOT_HAS_NO_ROLE => {
                let role = AuthRoleAddRequest { name: ROOT.to_string() };
                client.ask_forever(async |to| to.auth.role_add(role.clone()).await).await?;
                let grant = AuthUserGrantRoleRequest { user: ROOT.to_string(), role: ROOT.to_string() };
                client.ask_forever(async |to| to.auth.user_grant_role(grant.clone()).await).await?;
            }
            Err(status) => return Err(status),
        }
    }
}

/// Asks for the password that a command needs, before anything is connected.
pub(in crate::ctl) async fn with_password(asked: User) -> Result<User, Failure> {
    Ok(match asked {
        User::Add { name, password: Some(password) } => {
            let password = Some(NewPassword::Known(password.read(&name).await?));
            User::Add { name, password }
        }
        User::Passwd { name, password } => {
            let password = NewPassword::Known(password.read(&name).await?);
            User::Passwd { name, password }
        }
        other => other,
    })
}

/// The password that [`with_password`] has read.
async fn known(password: NewPassword, user: &str) -> Result<Secret, Failure> {
    password.read(user).await
}

/// `kvctl user`.
pub(in crate::ctl) async fn user(target: &Target, style: Style, asked: User) -> Result<(), Failure> {
    let mut client = Client::open(target).await?;
    let shown = match asked {
        User::Add { name, password } => {
            let options = Some(UserAddOptions { no_password: password.is_none() });
            let password = match password {
                Some(password) => known(password, &name).await?,
                None => Secret::default(),
            };
            let request = || AuthUserAddRequest {
                name: name.clone(),
                password: password.reveal().to_string(),
                options,
                ..Default::default()
            };
            let answer =
                client.ask_forever(async |to| to.auth.user_add(request()).await).await.map_err(failed)?;
            auth::changed(format!("User {name} created\n").into(), answer.header.as_ref(), &answer, style)
        }
        User::Delete(name) => {
            let request = AuthUserDeleteRequest { name: name.clone() };
            let answer = client.ask_forever(async |to| to.auth.user_delete(request.clone()).await).await;
            let answer = answer.map_err(failed)?;
            auth::changed(format!("User {name} deleted\n").into(), answer.header.as_ref(), &answer, style)
        }
        User::Get { name, detail } => return one_user(&mut client, style, &name, detail).await,
        User::List => {
            let answer = client.ask_forever(async |to| to.auth.user_list(AuthUserListRequest {}).await).await;
            let answer = answer.map_err(failed)?;
            auth::names("users", &answer.users, answer.header.as_ref(), &answer, style)
        }
        User::Passwd { name, password } => {
            let password = known(password, &name).await?;
            let request = || AuthUserChangePasswordRequest {
                name: name.clone(),
                password: password.reveal().to_string(),
                ..Default::default()
            };
            let answer = client.ask_forever(async |to| to.auth.user_change_password(request()).await).await;
            let answer = answer.map_err(failed)?;
            auth::changed(b"Password updated\n".into(), answer.header.as_ref(), &answer, style)
        }
        User::GrantRole { user, role } => {
            let words = format!("Role {role} is granted to user {user}\n");
            let request = AuthUserGrantRoleRequest { user, role };
            let answer = client.ask_forever(async |to| to.auth.user_grant_role(request.clone()).await).await;
            let answer = answer.map_err(failed)?;
            auth::changed(words.into(), answer.header.as_ref(), &answer, style)
        }
        User::RevokeRole { user, role } => {
            let words = format!("Role {role} is revoked from user {user}\n");
            let request = AuthUserRevokeRoleRequest { name: user, role };
            let answer = client.ask_forever(async |to| to.auth.user_revoke_role(request.clone()).await).await;
            let answer = answer.map_err(failed)?;
            auth::changed(words.into(), answer.header.as_ref(), &answer, style)
        }
    };
    print_bytes(&shown?);
    Ok(())
}

/// The roles of a user; with `detail` their permissions, too, in the format that was asked for.
async fn one_user(client: &mut Client<'_>, style: Style, name: &str, detail: bool) -> Result<(), Failure> {
    let request = AuthUserGetRequest { name: name.to_string() };
    let answer =
        client.ask_forever(async |to| to.auth.user_get(request.clone()).await).await.map_err(failed)?;
    if !detail {
        print_bytes(&auth::user(name, &answer, style)?);
        return Ok(());
    }
    print(&format!("User: {name}\n"));
    for role in &answer.roles {
        print("\n");
        let request = AuthRoleGetRequest { role: role.clone() };
        let answer = client.ask_forever(async |to| to.auth.role_get(request.clone()).await).await;
        print_bytes(&auth::role(role, &answer.map_err(failed)?, style)?);
    }
    Ok(())
}

/// `kvctl role`.
pub(in crate::ctl) async fn role(target: &Target, style: Style, asked: Role) -> Result<(), Failure> {
    let mut client = Client::open(target).await?;
    let shown = match asked {
        Role::Add(name) => {
            let request = AuthRoleAddRequest { name: name.clone() };
            let answer = client.ask_forever(async |to| to.auth.role_add(request.clone()).await).await;
            let answer = answer.map_err(failed)?;
            auth::changed(format!("Role {name} created\n").into(), answer.header.as_ref(), &answer, style)
        }
        Role::Delete(role) => {
            let request = AuthRoleDeleteRequest { role: role.clone() };
            let answer = client.ask_forever(async |to| to.auth.role_delete(request.clone()).await).await;
            let answer = answer.map_err(failed)?;
            auth::changed(format!("Role {role} deleted\n").into(), answer.header.as_ref(), &answer, style)
        }
        Role::Get(role) => {
            let request = AuthRoleGetRequest { role: role.clone() };
            let answer = client.ask_forever(async |to| to.auth.role_get(request.clone()).await).await;
            auth::role(&role, &answer.map_err(failed)?, style)
        }
        Role::List => {
            let answer = client.ask_forever(async |to| to.auth.role_list(AuthRoleListRequest {}).await).await;
            let answer = answer.map_err(failed)?;
            auth::names("roles", &answer.roles, answer.header.as_ref(), &answer, style)
        }
        Role::Grant { role, permission, range } => {
            let perm = Permission {
                perm_type: permission.into(),
                key: range.key.into(),
                range_end: range.end.into(),
            };
            let request = AuthRoleGrantPermissionRequest { name: role.clone(), perm: Some(perm) };
            let answer =
                client.ask_forever(async |to| to.auth.role_grant_permission(request.clone()).await).await;
            let answer = answer.map_err(failed)?;
            auth::changed(format!("Role {role} updated\n").into(), answer.header.as_ref(), &answer, style)
        }
        Role::Revoke { role, range } => {
            let words = revoked(&role, &range);
            let Keys { key, end, .. } = range;
            let request = AuthRoleRevokePermissionRequest { role, key: key.into(), range_end: end.into() };
            let answer =
                client.ask_forever(async |to| to.auth.role_revoke_permission(request.clone()).await).await;
            let answer = answer.map_err(failed)?;
            auth::changed(words, answer.header.as_ref(), &answer, style)
        }
    };
    print_bytes(&shown?);
    Ok(())
}

/// What `role revoke-permission` says, with the key as it was given.
fn revoked(role: &str, range: &Keys) -> Vec<u8> {
    let (key, end) = (range.named.as_slice(), range.end.as_slice());
    let keys: [&[u8]; 5] = match end {
        [] => [b"key ", key, b"", b"", b""],
        ZERO => [b"range [", key, b", <open ended>", b"", b""],
        end => [b"range [", key, b", ", end, b")"],
    };
    let mut words = b"Permission of ".to_vec();
    keys.into_iter().for_each(|part| words.extend_from_slice(part));
    words.extend_from_slice(format!(" is revoked from role {role}\n").as_bytes());
    words
}
