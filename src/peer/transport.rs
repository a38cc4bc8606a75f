//! The seam between members: bytes to a member, bytes back. What they mean is the affair of whoever sends them (raft's
//! `wire`, join's questions); how they travel is the transport's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::tuning::MAX_FRAME;
use crate::model::{ClusterId, MemberId, Progress};

/// A future in a box.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a message is about, so that a transport can keep streams apart. Within a lane, messages to one member arrive in
/// the order of the calls; answers come back as they are ready, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Votes, heartbeats, read indexes, leadership transfers: small and urgent.
    Control,
    /// Entries.
    Append,
    /// Proposals forwarded to the leader.
    Forward,
    /// What the leader may take long to answer: renewals of leases, changes of members.
    Service,
}

/// The longest request of the lanes [`Lane::Append`] and [`Lane::Forward`].
pub const MAX_MESSAGE: usize = MAX_FRAME;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request did not leave: the other member has not seen it.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// The request may have arrived.
    #[error("connection lost: {0}")]
    Lost(String),
    /// No answer in time; the request may have arrived.
    #[error("no answer in time")]
    Timeout,
}

/// The bytes of a snapshot, in pieces of any size. The next one may keep the thread waiting. After an error nothing
/// comes.
pub type Pieces = Box<dyn Iterator<Item = io::Result<Bytes>> + Send>;

/// Reaches other members. Implementations connect when first needed, keep the connection, bind both ends to their
/// member ids, and bound every message.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request to a member that is reached at one of `urls` and hands back its answer within `timeout`. The
    /// request takes its place in the lane when this is called, not when the future is polled.
    fn call(
        &self,
        to: MemberId,
        urls: &[String],
        lane: Lane,
        request: Bytes,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>>;

    /// Sends a snapshot: the request, then everything `body` holds, on a stream of its own. Sending may take as long
    /// as it gets on; the answer is due within `timeout` after that. Dropping the future gives it up.
    fn send_snapshot(
        &self,
        to: MemberId,
        urls: &[String],
        request: Bytes,
        body: Pieces,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>>;

    /// How long ago anything was heard of the member without interruption; `None` where it is not connected.
    fn connected_for(&self, _to: MemberId) -> Option<Duration> {
        None
    }

    /// The runtime that carries the messages, which has one thread. Whoever calls from there spares every message the
    /// way from thread to thread, twice.
    fn runtime(&self) -> Option<Handle> {
        None
    }
}

/// The transport of a member that has no peers.
pub struct NoTransport;

impl Transport for NoTransport {
    fn call(
        &self,
        to: MemberId,
        _urls: &[String],
        _lane: Lane,
        _request: Bytes,
        _timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Unreachable(format!("no way to member {to}")))))
    }

    fn send_snapshot(
        &self,
        to: MemberId,
        _urls: &[String],
        _request: Bytes,
        _body: Pieces,
        _timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Unreachable(format!("no way to member {to}")))))
    }
}

/// Who is at the other end of a connection, as its certificate and its greeting say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The member; zero where it has no id yet, because it wants to become a member.
    pub member: MemberId,
    /// The cluster; zero likewise.
    pub cluster: ClusterId,
    /// Where it comes from, for messages.
    pub address: String,
}

