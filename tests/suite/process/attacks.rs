//! Clients that mean harm, each beside a normal client that puts and gets a key every 10 ms: the member's memory has a
//! bound, and the normal client's requests are all answered. Neither depends on how fast the machine is.
//!
//! `KVD_ATTACK_SECONDS=30` makes each attack last that long, and prints the memory above rest and the normal client's
//! times:
//! `KVD_ATTACK_SECONDS=30 cargo test --release --test suite attacks -- --include-ignored --nocapture --test-threads 1`.
//! With `KVD_SUITE_SUBJECT=3.7.3` the same is printed for that etcd, and nothing is asserted of it.

mod floods;
mod normal;
mod raw;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use kvd::api::proto::etcdserverpb::request_op::Request as OpRequest;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{
    PutRequest, PutResponse, RangeRequest, RangeStreamResponse, RequestOp, TxnRequest, WatchCreateRequest,
    WatchRequest,
};
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::frames;
use crate::harness::{Api, Server, heavy, subject};
use normal::Watched;
use raw::Raw;

const MB: usize = 1 << 20;
/// The size of the large values.
const VALUE: usize = 1_400_000;
/// What answers may take in all: `--max-unsent-bytes`, and what the allocator does not give back at once.
const ANSWERS: usize = 512 * MB;

/// What a watch stream may take whose client does not read, in bytes.
const STREAM: usize = 2_100;

