//! The JSON gateway from outside.

use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;

use super::*;
use crate::api::services::Access;

impl Served {
    /// The status and the body of an answer that is no stream.
    async fn post(&self, path: &str, headers: &str, body: &str) -> (u16, String) {
        let answer = self.http(&posted(path, headers, body)).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, body.to_string())
    }

    /// Sends a request whose body goes on; returns the connection when the head of the answer has been read.
    async fn stream(&self, path: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        send(&mut stream, body).await;
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).await.unwrap();
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("grpc-metadata-content-type: application/grpc"), "{head}");
        stream
    }
}

fn posted(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// A chunk of a request's body.
async fn send(stream: &mut (impl AsyncWriteExt + Unpin), text: &str) {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await.unwrap();
}

/// The next chunk of an answer: what was flushed at a time. Empty at the end.
async fn chunk(stream: &mut BufReader<TcpStream>) -> String {
    let mut length = String::new();
    stream.read_line(&mut length).await.unwrap();
    let length = usize::from_str_radix(length.trim(), 16).unwrap();
    let mut chunk = vec![0; length + 2];
    stream.read_exact(&mut chunk).await.unwrap();
    chunk.truncate(length);
    String::from_utf8(chunk).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_as_json() {
    let served = Served::start().await;
    let (status, answer) = served.post("/v3/kv/put", "", r#"{"key":"Zm9v","value":"YmFy"}"#).await;
    assert!(status == 200 && answer.contains(r#""revision":"2""#), "{status} {answer}");
    let (status, answer) =
        served.post("/v3beta/kv/range", "", r#"{"key":"Zm9v","countOnly":false} tail"#).await;
    let kvs = r#","kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}"#;
    assert!(status == 200 && answer.ends_with(kvs), "{status} {answer}");
    for (path, body, status, text) in [
        ("/v3/kv/range", "", 400, r#"{"code":3,"message":"etcdserver: key is not provided"}"#),
        (
            "/v3/kv/range",
            "{x",
            400,
            r#"{"code":3,"message":"invalid character 'x' looking for beginning of object key string"}"#,
        ),
        ("/v3/kv/range", "{", 400, r#"{"code":3,"message":"unexpected EOF"}"#),
        ("/v3/kv/nothing", "{}", 404, r#"{"code":5,"message":"Not Found"}"#),
        (
            "/v3/lease/revoke",
            r#"{"ID":7}"#,
            404,
            r#"{"code":5,"message":"etcdserver: requested lease not found"}"#,
        ),
        ("/v3/maintenance/snapshot", "[1", 400, r#"{"code":3,"message":"unexpected EOF"}"#),
        (
            "/v3/kv/rangestream",
            "{}",
            400,
            "{\"error\":{\"code\":3,\"message\":\"etcdserver: key is not provided\"}}\n",
        ),
    ] {
        assert_eq!(served.post(path, "", body).await, (status, text.into()), "{path} {body}");
    }
    let get = served.get("/v3/kv/range").await;
    assert!(get.starts_with("HTTP/1.1 501"), "{get}");
    assert!(get.ends_with(r#"{"code":12,"message":"Method Not Allowed"}"#), "{get}");
    let description = served.get("/v3/openapi.json").await;
    assert!(description.starts_with("HTTP/1.1 200") && description.contains("/v3/kv/txn"), "{description}");
    // Counted as the method's own calls.
    let metrics = served.get("/metrics").await;
    let handled = "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Put\",\
                   grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1";
    assert!(metrics.contains(handled), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_long_is_refused_by_the_length_of_its_message() {
    let served = Served::with(Settings { max_request_bytes: 1000, ..Settings::default() }).await;
    let limit = 1000 + 512 * 1024;
    let put = |length: usize| format!(r#"{{"key":"Zm9v","value":"{}"}}"#, "A".repeat(length));
    let (status, answer) = served.post("/v3/kv/put", "", &put(2000)).await;
    assert_eq!(answer, r#"{"code":3,"message":"etcdserver: request is too large"}"#);
    assert_eq!(status, 400);
    // Key and value with their tags and lengths.
    let message = 5 + 4 + 701_000 / 4 * 3;
    let (status, answer) = served.post("/v3/kv/put", "", &put(701_000)).await;
    let text = format!("grpc: received message larger than max ({message} vs. {limit})");
    assert_eq!((status, answer), (429, format!(r#"{{"code":8,"message":"{text}"}}"#)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_megabytes_is_whole() {
    let served = Served::start().await;
    let value = "QUJD".repeat(200_000);
    for key in ["YQ==", "Yg==", "Yw=="] {
        let (status, _) =
            served.post("/v3/kv/put", "", &format!(r#"{{"key":"{key}","value":"{value}"}}"#)).await;
        assert_eq!(status, 200);
    }
    let (status, answer) = served.post("/v3/kv/range", "", r#"{"key":"YQ==","range_end":"ZA=="}"#).await;
    assert_eq!((status, answer.matches(&format!("\"{value}\"")).count()), (200, 3));
    assert!(answer.ends_with(r#""count":"3"}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_both_ways() {
    let served = Served::start().await;
    let create = r#"{"create_request":{"key":"Zm9v","range_end":"Zm9w"}}"#;
    let mut stream = served.stream("/v3/watch", create).await;
    let created = chunk(&mut stream).await;
    assert!(
        created.starts_with(r#"{"result":{"header":{"#) && created.ends_with("\"created\":true}}\n"),
        "{created}"
    );
    served.post("/v3/kv/put", "", r#"{"key":"Zm9vMQ==","value":"YmFy"}"#).await;
    let event = chunk(&mut stream).await;
    let kv = r#""events":[{"kv":{"key":"Zm9vMQ==","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}}]}}"#;
    assert!(event.ends_with(&format!("{kv}\n")), "{event}");
    // A request in two pieces, another one behind it.
    send(&mut stream, r#"{"cancel_request":{"watch_"#).await;
    send(&mut stream, r#"id":"0"}} {"createRequest":{"watchId":9}}"#).await;
    let mut rest = String::new();
    while !rest.contains(r#""watch_id":"9""#) {
        rest += &chunk(&mut stream).await;
    }
    assert!(rest.contains(r#""canceled":true"#), "{rest}");
    send(&mut stream, "nonsense").await;
    let error = "Failed to decode request: invalid character 'o' in literal null (expecting 'u')";
    let line = format!("{{\"error\":{{\"code\":3,\"message\":\"{error}\"}}}}\n");
    assert_eq!(chunk(&mut stream).await, line);
    assert_eq!(chunk(&mut stream).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_client() {
    let served = Served::start().await;
    let create = r#"{"create_request":{"key":"Zm9v"}}"#;
    let mut unfinished = served.stream("/v3/watch", create).await;
    chunk(&mut unfinished).await;
    drop(unfinished);
    // Its requests have ended, but not its interest in answers.
    let mut finished = TcpStream::connect(served.address).await.unwrap();
    finished.write_all(posted("/v3/watch", "", create).as_bytes()).await.unwrap();
    finished.read_exact(&mut [0; 20]).await.unwrap();
    drop(finished);
    let ended = "grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method=\"Watch\",\
                 grpc_service=\"etcdserverpb.Watch\",grpc_type=\"bidi_stream\"} 2";
    while !served.get("/metrics").await.contains(ended) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_other_methods() {
    let served = Served::start().await;
    served.post("/v3/lease/grant", "", r#"{"ID":"7","TTL":"600"}"#).await;
    let kept = served.http(&posted("/v3/lease/keepalive", "", r#"{"ID":"7"}{"ID":8}"#)).await;
    assert!(kept.contains(r#""ID":"7","TTL":"600"}}"#) && kept.contains(r#""ID":"8"}}"#), "{kept}");
    let none = served.http(&posted("/v3/lease/keepalive", "", "")).await;
    assert!(none.starts_with("HTTP/1.1 200") && none.ends_with("\r\n\r\n"), "{none}");
    let (status, refused) = served.post("/v3/lease/keepalive", "", "[]").await;
    let text = "Failed to decode request: proto: syntax error (line 1:1): unexpected token [";
    assert_eq!((status, refused), (400, format!("{{\"error\":{{\"code\":3,\"message\":\"{text}\"}}}}\n")));
    let snapshot = served.http(&posted("/v3/maintenance/snapshot", "", "{}")).await;
    assert!(snapshot.contains(r#"{"result":{"#) && snapshot.contains(r#""blob":""#), "{}", snapshot.len());
    served.post("/v3/kv/put", "", r#"{"key":"Zm9v"}"#).await;
    let range = served.http(&posted("/v3/kv/rangestream", "", r#"{"key":"Zm9v"}"#)).await;
    assert!(range.contains(r#"{"result":{"range_response":{"header":{"#), "{range}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_wait() {
    let served = Served::start().await;
    served.post("/v3/lease/grant", "", r#"{"ID":7,"TTL":600}"#).await;
    let (status, _) = served.post("/v3/lock/lock", "", r#"{"name":"bG9jaw==","lease":7}"#).await;
    assert_eq!(status, 200);
    served.post("/v3/lease/grant", "", r#"{"ID":8,"TTL":600}"#).await;
    let waits = r#"{"name":"bG9jaw==","lease":8}"#;
    let late = served.post("/v3/lock/lock", "grpc-timeout: 50m\r\n", waits).await;
    assert_eq!(late.0, 504, "{late:?}");
    let bad = served.post("/v3/lock/lock", "grpc-timeout: soon\r\n", waits).await;
    assert_eq!(bad, (400, r#"{"code":3,"message":"invalid grpc-timeout: soon"}"#.into()));
    // The watch is opened in time, and then ends.
    let body = r#"{"create_request":{"key":"Zm9v"}}"#;
    let ended = served.http(&posted("/v3/watch", "grpc-timeout: 2S\r\n", body)).await;
    assert!(ended.contains(r#"{"error":{"code":4,"message":"context deadline exceeded"}}"#), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_behind_the_filters_and_can_be_left_out() {
    let access = Access { cors: vec!["http://page".into()], host_whitelist: vec!["a".into()] };
    let served = Served::with(Settings { access, ..Settings::default() }).await;
    let asked = |host: &str, origin: &str| {
        format!(
            "POST /v3/kv/range HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\nconnection: close\r\n\
             content-length: 15\r\n\r\n{{\"key\":\"Zm9v\"}} "
        )
    };
    assert!(served.http(&asked("b", "http://page")).await.starts_with("HTTP/1.1 421"));
    let allowed = served.http(&asked("a", "http://page")).await;
    assert!(allowed.contains("access-control-allow-origin: http://page\r\n"), "{allowed}");
    let other = served.http(&asked("a", "http://other")).await;
    assert!(other.starts_with("HTTP/1.1 403") && !other.contains("access-control"), "{other}");
    let options =
        "OPTIONS /v3/kv/range HTTP/1.1\r\nhost: a\r\norigin: http://page\r\nconnection: close\r\n\r\n";
    let options = served.http(options).await;
    assert!(
        options.starts_with("HTTP/1.1 200") && options.contains("access-control-allow-methods"),
        "{options}"
    );
    let served = Served::with(Settings { gateway: false, ..Settings::default() }).await;
    let none = served.http(&posted("/v3/kv/range", "", r#"{"key":"Zm9v"}"#)).await;
    assert!(none.starts_with("HTTP/1.1 404") && none.ends_with("404 page not found\n"), "{none}");
}
