//! The v2 API from outside; what it answers is compared with etcd in the suite.

use std::sync::mpsc::{SyncSender, sync_channel};

use super::users::Users;
use super::*;
use crate::api::audit::{Audit, Filter, Record, Sink};
use crate::api::services::Access;

impl Served {
    /// The head and the body of an answer.
    async fn v2(&self, method: &str, path: &str, headers: &str, body: &str) -> (String, String) {
        let length = body.len();
        let form = "content-type: application/x-www-form-urlencoded\r\n";
        let answer = self
            .http(&format!(
                "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n{form}{headers}\r\n{body}"
            ))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    async fn status(&self, method: &str, path: &str, headers: &str) -> (String, String) {
        let (head, body) = self.v2(method, path, headers, "value=x").await;
        (head.split(' ').nth(1).unwrap_or_default().to_owned(), body)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_answered_when_something_happens_and_ends_with_its_client() {
    let served = Served::start().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /v2/keys/a?wait=true&stream=true HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("\r\n\r\n") {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
    let head = String::from_utf8_lossy(&read).into_owned();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("x-etcd-index: 3"), "{head}");
    for _ in 0..2 {
        served.v2("PUT", "/v2/keys/a", "", "value=1").await;
    }
    while String::from_utf8_lossy(&read).matches("\"action\":\"set\"").count() < 2 {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
    let stats = served.get("/v2/stats/store").await;
    assert!(stats.contains("\"setsSuccess\":2") && stats.ends_with("\"watchers\":1}"), "{stats}");
    drop(stream);
    while !served.get("/v2/stats/store").await.ends_with("\"watchers\":0}") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_may_be_as_large_as_a_request_and_no_larger() {
    let served = Served::with(Settings { max_request_bytes: 10_000, ..Settings::default() }).await;
    let value = |length: usize| format!("value={}", "x".repeat(length));
    let (head, _) = served.v2("PUT", "/v2/keys/a", "", &value(9_000)).await;
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    for length in [10_001, 600_000] {
        let (head, body) = served.v2("PUT", "/v2/keys/a", "", &value(length)).await;
        assert!(
            head.starts_with("HTTP/1.1 500") && body.contains("etcdserver: request is too large"),
            "{body}"
        );
    }
    let (_, body) = served.v2("PUT", &format!("/v2/keys/{}", "p".repeat(2000)), "", "value=x").await;
    assert!(body.contains("\"errorCode\":209") && body.contains("longer than 1800 bytes"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deepest_path_is_made_listed_and_removed() {
    let served = Served::start().await;
    let deep = "/d".repeat(256);
    let (head, _) = served.v2("PUT", &format!("/v2/keys{deep}"), "", "value=x").await;
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    let (head, body) = served.v2("GET", "/v2/keys?recursive=true", "", "").await;
    assert!(head.starts_with("HTTP/1.1 200") && body.contains(&format!("\"key\":\"{deep}\"")), "{head}");
    assert_eq!(body.matches("\"nodes\":").count(), 256);
    let (head, _) = served.v2("DELETE", "/v2/keys/d?recursive=true", "", "").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(served.get("/v2/keys").await.ends_with("{\"action\":\"get\",\"node\":{\"dir\":true}}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_left_out() {
    let served = Served::with(Settings { v2: false, ..Settings::default() }).await;
    for path in ["/v2/keys", "/v2/members", "/v2/machines", "/v2/auth/enable", "/v2/stats/self"] {
        let answer = served.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.ends_with("404 page not found\n"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_there_are_users_only_the_role_root_gets_in() {
    let mut users = Users::start().await;
    let root = format!("Authorization: {}\r\n", users.log_in("root", "root!").await.unwrap());
    let ann = format!("Authorization: Bearer {}\r\n", users.log_in("ann", "ann!").await.unwrap());
    let basic = "Authorization: Basic cm9vdDpyb290IQ==\r\n".to_owned();
    let served = &users.served;
    let refused = "\"errorCode\":110,\"message\":\"The request requires user authentication\",\
                   \"cause\":\"Insufficient credentials\",\"index\":0}\n";
    for credentials in [String::new(), ann, basic] {
        for method in ["GET", "PUT", "POST", "DELETE"] {
            let (status, body) = served.status(method, "/v2/keys/a", &credentials).await;
            assert!(status == "401" && body.ends_with(refused), "{method} {credentials}: {status} {body}");
        }
        for path in ["/v2/keys/a?quorum=true", "/v2/keys/a?wait=true", "/v2/keys/a?wait=true&waitIndex=1"] {
            assert_eq!(served.status("GET", path, &credentials).await.0, "401", "{path}");
        }
        for (method, path) in [
            ("GET", "/v2/members"),
            ("POST", "/v2/members"),
            ("DELETE", "/v2/members/1"),
            ("PUT", "/v2/members/1"),
            ("GET", "/v2/machines"),
            ("GET", "/v2/stats/self"),
            ("GET", "/v2/stats/leader"),
            ("GET", "/v2/stats/store"),
            ("GET", "/v2/auth/enable"),
            ("PUT", "/v2/auth/enable"),
            ("DELETE", "/v2/auth/enable"),
            ("PUT", "/v2/auth/users/root"),
        ] {
            let answer = served.status(method, path, &credentials).await;
            assert_eq!(answer, ("401".into(), "{\"message\":\"Insufficient credentials\"}".into()), "{path}");
        }
    }
    assert_eq!(served.status("PUT", "/v2/keys/a", &root).await.0, "201");
    assert_eq!(served.status("GET", "/v2/keys/a?quorum=true", &root).await.0, "200");
    assert_eq!(served.status("GET", "/v2/members", &root).await.0, "200");
    let (status, body) = served.v2("PUT", "/v2/auth/users/u", &root, r#"{"user":"u","password":"p"}"#).await;
    assert!(status.contains(" 403 ") && body.contains("kvd has no users of the v2 API"), "{status} {body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_when_users_are_enabled_is_sent_away() {
    let served = Served::start().await;
    let mut auth = AuthClient::new(served.channel().await);
    let waiting = async { served.get("/v2/keys/a?wait=true").await };
    let enabling = async {
        while !served.get("/v2/stats/store").await.ends_with("\"watchers\":1}") {
            tokio::task::yield_now().await;
        }
        let (name, password) = ("root".to_string(), "root!".to_string());
        auth.user_add(pb::AuthUserAddRequest { name, password, ..Default::default() }).await.unwrap();
    };
    let (answer, ()) = tokio::join!(waiting, enabling);
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("action"), "{answer}");
}

/// Passes on which method was called, and how that ended.
struct Calls(parking_lot::Mutex<SyncSender<(&'static str, &'static str)>>);

impl Sink for Calls {
    fn take(&self, record: Record) -> bool {
        self.0.lock().try_send((record.method, record.code)).is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_records_whoever_is_refused_on_every_path() {
    let users = Users::start().await;
    let (sender, records) = sync_channel(100);
    let audit = Audit::new(Filter::default(), Box::new(Calls(parking_lot::Mutex::new(sender))));
    users.served.services.audit.set(Arc::new(audit)).ok().expect("the first");
    for (method, path, recorded) in [
        ("GET", "/v2/members", "/etcdserverpb.Cluster/MemberList"),
        ("POST", "/v2/members", "/etcdserverpb.Cluster/MemberAdd"),
        ("PUT", "/v2/members/1", "/etcdserverpb.Cluster/MemberUpdate"),
        ("DELETE", "/v2/members/1", "/etcdserverpb.Cluster/MemberRemove"),
        ("PUT", "/v2/keys/a", "/v2/keys"),
        ("GET", "/v2/keys/a?wait=true", "/v2/keys"),
        ("GET", "/status/data", "/etcdserverpb.Cluster/MemberList"),
    ] {
        assert_eq!(users.served.status(method, path, "").await.0, "401", "{path}");
        assert_eq!(
            records.try_iter().collect::<Vec<_>>(),
            [(recorded, "InvalidArgument")],
            "{method} {path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_not_answered_from_a_state_that_is_found_wrong_meanwhile() {
    let served = Served::start().await;
    let body = "{\"peerURLs\":[\"http://10.0.0.9:2380\"]}";
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!(
        "POST /v2/members HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The body is asked for after the gate: the request is under way.
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("100 Continue") {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
    let why = crate::store::Condemned { why: "a test".into(), replace: false, told: false };
    served.services.store.condemn(&why).unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream.read_to_end(&mut read).await.unwrap();
    let answer = String::from_utf8_lossy(&read).into_owned();
    let (_, answer) = answer.split_once("\r\n\r\n").unwrap();
    assert!(answer.starts_with("HTTP/1.1 5"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_text_is_refused_instead_of_taken_for_another() {
    let served = Served::start().await;
    for path in ["/v2/keys/%ff", "/v2/keys/a/%fe/b", "/v2/keys/%c3"] {
        let (status, body) = served.status("PUT", path, "").await;
        assert!(
            status == "400" && body.contains("\"errorCode\":209,\"message\":\"Invalid field\""),
            "{body}"
        );
        assert!(body.contains("\"cause\":\"the key is not UTF-8\""), "{body}");
    }
    assert_eq!(served.status("PUT", "/v2/keys/%c3%a4", "").await.0, "201");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_sites_page_changes_nothing() {
    let access = Access { cors: vec!["http://page:80".into()], ..Access::default() };
    let served = Served::with(Settings { access, ..Settings::default() }).await;
    for (headers, status) in [
        ("", "201"),
        ("origin: http://page:80\r\n", "201"),
        ("origin: http://evil\r\n", "403"),
        ("origin: null\r\nsec-fetch-site: cross-site\r\n", "403"),
    ] {
        for path in ["/v2/keys/queue", "/v2/keys/queue?dir=false"] {
            assert_eq!(served.status("POST", path, headers).await.0, status, "{headers}");
        }
        let (head, _) = served.v2("POST", "/v3/kv/put", headers, r#"{"key":"YQ=="}"#).await;
        assert_eq!(head.starts_with("HTTP/1.1 200"), status == "201", "{headers}: {head}");
    }
    let (_, body) = served.v2("GET", "/v2/keys/queue", "origin: http://evil\r\n", "").await;
    assert_eq!(body.matches("/queue/").count(), 4, "reading changes nothing: {body}");
}
