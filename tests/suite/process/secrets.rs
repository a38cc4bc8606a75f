//! Secrets are in no output of a run, and in no core.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use kvd::api::proto::etcdserverpb::{
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthenticateRequest, PutRequest, RangeRequest,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Request;

use super::users::{PASSWORD, enable, log_in, with};
use crate::harness::{Server, Setup, page, subject};

const SECRET: &str = "a-planted-cluster-secret";
const KEY: &str = "a-planted-key-of-web-tokens-of-32-bytes";

/// Every text file below a directory but the data, which hold the hashes of passwords and the values.
fn texts(dir: &std::path::Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            texts(&path, found);
        } else if !path.ends_with("secret") && !path.ends_with("hmac.key") {
            let text = String::from_utf8_lossy(&std::fs::read(&path).expect("readable")).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

/// The same mistakes through the JSON gateway.
async fn by_json(server: &Server, token: &str, said: &mut Vec<(String, String)>) {
    let password = r#"{"name":"ann","password":"a-planted-json-password"}"#;
    let put = r#"{"key":"aw==","value":"YS1wbGFudGVkLXZhbHVl"}"#;
    for (path, token, body) in [
        ("/v3/auth/authenticate", "", password),
        ("/v3/auth/authenticate", "", r#"{"name":"ann","password":"a-planted-json-password","#),
        ("/v3/auth/authenticate", "", r#"{"name":"ann","password":["a-planted-json-password"]}"#),
        ("/v3/auth/user/add", "", password),
        ("/v3/auth/user/add", token, password),
        ("/v3/auth/user/changepw", token, password),
        ("/v3/auth/user/changepw", "a-planted-json-token", password),
        ("/v3/kv/put", token, put),
        ("/v3/kv/put", "a-planted-json-token", put),
    ] {
        let mut stream = TcpStream::connect(server.endpoint()).await.expect("connected");
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}");
        let token = if token.is_empty() { String::new() } else { format!("\r\nauthorization: {token}") };
        stream.write_all(format!("{head}{token}\r\n\r\n{body}").as_bytes()).await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        said.push((format!("{path} as JSON"), answer));
    }
}

/// The same with kvctl.
fn by_kvctl(server: &Server, said: &mut Vec<(String, String)>) {
    let root = format!("--user=root:{PASSWORD}");
    let root = root.as_str();
    for args in [
        &[root, "put", "k", "a-planted-value"][..],
        &[root, "user", "add", "bob:a-planted-kvctl-password"],
        &[root, "--debug", "user", "list"],
        &["--user=root:a-planted-wrong-password", "put", "k", "v"],
        &["--user=bob:a-planted-kvctl-password", "user", "list"],
        &["--user=root", "--password=a-planted-wrong-password", "user", "list"],
        &[root, "user", "add", "bob:a-planted-kvctl-password"],
        &[root, "--endpoints=a-planted.invalid:1", "--command-timeout=1s", "user", "list"],
        &[root, "--no-such-flag", "user", "list"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_kvctl"))
            .env_clear()
            .env("ETCDCTL_ENDPOINTS", server.url())
            .args(args)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        // The name of a host is no secret.
        said.push((format!("kvctl {}", args[1..].join(" ")), text.replace("a-planted.invalid", "")));
    }
}

/// A run at the lowest level of logging, with log-ins, mistakes and everything else that names a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planted_secrets_are_in_no_output() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    let write = |name: &str, text: &str| {
        let path = server.dir().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mine");
        path.display().to_string()
    };
    let (secret, key) = (write("secret", SECRET), write("hmac.key", KEY));
    let flags = [
        "--log-level=debug".to_string(),
        "--bcrypt-cost=4".to_string(),
        "--warning-unary-request-duration=1ns".to_string(),
        "--warning-apply-duration=1ns".to_string(),
        format!("--cluster-secret-file={secret}"),
        format!("--auth-token=jwt,sign-method=HS256,priv-key={key}"),
        format!("--audit-output={}", server.dir().join("audit.json").display()),
    ];
    server.add_args(&flags.each_ref().map(String::as_str));
    server.start().await;
    let api = server.api();
    enable(&api).await;
    let token = log_in(&api, PASSWORD).await.expect("a token");
    let wrong = log_in(&api, "a-planted-wrong-password").await.expect_err("another password");
    let mut said = vec![("an error".to_string(), wrong.to_string())];
    let mut kv = api.kv.clone();
    for bad in ["a-planted-token", "a.planted.token", &format!("{token}x")] {
        let mut get = Request::new(RangeRequest { key: "k".into(), ..Default::default() });
        get.metadata_mut().insert("token", bad.parse().expect("ASCII"));
        said.push(("an error".into(), kv.range(get).await.expect_err("no token").to_string()));
    }
    let put = PutRequest { key: "k".into(), value: "a-planted-value".into(), ..Default::default() };
    kv.put(with(put, &token)).await.expect("a put");
    let mut auth = api.auth.clone();
    let long = format!("a-planted-password-{}", "x".repeat(100));
    for password in [&long, "a-planted-second-password"] {
        let (name, password) = ("ann".to_string(), password.to_string());
        let add = AuthUserAddRequest { name: name.clone(), password: password.clone(), ..Default::default() };
        let change = AuthUserChangePasswordRequest {
            name: name.clone(),
            password: password.clone(),
            ..Default::default()
        };
        let added = auth.user_add(with(add, &token)).await.map(drop);
        let changed = auth.user_change_password(with(change, &token)).await.map(drop);
        let logged_in = auth.authenticate(AuthenticateRequest { name, password }).await.map(drop);
        let errors = [added, changed, logged_in].into_iter().filter_map(Result::err);
        said.extend(errors.map(|error| ("an error".to_string(), error.to_string())));
    }
    // A name of any length leaves a short line.
    let name = format!("nobody-{}", "n".repeat(100_000));
    let request = AuthenticateRequest { name, password: "a-planted-third-password".into() };
    said.push(("an error".into(), auth.authenticate(request).await.expect_err("nobody").to_string()));
    for path in ["/metrics", "/health", "/version", "/readyz?verbose"] {
        said.push((path.to_string(), page(&server, path).await));
    }
    by_json(&server, &token, &mut said).await;
    by_kvctl(&server, &mut said);
    let program = subject().path();
    for command in [&["config", "show", "--origin"][..], &["config", "show", "--json"], &["check"]] {
        let arguments = server.arguments();
        let output = Command::new(&program).args(command).args(&arguments).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        said.push((format!("{command:?}"), String::from_utf8_lossy(&text).into_owned()));
    }
    server.stop().await;
    texts(server.dir(), &mut said);
    let data = server.data_dir().display().to_string();
    let outputs = said.iter().filter(|(name, _)| !name.starts_with(&data));
    let mut searched = 0;
    for (name, text) in outputs {
        searched += 1;
        assert!(!text.contains("planted"), "{name} shows a secret:\n{text}");
        assert!(!text.contains(&token), "{name} shows a token:\n{text}");
        assert!(text.lines().all(|line| line.len() < 20_000), "{name} has a line without end");
    }
    assert!(searched > 33, "{searched}");
    // What the data hold is a hash, and neither password nor token.
    for (name, text) in said.iter().filter(|(name, _)| name.starts_with(&data)) {
        for secret in [PASSWORD, "a-planted-second-password", &token, SECRET, KEY] {
            assert!(!text.contains(secret), "{name} holds {secret}");
        }
    }
}

/// Whatever the limits of the process that starts it, a member leaves no core.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_crashes_leaves_no_core() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    let shell = ["sh", "-c", "ulimit -c unlimited; exec \"$0\" \"$@\""].map(String::from);
    server.through(&shell);
    server.start().await;
    server.signal(rustix::process::Signal::ABORT);
    let status = server.ended().await;
    assert_eq!(status.signal(), Some(6), "{status}");
    assert!(!status.core_dumped(), "its memory was written to a file");
}