/// How long an attack lasts.
fn lasts() -> Duration {
    let seconds = std::env::var("KVD_ATTACK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// True if the attacks have their whole size; otherwise they are just as large as is needed to exceed a limit.
fn is_measured() -> bool {
    std::env::var_os("KVD_ATTACK_SECONDS").is_some()
}

/// A member with so many large values, `v000` and so on; `None` for another program than kvd that is not measured.
async fn with_values(count: usize) -> Option<Server> {
    if !subject().is_kvd() && !is_measured() {
        return None;
    }
    let server = Server::of(&subject()).await;
    let mut kv = server.api().kv;
    for number in 0..count {
        let (key, value) = (format!("v{number:03}").into(), vec![b'x'; VALUE].into());
        kv.put(PutRequest { key, value, ..Default::default() }).await.expect("a put");
    }
    Some(server)
}

/// The first so many values.
fn values(count: usize) -> RangeRequest {
    let range_end = format!("v{count:03}").into();
    RangeRequest { key: "v".into(), range_end, ..Default::default() }
}

/// The answer, or a refusal that says that it is too much.
fn refused_or_answered<T>(answer: Result<T, Status>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(status) => {
            assert!(status.code() == Code::ResourceExhausted || !subject().is_kvd(), "{status}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads() {
    let _turn = heavy().await;
    let Some(server) = with_values(6).await else { return };
    let (connections, ranges) = if is_measured() { (50, 100) } else { (20, 20) };
    let watched = Watched::begin(&server).await;
    let mut unread = Vec::new();
    for _ in 0..connections {
        let mut connection = Raw::connect(&server).await;
        for number in 0..ranges {
            let message = values(6).encode_to_vec();
            connection.call(2 * number + 1, "/etcdserverpb.KV/Range", &[], &message).await;
        }
        unread.push(connection);
    }
    tokio::time::sleep(lasts()).await;
    let metrics = crate::harness::page(&server, "/metrics").await;
    let refused = metrics.lines().find_map(|line| {
        line.strip_prefix("grpc_server_handled_total{grpc_code=\"ResourceExhausted\",grpc_method=\"Range\"")
    });
    let count = refused.and_then(|line| line.rsplit(' ').next()).and_then(|count| count.parse::<u32>().ok());
    assert!(count > Some(0) || !subject().is_kvd(), "none of the ranges was refused: {refused:?}");
    watched.end("50 connections x 100 unary ranges of 8 MB, never read", ANSWERS).await;
    drop(unread);
    // The memory is free again once its clients are gone.
    let begun = Instant::now();
    while server.api().kv.range(values(6)).await.is_err() {
        assert!(begun.elapsed() < crate::harness::PATIENCE, "the memory of clients that are gone");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Transactions with a hundred ranges of 20 MB, read-only and writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_with_large_answers() {
    let _turn = heavy().await;
    let Some(server) = with_values(14).await else { return };
    let op = |request| RequestOp { request: Some(request) };
    let ranges = vec![op(OpRequest::RequestRange(values(14))); 100];
    let put = PutRequest { key: "written".into(), ..Default::default() };
    let writing = [ranges.clone(), vec![op(OpRequest::RequestPut(put))]].concat();
    let watched = Watched::begin(&server).await;
    let until = Instant::now() + lasts();
    let mut attackers = JoinSet::new();
    for number in 0..4 {
        let success = if number % 2 == 0 { ranges.clone() } else { writing.clone() };
        let mut kv = server.api().kv;
        attackers.spawn(async move {
            loop {
                let txn = TxnRequest { success: success.clone(), ..Default::default() };
                let answered = refused_or_answered(kv.txn(txn).await).is_some();
                assert!(!answered || !subject().is_kvd(), "2 GB in one answer");
                if Instant::now() > until {
                    return;
                }
            }
        });
    }
    attackers.join_all().await;
    let written = RangeRequest { key: "written".into(), ..Default::default() };
    let written = server.api().kv.range(written).await.expect("a range").into_inner();
    assert!(written.count == 0 || !subject().is_kvd(), "what is refused has no effect");
    watched.end("transactions of 100 ranges of 20 MB", ANSWERS).await;
}

/// The number of keys in a stream, whose pieces are small; `None` if one is refused.
async fn keys_of(mut stream: Streaming<RangeStreamResponse>) -> Option<usize> {
    let mut keys = 0;
    while let Some(piece) = refused_or_answered(stream.message().await)? {
        let size = piece.encoded_len();
        assert!(size < 2 * VALUE || !subject().is_kvd(), "a piece of {size} bytes");
        keys += piece.range_response.map_or(0, |piece| piece.kvs.len());
    }
    Some(keys)
}

/// Large answers at the same time, whole and as streams that begin with small values.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_ranges_at_the_same_time() {
    let _turn = heavy().await;
    let count = if is_measured() { 400 } else { 100 };
    let Some(server) = with_values(count).await else { return };
    let mut kv = server.api().kv;
    for number in 0..20 {
        let (key, value) = (format!("u{number:03}").into(), "small".into());
        kv.put(PutRequest { key, value, ..Default::default() }).await.expect("a put");
    }
    let watched = Watched::begin(&server).await;
    let until = Instant::now() + lasts();
    let mut attackers = JoinSet::new();
    for number in 0..8 {
        let mut kv = server.api().kv;
        let range = RangeRequest { key: "u".into(), ..values(count) };
        attackers.spawn(async move {
            loop {
                if number % 2 == 0 {
                    let _ = refused_or_answered(kv.range(range.clone()).await);
                } else {
                    let stream = refused_or_answered(kv.range_stream(range.clone()).await);
                    let keys = match stream {
                        Some(stream) => keys_of(stream.into_inner()).await,
                        None => None,
                    };
                    // Or the whole ranges have left no room for a piece of it.
                    assert!(keys.is_none_or(|keys| keys == count + 20), "{keys:?} keys");
                }
                if Instant::now() > until {
                    return;
                }
            }
        });
    }
    attackers.join_all().await;
    watched.end("8 ranges and streams of 400 values of 1.4 MB", ANSWERS).await;
}

/// A connection that opens streams without end: the client learns how many it may have, and those beyond are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_without_end() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let watched = Watched::begin(&server).await;
    let until = Instant::now() + lasts();
    let mut ended = 0;
    while (ended == 0 && subject().is_kvd()) || Instant::now() < until {
        let mut connection = Raw::connect(&server).await;
        for number in 0..200_000 {
            if !connection.open(2 * number + 1, "/etcdserverpb.KV/Put", &[]).await {
                ended += 1;
                break;
            }
        }
        assert!(ended > 0 || !subject().is_kvd(), "200,000 streams are not too many");
    }
    watched.end("200,000 streams on one connection", 64 * MB).await;
}

/// Headers of nearly the largest size on many streams, whose requests never come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_headers() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let watched = Watched::begin(&server).await;
    let (connections, streams) = if is_measured() { (50, 400) } else { (50, 80) };
    // A field that the server does not keep for later blocks: its name, the length of its value (RFC 7541 section 5.1),
    // its value.
    let header = [b"\x00\x06x-much\x7f\xe1\xd3\x03".as_slice(), &[b'h'; 60_000]].concat();
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut connection = Raw::connect(&server).await;
        for number in 0..streams {
            if !connection.open(2 * number + 1, "/etcdserverpb.KV/Put", &header).await {
                break;
            }
        }
        open.push(connection);
    }
    tokio::time::sleep(lasts()).await;
    whoever_comes_is_served(&server).await;
    watched.end("headers of 60 kB on 20,000 streams", 136 * MB).await;
    drop(open);
}

/// Connections that fill their tables of headers, each entry in another buffer of the server, and then do nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_keep_buffers() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let watched = Watched::begin(&server).await;
    let connections = if is_measured() { 200 } else { 40 };
    let range = RangeRequest { key: vec![b'k'; 9000].into(), ..Default::default() }.encode_to_vec();
    let end = b"\x0f\x10\x10application/grpc\x00\x02te\x08trailers";
    let path = b"\x04\x16/etcdserverpb.KV/Range";
    // 14,000 bytes of Huffman code, which the server reads into a buffer that is larger than that.
    let coded = [&b"\x00\x01x\xff\xb1\x6c"[..], &[0; 14_000]].concat();
    let mut open = Vec::new();
    for kind in 0..connections {
        let mut connection = frames::Client::connect(server.endpoint()).await;
        connection.accept_settings().await;
        for number in 0..if kind % 4 == 3 { 1 } else { 100 } {
            // What goes to the table (RFC 7541 section 6.2): an authority that never comes again, a scheme in Huffman code
            // and one of no length.
            let block = match kind % 4 {
                0 => [&b"\x83\x86"[..], path, format!("\x41\x04h{number:03}").as_bytes(), end].concat(),
                1 => [&b"\x83\x46\x81\x63"[..], path, &coded, end].concat(),
                2 => [&b"\x83\x46\x00"[..], path, &coded, end].concat(),
                // Fields of which each takes one byte, and no table.
                _ => [&b"\x83"[..], &b"\x84".repeat(16_000)].concat(),
            };
            let stream = 2 * number + 1;
            connection.send(frames::HEADERS, frames::END_HEADERS, stream, &block).await;
            connection.send(frames::DATA, frames::END_STREAM, stream, &frames::framed(&range)).await;
            loop {
                let frame = connection.receive().await.expect("the connection goes on");
                let is_last = frame.kind == frames::HEADERS && frame.flags & frames::END_STREAM != 0;
                if frame.stream == stream && (is_last || frame.kind == frames::RST_STREAM) {
                    break;
                }
            }
        }
        open.push(connection);
    }
    tokio::time::sleep(lasts()).await;
    whoever_comes_is_served(&server).await;
    watched.end("100 entries in the tables of 200 connections", connections * (160 << 10) + 8 * MB).await;
    drop(open);
}

/// Requests whose messages never come wholly, in HTTP/2 and as JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_never_end() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let watched = Watched::begin(&server).await;
    let (connections, streams) = if is_measured() { (50, 100) } else { (10, 80) };
    let mut open = Vec::new();
    for number in 0..connections {
        let path = if number % 2 == 0 { "/etcdserverpb.KV/Put" } else { "/etcdserverpb.Watch/Watch" };
        let mut connection = frames::Client::connect(server.endpoint()).await;
        connection.accept_settings().await;
        let mut allowed = 65_535;
        for number in 0..streams {
            connection.begin(2 * number + 1, path, VALUE, MB - frames::PIECE, &mut allowed).await;
        }
        open.push(connection);
    }
    let mut as_json = Vec::new();
    for _ in 0..connections * streams / 4 {
        let mut connection = TcpStream::connect(server.endpoint()).await.expect("a connection");
        let head =
            format!("POST /v3/kv/put HTTP/1.1\r\nhost: a\r\ncontent-length: {VALUE}\r\n\r\n{{\"value\":\"");
        let sent = [head.into_bytes(), vec![b'x'; MB]].concat();
        // It is refused if there is no room.
        let _ = connection.write_all(&sent).await;
        as_json.push(connection);
    }
    tokio::time::sleep(lasts()).await;
    whoever_comes_is_served(&server).await;
    watched.end("1 MB of messages on each of 5,000 streams", 256 * MB).await;
    drop((open, as_json));
}

