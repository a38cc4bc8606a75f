//! Users' tokens: where they count, for how long, and whose are accepted; certificates that name users.

use super::authority::Authority;
use crate::harness::{Api, PATIENCE, PATIENT, Program, Server, Setup, Three, reference, subject, tool};
use kvd::api::proto::etcdserverpb::{
    AuthEnableRequest, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserGrantRoleRequest,
    AuthUserListRequest, AuthenticateRequest, RangeRequest,
};
use rcgen::ExtendedKeyUsagePurpose;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};

pub const PASSWORD: &str = "a-planted-password";

/// Adds the user root, whose password is [`PASSWORD`], and enables authentication.
pub async fn enable(api: &Api) {
    let mut auth = api.auth.clone();
    let (name, password) = ("root".to_string(), PASSWORD.to_string());
    auth.user_add(AuthUserAddRequest { name, password, ..Default::default() }).await.expect("a user");
    let grant = AuthUserGrantRoleRequest { user: "root".into(), role: "root".into() };
    auth.user_grant_role(grant).await.expect("a grant");
    auth.auth_enable(AuthEnableRequest {}).await.expect("authentication");
}

pub async fn log_in(api: &Api, password: &str) -> Result<String, Status> {
    let request = AuthenticateRequest { name: "root".into(), password: password.into() };
    api.auth.clone().authenticate(request).await.map(|answer| answer.into_inner().token)
}

pub fn with<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("token", token.parse().expect("a token is ASCII"));
    request
}

/// Reads a key and lists users with this token.
async fn used(api: &Api, token: &str) -> Result<(), Status> {
    let get = RangeRequest { key: "k".into(), ..Default::default() };
    api.kv.clone().range(with(get, token)).await?;
    api.auth.clone().user_list(with(AuthUserListRequest {}, token)).await?;
    Ok(())
}

/// Waits until the token counts, on a member that is starting or has lost its leader.
async fn counts(member: &Server, token: &str) {
    let begun = Instant::now();
    loop {
        match used(&member.api(), token).await {
            Ok(()) => return,
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status}");
                assert!(begun.elapsed() < PATIENCE, "{status}");
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_count_on_every_member_over_a_change_of_the_leader_and_restarts() {
    let mut three = Three::start_with(|_, member| member.add_args(&["--bcrypt-cost=4"])).await;
    let leader = three.leader().await;
    enable(&three.0[0].api()).await;
    let token = log_in(&three.0[0].api(), PASSWORD).await.expect("a token");
    for member in &three.0 {
        used(&member.api(), &token).await.expect("it counts at once");
    }
    let mut logs = three.0[leader].log();
    three.0[leader].kill();
    for (number, member) in three.0.iter().enumerate() {
        if number != leader {
            counts(member, &token).await;
        }
    }
    three.0[leader].spawn();
    for member in &three.0 {
        counts(member, &token).await;
    }
    for member in &mut three.0 {
        logs += &member.log();
        member.kill();
        member.spawn();
    }
    for member in &three.0 {
        counts(member, &token).await;
    }
    let (name, password) = ("root".to_string(), "another-planted-password".to_string());
    let change = AuthUserChangePasswordRequest { name, password: password.clone(), ..Default::default() };
    three.0[0].api().auth.user_change_password(with(change, &token)).await.expect("a password");
    for member in &three.0 {
        let refused = used(&member.api(), &token).await.expect_err("its password was changed");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::Unauthenticated, "etcdserver: invalid auth token")
        );
    }
    log_in(&three.0[1].api(), PASSWORD).await.expect_err("the old password");
    let new = log_in(&three.0[1].api(), &password).await.expect("the new password");
    counts(&three.0[2], &new).await;
    logs.extend(three.0.iter().map(Server::log));
    for secret in [PASSWORD, &password, &token, &new, token.split('.').next().unwrap_or_default()] {
        assert!(!logs.contains(secret), "{secret} is in a log");
    }
}

/// A server whose tokens are JSON web tokens of that method.
async fn with_keys(program: &Program, method: &str, files: &[(&str, &str)]) -> Server {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/auth");
    let files: String =
        files.iter().map(|(option, name)| format!(",{option}={}", keys.join(name).display())).collect();
    let token = format!("--auth-token=jwt,sign-method={method}{files}");
    let server = Setup::of(program).arg("--bcrypt-cost=4").arg(token).start().await;
    enable(&server.api()).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kvd_and_etcd_accept_each_others_json_web_tokens() {
    let Some(etcd) = reference("kvd_and_etcd_accept_each_others_json_web_tokens") else { return };
    for (method, private, public) in [
        ("RS256", "rsa.pem", "rsa.pub.pem"),
        ("PS384", "rsa.pem", "rsa.pub.pem"),
        ("ES256", "p256.pem", "p256.pub.pem"),
        ("ES512", "p521.pem", "p521.pub.pem"),
        ("EdDSA", "ed25519.pem", "ed25519.pub.pem"),
        ("HS512", "secret", ""),
    ] {
        let both = [("priv-key", private), ("pub-key", public)];
        let files = &both[..if public.is_empty() { 1 } else { 2 }];
        let subject = subject();
        let (ours, theirs) =
            tokio::join!(with_keys(&subject, method, files), with_keys(&etcd, method, files));
        let (one, other) = (ours.api(), theirs.api());
        let (ours, theirs) = (log_in(&one, PASSWORD).await, log_in(&other, PASSWORD).await);
        let (ours, theirs) = (ours.expect("a token"), theirs.expect("a token"));
        for token in [&ours, &theirs] {
            for (name, api) in [("kvd", &one), ("etcd", &other)] {
                used(api, token).await.unwrap_or_else(|status| panic!("{method} at {name}: {status}"));
            }
        }
    }
}

/// A member with the public key only verifies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_the_private_key_issues_no_tokens() {
    let test = "a_member_without_the_private_key_issues_no_tokens";
    let signer = with_keys(&subject(), "ES256", &[("priv-key", "p256.pem")]).await;
    let token = log_in(&signer.api(), PASSWORD).await.expect("a token");
    for program in [Some(subject()), reference(test)].into_iter().flatten() {
        let server = with_keys(&program, "ES256", &[("pub-key", "p256.pub.pem")]).await;
        let refused = log_in(&server.api(), PASSWORD).await.expect_err("there is no key");
        let text = "auth: token signing attempted with verify-only key";
        assert_eq!((refused.code(), refused.message()), (Code::Unknown, text), "{program}");
        used(&server.api(), &token).await.unwrap_or_else(|status| panic!("{program}: {status}"));
    }
}

