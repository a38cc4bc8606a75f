//! The audit of a running member.

use std::time::{Duration, Instant};

use kvd::api::proto::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleGrantPermissionRequest, AuthUserAddRequest, AuthUserGrantRoleRequest,
    AuthenticateRequest, LeaseKeepAliveRequest, PutRequest, RangeRequest, WatchCreateRequest, WatchRequest,
    watch_request,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
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

/// The method of a record, its first key, its code, and what it says about a stream.
fn shown(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or("-").to_string();
    let method = text("method");
    let method = method.rsplit('/').next().unwrap_or_default();
    format!("{method} {} {} {}", record["keys"][0]["key"], text("code"), text("event"))
}

fn create(key: &'static str) -> WatchRequest {
    let create = WatchCreateRequest { key: key.into(), ..Default::default() };
    WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) }
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
    // Records are written later than calls are answered.
    let begun = Instant::now();
    let before = loop {
        let records = records(&file, 1).await;
        let last = records.last().expect("a record");
        if last["name"] == "ann" && last["method"] == "/etcdserverpb.Auth/Authenticate" {
            break records.len();
        }
        assert!(begun.elapsed() < PATIENCE, "{last}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };

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
    let creates = tokio_stream::iter([create("a/1"), create("b")]);
    let mut watch = api.watch.clone().watch(with(creates, &ann)).await.expect("a stream").into_inner();
    watch.message().await.expect("an answer");
    watch.message().await.expect("an answer");

    let records = records(&file, before + 8).await;
    let shown: Vec<String> = records[before..]
        .iter()
        .map(|record| {
            assert!(
                record["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")),
                "{record}"
            );
            assert!(record["took_us"].is_u64() && record["ts"].is_string(), "{record}");
            format!("{} {}", record["user"].as_str().unwrap_or("-"), shown(record))
        })
        .collect();
    let expected = [
        r#"ann Put "a/1" PermissionDenied -"#,
        r#"root Put "a/1" OK -"#,
        r#"ann Range "a/" OK -"#,
        r#"- Range "a/" InvalidArgument -"#,
        "- Put null Unauthenticated -",
        "ann Watch null OK begin",
        r#"ann Watch "a/1" OK -"#,
        r#"ann Watch "b" PermissionDenied -"#,
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

/// The answer of the JSON gateway to a call with a deadline.
async fn by_json(server: &Server, path: &str, timeout: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.endpoint()).await.expect("connected");
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ngrpc-timeout: {timeout}\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

/// A stream is recorded when it begins and when it ends, with how it ended; and a deadline that passes is no cancellation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_recorded_at_both_ends_and_deadlines_as_such() {
    let Some((server, file)) = audited(&["--audit-methods=RangeStream,Lease,Watch,Lock"]).await else {
        return;
    };
    let api = server.api();
    let range = RangeRequest { key: "k".into(), ..Default::default() };
    let mut stream = api.kv.clone().range_stream(range).await.expect("a stream").into_inner();
    while stream.message().await.expect("a page").is_some() {}
    records(&file, 2).await;

    let renewals = tokio_stream::iter([LeaseKeepAliveRequest { id: 7 }]);
    let mut stream = api.lease.clone().lease_keep_alive(renewals).await.expect("a stream").into_inner();
    while stream.message().await.expect("an answer").is_some() {}
    records(&file, 4).await;

    // "k", and the client leaves.
    let mut watch = TcpStream::connect(server.endpoint()).await.expect("connected");
    let body = r#"{"create_request":{"key":"aw=="}}"#;
    let head = "POST /v3/watch HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let request = format!("{head}{:x}\r\n{body}\r\n", body.len());
    watch.write_all(request.as_bytes()).await.expect("asked");
    watch.read_u8().await.expect("an answer");
    drop(watch);
    records(&file, 7).await;

    let mut timed = Request::new(tokio_stream::pending::<WatchRequest>());
    timed.set_timeout(Duration::from_millis(300));
    let mut watch = api.watch.clone().watch(timed).await.expect("a stream").into_inner();
    assert_eq!(watch.message().await.expect_err("its deadline").code(), Code::DeadlineExceeded);
    records(&file, 9).await;

    // "lock", held by somebody else.
    let held = by_json(&server, "/v3/lock/lock", "60S", r#"{"name":"bG9jaw=="}"#).await;
    assert!(held.starts_with("HTTP/1.1 200"), "{held}");
    let waited = by_json(&server, "/v3/lock/lock", "300m", r#"{"name":"bG9jaw=="}"#).await;
    assert!(waited.starts_with("HTTP/1.1 504"), "{waited}");

    let records = records(&file, 11).await;
    let found: Vec<String> = records.iter().map(shown).collect();
    let expected = [
        r#"RangeStream "k" OK begin"#,
        "RangeStream null OK end",
        "LeaseKeepAlive null OK begin",
        "LeaseKeepAlive null OK end",
        "Watch null OK begin",
        r#"Watch "k" OK -"#,
        "Watch null Canceled end",
        "Watch null OK begin",
        "Watch null DeadlineExceeded end",
        r#"Lock "lock" OK -"#,
        r#"Lock "lock" DeadlineExceeded -"#,
    ];
    assert_eq!(found, expected);
    let streams: Vec<Option<u64>> = records.iter().map(|record| record["stream"].as_u64()).collect();
    let same =
        |numbers: &[Option<u64>]| numbers.iter().all(|number| number.is_some() && *number == numbers[0]);
    for stream in [0..2, 2..4, 4..7, 7..9] {
        assert!(same(&streams[stream]), "{streams:?}");
    }
    assert!(streams[0] != streams[2] && streams[4] != streams[7] && streams[9].is_none(), "{streams:?}");
    let took = records[8]["took_us"].as_u64();
    assert!(took >= Some(300_000), "the whole stream took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_filtered_out_is_not_written() {
    let Some((server, file)) = audited(&["--audit-prefixes=a/,c/", "--audit-methods=Put,RangeStream"]).await
    else {
        return;
    };
    let mut kv = server.api().kv;
    for key in ["b/1", "a/1", "a", "c/1"] {
        kv.put(PutRequest { key: key.into(), ..Default::default() }).await.expect("a put");
        kv.range(RangeRequest { key: key.into(), ..Default::default() }).await.expect("a range");
        let range = RangeRequest { key: key.into(), ..Default::default() };
        let mut stream = kv.range_stream(range).await.expect("a stream").into_inner();
        while stream.message().await.expect("a page").is_some() {}
    }
    let found: Vec<String> = records(&file, 6).await.iter().map(shown).collect();
    let of = |key: &str| {
        [format!("Put {key} OK -"), format!("RangeStream {key} OK begin"), "RangeStream null OK end".into()]
    };
    assert_eq!(found, [of(r#""a/1""#), of(r#""c/1""#)].concat());
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
