//! Clients write any target into `:authority`; often it is not a valid authority of a URI.

use std::path::Path;

use kvd::api::proto::etcdserverpb::{PutRequest, RangeRequest, RangeResponse};
use prost::Message;

use super::frames::{ACK, CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS};
use super::frames::{PING, RST_STREAM, framed, header_block};
use crate::harness::{PATIENCE, Program, Server, Setup, reference, subject, tool, until};

const RANGE: &str = "/etcdserverpb.KV/Range";

/// A literal with its length (RFC 7541 section 5.2), without Huffman code.
fn literal(text: &[u8]) -> Vec<u8> {
    let mut out = vec![text.len().min(127) as u8];
    if text.len() >= 127 {
        let mut rest = text.len() - 127;
        while rest >= 128 {
            out.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text);
    out
}

/// `:authority` with this value: its name by index or in full, added to the table or not.
fn fields(value: &[u8]) -> [Vec<u8>; 4] {
    [&b"\x41"[..], b"\x01", b"\x11", b"\x40\x0a:authority"].map(|name| [name, &literal(value)].concat())
}

/// Waits for the answer on a stream: the value of the one key in it.
async fn value(client: &mut Client, stream: u32, about: &str) -> Vec<u8> {
    let mut data = Vec::new();
    let read = async {
        loop {
            let Some(frame) = client.receive().await else { panic!("{about}: the connection ended") };
            let Frame { kind, flags, stream: on, payload } = frame;
            match kind {
                GOAWAY => panic!("{about}: {kind} {payload:?}"),
                // grpc-go resets a stream that it has answered before it saw the end of the request: this reset belongs
                // to the previous request.
                RST_STREAM if on == stream => panic!("{about}: {kind} {payload:?}"),
                DATA if on == stream => data.extend(payload),
                HEADERS if on == stream && flags & END_STREAM != 0 => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{about}: no answer"));
    let answer = RangeResponse::decode(data.get(5..).unwrap_or_default()).expect("a range");
    answer.kvs.first().map(|kv| kv.value.to_vec()).unwrap_or_default()
}

fn odd() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "#initially=[http://127.0.0.1:2379]",
        "#initially=[127.0.0.1:2379;127.0.0.1:22379]",
        "127.0.0.1:2379,127.0.0.1:22379,127.0.0.1:32379",
        "http://127.0.0.1:2379,http://127.0.0.1:22379",
        "http://127.0.0.1:2379",
        "https://127.0.0.1:2379/",
        "/run/kvd/client.sock",
        "unix:///run/kvd/client.sock",
        "%2Frun%2Fkvd%2Fclient.sock",
        "localhost:0/a?b#c",
        "a b",
        "user:word@host:1",
        "[::1",
        "::1",
        "a:1:2",
        "\"<>\\^`{|}",
        "schlüssel.example:2379",
    ];
    let mut odd: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    odd.extend([b"\xff\xfe".to_vec(), vec![b'x'; 3000], [b"http://", vec![b'x'; 300].as_slice()].concat()]);
    odd
}

/// Sends every invalid authority, in every encoding, all on the same connections.
async fn asked_in_every_way(program: &Program) {
    let server = Server::of(program).await;
    let request = PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    server.api().kv.put(request).await.expect("a put");
    let message = RangeRequest { key: "k".into(), ..Default::default() }.encode_to_vec();
    let mut clients = [Client::connect(server.endpoint()).await, Client::connect(server.endpoint()).await];
    let mut stream = 1;
    for authority in odd() {
        for field in fields(&authority) {
            let about = format!("{} as {field:?}", String::from_utf8_lossy(&authority));
            let [together, apart] = &mut clients;
            together.call(stream, RANGE, &field, &message).await;
            assert_eq!(value(together, stream, &about).await, b"v", "{about}");
            // The same, split into two frames.
            let block = header_block(RANGE, &field);
            let (first, second) = block.split_at(block.len() / 2);
            apart.send(HEADERS, 0, stream, first).await;
            apart.send(CONTINUATION, END_HEADERS, stream, second).await;
            apart.send(DATA, END_STREAM, stream, &framed(&message)).await;
            assert_eq!(value(apart, stream, &about).await, b"v", "{about}, in two frames");
            stream += 2;
        }
    }
    // The value from the dynamic table.
    let [client, _] = &mut clients;
    client.call(stream, RANGE, b"\x81", &message).await;
    assert_eq!(value(client, stream, "index 1").await, b"v");
    client.send(PING, 0, 0, &[0; 8]).await;
    loop {
        let frame = client.receive().await.expect("the connection lasts");
        if (frame.kind, frame.flags) == (PING, ACK) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_authority_is_refused() {
    asked_in_every_way(&subject()).await;
    if let Some(reference) = reference("no_authority_is_refused") {
        asked_in_every_way(&reference).await;
    }
}

/// The log lines about a refused client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_logged_with_address_and_reason() {
    if !subject().is_kvd() {
        return;
    }
    let server = Server::of(&subject()).await;
    let mut client = Client::connect(server.endpoint()).await;
    // An invalid path: the stream is reset. Then a frame that is not allowed: the connection ends.
    client.call(1, "\u{1}", b"\x41\x04here", &[]).await;
    while client.receive().await.expect("a reset").kind != RST_STREAM {}
    client.send(CONTINUATION, END_HEADERS, 1, &[]).await;
    while client.receive().await.expect("a farewell").kind != GOAWAY {}
    until("the stream in the log", || server.log().contains("reset a stream of a client")).await;
    until("the connection in the log", || server.log().contains("ended the connection of a client")).await;
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("of a client")).collect();
    assert!(
        lines.iter().all(|line| line.contains("127.0.0.1:") && line.contains("PROTOCOL_ERROR")),
        "{lines:#?}"
    );
    assert_eq!(lines.len(), 2, "{lines:#?}");
}

async fn run(program: &Path, args: &[&str]) -> String {
    let mut command = tokio::process::Command::new(program);
    command.env("ETCDCTL_API", "3").args(args).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("an end").expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {args:?}: {said}", program.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Old and new etcdctl, with targets that are not valid authorities for some of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_etcdctl_reaches_sockets_urls_and_lists() {
    let test = "every_etcdctl_reaches_sockets_urls_and_lists";
    let mut server = Setup::of(&subject()).prepare();
    let socket = server.dir().join("client.sock");
    let socket = format!("unix://{}", socket.display());
    let urls = format!("--listen-client-urls={},{socket}", server.url());
    server.add_args(&[&urls]);
    server.start().await;
    for version in ["3.4.23", "3.5.1", "3.7.3"] {
        let Some(etcdctl) = tool(test, version, "etcdctl") else { continue };
        let list = format!("{0},{0}", server.url());
        for endpoints in [&socket, &server.url(), &server.endpoint(), &list] {
            let endpoints = format!("--endpoints={endpoints}");
            run(&etcdctl, &[&endpoints, "put", "k", version]).await;
            let got = run(&etcdctl, &[&endpoints, "get", "k", "--print-value-only"]).await;
            assert_eq!(got.trim(), version, "{endpoints}");
            run(&etcdctl, &[&endpoints, "endpoint", "status"]).await;
        }
    }
}
