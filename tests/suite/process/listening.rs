//! Addresses and protocols on which clients are answered.

use crate::harness::{Api, Server, Setup, subject};
use hyper_util::rt::TokioIo;
use kvd::api::proto::etcdserverpb::{PutRequest, RangeRequest};
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::Endpoint;

/// One raw HTTP/1.1 request; the whole answer, head and body.
async fn http1(mut connection: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    connection.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.expect("the connection is closed in order");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(server: &Server, path: &str) -> String {
    let connection = TcpStream::connect(server.endpoint()).await.expect("a connection");
    let host = server.endpoint();
    http1(connection, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_is_answered_on_the_port_of_grpc() {
    let server = Server::of(&subject()).await;
    let mut version = get(&server, "/version").await;
    while version.contains("not_decided") {
        version = get(&server, "/version").await;
    }
    assert!(version.starts_with("HTTP/1.1 200"), "{version}");
    assert!(version.contains("\"etcdserver\":\"3.") && version.contains("\"etcdcluster\":\"3."), "{version}");
    let health = get(&server, "/health").await;
    assert!(health.contains("\"health\":\"true\""), "{health}");
    let metrics = get(&server, "/metrics").await;
    assert!(metrics.contains("\netcd_server_has_leader 1"), "{metrics}");
    assert!(metrics.contains("\nprocess_resident_memory_bytes "), "{metrics}");
    let nothing = get(&server, "/nothing/here").await;
    assert!(nothing.starts_with("HTTP/1.1 404"), "{nothing}");
    // gRPC works as well, with HTTP/2 from the first byte.
    let request = PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    server.api().kv.put(request).await.expect("a put beside HTTP/1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_serves_both_protocols() {
    let mut server = Setup::of(&subject()).prepare();
    let socket: PathBuf = server.dir().join("client.sock");
    let urls = format!("--listen-client-urls={},unix://{}", server.url(), socket.display());
    server.add_args(&[&urls]);
    server.start().await;
    let connection = UnixStream::connect(&socket).await.expect("a connection to the socket");
    let request = "GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let version = http1(connection, request).await;
    assert!(version.contains("\"etcdserver\":\"3."), "{version}");
    let path = socket.clone();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
    let api = Api::over(channel);
    let request = PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    api.kv.clone().put(request).await.expect("a put through the socket");
    let request = RangeRequest { key: "k".into(), ..Default::default() };
    let answer = server.api().kv.range(request).await.expect("a read through the port");
    assert_eq!(answer.into_inner().count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_on_the_port_harms_nobody() {
    let server = Server::of(&subject()).await;
    for nonsense in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01"[..], b"\0\0\0\0", b"GET", b"PRI * HTTP/2.0\r\n\r\nXX"]
    {
        let mut connection = TcpStream::connect(server.endpoint()).await.expect("a connection");
        connection.write_all(nonsense).await.expect("bytes are taken");
        connection.shutdown().await.expect("our side closes");
        let mut rest = Vec::new();
        // It may be answered, closed or reset; it must end.
        let read = connection.read_to_end(&mut rest);
        let _ = tokio::time::timeout(crate::harness::PATIENCE, read).await.expect("the connection ends");
    }
    let request = PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    server.api().kv.put(request).await.expect("a put after nonsense");
}
