//! All limits and times of the peer port, and quinn's settings.

use std::sync::Arc;
use std::time::Duration;

use quinn::{
    AckFrequencyConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    TransportConfig, VarInt, congestion,
};

use crate::model::MAX_COMMAND_BYTES;

/// The protocol, with its version.
pub(super) const ALPN: &[u8] = b"kvd/1";
/// The version in the greeting: of the messages after it.
pub(super) const PROTOCOL: u16 = 3;

/// From the first packet of a caller until it is admitted.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes in progress at the same time. Beyond that a caller must prove its address first; beyond twice that it is
/// refused.
pub(super) const MAX_HANDSHAKES: usize = 64;
/// Connections from one member; a new one beyond that replaces the oldest.
pub(super) const MAX_CONNECTIONS_A_MEMBER: usize = 4;
/// Connections from all members, known or not.
pub(super) const MAX_CALLERS: usize = 256;
/// Members with a record; beyond that, the records of those without a connection are dropped.
pub(super) const MAX_RECORDS: usize = 512;
/// Connections of callers that only ask.
pub(super) const MAX_ASKERS: usize = 32;

/// A greeting, a reply, a clock probe.
pub(super) const MAX_GREETING: usize = 1024;
/// A request of a channel, or a part of its answer: a command of the largest size and its envelope.
pub(super) const MAX_FRAME: usize = MAX_COMMAND_BYTES + (4 << 20);
/// An answer of a channel with all its parts: the results of a group of transactions.
pub(super) const MAX_ANSWER: usize = 256 << 20;
/// A request or an answer on the control channel.
pub(super) const MAX_CONTROL_FRAME: usize = 1 << 20;
/// Bytes before a request or a part of an answer on a channel, at most: its number and its kind.
pub(super) const NUMBERED: usize = 5;
/// A question or its answer: at most a list of members.
pub(super) const MAX_QUESTION: usize = 1 << 20;
/// A piece of a snapshot.
pub(super) const SNAPSHOT_PIECE: usize = 256 << 10;

/// Requests of a channel that are being sent or answered.
pub(super) const MAX_IN_FLIGHT: usize = 1024;
/// Bytes of a channel's requests that wait to be sent, or are being answered: a single frame may exceed it.
pub(super) const MAX_IN_FLIGHT_BYTES: usize = 64 << 20;
/// Bytes in a stream's queue at which no more are added.
pub(super) const WRITE_AHEAD: usize = 1 << 20;
/// An answer that takes longer is abandoned, because it takes the place of others.
pub(super) const SERVICE_DEADLINE: Duration = Duration::from_secs(60);
/// A snapshot without progress for this long is aborted.
pub(super) const SNAPSHOT_STALL: Duration = Duration::from_secs(30);
/// Snapshots received at the same time, from all members.
pub(super) const MAX_SNAPSHOTS: usize = 2;

/// Streams of a caller before it is admitted: the greeting.
pub(super) const STREAMS_BEFORE: u32 = 1;
/// Streams of a member: greeting, four channels, snapshots.
pub(super) const STREAMS_MEMBER: u32 = 7;
/// Streams of a caller that only asks: greeting and question.
pub(super) const STREAMS_ASKER: u32 = 2;

/// One stream's window; a snapshot's must leave room for the others in the connection's.
const STREAM_WINDOW: u32 = 8 << 20;
/// A connection's window after its caller was admitted.
pub(super) const WINDOW: u32 = 32 << 20;
/// A connection's window before that.
const WINDOW_BEFORE: u32 = 64 << 10;
/// Bytes in flight without an acknowledgement.
const SEND_WINDOW: u64 = 32 << 20;
/// UDP buffers requested; the system may give less.
pub(super) const SOCKET_BUFFER: usize = 4 << 20;
/// The largest UDP payload, for jumbo frames and the loopback device. Every packet costs both sides some microseconds.
/// `datagrams` keeps the amount sent at once below the kernel's limit.
const MAX_DATAGRAM: u16 = 16_000;
/// The initial window of congestion control: messages between members are small and distances short.
const INITIAL_WINDOW: u64 = 256 << 10;
/// The assumed round trip before one was measured.
const INITIAL_RTT: Duration = Duration::from_millis(5);
/// The other side is asked not to delay acknowledgements for longer.
const ACK_DELAY: Duration = Duration::from_millis(5);
/// And before that time to acknowledge at most once per this many packets. Messages between members are answered, and
/// an acknowledgement is sent together with the answer: on its own it only costs both sides a packet.
const ACK_PACKETS: u32 = 10;

/// Duration of one attempt to connect.
pub(super) const ATTEMPT: Duration = Duration::from_secs(1);
/// Time limit for resolving a host name.
pub(super) const RESOLVE: Duration = Duration::from_secs(2);
/// Delay before the next address is tried in parallel to one that has not answered so far.
pub(super) const STAGGER: Duration = Duration::from_millis(150);
/// Pauses between attempts.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// A connection without a call for this long is not made again.
pub(super) const WANTED: Duration = Duration::from_secs(10);
/// A connection that ends sooner counts as a failed attempt.
pub(super) const SHORT_LIVED: Duration = Duration::from_secs(1);
/// Most addresses of one member that are tried.
pub(super) const MAX_ADDRESSES: usize = 16;

/// Interval of clock comparisons.
pub(super) const PROBE: Duration = Duration::from_secs(5);
/// The difference of clocks that causes a warning: it affects time stamps and readers of logs, but not leases.
pub(super) const CLOCK_LIMIT: Duration = Duration::from_secs(1);
/// Interval before the same warning is repeated.
pub(super) const WARN_AGAIN: Duration = Duration::from_secs(30);

/// How long one attempt to connect, greeting included, may take.
pub(super) fn attempt(election: Duration) -> Duration {
    ATTEMPT.max(election)
}

/// How long a member's connections are checked when an unknown process of it calls: well within the caller's attempt, and
/// longer than the pauses between packets of a live connection.
pub(super) fn proof(election: Duration) -> Duration {
    attempt(election) / 2
}

/// How long calls wait for a first attempt to connect; a running member answers much sooner.
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
    // Connection ids that any process of this member recognises as its own, so that it answers packets of an earlier
    // process's connections with a reset.
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
