//! The API from outside: a server on loopback, real clients, plain sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use super::client::{Client, Peer};
use super::grpc::upload::Upload;
use super::proto::etcdserverpb as pb;
use super::proto::etcdserverpb::auth_client::AuthClient;
use super::proto::etcdserverpb::cluster_client::ClusterClient;
use super::proto::etcdserverpb::kv_client::KvClient;
use super::proto::etcdserverpb::maintenance_client::MaintenanceClient;
use super::proto::etcdserverpb::watch_client::WatchClient;
use super::proto::health::HealthCheckRequest;
use super::proto::health::health_client::HealthClient;
use super::rules::{Kind, RULES, Rpc};
use super::server::listen::SocketOptions;
use super::server::{Address, Encryption, Faces, Listener, Server, ServerOptions};
use super::services::{Services, Settings, Stopper};
use super::unsent::Share;
use crate::member::Member;
use crate::member::lab::lone_leader;
use crate::model::Budget;
use crate::store::{Options, Store};

mod json;
mod limits;
mod users;
mod v2;

/// A server on a port of its own, stopped when dropped.
struct Served {
    address: SocketAddr,
    services: Arc<Services>,
    stopper: Stopper,
    server: Option<Server>,
    _dir: TempDir,
}

impl Served {
    async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        Self::with_options(settings, ServerOptions::default()).await
    }

    async fn with_options(settings: Settings, options: ServerOptions) -> Self {
        let dir = TempDir::new().unwrap();
        let store_options = Options { map_size: 1 << 30, ..Options::default() };
        let store = Store::open(dir.path(), store_options).unwrap();
        let Member { services, stopper, .. } = lone_leader(store, settings).await;
        let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
        let listener =
            Listener::bind(&address, SocketOptions::default(), Encryption::None, Faces::All).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::serve(services.clone(), vec![listener], options, 2).unwrap();
        server.open();
        Self { address, services, stopper, server: Some(server), _dir: dir }
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.http(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }
}

fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest {
        key: key.to_string().into(),
        value: value.to_string().into(),
        ..pb::PutRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_services_share_a_port() {
    let served = Served::start().await;
    let version = served.get("/version").await;
    assert!(version.contains("content-type: application/json"), "{version}");
    assert!(version.ends_with(r#""storage":"3.7.0"}"#), "{version}");
    assert!(served.get("/nothing").await.ends_with("404 page not found\n"));
    let refused = served.http("POST /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 405") && refused.ends_with("Method Not Allowed\n"), "{refused}");

    let mut maintenance = MaintenanceClient::new(served.channel().await);
    let status = maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.version, "3.7.3");
    assert_eq!(status.header.unwrap().member_id, status.leader);
    let metrics = served.get("/metrics").await;
    let handled = "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Status\",\
                   grpc_service=\"etcdserverpb.Maintenance\",grpc_type=\"unary\"} 1";
    assert!(metrics.contains(handled), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn header_shapes() {
    let served = Served::start().await;
    let mut cluster = ClusterClient::new(served.channel().await);
    let list = cluster.member_list(pb::MemberListRequest { linearizable: true }).await.unwrap().into_inner();
    assert_eq!(list.header.unwrap().revision, 0);
    let mut auth = AuthClient::new(served.channel().await);
    let status = auth.auth_status(pb::AuthStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.enabled, status.auth_revision), (false, 1));
    let refused = auth.authenticate(pb::AuthenticateRequest::default()).await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: authentication is not enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_before_any_handler() {
    let served = Served::start().await;
    let channel = served.channel().await;
    let mut kv = KvClient::new(channel.clone());
    let empty = kv.range(pb::RangeRequest::default()).await.unwrap_err();
    assert_eq!((empty.code(), empty.message()), (Code::InvalidArgument, "etcdserver: key is not provided"));

    let mut request = Request::new(put("a", "b"));
    let bytes = visible(b"\xff\xfe");
    request.metadata_mut().insert("client-api-version", bytes);
    let bad = kv.put(request).await.unwrap_err();
    assert_eq!(bad.message(), "etcdserver: invalid client api version");

    let large = kv.put(put("a", &"x".repeat(2_200_000))).await.unwrap_err();
    assert_eq!(large.code(), Code::ResourceExhausted);
    assert!(large.message().starts_with("grpc: received message larger than max (22000"), "{large:?}");
    assert!(large.message().ends_with(" vs. 2097152)"), "{large:?}");

    let large = kv.put(put("a", &"x".repeat(1_572_864))).await.unwrap_err();
    assert_eq!(large.message(), "etcdserver: request is too large");
}

/// Metadata values may be any visible bytes and those above 0x7f.
fn visible(bytes: &[u8]) -> MetadataValue<tonic::metadata::Ascii> {
    MetadataValue::try_from(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_methods_speak_as_grpc_go() {
    let served = Served::start().await;
    for (path, text) in [
        ("/no.Such/Method", "unknown service no.Such"),
        ("/etcdserverpb.KV/Nope", "unknown method Nope for service etcdserverpb.KV"),
    ] {
        let mut grpc = tonic::client::Grpc::new(served.channel().await);
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<pb::StatusRequest, pb::StatusResponse>::default();
        let status =
            grpc.unary(Request::new(pb::StatusRequest {}), path.parse().unwrap(), codec).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unary_method_says_the_same_in_the_short_way_and_in_tonics() {
    let (short, tonics) = (Served::start().await, Served::start().await);
    let gzip = |channel| {
        tonic::client::Grpc::new(channel)
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip)
    };
    let mut said = BTreeMap::new();
    // A campaign without a name would wait for the lock without a name.
    for rule in RULES.iter().filter(|rule| rule.kind == Kind::Unary && rule.rpc != Rpc::Campaign) {
        let mut plain = tonic::client::Grpc::new(short.channel().await);
        let mut zipped = gzip(tonics.channel().await);
        let mut both = Vec::new();
        for grpc in [&mut plain, &mut zipped] {
            grpc.ready().await.unwrap();
            // An empty request is one of every method.
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            let answer = grpc.unary(Request::new(()), rule.path.parse().unwrap(), codec).await;
            both.push(answer.map(drop).map_err(|status| (status.code(), status.message().to_string())));
        }
        assert_eq!(both[0], both[1], "{}", rule.path);
        said.insert(rule.path, both.remove(0));
    }
    let (code, text) = said["/etcdserverpb.KV/Put"].clone().unwrap_err();
    assert_eq!((code, text.as_str()), (Code::InvalidArgument, "etcdserver: key is not provided"));
    let unserved: Vec<_> = said
        .iter()
        .filter(|(_, said)| matches!(said, Err((Code::Unimplemented, _))))
        .map(|(path, _)| path.split('/').nth(1).unwrap())
        .collect();
    assert!(unserved.iter().all(|service| *service == "etcdserverpb.Auth"), "{unserved:?}");
    assert!(said.values().filter(|said| said.is_ok()).count() > 10, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_request_gets_a_compressed_answer() {
    let served = Served::start().await;
    let mut plain =
        MaintenanceClient::new(served.channel().await).accept_compressed(CompressionEncoding::Gzip);
    let answer = plain.status(pb::StatusRequest {}).await.unwrap();
    assert!(!answer.metadata().contains_key("grpc-encoding"));
    let mut zipped = plain.send_compressed(CompressionEncoding::Gzip);
    let answer = zipped.status(pb::StatusRequest {}).await.unwrap();
    assert_eq!(answer.metadata().get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(answer.into_inner().version, "3.7.3");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_streams_with_a_reason() {
    let served = Served::start().await;
    let mut health = HealthClient::new(served.channel().await);
    let unknown = health.check(HealthCheckRequest { service: "x".into() }).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::NotFound, "unknown service"));
    let mut stream = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().status, 1);
    served.stopper.stop();
    let ended = stream.message().await.unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::Unavailable, "etcdserver: server stopped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_stream() {
    let served = Served::start().await;
    let mut health = HealthClient::new(served.channel().await);
    let mut request = Request::new(HealthCheckRequest { service: "x".into() });
    request.set_timeout(Duration::from_secs(2));
    let mut stream = health.watch(request).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().status, 3);
    assert_eq!(stream.message().await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_request_is_held_in_little_memory() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), Options { map_size: 1 << 30, ..Options::default() }).unwrap();
    let member = lone_leader(store, Settings::default()).await;
    let grpc = super::grpc::Grpc::new(member.services.clone());
    let mut request = http::Request::new(http_body_util::Full::new(prost::bytes::Bytes::new()));
    let budget = Budget::new(1 << 20);
    let share = Share::new(member.services.store.answers().clone(), &budget, budget.clone());
    let client =
        Arc::new(Client { peer: Peer::Unknown, local: None, encrypted: false, certified: None, share });
    let size = std::mem::size_of_val(&grpc.call(&mut request, &client));
    assert!(size < 1 << 10, "every request allocates and moves {size} bytes");
    // There may be a hundred thousand of them, and the allocator has blocks of 320 and of 384 bytes.
    *request.uri_mut() = "/etcdserverpb.Watch/Watch".parse().unwrap();
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let body = grpc.call(&mut request, &client).await.into_body();
    let super::body::ReplyBody::Stream(stream) = body else { panic!("a watch stream is open") };
    let size = std::mem::size_of_val(&*stream) - size_of::<http_body_util::Full<prost::bytes::Bytes>>();
    assert!(size + size_of::<Upload<Incoming>>() <= 320, "{size} bytes and the body of the request");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_wait_until_they_are_let_in() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path(), Options { map_size: 1 << 30, ..Options::default() }).unwrap();
    let Member { services, stopper, .. } = lone_leader(store, Settings::default()).await;
    let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let bind = |faces| Listener::bind(&address, SocketOptions::default(), Encryption::None, faces).unwrap();
    let (listener, metrics) = (bind(Faces::All), bind(Faces::Metrics));
    let (address, metrics_address) = (listener.local_addr().unwrap(), metrics.local_addr().unwrap());
    let server = Server::serve(services, vec![listener, metrics], ServerOptions::default(), 1).unwrap();
    let ask = async |address: SocketAddr| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        stream
    };
    let mut answer = String::new();
    let mut early = ask(address).await;
    // The metrics port answers in the meantime, so the server is up and has had enough time.
    ask(metrics_address).await.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
    let unheard = tokio::time::timeout(Duration::from_millis(50), early.read_u8()).await;
    assert!(unheard.is_err(), "answered before clients were let in: {unheard:?}");
    server.open();
    answer.clear();
    early.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
    stopper.stop();
    server.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_too_long_are_refused_in_the_same_words_everywhere() {
    let served = Served::start().await;
    let channel = served.channel().await;
    let create = pb::WatchCreateRequest { key: vec![b'k'; 2_200_000].into(), ..Default::default() };
    let request =
        pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let mut watch = WatchClient::new(channel.clone());
    let mut answers = watch.watch(tokio_stream::iter([request])).await.unwrap().into_inner();
    let refused = answers.message().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert!(refused.message().starts_with("grpc: received message larger than max (22000"), "{refused:?}");
    assert!(refused.message().ends_with(" vs. 2097152)"), "{refused:?}");

    let mut zipped = KvClient::new(channel).send_compressed(CompressionEncoding::Gzip);
    let refused = zipped.put(put("a", &"x".repeat(2_200_000))).await.unwrap_err();
    let text = "grpc: received message after decompression larger than max 2097152";
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, text));
}
