//! Clients that ping: too often, in time, and while they read.

use std::time::Duration;

use kvd::api::proto::etcdserverpb::{PutRequest, RangeRequest};
use prost::Message;

use super::frames::{ACK, Client as Raw, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING};
use super::frames::{RST_STREAM, framed, header_block, slow_link};
use crate::harness::{PATIENCE, Program, Server, Setup, reference, subject, tool};

/// The end of a connection: after this many pings, with this payload of its GOAWAY.
#[derive(Debug, PartialEq)]
struct Expelled {
    pings: usize,
    last_stream: u32,
    code: u32,
    text: String,
}

struct Client {
    raw: Raw,
    pings: usize,
}

impl Client {
    async fn connect(server: &Server) -> Client {
        Client { raw: Raw::connect(server.endpoint()).await, pings: 0 }
    }

    /// Opens a stream with a watcher that sees no events, and waits until it is answered.
    async fn open_watch(&mut self, stream: u32) {
        let block = header_block("/etcdserverpb.Watch/Watch", b"\x41\x04here");
        self.raw.send(HEADERS, END_HEADERS, stream, &block).await;
        // A request to watch the key k.
        self.raw.send(DATA, 0, stream, &framed(b"\x0a\x03\x0a\x01k")).await;
        while self.raw.receive().await.expect("a stream is answered").kind != DATA {}
    }

    /// Sends a ping and waits for its answer; or returns the end of the connection, if it comes instead or directly
    /// after.
    async fn ping(&mut self) -> Option<Expelled> {
        self.pings += 1;
        self.raw.send(PING, 0, 0, &[7; 8]).await;
        loop {
            let frame = self.raw.receive().await.expect("a connection is not ended without a word");
            match (frame.kind, frame.flags) {
                (PING, ACK) => return None,
                (GOAWAY, _) => return Some(self.expelled(&frame.payload)),
                _ => {}
            }
        }
    }

    /// The end that was announced directly after the answer to the last ping, if any.
    async fn last_words(&mut self) -> Option<Expelled> {
        while let Some(frame) = self.raw.receive().await {
            if frame.kind == GOAWAY {
                return Some(self.expelled(&frame.payload));
            }
        }
        None
    }

    fn expelled(&self, payload: &[u8]) -> Expelled {
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four bytes"));
        Expelled {
            pings: self.pings,
            last_stream: number(0),
            code: number(4),
            text: String::from_utf8_lossy(&payload[8..]).into_owned(),
        }
    }
}

