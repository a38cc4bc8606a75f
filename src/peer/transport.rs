//! The interface between members: bytes to a member, bytes back. Their meaning is defined by the senders (raft's
//! `wire`, join's questions); the transport defines how they are sent.

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

/// A channel: the kind of a message, for which a transport has a stream of its own. Within a channel, messages to one
/// member arrive in the order of the calls; answers are sent when they are ready, so that none waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Votes, heartbeats, read indexes, leadership transfers: small and urgent.
    Control,
    /// Entries.
    Append,
    /// Proposals forwarded to the leader.
    Forward,
    /// Requests that the leader may answer late: renewals of leases, membership changes.
    Service,
}

/// The longest request of the channels [`Channel::Append`] and [`Channel::Forward`].
pub const MAX_MESSAGE: usize = MAX_FRAME;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The request was not sent: the other member has not seen it.
    #[error("not reachable: {0}")]
    Unreachable(String),
    /// The request may have arrived.
    #[error("connection lost: {0}")]
    Lost(String),
    /// No answer in time; the request may have arrived.
    #[error("no answer in time")]
    Timeout,
}

/// The bytes of a snapshot, in pieces of any size. Getting the next one may block the thread. Nothing follows an error.
pub type Pieces = Box<dyn Iterator<Item = io::Result<Bytes>> + Send>;

/// Reaches other members. Implementations connect when first needed, keep the connection, bind both ends to their
/// member ids, and bound every message.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request to a member that is reached at one of `urls` and returns its answer within `timeout`. The
    /// request is queued in the channel when this is called, not when the future is polled.
    fn call(
        &self,
        to: MemberId,
        urls: &[String],
        channel: Channel,
        request: Bytes,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>>;

    /// Sends a snapshot: the request, then everything in `body`, on a stream of its own. Sending may take any time as
    /// long as there is progress; the answer is due within `timeout` after that. Dropping the future aborts it.
    fn send_snapshot(
        &self,
        to: MemberId,
        urls: &[String],
        request: Bytes,
        body: Pieces,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>>;

    /// For how long the member has been connected without interruption; `None` if it is not.
    fn connected_for(&self, _to: MemberId) -> Option<Duration> {
        None
    }

    /// True if the host of the member says that nothing listens at its port any more: its process has ended. A host that
    /// says nothing, as one that is off or behind a firewall, shows nothing.
    fn is_gone(&self, _member: MemberId) -> Pending<bool> {
        Box::pin(std::future::ready(false))
    }

    /// The runtime of the transport, which has one thread. A caller on that thread saves two hand-overs between threads
    /// for every message.
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
        _channel: Channel,
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

/// The other end of a connection, by its certificate and its greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The member; zero if it has no id yet, because it wants to become a member.
    pub member: MemberId,
    /// The cluster; zero likewise.
    pub cluster: ClusterId,
    /// Its address, for log lines.
    pub address: String,
}

/// Why a member refuses another. Both sides log it. New variants go at the end: it is part of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Rejection {
    /// Another cluster.
    #[error("cluster id mismatch: this is cluster {here}, not {there}")]
    OtherCluster {
        /// The cluster of the refusing member.
        here: ClusterId,
        /// The requested cluster.
        there: ClusterId,
    },
    /// This is another member.
    #[error("member id mismatch: this is member {here}, not {there}")]
    OtherMember {
        /// The refusing member.
        here: MemberId,
        /// The requested member.
        there: MemberId,
    },
    /// The caller was removed from the cluster.
    #[error("the member has been permanently removed from the cluster")]
    Removed,
    /// The caller is not a member (as far as is known here).
    #[error("not a member of this cluster")]
    Unknown,
    /// Cannot be answered now.
    #[error("not ready: {0}")]
    NotReady(String),
    /// The message cannot be decoded.
    #[error("{0}")]
    Malformed(String),
    /// Another version of the protocol.
    #[error("protocol version mismatch: {0}")]
    Protocol(String),
    /// The certificate is not accepted, or belongs to another member.
    #[error("bad certificate: {0}")]
    Certificate(String),
    /// A newer connection has replaced this one, or the other side is shutting down.
    #[error("closed: {0}")]
    Closed(String),
    /// The caller is a copy of a member: another process of that member is running. The text names its address.
    #[error("{0}")]
    Copy(String),
    /// The caller's log ends before what it has acknowledged: its data are an older copy.
    #[error(
        "the data of the member are an older copy: its log ends before {}, which it has acknowledged", end(.0)
    )]
    Outdated(Progress),
    /// The two have no secret and no certificate authority in common. Told by TLS, so that it never travels.
    #[error("the other side does not have the same cluster secret (or certificate authority)")]
    Stranger,
    /// Another life of the cluster.
    #[error("{}", lives(*.here, *.there))]
    OtherEpoch {
        /// The epoch of the member that says so.
        here: u64,
        /// That of the caller.
        there: u64,
    },
    /// The caller is of the cluster of which this one was recovered.
    #[error(
        "the cluster was recovered without this member, as cluster {here}: its data are of the former cluster, for ever; \
         empty its data-dir and wal-dir, and let it join the new one"
    )]
    Recovered {
        /// The cluster of the refusing member.
        here: ClusterId,
    },
}