/// A put with a field that nobody knows.
#[derive(Clone, PartialEq, Message)]
struct PaddedPut {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "101")]
    padding: Vec<u8>,
}

/// Puts of small keys whose requests are large: by what nobody knows, and by a branch that is not executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn padded_puts() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let watched = Watched::begin(&server).await;
    let until = Instant::now() + lasts();
    let mut kv = server.api().kv;
    let channel =
        Channel::from_shared(format!("http://{}", server.endpoint())).expect("an address").connect_lazy();
    let mut raw = tonic::client::Grpc::new(channel);
    let put = |key: Vec<u8>, value| {
        let put = PutRequest { key: key.into(), value, ..Default::default() };
        vec![RequestOp { request: Some(OpRequest::RequestPut(put)) }]
    };
    let mut number = 0;
    while number < 300 || (is_measured() && Instant::now() < until) {
        let key = format!("padded{number}").into_bytes();
        raw.ready().await.expect("a connection");
        let padded = PaddedPut { key: key.clone(), padding: vec![b'x'; MB] };
        let codec = tonic_prost::ProstCodec::<PaddedPut, PutResponse>::default();
        let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
        raw.unary(tonic::Request::new(padded), path, codec).await.expect("a put");
        let (success, failure) = (put(key.clone(), Bytes::new()), put(key, vec![b'x'; MB].into()));
        kv.txn(TxnRequest { success, failure, ..Default::default() }).await.expect("a transaction");
        number += 1;
    }
    watched.end("puts of 10 bytes in requests of 1 MB", 128 * MB).await;
}

