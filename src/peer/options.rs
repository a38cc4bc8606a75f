//! What the peer port is opened with.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::Names;
use crate::model::Clock;
use crate::pki::Credentials;

/// What [`super::Quic`] is started with.
#[derive(Clone)]
pub struct Options {
    /// Who this member is and whom it believes.
    pub credentials: Arc<Credentials>,
    /// The addresses to listen at (UDP); may be empty for someone who only asks.
    pub listen: Vec<SocketAddr>,
    /// Sockets that are bound already (socket activation); they are listened at, too.
    pub sockets: Vec<Arc<UdpSocket>>,
    /// The wall clock, told to other members and compared with theirs.
    pub clock: Arc<dyn Clock>,
    /// Pause between heartbeats (etcd `--heartbeat-interval`).
    pub heartbeat: Duration,
    /// etcd's `--election-timeout`: a connection on which nothing was heard for so long is gone.
    pub election: Duration,
    /// How names in peer URLs are looked up.
    pub names: Names,
    /// kvd's version, told in the greeting.
    pub version: String,
}
