//! The options of the peer port.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::names::Names;
use crate::model::Clock;
use crate::pki::Credentials;

/// Options of [`super::Quic`].
#[derive(Clone)]
pub struct Options {
    /// This member's identity, and the certificates it accepts.
    pub credentials: Arc<Credentials>,
    /// The addresses to listen on (UDP); may be empty for a process that only asks.
    pub listen: Vec<SocketAddr>,
    /// Sockets that are bound already (socket activation); they are used for listening, too.
    pub sockets: Vec<Arc<UdpSocket>>,
    /// The wall clock, sent to other members and compared with theirs.
    pub clock: Arc<dyn Clock>,
    /// Pause between heartbeats (etcd `--heartbeat-interval`).
    pub heartbeat: Duration,
    /// etcd's `--election-timeout`: a connection that was silent for this long is lost.
    pub election: Duration,
    /// The resolver for names in peer URLs.
    pub names: Names,
    /// Random, another one for each run of a process: it distinguishes a member from a process on a copy of its data.
    pub incarnation: u64,
    /// kvd's version, sent in the greeting.
    pub version: String,
}
