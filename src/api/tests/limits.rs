//! Connections, time, headers and resets beyond their limits.

use prost::Message as _;

use super::*;
use tokio::net::tcp::OwnedWriteHalf;

const GET: &[u8] = b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";

/// Everything that the server sends until it ends the connection.
async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A connection that is reset has ended, too.
    let _ = stream.read_to_end(&mut rest).await;
    rest
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait() {
    let options = ServerOptions { max_connections: Some(2), ..ServerOptions::default() };
    let served = Served::with_options(Settings::default(), options).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(GET).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'H');
        open.push(stream);
    }
    let mut third = TcpStream::connect(served.address).await.unwrap();
    third.write_all(GET).await.unwrap();
    let unheard = tokio::time::timeout(Duration::from_millis(50), third.read_u8()).await;
    assert!(unheard.is_err(), "served beyond the limit: {unheard:?}");
    drop(open);
    assert_eq!(third.read_u8().await.unwrap(), b'H');
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_nothing_is_left() {
    let options = ServerOptions { first_byte_timeout: Duration::from_millis(50), ..ServerOptions::default() };
    let served = Served::with_options(Settings::default(), options).await;
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(said).await.unwrap();
        assert_eq!(rest(stream).await, b"", "after {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_its_answer_is_left() {
    let options = ServerOptions { stall_timeout: Duration::from_millis(200), ..ServerOptions::default() };
    let served = Served::with_options(Settings::default(), options).await;
    let mut kv = KvClient::new(served.channel().await);
    // Each is less than what a client may leave half done, however slow this machine is.
    for number in 0..300 {
        kv.put(put(&format!("v{number}"), &"x".repeat(50_000))).await.unwrap();
    }
    let body = r#"{"key":"dg==","range_end":"dw=="}"#;
    let request =
        format!("POST /v3/kv/range HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    // It still sends, so that it learns of the end without reading.
    while stream.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let many = "x".repeat(100_000);
    let request = format!("POST /v3/kv/put HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n{many}");
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_large_are_refused() {
    let served = Served::start().await;
    let large = "x".repeat(70_000);
    let refused = served.http(&format!("GET /livez HTTP/1.1\r\nhost: a\r\nx-much: {large}\r\n\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    let many = "x-many: 1\r\n".repeat(200);
    let refused = served.http(&format!("GET /livez HTTP/1.1\r\nhost: a\r\n{many}\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    let mut maintenance = MaintenanceClient::new(served.channel().await);
    let mut request = Request::new(pb::StatusRequest {});
    request.metadata_mut().insert("x-much", large.parse().unwrap());
    maintenance.status(request).await.unwrap_err();
    maintenance.status(pb::StatusRequest {}).await.expect("the connection goes on");
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Opens streams and resets them at once, until the server takes no more.
async fn open_and_reset(mut server: OwnedWriteHalf) {
    let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    // `:method POST`, `:scheme http`, `:path /x`.
    let block = b"\x83\x86\x44\x02/x";
    let mut frames = hello;
    for number in 0.. {
        let stream = 2 * number + 1;
        frames.extend(frame(1, 4, stream, block));
        frames.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
        if number % 500 == 0 && server.write_all(&std::mem::take(&mut frames)).await.is_err() {
            return;
        }
    }
}

/// As of CVE-2023-44487.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_at_once() {
    let served = Served::start().await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (mut reader, writer) = stream.into_split();
    let flood = tokio::spawn(open_and_reset(writer));
    let mut said = Vec::new();
    let _ = reader.read_to_end(&mut said).await;
    flood.await.unwrap();
    let mut maintenance = MaintenanceClient::new(served.channel().await);
    maintenance.status(pb::StatusRequest {}).await.expect("others are served");
}

/// Also a large one, which another thread compresses.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_compressed_request_is_compressed() {
    use bytes::Bytes;
    use http_body_util::BodyExt;
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), Options { map_size: 1 << 30, ..Options::default() }).unwrap();
    let member = lone_leader(store, Settings::default()).await;
    let grpc = crate::api::grpc::Grpc::new(member.services.clone());
    let budget = Budget::new(1 << 30);
    let share = Share::new(member.services.store.answers().clone(), &budget, budget.clone());
    let client =
        Arc::new(Client { peer: Peer::Unknown, local: None, encrypted: false, certified: None, share });
    let call = async |path: &str, message: Vec<u8>| {
        let body =
            Bytes::from([&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat());
        let mut request = http::Request::builder()
            .uri(path)
            .header("content-type", "application/grpc")
            .header("grpc-encoding", "gzip")
            .body(http_body_util::Full::new(body))
            .unwrap();
        let body = grpc.call(&mut request, &client).await.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        body.to_bytes()
    };
    for number in 0..3 {
        let put = put(&format!("k{number}"), &"x".repeat(600_000));
        call("/etcdserverpb.KV/Put", put.encode_to_vec()).await;
    }
    for end in ["k1", "k3"] {
        let range = pb::RangeRequest { key: "k".into(), range_end: end.into(), ..Default::default() };
        let answer = call("/etcdserverpb.KV/Range", range.encode_to_vec()).await;
        assert_eq!(answer[0], 1, "the flag of the message");
        assert!(answer.len() < 100_000, "{} bytes", answer.len());
    }
}
