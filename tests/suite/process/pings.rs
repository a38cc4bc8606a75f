//! Clients that ping too often, spoken by hand: the frames of HTTP/2 (RFC 9113), as few as it takes.

use crate::harness::{PATIENCE, Program, Server, Setup, reference, subject};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DATA: u8 = 0;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

/// How a connection ended: after so many pings, with this payload of its GOAWAY.
#[derive(Debug, PartialEq)]
struct Expelled {
    pings: usize,
    last_stream: u32,
    code: u32,
    text: String,
}

struct Client {
    connection: TcpStream,
    pings: usize,
}

impl Client {
    async fn connect(server: &Server) -> Client {
        let mut connection = TcpStream::connect(server.endpoint()).await.expect("a connection");
        connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the preface is taken");
        let mut client = Client { connection, pings: 0 };
        client.send(4, 0, 0, &[]).await;
        client
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.connection.write_all(&frame).await.expect("a frame is taken");
    }

    /// Opens a stream with a watcher that sees nothing, and waits until it is answered.
    async fn open_watch(&mut self, stream: u32) {
        let mut block = vec![0x83, 0x86, 0x44];
        for (before, text) in
            [("", "/etcdserverpb.Watch/Watch"), ("\x41", "here"), ("\x5f", "application/grpc")]
        {
            block.extend_from_slice(before.as_bytes());
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
        block.extend_from_slice(b"\x40\x02te\x08trailers");
        self.send(1, 4, stream, &block).await;
        // A message's prefix, and a request to watch the key k.
        self.send(0, 0, stream, b"\0\0\0\0\x05\x0a\x03\x0a\x01k").await;
        while self.receive().await.expect("a stream is answered").0 != DATA {}
    }

    /// A frame of the server's; `None` at the end of the connection.
    async fn receive(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let mut header = [0; 9];
        self.connection.read_exact(&mut header).await.ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let mut payload = vec![0; length];
        self.connection.read_exact(&mut payload).await.ok()?;
        Some((header[3], header[4], payload))
    }

    /// Sends a ping and waits for its answer; the end of the connection instead of it, or right behind it.
    async fn ping(&mut self) -> Option<Expelled> {
        self.pings += 1;
        self.send(PING, 0, 0, &[7; 8]).await;
        loop {
            match self.receive().await.expect("a connection is not ended without a word") {
                (PING, ACK, _) => return None,
                (GOAWAY, _, payload) => return Some(self.expelled(&payload)),
                _ => {}
            }
        }
    }

    /// The end that was announced by the answer to the last ping, if it was.
    async fn last_words(&mut self) -> Option<Expelled> {
        while let Some((kind, _, payload)) = self.receive().await {
            if kind == GOAWAY {
                return Some(self.expelled(&payload));
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

/// Pings as fast as it is answered, with or without a stream, until the server has had enough.
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
        // The fourth may be answered before the end is announced.
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
            // There it means grpc's five minutes.
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