fn lives(here: u64, there: u64) -> String {
    let (later, earlier) = if here > there { ("here", "of the caller") } else { ("of the caller", "here") };
    format!(
        "cluster epoch mismatch: {here} here, {there} of the caller; the cluster was begun anew (--force-new-cluster or a \
         restore), and the data {earlier} are older than that, so they do not fit those {later}: remove the data of the \
         older member and let it join again"
    )
}

fn end(acknowledged: &Progress) -> String {
    match acknowledged.last {
        Some(last) => format!("entry {} of term {}", last.index, acknowledged.term),
        None => format!("term {}", acknowledged.term),
    }
}

impl Rejection {
    /// The close code of a connection that ends for this reason; 0 if nothing is wrong.
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
            Self::OtherEpoch { .. } => 11,
            Self::Recovered { .. } => 12,
        }
    }

    /// True if the refused member must not take part any more.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Removed | Self::Copy(_) | Self::Outdated(_))
    }

    /// The rejection for a close code and its reason, if nothing else is known. They contain neither the ids of a
    /// mismatch nor the position that an older copy lacks.
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
    /// Decides whether a caller is admitted, when it connects.
    ///
    /// # Errors
    /// [`Rejection`], which is sent to the caller.
    fn admit(&self, caller: &Caller) -> Result<(), Rejection>;

    /// Which life of the cluster this member is of.
    fn epoch(&self) -> u64;

    /// True if this cluster was recovered from what was left of that one.
    fn was_once(&self, _cluster: ClusterId) -> bool {
        false
    }

    /// The peer URLs of a member in the cluster's list; none if it is not known here.
    fn peer_urls(&self, of: MemberId) -> Vec<String>;

    /// The end of this member's log.
    fn progress(&self) -> Progress;

    /// The highest position that a member has acknowledged to this one; `None` if there is none since the start.
    fn acknowledged(&self, by: MemberId) -> Option<Progress>;

    /// Answers a request of a member. Called, and first polled, in the order in which the requests of a channel
    /// arrived, without waiting for earlier answers; answers are sent when they are ready.
    fn call(&self, from: MemberId, channel: Channel, request: Bytes) -> Pending<Result<Bytes, Rejection>>;

    /// Receives a snapshot while it arrives. Only a body that ends without an error is complete.
    fn snapshot(&self, from: MemberId, request: Bytes, body: Pieces) -> Pending<Result<Bytes, Rejection>>;

    /// Answers the question of a caller with a valid certificate that need not be a member yet.
    fn ask(&self, caller: &Caller, question: Bytes) -> Pending<Result<Bytes, Rejection>>;
}