/// What etcdctl prints with these arguments, one paragraph for each.
async fn printed(client: &Path, server: &Server, rows: &[&[&str]]) -> String {
    let mut all = String::new();
    for row in rows {
        let mut command = tokio::process::Command::new(client);
        command.current_dir(server.dir()).env("ETCDCTL_ENDPOINTS", server.url().replace("http:", "https:"));
        command.envs(PATIENT).args(["--cacert=ca.crt", "--cert=client.crt", "--key=client.key"]).args(*row);
        let output = command.kill_on_drop(true).output().await.expect("etcdctl runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let errors: Vec<&str> = errors.lines().filter(|line| !line.starts_with('{')).collect();
        all += &format!("{row:?}\n{said}{}\n", errors.join("\n"));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_name_users_as_with_etcd() {
    let test = "certificates_name_users_as_with_etcd";
    let (Some(etcd), Some(client)) = (reference(test), tool(test, "3.7.3", "etcdctl")) else { return };
    let authority = Authority::new("test CA");
    let (server, server_key) = authority.issue("server", 1, &[ExtendedKeyUsagePurpose::ServerAuth]);
    let (ann, ann_key) = authority.issue("ann", 2, &[ExtendedKeyUsagePurpose::ClientAuth]);
    let files = [
        ("ca.crt", authority.certificate.pem()),
        ("server.crt", server.pem()),
        ("server.key", server_key.serialize_pem()),
        ("client.crt", ann.pem()),
        ("client.key", ann_key.serialize_pem()),
    ];
    // The trusted CA alone demands certificates, but they name nobody.
    for demanded in [&["--client-cert-auth"][..], &[]] {
        let mut told = Vec::new();
        for program in [&subject(), &etcd] {
            let mut member = Setup::of(program).arg("--bcrypt-cost=4").prepare();
            for (name, text) in &files {
                std::fs::write(member.dir().join(name), text).expect("a file");
            }
            let path = |name: &str| member.dir().join(name).display().to_string();
            let url = format!("https://{}", member.endpoint());
            let flags = [
                format!("--cert-file={}", path("server.crt")),
                format!("--key-file={}", path("server.key")),
                format!("--trusted-ca-file={}", path("ca.crt")),
                format!("--listen-client-urls={url}"),
                format!("--advertise-client-urls={url}"),
            ];
            let flags: Vec<&str> = flags.iter().map(String::as_str).chain(demanded.iter().copied()).collect();
            member.add_args(&flags);
            member.spawn();
            let ready = || member.log().contains("ready to serve client requests");
            crate::harness::until("a server that listens", ready).await;
            let rows: [&[&str]; 20] = [
                &["user", "add", "root:secret"],
                &["user", "grant-role", "root", "root"],
                &["user", "add", "ann", "--no-password"],
                &["role", "add", "r"],
                &["role", "grant-permission", "r", "readwrite", "k"],
                &["user", "grant-role", "ann", "r"],
                &["put", "k", "1"],
                &["auth", "enable"],
                &["get", "k"],
                &["get", "other"],
                &["put", "k", "2"],
                &["user", "get", "ann"],
                &["user", "list"],
                &["--user", "root:secret", "get", "other"],
                &["--user", "root:secret", "user", "list"],
                &["--user", "root:secret", "user", "delete", "ann"],
                &["get", "k"],
                &["user", "get", "ann"],
                &["--user", "root:secret", "auth", "disable"],
                &["get", "k"],
            ];
            told.push(printed(&client, &member, &rows).await);
        }
        assert_eq!(told[0], told[1], "kvd on the left, etcd on the right: {demanded:?}");
    }
}

/// Log-ins of users that do not exist, in a flood, are refused or answered, and keep nobody else out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_log_ins_keeps_no_user_out() {
    const FLOOD: usize = 130;
    let member = Setup::of(&subject()).arg("--bcrypt-cost=6").start().await;
    let api = member.api();
    enable(&api).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let mut flood = JoinSet::new();
    for _ in 0..FLOOD {
        let (api, answered) = (api.clone(), answered.clone());
        flood.spawn(async move {
            loop {
                let request = AuthenticateRequest { name: "nobody".into(), password: "wrong".into() };
                api.auth.clone().authenticate(request).await.expect_err("there is no such user");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    crate::harness::until("the flood", || answered.load(Ordering::Relaxed) > 10).await;
    for _ in 0..12 {
        log_in(&api, PASSWORD).await.expect("a token, for the password is right");
    }
    let before = answered.load(Ordering::Relaxed);
    crate::harness::until("more of the flood", || answered.load(Ordering::Relaxed) > before).await;
}