/// Why a member does not talk to another. Both sides log it. New variants go at the end: it travels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Rejection {
    /// Another cluster.
    #[error("cluster id mismatch: this is cluster {here}, not {there}")]
    OtherCluster {
        /// The cluster of the member that says so.
        here: ClusterId,
        /// The cluster that was asked for.
        there: ClusterId,
    },
    /// Another member lives here.
    #[error("member id mismatch: this is member {here}, not {there}")]
    OtherMember {
        /// The member that says so.
        here: MemberId,
        /// The member that was asked for.
        there: MemberId,
    },
    /// The one who calls was removed from the cluster.
    #[error("the member has been permanently removed from the cluster")]
    Removed,
    /// The one who calls is no member (yet, as far as is known here).
    #[error("not a member of this cluster")]
    Unknown,
    /// Cannot be answered now.
    #[error("not ready: {0}")]
    NotReady(String),
    /// Not understood.
    #[error("{0}")]
    Malformed(String),
    /// Another version of the protocol.
    #[error("protocol version mismatch: {0}")]
    Protocol(String),
    /// The certificate is not accepted, or is not that of the member it should be.
    #[error("bad certificate: {0}")]
    Certificate(String),
    /// A newer connection has taken the place of this one, or the other side is shutting down.
    #[error("closed: {0}")]
    Closed(String),
    /// The one who calls is a copy of a member: another process of that member is there. The text says where.
    #[error("{0}")]
    Copy(String),
    /// The log of the one who calls ends before what it has acknowledged: its data are an older copy.
    #[error(
        "the data of the member are an older copy: its log ends before {}, which it has acknowledged", end(.0)
    )]
    Outdated(Progress),
    /// The two have no secret and no certificate authority in common. Told by TLS, so that it never travels.
    #[error("the other side does not have the same cluster secret (or certificate authority)")]
    Stranger,
}

fn end(acknowledged: &Progress) -> String {
    match acknowledged.last {
        Some(last) => format!("entry {} of term {}", last.index, acknowledged.term),
        None => format!("term {}", acknowledged.term),
    }
}

impl Rejection {
    /// The close code of a connection that ends for this reason; 0 where nothing is wrong.
    pub fn code(&self) -> u32 {
        match self {
            Self::Closed(_) => 0,
            Self::OtherCluster { .. } => 1,
            Self::OtherMember { .. } => 2,
            Self::Removed => 3,
            Self::Unknown => 4,
            Self::NotReady(_) => 5,
            Self::Malformed(_) => 6,
            Self::Protocol(_) => 7,
            Self::Certificate(_) | Self::Stranger => 8,
            Self::Copy(_) => 9,
            Self::Outdated(_) => 10,
        }
    }

    /// True if it says of the one who is refused that it is to take no part any more.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Removed | Self::Copy(_) | Self::Outdated(_))
    }

    /// What a close code and its reason mean, where they are all there is. The ids of a mismatch are not among them, nor
    /// is the place of what an older copy lacks.
    pub(super) fn from_close(code: u64, reason: &str) -> Self {
        let known = ["closed: ", "not ready: ", "protocol version mismatch: ", "bad certificate: "];
        let reason = known.iter().find_map(|prefix| reason.strip_prefix(prefix)).unwrap_or(reason).to_owned();
        match code {
            0 => Self::Closed(reason),
            3 => Self::Removed,
            4 => Self::Unknown,
            5 => Self::NotReady(reason),
            7 => Self::Protocol(reason),
            8 => Self::Certificate(reason),
            9 => Self::Copy(reason),
            _ => Self::Malformed(reason),
        }
    }
}

/// What a member answers to others.
pub trait Service: Send + Sync + 'static {
    /// Whether a caller is let in; asked when it connects.
    ///
    /// # Errors
    /// [`Rejection`], which the caller is told.
    fn admit(&self, caller: &Caller) -> Result<(), Rejection>;

    /// The peer URLs of a member as the cluster has them; none if it is not known here.
    fn peer_urls(&self, of: MemberId) -> Vec<String>;

    /// How far this member's log has come.
    fn progress(&self) -> Progress;

    /// The most that a member has acknowledged to this one; nothing if it has acknowledged nothing since the start.
    fn acknowledged(&self, by: MemberId) -> Option<Progress>;

    /// Answers a request of a member. Called, and first polled, in the order in which the requests of a lane came, without
    /// waiting for the answers of those before; answers go back as they are ready.
    fn call(&self, from: MemberId, lane: Lane, request: Bytes) -> Pending<Result<Bytes, Rejection>>;

    /// Takes a snapshot while it arrives. Only a body that ends without an error is whole.
    fn snapshot(&self, from: MemberId, request: Bytes, body: Pieces) -> Pending<Result<Bytes, Rejection>>;

    /// Answers the question of someone whose certificate is good but who need not be a member yet.
    fn ask(&self, caller: &Caller, question: Bytes) -> Pending<Result<Bytes, Rejection>>;
}