/// Pings as fast as it is answered, with or without a stream, until the server ends the connection.
async fn expelled(server: &Server, with_stream: bool) -> Expelled {
    let mut client = Client::connect(server).await;
    if with_stream {
        client.open_watch(3).await;
    }
    let talk = async {
        for _ in 0..3 {
            if let Some(expelled) = client.ping().await {
                return expelled;
            }
        }
        // The fourth ping may be answered before the end is announced.
        if let Some(expelled) = client.ping().await {
            return expelled;
        }
        client.last_words().await.expect("the fourth ping is one too many")
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("an end")
}

async fn compared(program: &Program) -> [Expelled; 2] {
    let server = Server::of(program).await;
    [expelled(&server, false).await, expelled(&server, true).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_pings_too_often_is_sent_away_as_by_etcd() {
    let test = "a_client_that_pings_too_often_is_sent_away_as_by_etcd";
    let got = compared(&subject()).await;
    let sent_away =
        |last_stream| Expelled { pings: 4, last_stream, code: 0xb, text: "too_many_pings".into() };
    assert_eq!(got, [sent_away(0), sent_away(3)]);
    if let Some(reference) = reference(test) {
        assert_eq!(got, compared(&reference).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_that_come_in_time_are_answered_for_ever() {
    for min_time in ["1ms", "0"] {
        if min_time == "0" && !subject().is_kvd() {
            // There it means gRPC's default of five minutes.
            continue;
        }
        let server = Setup::of(&subject()).arg(format!("--grpc-keepalive-min-time={min_time}")).start().await;
        let mut client = Client::connect(&server).await;
        client.open_watch(1).await;
        for _ in 0..20 {
            assert_eq!(client.ping().await, None);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

const LARGE: usize = 20 << 20;
const VALUE: usize = 512 << 10;

/// A server with a range of twenty MiB.
async fn filled(program: &Program) -> Server {
    let server = Server::of(program).await;
    let mut api = server.api();
    for number in 0..LARGE / VALUE {
        let request = PutRequest {
            key: format!("k{number:02}").into(),
            value: vec![7; VALUE].into(),
            ..Default::default()
        };
        api.kv.put(request).await.expect("a put");
    }
    server
}

fn everything() -> RangeRequest {
    RangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() }
}

/// Reads the answer of a method over a slow link as grpc-go does: it answers data with a ping, one at a time, to
/// measure the bandwidth. Returns the number of bytes received and of pings sent.
async fn read_and_ping(link: std::net::SocketAddr, path: &str, message: &[u8]) -> (usize, usize) {
    let mut client = Raw::connect(link).await;
    client.call(1, path, b"\x41\x04here", message).await;
    let (mut bytes, mut pings, mut is_pinging) = (0, 0, false);
    loop {
        let frame = client.receive().await.expect("the connection lasts");
        match (frame.kind, frame.flags) {
            (GOAWAY | RST_STREAM, _) => panic!("{path}: {frame:?} after {bytes} bytes and {pings} pings"),
            (PING, ACK) => is_pinging = false,
            (DATA, _) if !frame.payload.is_empty() => {
                bytes += frame.payload.len();
                client.open_window(1, frame.payload.len()).await;
                if !is_pinging {
                    client.send(PING, 0, 0, &[2, 4, 16, 16, 9, 14, 7, 7]).await;
                    (pings, is_pinging) = (pings + 1, true);
                }
            }
            _ => {}
        }
        if frame.stream == 1 && frame.kind == HEADERS && frame.flags & END_STREAM != 0 {
            return (bytes, pings);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_pings_while_it_reads_a_large_answer_over_a_slow_link_is_served() {
    let server = filled(&subject()).await;
    let link = slow_link(server.endpoint(), 4 << 20).await;
    let range = everything().encode_to_vec();
    let methods = [
        ("/etcdserverpb.KV/Range", range.as_slice()),
        ("/etcdserverpb.KV/RangeStream", &range),
        ("/etcdserverpb.Maintenance/Snapshot", &[]),
    ];
    let read = methods.map(|(path, message)| async move {
        let read = tokio::time::timeout(5 * PATIENCE, read_and_ping(link, path, message)).await;
        (path, read.expect("an answer"))
    });
    for (path, (bytes, pings)) in futures_util::future::join_all(read).await {
        assert!(bytes > LARGE, "{path}: {bytes} bytes");
        // Three pings too many would be enough; the link and its buffers produce far more.
        assert!(pings > 20, "{path}: {pings} pings");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_client_reads_a_large_answer_over_a_slow_link() {
    let test = "a_go_client_reads_a_large_answer_over_a_slow_link";
    let Some(etcdctl) = tool(test, "3.7.3", "etcdctl") else { return };
    let server = filled(&subject()).await;
    let link = slow_link(server.endpoint(), 4 << 20).await;
    let file = server.dir().join("snapshot.db");
    let file = file.to_str().expect("a path");
    for args in [
        &["get", "--prefix", "k", "--command-timeout=300s"][..],
        &["snapshot", "save", file, "--command-timeout=300s"],
    ] {
        let mut command = tokio::process::Command::new(&etcdctl);
        command.arg(format!("--endpoints={link}")).args(args).kill_on_drop(true);
        let output =
            tokio::time::timeout(5 * PATIENCE, command.output()).await.expect("an end").expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        let saved = std::fs::metadata(file).map_or(0, |file| file.len() as usize);
        assert!(output.stdout.len().max(saved) > LARGE, "{args:?}: {said}");
    }
}
