//! Members with a service that the test controls, and their log lines.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::model::{Clock, ClusterId, MemberId, Progress};
use crate::peer::{
    Caller, Channel, Names, Options, PeerStatus, Pending, Pieces, Quic, Rejection, Service, Transport,
    TransportError,
};
use crate::pki::{Credentials, SecretSource};

pub const CLUSTER: ClusterId = ClusterId(0xc1);
pub const SECRET: &str = "correct horse battery";
/// Long enough for everything a test asks for.
pub const LONG: Duration = Duration::from_secs(60);

/// The real clock, wrong by this much.
pub struct OffClock(pub AtomicI64);

impl Clock for OffClock {
    fn now_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        since.as_millis() as i64 + self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

pub fn clock(off_ms: i64) -> Arc<OffClock> {
    Arc::new(OffClock(AtomicI64::new(off_ms)))
}

/// A member id that no other test uses, so that its log lines can be distinguished.
pub fn new_id() -> MemberId {
    static NEXT: AtomicU64 = AtomicU64::new(0x5eed_0001);
    MemberId(NEXT.fetch_add(1, Ordering::SeqCst))
}

/// This many bytes, no two neighbours alike.
pub fn pattern(size: usize) -> Bytes {
    let mut bytes = (0..=250).collect::<Vec<u8>>().repeat(size / 251 + 1);
    bytes.truncate(size);
    bytes.into()
}

/// Answers `wait...` after the gate is open, `large N` with N bytes, `never...` never, rejects `reject...` and
/// `malformed...`; it sends anything else back.
pub struct Deputy {
    pub admits: Mutex<Result<(), Rejection>>,
    /// Runs when the next caller is checked.
    pub meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    pub seen: Mutex<Vec<(MemberId, Channel, Bytes)>>,
    pub gate: watch::Sender<bool>,
    /// Request, length and checksum of every snapshot received.
    pub snapshots: Arc<Mutex<Vec<(Bytes, u64, u32)>>>,
    pub asked: Mutex<Vec<Caller>>,
    pub urls: Mutex<BTreeMap<MemberId, Vec<String>>>,
    pub epoch: AtomicU64,
    pub progress: Mutex<Progress>,
    pub acknowledged: Mutex<BTreeMap<MemberId, Progress>>,
}

impl Deputy {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            admits: Mutex::new(Ok(())),
            meanwhile: Mutex::default(),
            seen: Mutex::default(),
            gate: watch::Sender::new(false),
            snapshots: Arc::default(),
            asked: Mutex::default(),
            urls: Mutex::default(),
            epoch: AtomicU64::new(0),
            progress: Mutex::default(),
            acknowledged: Mutex::default(),
        })
    }

    pub fn seen_in(&self, channel: Channel) -> Vec<Bytes> {
        let seen = self.seen.lock();
        seen.iter().filter(|(_, other, _)| *other == channel).map(|(.., request)| request.clone()).collect()
    }
}

impl Service for Deputy {
    fn admit(&self, _caller: &Caller) -> Result<(), Rejection> {
        if let Some(meanwhile) = self.meanwhile.lock().take() {
            meanwhile();
        }
        self.admits.lock().clone()
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn peer_urls(&self, of: MemberId) -> Vec<String> {
        self.urls.lock().get(&of).cloned().unwrap_or_default()
    }

    fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    fn acknowledged(&self, by: MemberId) -> Option<Progress> {
        self.acknowledged.lock().get(&by).copied()
    }

    fn call(&self, from: MemberId, channel: Channel, request: Bytes) -> Pending<Result<Bytes, Rejection>> {
        self.seen.lock().push((from, channel, request.clone()));
        let mut gate = self.gate.subscribe();
        Box::pin(async move {
            if request.starts_with(b"wait") {
                gate.wait_for(|open| *open).await.expect("the deputy lives on");
            } else if let Some(size) = request.strip_prefix(b"large ") {
                let size = std::str::from_utf8(size).ok().and_then(|size| size.parse().ok()).expect("a size");
                return Ok(pattern(size));
            } else if request.starts_with(b"never") {
                std::future::pending::<()>().await;
            } else if request.starts_with(b"reject") {
                return Err(Rejection::NotReady("told to".into()));
            } else if request.starts_with(b"malformed") {
                return Err(Rejection::Malformed("told to".into()));
            }
            Ok(request)
        })
    }

    fn snapshot(&self, _from: MemberId, request: Bytes, body: Pieces) -> Pending<Result<Bytes, Rejection>> {
        let snapshots = self.snapshots.clone();
        let taken = tokio::task::spawn_blocking(move || {
            let (mut length, mut checksum) = (0, 0);
            for piece in body {
                let piece = piece.map_err(|error| Rejection::Malformed(error.to_string()))?;
                length += piece.len() as u64;
                checksum = crc32c::crc32c_append(checksum, &piece);
                if request.starts_with(b"reject") {
                    return Err(Rejection::NotReady("no room".into()));
                }
            }
            snapshots.lock().push((request, length, checksum));
            Ok(Bytes::from_static(b"installed"))
        });
        Box::pin(async { taken.await.expect("no panic") })
    }

    fn ask(&self, caller: &Caller, question: Bytes) -> Pending<Result<Bytes, Rejection>> {
        self.asked.lock().push(caller.clone());
        Box::pin(async move {
            match &question[..] {
                b"reject" => Err(Rejection::Unknown),
                _ => Ok([b"answer to ", &question[..]].concat().into()),
            }
        })
    }
}

pub fn secret(text: &str, clock: Arc<dyn Clock>) -> Arc<Credentials> {
    Arc::new(
        Credentials::from_secret(SecretSource::Text(text.to_string().into()), clock).expect("a good secret"),
    )
}

pub fn options(credentials: Arc<Credentials>, clock: Arc<dyn Clock>) -> Options {
    Options {
        credentials,
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        sockets: Vec::new(),
        clock,
        heartbeat: Duration::from_millis(100),
        // A busy machine must not cost a connection.
        election: Duration::from_secs(10),
        names: Names::new(8),
        incarnation: rand::random(),
        version: "0.1.0-test".into(),
    }
}

/// A port without an identity.
pub fn port(text: &str) -> Quic {
    capture();
    Quic::bind(options(secret(text, clock(0)), clock(0))).expect("bound")
}

/// A member.
pub struct Member {
    pub id: MemberId,
    pub quic: Quic,
    pub deputy: Arc<Deputy>,
}

impl Member {
    pub fn new() -> Self {
        Self::on(port(SECRET))
    }

