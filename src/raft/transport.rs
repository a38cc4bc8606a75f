//! The seam between raft and the network: bytes to a member, bytes back. What they mean is `wire`'s affair; how they
//! travel is the transport's.

use std::future::Future;
use std::io::Read;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::types::Peer;
use crate::model::MemberId;

/// A future in a box.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a message is about, so that a transport can keep streams apart. Within a lane, messages to one member arrive in
/// the order of the calls and answers come back in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Votes, heartbeats, read indexes, leadership transfers: small and urgent.
    Control,
    /// Entries.
    Append,
    /// Proposals and member changes forwarded to the leader.
    Forward,
}

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

/// Reaches other members. Implementations connect when first needed, keep the connection, bind both ends to their
/// member ids, and bound every message.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and hands back its answer within `timeout`. The request takes its place in the lane when this is
    /// called, not when the future is polled.
    fn call(
        &self,
        to: MemberId,
        peer: &Peer,
        lane: Lane,
        request: Bytes,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>>;

    /// Sends a snapshot: the request, then everything `body` holds, on a stream of its own. Dropping the future gives
    /// it up.
    fn send_snapshot(
        &self,
        to: MemberId,
        peer: &Peer,
        request: Bytes,
        body: Box<dyn Read + Send>,
        timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>>;

    /// How long ago anything was heard of the member without interruption; `None` where it is not connected.
    fn connected_for(&self, _to: MemberId) -> Option<Duration> {
        None
    }
}

/// The transport of a member that has no peers.
pub struct NoTransport;

impl Transport for NoTransport {
    fn call(
        &self,
        to: MemberId,
        _peer: &Peer,
        _lane: Lane,
        _request: Bytes,
        _timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Unreachable(format!("no way to member {to}")))))
    }

    fn send_snapshot(
        &self,
        to: MemberId,
        _peer: &Peer,
        _request: Bytes,
        _body: Box<dyn Read + Send>,
        _timeout: Duration,
    ) -> Pending<Result<Bytes, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::Unreachable(format!("no way to member {to}")))))
    }
}
