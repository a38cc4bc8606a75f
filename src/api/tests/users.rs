//! Users from outside: they log in, and the gate knows who calls.

use tonic::{Response, Status};

use super::*;

type Outcome<T> = Result<Response<T>, Status>;

fn text<T>(outcome: Outcome<T>) -> String {
    match outcome {
        Ok(_) => "ok".to_string(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

const EMPTY: &str = "InvalidArgument: etcdserver: user name is empty";
const INVALID: &str = "Unauthenticated: etcdserver: invalid auth token";
const FAILED: &str = "InvalidArgument: etcdserver: authentication failed, invalid user ID or password";
const DENIED: &str = "PermissionDenied: etcdserver: permission denied";

/// A server with the users root and ann, whose passwords are their names with a `!`, and ann's role "r".
pub(super) struct Users {
    pub served: Served,
    auth: AuthClient<Channel>,
}

impl Users {
    pub async fn start() -> Self {
        let served = Served::start().await;
        let mut auth = AuthClient::new(served.channel().await);
        for name in ["root", "ann"] {
            let (name, password) = (name.to_string(), format!("{name}!"));
            let add = pb::AuthUserAddRequest { name, password, ..Default::default() };
            auth.user_add(add).await.unwrap();
        }
        auth.role_add(pb::AuthRoleAddRequest { name: "r".into() }).await.unwrap();
        for (user, role) in [("root", "root"), ("ann", "r")] {
            let grant = pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
            auth.user_grant_role(grant).await.unwrap();
        }
        auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
        Self { served, auth }
    }

    pub async fn log_in(&mut self, name: &str, password: &str) -> Result<String, String> {
        let request = pb::AuthenticateRequest { name: name.into(), password: password.into() };
        match self.auth.authenticate(request).await {
            Ok(answer) => Ok(answer.into_inner().token),
            Err(status) => Err(text::<()>(Err(status))),
        }
    }

    /// The outcome of `UserGet` with this metadata.
    async fn get(&mut self, user: &str, metadata: &[(&'static str, &str)]) -> String {
        let request = pb::AuthUserGetRequest { name: user.into() };
        text(self.auth.user_get(with(request, metadata)).await)
    }

    async fn list(&mut self, metadata: &[(&'static str, &str)]) -> String {
        text(self.auth.user_list(with(pb::AuthUserListRequest {}, metadata)).await)
    }

    async fn status(&mut self, metadata: &[(&'static str, &str)]) -> String {
        text(self.auth.auth_status(with(pb::AuthStatusRequest {}, metadata)).await)
    }
}

fn with<T>(message: T, metadata: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (key, value) in metadata {
        request.metadata_mut().insert(*key, value.parse().unwrap());
    }
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_logs_in_gets_a_token_that_counts_in_every_form() {
    let mut users = Users::start().await;
    assert_eq!(users.log_in("ann", "root!").await, Err(FAILED.into()));
    assert_eq!(users.log_in("nobody", "ann!").await, Err(FAILED.into()));
    let ann = users.log_in("ann", "ann!").await.unwrap();
    let root = users.log_in("root", "root!").await.unwrap();
    assert_ne!(ann, users.log_in("ann", "ann!").await.unwrap());
    let bearer = format!("Bearer {ann}");
    for metadata in [("token", &ann), ("authorization", &ann), ("authorization", &bearer), ("token", &bearer)]
    {
        assert_eq!(users.get("ann", &[(metadata.0, metadata.1)]).await, "ok", "{metadata:?}");
        assert_eq!(users.get("root", &[(metadata.0, metadata.1)]).await, DENIED);
        assert_eq!(users.list(&[(metadata.0, metadata.1)]).await, DENIED);
    }
    assert_eq!(users.list(&[("token", &root)]).await, "ok");
    assert_eq!(
        users.list(&[("token", &root), ("authorization", &ann)]).await,
        "ok",
        "as in etcd token is first"
    );
    assert_eq!(users.list(&[("token", &ann), ("authorization", &root)]).await, DENIED);
    assert_eq!(users.list(&[]).await, EMPTY);
    assert_eq!(users.get("ann", &[]).await, EMPTY);
    for bad in ["", "x", "Bearer ", "abcdefghijklmnop.1", "a.b.c"] {
        assert_eq!(users.list(&[("token", bad)]).await, INVALID, "{bad}");
        assert_eq!(users.status(&[("token", bad)]).await, INVALID, "{bad}");
    }
    // An index that nobody has is not waited for longer than the leader needs to say so.
    let ahead = format!("{}.18446744073709551615", ann.split('.').next().unwrap());
    assert_eq!(users.list(&[("token", &ahead)]).await, INVALID);
    assert_eq!(users.status(&[]).await, "ok");
    let request = pb::AuthenticateRequest { name: "ann".into(), password: "ann!".into() };
    assert_eq!(text(users.auth.authenticate(with(request, &[("token", "x")])).await), "ok");
    let mut health = HealthClient::new(users.served.channel().await);
    let check = with(HealthCheckRequest { service: String::new() }, &[("token", "x")]);
    assert_eq!(text(health.check(check).await), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_with_what_they_were_given_for() {
    let mut users = Users::start().await;
    let ann = users.log_in("ann", "ann!").await.unwrap();
    let root = users.log_in("root", "root!").await.unwrap();
    let by_root = [("token", root.as_str())];
    let by_ann = [("token", ann.as_str())];
    let password = |hashed: &str, plain: &str| pb::AuthUserChangePasswordRequest {
        name: "ann".into(),
        password: plain.into(),
        hashed_password: hashed.into(),
    };
    let changed = users.auth.user_change_password(with(password("", "new"), &by_ann)).await;
    assert_eq!(text(changed), DENIED);
    let long = users.auth.user_change_password(with(password("", &"x".repeat(73)), &by_root)).await;
    assert_eq!(text(long), "Unknown: bcrypt: password length exceeds 72 bytes");
    assert_eq!(users.get("ann", &by_ann).await, "ok");
    users.auth.user_change_password(with(password("", "new"), &by_root)).await.unwrap();
    assert_eq!(users.get("ann", &by_ann).await, INVALID);
    assert_eq!(users.log_in("ann", "ann!").await, Err(FAILED.into()));
    let ann = users.log_in("ann", "new").await.unwrap();
    // The hash of "secret" by Go's bcrypt.
    let hash = "JDJhJDA0JC9iYVBqNlNZQ3pGZTdZbXRqWnBmcWVqaGxHTFVhcWhmUlJQeWI1Um1WS2tONnptbHJvRjky";
    // The same with a cost of 31, which takes days to compare with a password.
    let costly = users.auth.user_change_password(with(password(&hash.replace("JDA0", "JDMx"), ""), &by_root));
    assert_eq!(text(costly.await), "InvalidArgument: etcdserver: the cost of the password hash is above 16");
    assert_eq!(users.get("ann", &[("token", &ann)]).await, "ok", "nothing has changed");
    users.auth.user_change_password(with(password(hash, ""), &by_root)).await.unwrap();
    assert_eq!(users.get("ann", &[("token", &ann)]).await, INVALID);
    let ann = users.log_in("ann", "secret").await.unwrap();
    let broken = users.auth.user_change_password(with(password("&", ""), &by_root)).await;
    let no_password = "Unknown: auth: authentication failed, password was given for no password user";
    assert_eq!(text(broken), no_password);
    assert_eq!(users.get("ann", &[("token", &ann)]).await, "ok");

    let options = Some(crate::api::proto::authpb::UserAddOptions { no_password: true });
    let add = pb::AuthUserAddRequest { name: "cert".into(), options, ..Default::default() };
    users.auth.user_add(with(add, &by_root)).await.unwrap();
    assert_eq!(users.log_in("cert", "").await, Err(no_password.into()));
    let broken = pb::AuthUserChangePasswordRequest { name: "cert".into(), ..password("&", "") };
    assert_eq!(text(users.auth.user_change_password(with(broken, &by_root)).await), "ok", "as in etcd");

    users.auth.auth_disable(with(pb::AuthDisableRequest {}, &by_root)).await.unwrap();
    assert_eq!(users.list(&[]).await, "ok");
    assert_eq!(users.list(&[("token", "x")]).await, "ok", "credentials are ignored");
    let refused = users.log_in("ann", "secret").await;
    assert_eq!(refused, Err("FailedPrecondition: etcdserver: authentication is not enabled".into()));
    users.auth.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
    assert_eq!(users.list(&by_root).await, INVALID);
    assert!(users.log_in("root", "root!").await.is_ok());
}

/// A permission goes out as it came in, in each of its forms.
#[tokio::test(flavor = "multi_thread")]
async fn permissions_keep_their_form() {
    use crate::api::proto::authpb::Permission;
    let mut users = Users::start().await;
    let root = users.log_in("root", "root!").await.unwrap();
    let by_root = [("token", root.as_str())];
    let forms: [(i32, &'static [u8], &'static [u8]); 4] =
        [(0, b"a", b""), (1, b"b", b"c"), (2, b"d", b"\0"), (0, b"\0", b"\0")];
    for (perm_type, key, range_end) in forms {
        let perm = Permission { perm_type, key: key.into(), range_end: range_end.into() };
        let grant = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(perm) };
        users.auth.role_grant_permission(with(grant, &by_root)).await.unwrap();
    }
    let get = pb::AuthRoleGetRequest { role: "r".into() };
    let shown = users.auth.role_get(with(get.clone(), &by_root)).await.unwrap().into_inner().perm;
    let mut shown: Vec<_> =
        shown.iter().map(|perm| (perm.perm_type, &perm.key[..], &perm.range_end[..])).collect();
    shown.sort_by_key(|(_, key, _)| *key != b"\0");
    let mut expected = forms.map(|(kind, key, end)| (kind, key, end)).to_vec();
    expected.rotate_right(1);
    assert_eq!(shown, expected);
    for (perm, words) in [
        (None, "InvalidArgument: etcdserver: permission not given"),
        (
            Some(Permission { perm_type: 7, key: "k".into(), ..Default::default() }),
            "InvalidArgument: etcdserver: invalid auth management",
        ),
        (Some(Permission::default()), "InvalidArgument: etcdserver: invalid auth management"),
    ] {
        let grant = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm };
        assert_eq!(text(users.auth.role_grant_permission(with(grant, &by_root)).await), words);
    }
    let ann = users.log_in("ann", "ann!").await.unwrap();
    let by_ann = [("token", ann.as_str())];
    assert_eq!(text(users.auth.role_get(with(get, &by_ann)).await), "ok", "a role of one's own");
    let other = pb::AuthRoleGetRequest { role: "other".into() };
    assert_eq!(text(users.auth.role_get(with(other, &by_ann)).await), DENIED);
    let revoke =
        pb::AuthRoleRevokePermissionRequest { role: "r".into(), key: "d".into(), range_end: "\0".into() };
    users.auth.role_revoke_permission(with(revoke.clone(), &by_root)).await.unwrap();
    let again = users.auth.role_revoke_permission(with(revoke, &by_root)).await;
    assert_eq!(text(again), "FailedPrecondition: etcdserver: permission is not granted to the role");
}

/// Whatever is printed of a message has no password and no token.
#[test]
fn messages_print_no_secrets() {
    let name = String::from("ann");
    let secret = || String::from("hunter2");
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        pb::AuthenticateRequest { name: name.clone(), password: secret() },
        pb::AuthenticateResponse { header: None, token: secret() },
        pb::AuthUserAddRequest {
            name: name.clone(),
            password: secret(),
            hashed_password: secret(),
            options: None
        },
        pb::AuthUserChangePasswordRequest { name, password: secret(), hashed_password: secret() },
        crate::api::proto::authpb::User { password: secret().into(), ..Default::default() },
    );
    assert!(!shown.contains("hunter") && shown.contains("ann"), "{shown}");
}

/// The gate is passed once a message is there: whoever sends the headers only must not keep what is then taken away.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_held_back_keeps_no_right() {
    const STARTED: &str = "grpc_server_started_total{grpc_method=\"UserList\",grpc_service=\"etcdserverpb.Auth\",grpc_type=\"unary\"} 1\n";
    for is_compressed in [false, true] {
        let mut users = Users::start().await;
        let token = users.log_in("root", "root!").await.unwrap();
        let (give, held) = tokio::sync::oneshot::channel::<()>();
        let messages = futures_util::stream::once(async move {
            held.await.unwrap();
            pb::AuthUserListRequest {}
        });
        let request = with(messages, &[("token", &token)]);
        let mut client = tonic::client::Grpc::new(users.served.channel().await);
        if is_compressed {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let call = tokio::spawn(async move {
            client.ready().await.unwrap();
            let path = "/etcdserverpb.Auth/UserList".parse().unwrap();
            let codec =
                tonic_prost::ProstCodec::<pb::AuthUserListRequest, pb::AuthUserListResponse>::default();
            client.client_streaming(request, path, codec).await
        });
        while !users.served.get("/metrics").await.contains(STARTED) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let change = pb::AuthUserChangePasswordRequest {
            name: "root".into(),
            password: "another".into(),
            ..Default::default()
        };
        users.auth.user_change_password(with(change, &[("token", &token)])).await.unwrap();
        give.send(()).unwrap();
        assert_eq!(text(call.await.unwrap()), INVALID, "compressed: {is_compressed}");
    }
}