/// Requests on streams whose answers may not be sent: after the first one none is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_nobody_reads() {
    const STREAMS: [u32; 4] = [1, 3, 5, 7];
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let watched = Watched::begin(&server).await;
    let create = WatchCreateRequest { key: "k".into(), ..Default::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }.encode_to_vec();
    let connections = if is_measured() { 500 } else { 100 };
    let mut open = Vec::new();
    let mut sent = 0;
    for _ in 0..connections {
        let mut connection = frames::Client::connect(server.endpoint()).await;
        let allowed = connection.take_no_answers().await;
        for stream in STREAMS {
            let head = frames::header_block("/etcdserverpb.Watch/Watch", &[]);
            connection.send(frames::HEADERS, frames::END_HEADERS, stream, &head).await;
            connection.send(frames::DATA, 0, stream, &frames::framed(&create)).await;
        }
        for _ in STREAMS {
            while connection.receive().await.expect("the connection goes on").kind != frames::HEADERS {}
        }
        // The rest of the piece is for what was sent first.
        let pieces = (allowed / frames::PIECE).saturating_sub(1).min(STREAMS.len() * 60);
        for stream in STREAMS.into_iter().cycle().take(pieces) {
            connection.send(frames::DATA, 0, stream, &[0; frames::PIECE]).await;
        }
        sent += pieces * frames::PIECE;
        open.push(connection);
    }
    assert!(sent > 64 * MB || !subject().is_kvd(), "the clients may send {sent} bytes");
    tokio::time::sleep(lasts()).await;
    whoever_comes_is_served(&server).await;
    watched.end("4 MB of requests on each of 500 connections, never read", 256 * MB).await;
    drop(open);
}

/// Clients that connect now are served.
async fn whoever_comes_is_served(server: &Server) {
    for _ in 0..20 {
        let range = RangeRequest { key: "normal".into(), ..Default::default() };
        server.api().kv.range(range).await.expect("a client that connects now");
    }
}

/// Many connections with many watches, under a normal client's puts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_watches() {
    let _turn = heavy().await;
    let Some(server) = with_values(0).await else { return };
    let (connections, streams) = if is_measured() { (1000, 100) } else { (100, 100) };
    let watched = Watched::begin(&server).await;
    let create = WatchCreateRequest { key: "normal".into(), ..Default::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }.encode_to_vec();
    let mut open = Vec::new();
    for _ in 0..connections {
        let mut connection = Raw::connect(&server).await;
        for number in 0..streams {
            connection.begin(2 * number + 1, "/etcdserverpb.Watch/Watch", &create).await;
        }
        open.push(connection);
    }
    tokio::time::sleep(lasts()).await;
    // The libraries keep about half of it; the rest is the watcher, and events that wait: more of them the longer it lasts.
    let streams = connections * streams as usize;
    let bound = if is_measured() { 256 * MB } else { streams * STREAM + 8 * MB };
    watched.end("1,000 connections x 100 watches", bound).await;
    drop(open);
}

/// Calls of clients whose version is another one each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_without_end() {
    let Some(server) = with_values(0).await else { return };
    let api = Arc::new(server.api());
    for number in 0..2000 {
        let mut request = tonic::Request::new(RangeRequest { key: "k".into(), ..Default::default() });
        let version = format!("{number}").parse().expect("ASCII");
        request.metadata_mut().insert("client-api-version", version);
        Api::clone(&api).kv.range(request).await.expect("an answer");
    }
    let page = crate::harness::page(&server, "/metrics").await;
    let series = page.lines().filter(|line| line.starts_with("etcd_server_client_requests_total{")).count();
    assert!(series > 0 && series <= 70, "{series} series of clients' versions");
}

/// 64 wrong passwords a second beside a user who puts and gets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it prints a figure, which depends on the machine"]
async fn wrong_passwords_without_end() {
    let Some(server) = with_values(0).await else { return };
    let api = server.api();
    super::users::enable(&api).await;
    let token = super::users::log_in(&api, super::users::PASSWORD).await.expect("a token");
    let alone = Watched::begin_as(&server, Some(token.clone())).await;
    tokio::time::sleep(lasts()).await;
    let alone = alone.end("a user alone", ANSWERS).await;
    let watched = Watched::begin_as(&server, Some(token)).await;
    let until = Instant::now() + lasts();
    let mut flood = JoinSet::new();
    while Instant::now() < until {
        let api = api.clone();
        flood.spawn(async move { super::users::log_in(&api, "wrong").await.map(drop) });
        tokio::time::sleep(Duration::from_secs(1) / 64).await;
    }
    let beside = watched.end("64 wrong passwords a second", ANSWERS).await;
    println!("gets beside them take {:.1} times as long at p99", beside.as_secs_f64() / alone.as_secs_f64());
    flood.shutdown().await;
}