    pub fn on(quic: Quic) -> Self {
        Self::named(new_id(), CLUSTER, quic)
    }

    pub fn named(id: MemberId, cluster: ClusterId, quic: Quic) -> Self {
        let deputy = Deputy::new();
        quic.serve(id, cluster, deputy.clone());
        Self { id, quic, deputy }
    }

    pub fn address(&self) -> SocketAddr {
        self.quic.local_addresses()[0]
    }

    pub fn urls(&self) -> Vec<String> {
        vec![format!("http://{}", self.address())]
    }

    pub fn call(
        &self,
        to: &Member,
        channel: Channel,
        request: &[u8],
    ) -> impl Future<Output = Result<Bytes, TransportError>> + use<> {
        self.call_at(to.id, &to.urls(), channel, request)
    }

    pub fn call_at(
        &self,
        to: MemberId,
        urls: &[String],
        channel: Channel,
        request: &[u8],
    ) -> impl Future<Output = Result<Bytes, TransportError>> + use<> {
        self.quic.call(to, urls, channel, Bytes::copy_from_slice(request), LONG)
    }

    /// Calls until there is a connection.
    pub async fn reach(&self, to: &Member) {
        self.reach_at(to.id, &to.urls()).await;
    }

    pub async fn reach_at(&self, to: MemberId, urls: &[String]) {
        let reached = async {
            while self.call_at(to, urls, Channel::Control, b"hello").await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, reached).await.expect("reached in time");
    }

    /// Calls until the reason why it fails contains `words`.
    pub async fn fails_with(&self, to: MemberId, urls: &[String], words: &str) {
        let mut last = String::new();
        let failed = async {
            while !last.contains(words) {
                let result = self.call_at(to, urls, Channel::Control, b"hello").await;
                last = result.expect_err("refused").to_string();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let failed = tokio::time::timeout(LONG, failed).await;
        assert!(failed.is_ok(), "{words:?} is not in {last:?}");
    }

    pub fn status(&self, of: MemberId) -> PeerStatus {
        self.quic.peers().into_iter().find(|peer| peer.member == of).expect("known")
    }
}

/// A port at the address of one that was closed. The system gives it free a moment later, and another test may have it
/// for a while.
pub async fn port_again(address: SocketAddr) -> Quic {
    let mut bound = None;
    until("the port is free", || {
        let here = options(secret(SECRET, clock(0)), clock(0));
        bound = Quic::bind(Options { listen: vec![address], ..here }).ok();
        bound.is_some()
    })
    .await;
    bound.expect("it is bound")
}

/// Waits for a condition.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, waiting).await.is_ok(), "never: {what}");
}

/// Everything that this room has logged in this process.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn capture() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing_subscriber::fmt()
            .with_env_filter("kvd::peer=info,kvd::pki=info")
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .try_init()
            .expect("nobody else listens to the log of this process");
        lines
    })
}

/// Log lines that contain all of `words`.
pub fn logged(words: &[&str]) -> Vec<String> {
    let text = String::from_utf8_lossy(&capture().0.lock()).into_owned();
    text.lines().filter(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned).collect()
}

/// Waits for such a line.
pub async fn until_logged(words: &[&str]) {
    until(&format!("a log line with {words:?}"), || !logged(words).is_empty()).await;
}
