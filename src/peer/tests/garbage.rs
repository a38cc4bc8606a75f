//! Invalid data from strangers and broken members does no harm.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint};

use super::lab::{CLUSTER, LONG, Member, SECRET, clock, new_id, secret, until, until_logged};
use crate::model::{MemberId, Progress};
use crate::peer::frames::{Cutter, FrameError, FrameReader, FrameWriter};
use crate::peer::greeting::{Greeting, Kind, Purpose, Reply, Welcome, decode, encode};
use crate::peer::registry::Registry;
use crate::peer::tuning::{ALPN, MAX_CONNECTIONS_A_MEMBER, MAX_GREETING, MAX_RECORDS, PROTOCOL};
use crate::peer::{Channel, Rejection};
use crate::pki::Holder;

/// Small dice, so that a failure can be replayed by its seed.
struct Dice(u64);

impl Dice {
    /// The seed from `KVD_SEED`, or a random one; printed.
    fn new() -> Self {
        let named = std::env::var("KVD_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = named.unwrap_or_else(rand::random);
        println!("replay with: KVD_SEED={seed} cargo test --lib peer::tests::garbage");
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.next() as usize % (most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A caller with a valid certificate that sends whatever the test wants.
pub struct Stranger {
    pub connection: Connection,
    pub id: MemberId,
    _endpoint: Endpoint,
}

pub fn greeting(to: &Member) -> Greeting {
    Greeting {
        protocol: PROTOCOL,
        purpose: Purpose::Member,
        cluster: CLUSTER,
        epoch: 0,
        from: new_id(),
        to: to.id,
        incarnation: rand::random(),
        progress: Progress::default(),
        acknowledged: None,
        clock_ms: 0,
        version: String::new(),
    }
}

impl Stranger {
    pub async fn connect(to: &Member) -> Self {
        Self::try_connect(to, ALPN).await.expect("connected")
    }

    pub async fn try_connect(to: &Member, alpn: &[u8]) -> Result<Self, ConnectionError> {
        Self::connect_as(to, alpn, new_id()).await
    }

    async fn connect_as(to: &Member, alpn: &[u8], id: MemberId) -> Result<Self, ConnectionError> {
        let credentials = secret(SECRET, clock(0));
        credentials.identify(Holder { member: id, cluster: CLUSTER });
        let mut tls = rustls::ClientConfig::clone(&credentials.client().expect("TLS"));
        tls.alpn_protocols = vec![alpn.to_vec()];
        let crypto = QuicClientConfig::try_from(tls).expect("TLS 1.3");
        let endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, to.address(), "x").expect("a good configuration");
        Ok(Self { connection: connecting.await?, id, _endpoint: endpoint })
    }

    /// Sends a greeting, in its own name.
    pub async fn greet(&self, greeting: &Greeting) -> Result<Welcome, Rejection> {
        let greeting = Greeting { from: self.id, ..greeting.clone() };
        let (mut reader, mut writer) = self.open(Kind::Greeting as u8).await;
        writer.send(encode(&greeting)).await.expect("sent");
        let frame = reader.required().await.expect("a reply");
        // The stream stays open as long as the connection.
        std::mem::drop(tokio::spawn(async move {
            let _ = (reader.next().await, writer);
        }));
        match decode(&frame).expect("a reply") {
            Reply::Welcome(welcome) => Ok(welcome),
            Reply::Refused(rejection) => Err(rejection),
        }
    }

    pub async fn open(&self, kind: u8) -> (FrameReader, FrameWriter) {
        let (send, recv) = self.connection.open_bi().await.expect("a stream");
        let mut writer = FrameWriter::new(send);
        writer.push_byte(kind);
        (FrameReader::new(recv, 1 << 20), writer)
    }

    async fn is_closed_for(&self, words: &str) {
        let closed = tokio::time::timeout(LONG, self.connection.closed()).await.expect("in time").to_string();
        assert!(closed.contains(words), "{words:?} is not in {closed:?}");
    }
}

#[tokio::test]
async fn random_datagrams_are_nothing() {
    let (one, two) = (Member::new(), Member::new());
    one.reach(&two).await;
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut dice = Dice::new();
    for round in 0..3000 {
        let mut bytes = dice.bytes(1400);
        if let (Some(first), 1..) = (bytes.first_mut(), round % 3) {
            // Something like a first packet, or like a packet of a connection.
            *first = if round % 3 == 1 { 0xc0 | *first & 0x3f } else { 0x40 | *first & 0x3f };
        }
        if round % 9 == 1 && bytes.len() > 5 {
            bytes[1..5].copy_from_slice(&[0, 0, 0, 1]);
            bytes.resize(1200, 0);
        }
        socket.send_to(&bytes, two.address()).expect("sent");
    }
    one.reach(&two).await;
    let three = Member::new();
    three.reach(&two).await;
    assert_eq!(one.status(two.id).disconnects, 0);
}

#[tokio::test]
async fn garbage_instead_of_a_greeting_is_refused() {
    let two = Member::new();
    let mut dice = Dice::new();
    for _ in 0..20 {
        let stranger = Stranger::connect(&two).await;
        let (mut send, _recv) = stranger.connection.open_bi().await.expect("a stream");
        let mut bytes = dice.bytes(3000);
        bytes.insert(0, dice.next() as u8 % 8);
        // If it is shorter than its length says, its end shows that.
        if send.write_all(&bytes).await.is_ok() {
            let _ = send.finish();
        }
        let closed = tokio::time::timeout(LONG, stranger.connection.closed()).await.expect("in time");
        assert!(matches!(closed, ConnectionError::ApplicationClosed(_)), "{closed:?}");
    }
    // Too long; and silence on a stream of the wrong kind.
    let stranger = Stranger::connect(&two).await;
    let (_reader, mut writer) = stranger.open(Kind::Greeting as u8).await;
    let _ = writer.send(vec![0; MAX_GREETING + 1].into()).await;
    stranger.is_closed_for("a frame of 1025 bytes, at most 1024 are allowed").await;
    let stranger = Stranger::connect(&two).await;
    let (_reader, mut writer) = stranger.open(Kind::Append as u8).await;
    let _ = writer.send(vec![0; 10].into()).await;
    stranger.is_closed_for("the first stream is no greeting").await;
    let one = Member::new();
    one.reach(&two).await;
    assert_eq!(two.deputy.seen.lock().len(), 1);
}

#[tokio::test]
async fn a_caller_that_breaks_the_rules_is_shown_out() {
    let two = Member::new();
    let name = |stranger: &Stranger| stranger.id.to_string();
    // Before it is admitted there is no second stream.
    let stranger = Stranger::connect(&two).await;
    let _first = stranger.connection.open_bi().await.expect("one");
    let second = tokio::time::timeout(Duration::from_millis(100), stranger.connection.open_bi()).await;
    assert!(second.is_err(), "a second stream before the greeting");
    // A frame of four gigabytes: its length alone is enough to refuse it.
    for (kind, words) in [
        (Kind::Append as u8, "a frame of 4294967295 bytes, at most 67108869 are allowed"),
        (Kind::Control as u8, "a frame of 4294967295 bytes, at most 1048581 are allowed"),
        (77, "a stream of the unknown kind 77"),
        (Kind::Question as u8, "a stream Question where none is due"),
        (Kind::Greeting as u8, "a stream Greeting where none is due"),
    ] {
        let stranger = Stranger::connect(&two).await;
        stranger.greet(&greeting(&two)).await.expect("welcome");
        let (mut send, _recv) = stranger.connection.open_bi().await.expect("a stream");
        let _ = send.write_all(&[kind, 0xff, 0xff, 0xff, 0xff]).await;
        stranger.is_closed_for(words).await;
        until_logged(&["rejected a connection of a peer", &name(&stranger), words]).await;
    }
    // An invalid probe.
    let stranger = Stranger::connect(&two).await;
    let (mut reader, mut writer) = stranger.open(Kind::Greeting as u8).await;
    let hello = Greeting { from: stranger.id, ..greeting(&two) };
    writer.send(encode(&hello)).await.expect("sent");
    reader.required().await.expect("a reply");
    let _ = writer.send(vec![0xff; 30].into()).await;
    tokio::time::timeout(LONG, stranger.connection.closed()).await.expect("closed");
    // It may not claim to be the receiving member itself either.
    let stranger = Stranger::connect(&two).await;
    let refused = stranger.greet(&Greeting { to: MemberId(1), ..greeting(&two) }).await;
    assert_eq!(refused, Err(Rejection::OtherMember { here: two.id, there: MemberId(1) }));
    let one = Member::new();
    one.reach(&two).await;
}

#[tokio::test]
async fn a_stream_of_nonsense_ends_no_more_than_its_connection() {
    let two = Member::new();
    let mut dice = Dice::new();
    for _ in 0..20 {
        let stranger = Stranger::connect(&two).await;
        stranger.greet(&greeting(&two)).await.expect("welcome");
        for _ in 0..4 {
            let opened =
                tokio::time::timeout(Duration::from_millis(200), stranger.connection.open_bi()).await;
            let Ok(Ok((mut send, _recv))) = opened else { break };
            let mut bytes = dice.bytes(5000);
            bytes.insert(0, dice.next() as u8 % 7);
            let _ = send.write_all(&bytes).await;
        }
    }
    let one = Member::new();
    one.reach(&two).await;
    assert_eq!(one.call(&two, Channel::Append, b"fine").await, Ok(b"fine"[..].into()));
    assert_eq!(*two.deputy.snapshots.lock(), []);
}

#[tokio::test]
async fn a_member_has_few_connections_and_the_newest_win() {
    let two = Member::new();
    let (id, hello) = (new_id(), greeting(&two));
    let mut strangers = Vec::new();
    for _ in 0..=MAX_CONNECTIONS_A_MEMBER {
        let stranger = Stranger::connect_as(&two, ALPN, id).await.expect("connected");
        stranger.greet(&hello).await.expect("welcome");
        strangers.push(stranger);
    }
    strangers[0].is_closed_for("a newer connection takes its place").await;
    assert!(strangers[1..].iter().all(|stranger| stranger.connection.close_reason().is_none()));
    assert!(two.status(id).heard_for.is_some());
}

#[tokio::test]
async fn many_names_are_not_remembered_for_ever() {
    let two = Member::new();
    // As many ids as a holder of the secret can invent.
    let records = Registry::default();
    for number in 0..5000 {
        records.peer(MemberId(number));
    }
    assert!(records.all().len() <= MAX_RECORDS, "{} records", records.all().len());
    for _ in 0..20 {
        let stranger = Stranger::connect(&two).await;
        stranger.greet(&greeting(&two)).await.expect("welcome");
        stranger.connection.close(0_u32.into(), b"");
    }
    until("all have gone", || two.quic.peers().iter().all(|peer| peer.heard_for.is_none())).await;
}

#[test]
fn frames_are_cut_the_same_however_the_bytes_come() {
    let mut dice = Dice::new();
    for _ in 0..200 {
        let frames: Vec<Vec<u8>> = (0..dice.next() % 20).map(|_| dice.bytes(300)).collect();
        let mut wire = Vec::new();
        for frame in &frames {
            wire.extend_from_slice(&(frame.len() as u32).to_le_bytes());
            wire.extend_from_slice(frame);
        }
        let mut cutter = Cutter::new(300);
        let (mut cut, mut rest) = (Vec::new(), &wire[..]);
        while !rest.is_empty() {
            let size = (1 + dice.next() as usize % 400).min(rest.len());
            cutter.add(rest[..size].to_vec().into());
            rest = &rest[size..];
            while let Some(frame) = cutter.take().expect("good frames") {
                cut.push(frame.to_vec());
            }
        }
        assert_eq!(cut, frames);
    }
    let mut cutter = Cutter::new(300);
    cutter.add(vec![0x2d, 1, 0, 0].into());
    assert!(matches!(cutter.take(), Err(FrameError::TooLong(301, 300))));
}
