//! Every limit and every time of the peer port, and quinn's settings.

use std::sync::Arc;
use std::time::Duration;

use quinn::{
    AckFrequencyConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    TransportConfig, VarInt, congestion,
};

use crate::model::MAX_COMMAND_BYTES;

/// The protocol, with its version.
pub(super) const ALPN: &[u8] = b"kvd/1";
/// The version told in the greeting: of what follows it.
pub(super) const PROTOCOL: u16 = 2;

/// From the first packet of someone who connects until it has been let in.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections being let in at the same time; beyond that a caller has to prove its address first, beyond twice that
/// it is turned away.
pub(super) const MAX_HANDSHAKES: usize = 64;
/// Connections of one member; a new one beyond that takes the place of the oldest.
pub(super) const MAX_CONNECTIONS_A_MEMBER: usize = 4;
/// Connections of all members, known or not.
pub(super) const MAX_CALLERS: usize = 256;
/// Members of which anything is remembered; beyond that, those without a connection are forgotten.
pub(super) const MAX_RECORDS: usize = 512;
/// Connections of those who only ask.
pub(super) const MAX_ASKERS: usize = 32;

/// A greeting, a reply, a clock probe.
pub(super) const MAX_GREETING: usize = 1024;
/// A request of a lane, or a part of its answer: a command of the largest size and what stands around it.
pub(super) const MAX_FRAME: usize = MAX_COMMAND_BYTES + (4 << 20);
/// An answer of a lane, all its parts together: what a group of transactions has read.
pub(super) const MAX_ANSWER: usize = 256 << 20;
/// A request or an answer on the control lane.
pub(super) const MAX_CONTROL_FRAME: usize = 1 << 20;
/// What stands before a request or a part of an answer on a lane, at most: its number and its kind.
pub(super) const NUMBERED: usize = 5;
/// A question or its answer: at most a list of members.
pub(super) const MAX_QUESTION: usize = 1 << 20;
/// A piece of a snapshot.
pub(super) const SNAPSHOT_PIECE: usize = 256 << 10;

/// Requests of a lane that are on their way or being answered.
pub(super) const MAX_IN_FLIGHT: usize = 1024;
/// Bytes of a lane's requests that wait to be sent, or are being answered: one frame may exceed it.
pub(super) const MAX_IN_FLIGHT_BYTES: usize = 64 << 20;
/// Bytes that lie in a stream's queue before more is taken up.
pub(super) const WRITE_AHEAD: usize = 1 << 20;
/// An answer that takes longer is given up: it takes the place of others.
pub(super) const SERVICE_DEADLINE: Duration = Duration::from_secs(60);
/// A snapshot on which nothing moves for so long is given up.
pub(super) const SNAPSHOT_STALL: Duration = Duration::from_secs(30);
/// Snapshots that are taken at the same time, from all members.
pub(super) const MAX_SNAPSHOTS: usize = 2;

/// Streams before a caller has been let in: the greeting.
pub(super) const STREAMS_BEFORE: u32 = 1;
/// Streams of a member: greeting, four lanes, snapshots.
pub(super) const STREAMS_MEMBER: u32 = 7;
/// Streams of one who asks: greeting and question.
pub(super) const STREAMS_ASKER: u32 = 2;

/// One stream's window; a snapshot's must leave room for the others in the connection's.
const STREAM_WINDOW: u32 = 8 << 20;
/// A connection's window once its caller was let in.
pub(super) const WINDOW: u32 = 32 << 20;
/// The same before.
const WINDOW_BEFORE: u32 = 64 << 10;
/// Bytes under way without an acknowledgement.
const SEND_WINDOW: u64 = 32 << 20;
/// UDP buffers asked for; the system may give less.
pub(super) const SOCKET_BUFFER: usize = 4 << 20;
/// The largest UDP payload, on jumbo frames and the loopback device. Every packet costs both sides some microseconds.
/// `datagrams` keeps what is sent at once below what the kernel takes.
const MAX_DATAGRAM: u16 = 16_000;
/// The window that congestion control starts with: what members send each other is small and the way is short.
const INITIAL_WINDOW: u64 = 256 << 10;
/// What a round trip is thought to take before one was measured.
const INITIAL_RTT: Duration = Duration::from_millis(5);
/// The other side is asked not to keep acknowledgements back for longer.
const ACK_DELAY: Duration = Duration::from_millis(5);
/// And asked to acknowledge no more often than every so many packets before that. What members send is answered, and
/// an acknowledgement travels with the answer: by itself it only costs both sides a packet.
const ACK_PACKETS: u32 = 10;

/// One attempt to connect.
pub(super) const ATTEMPT: Duration = Duration::from_secs(1);
/// The name of a host is looked up within this.
pub(super) const RESOLVE: Duration = Duration::from_secs(2);
/// The next address is tried beside the one before, which has not answered so far.
pub(super) const STAGGER: Duration = Duration::from_millis(150);
/// Pauses between attempts.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// After so long without a call nobody wants the connection back.
pub(super) const WANTED: Duration = Duration::from_secs(10);
/// A connection that ends sooner was no success.
pub(super) const SHORT_LIVED: Duration = Duration::from_secs(1);
/// Addresses of one member that are tried.
pub(super) const MAX_ADDRESSES: usize = 16;

/// How often clocks are compared.
pub(super) const PROBE: Duration = Duration::from_secs(5);
/// The difference of clocks that is warned of: time stamps suffer, and whoever reads logs; leases do not.
pub(super) const CLOCK_LIMIT: Duration = Duration::from_secs(1);
/// The same warning again.
pub(super) const WARN_AGAIN: Duration = Duration::from_secs(30);

/// How long calls wait for a first attempt to connect; a member that is up answers much sooner.
pub(super) fn patience(election: Duration) -> Duration {
    (election / 5).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

/// quinn's settings for a connection, either side.
pub(super) fn transport(election: Duration, listening: bool) -> Arc<TransportConfig> {
    let idle = election.max(Duration::from_millis(500));
    let mut config = TransportConfig::default();
    let mut acks = AckFrequencyConfig::default();
    acks.max_ack_delay(Some(ACK_DELAY)).ack_eliciting_threshold(VarInt::from_u32(ACK_PACKETS));
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MAX_DATAGRAM);
    let mut cubic = congestion::CubicConfig::default();
    cubic.initial_window(INITIAL_WINDOW);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(if listening { STREAMS_BEFORE } else { 0 }))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(if listening { WINDOW_BEFORE } else { WINDOW }))
        .send_window(SEND_WINDOW)
        .initial_rtt(INITIAL_RTT)
        .ack_frequency_config(Some(acks))
        .mtu_discovery_config(Some(mtu))
        .congestion_controller_factory(Arc::new(cubic))
        .keep_alive_interval(Some(idle / 3))
        .max_idle_timeout(IdleTimeout::try_from(idle).ok());
    Arc::new(config)
}

/// quinn's settings for a socket.
pub(super) fn endpoint(reset_key: &[u8; 32]) -> EndpointConfig {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, reset_key);
    let mut config = EndpointConfig::new(Arc::new(key));
    // Names of connections that any run of this member takes for its own, so that it answers with a reset to those of
    // a former run.
    config.cid_generator(|| Box::new(RandomIds));
    let larger = config.max_udp_payload_size(MAX_DATAGRAM).is_ok();
    debug_assert!(larger, "the size is one QUIC allows");
    config
}

struct RandomIds;

const ID_LENGTH: usize = 8;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; ID_LENGTH]>())
    }

    fn cid_len(&self) -> usize {
        ID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
