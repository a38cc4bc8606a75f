//! The audit of a running member.

use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest, AuthUserGrantRoleRequest,
    AuthenticateRequest, PutRequest, RangeRequest, WatchCreateRequest, WatchRequest, watch_request,
};
use serde_json::Value;
use tonic::{Code, Request};

use super::users::{enable, log_in, with};
use crate::harness::{PATIENCE, Server, Setup, page, subject};

/// The records, once there are at least so many.
async fn records(file: &std::path::Path, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let records: Vec<Value> =
            whole.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
        if records.len() >= count {
            return records;
        }
        assert!(begun.elapsed() < PATIENCE, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn audited(more: &[&str]) -> Option<(Server, std::path::PathBuf)> {
    if !subject().is_kvd() {
        return None;
    }
    let mut server = Setup::of(&subject()).arg("--bcrypt-cost=4").prepare();
    let file = server.dir().join("audit.json");
    let output = format!("--audit-output={}", file.display());
    server.add_args(&[&[output.as_str()], more].concat());
    server.start().await;
    Some((server, file))
}

/// Whoever does something is named with it, refused or not, and no value, password or token is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_did_what_is_written_without_values() {
    let Some((server, file)) = audited(&["--audit-methods=KV,Watch,Authenticate,RoleGrantPermission"]).await
    else {
        return;
    };
    let api = server.api();
    enable(&api).await;
    let root = log_in(&api, super::users::PASSWORD).await.expect("a token");
    let mut auth = api.auth.clone();
    let (name, password) = ("ann".to_string(), "anns-planted-password".to_string());
    let add = AuthUserAddRequest { name, password: password.clone(), ..Default::default() };
    auth.user_add(with(add, &root)).await.expect("a user");
    auth.role_add(with(AuthRoleAddRequest { name: "readers".into() }, &root)).await.expect("a role");
    let perm = kvd::api::proto::authpb::Permission { key: "a/".into(), range_end: "a0".into(), perm_type: 0 };
    let grant = AuthRoleGrantPermissionRequest { name: "readers".into(), perm: Some(perm) };
    auth.role_grant_permission(with(grant, &root)).await.expect("a grant");
    let grant = AuthUserGrantRoleRequest { user: "ann".into(), role: "readers".into() };
    auth.user_grant_role(with(grant, &root)).await.expect("a grant");
    let log_in = AuthenticateRequest { name: "ann".into(), password: password.clone() };
    let ann = auth.authenticate(log_in).await.expect("a token").into_inner().token;
    let before = records(&file, 1).await.len();

    let mut kv = api.kv.clone();
    let put = PutRequest { key: "a/1".into(), value: "a-planted-value".into(), ..Default::default() };
    let refused = kv.put(with(put.clone(), &ann)).await.expect_err("she reads only");
    assert_eq!(refused.code(), Code::PermissionDenied);
    kv.put(with(put.clone(), &root)).await.expect("a put");
    let range = RangeRequest { key: "a/".into(), range_end: "a0".into(), ..Default::default() };
    kv.range(with(range.clone(), &ann)).await.expect("a range");
    kv.range(range).await.expect_err("nobody");
    let mut bad = Request::new(put);
    bad.metadata_mut().insert("token", "a-planted-token.1".parse().expect("ASCII"));
    kv.put(bad).await.expect_err("no token");
    let create = |key: &'static str| {
        let create = WatchCreateRequest { key: key.into(), ..Default::default() };
        WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) }
    };
    let creates = tokio_stream::iter([create("a/1"), create("b")]);
    let mut watch = api.watch.clone().watch(with(creates, &ann)).await.expect("a stream").into_inner();
    watch.message().await.expect("an answer");
    watch.message().await.expect("an answer");

    let records = records(&file, before + 7).await;
    let shown: Vec<String> = records[before..]
        .iter()
        .map(|record| {
            let text = |name: &str| record[name].as_str().unwrap_or("-").to_string();
            let method = text("method");
            let method = method.rsplit('/').next().unwrap_or_default();
            assert!(
                record["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")),
                "{record}"
            );
            assert!(record["took_us"].is_u64() && record["ts"].is_string(), "{record}");
            format!("{} {method} {} {}", text("user"), record["keys"][0]["key"], text("code"))
        })
        .collect();
    let expected = [
        r#"ann Put "a/1" PermissionDenied"#,
        r#"root Put "a/1" OK"#,
        r#"ann Range "a/" OK"#,
        r#"- Range "a/" InvalidArgument"#,
        "- Put null Unauthenticated",
        r#"ann Watch "a/1" OK"#,
        r#"ann Watch "b" PermissionDenied"#,
    ];
    assert_eq!(shown, expected);
    let all = std::fs::read_to_string(&file).expect("the file");
    for secret in ["planted", &root, &ann] {
        assert!(!all.contains(secret), "{secret} is in the audit");
    }
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let metrics = page(&server, "/metrics").await;
    assert!(metrics.contains("\nkvd_audit_left_out_total 0\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_filtered_out_is_not_written() {
    let Some((server, file)) = audited(&["--audit-prefixes=a/,c/", "--audit-methods=Put"]).await else {
        return;
    };
    let mut kv = server.api().kv;
    for key in ["b/1", "a/1", "a", "c/1"] {
        kv.put(PutRequest { key: key.into(), ..Default::default() }).await.expect("a put");
        kv.range(RangeRequest { key: key.into(), ..Default::default() }).await.expect("a range");
    }
    let keys: Vec<String> =
        records(&file, 2).await.iter().map(|record| record["keys"][0]["key"].to_string()).collect();
    assert_eq!(keys, [r#""a/1""#, r#""c/1""#]);
}

#[tokio::test]
async fn a_method_that_does_not_exist_is_an_error_of_the_configuration() {
    if !subject().is_kvd() {
        return;
    }
    let mut server = Setup::of(&subject()).prepare();
    server.add_args(&["--audit-output=audit.json", "--audit-methods=Putt"]);
    server.spawn();
    let status = server.ended().await;
    assert_eq!(status.code(), Some(78), "{}", server.log());
    assert!(server.log().contains("Putt"), "{}", server.log());
}
