//! Metrics that the API room cannot know: of the log, of the enabled features, and of the other members.

use std::sync::atomic::Ordering;

use crate::api::metrics::{Page, Source};
use crate::config::{Config, GateStage};
use crate::log::Log;
use crate::model::MemberId;
use crate::peer::{PeerStatus, Quic, RoundTrips, Transfers};
use crate::raft::Node;
use crate::store::Store;

/// The metrics that a member adds to `/metrics`.
pub struct Figures {
    log: Log,
    node: Node,
    peers: Peers,
    /// Every feature gate: name, stage, whether it is on.
    gates: Vec<(&'static str, GateStage, bool)>,
}

impl Figures {
    /// The metrics of this log, this node, the other members, and the gates of this configuration.
    pub fn new(config: &Config, log: Log, node: Node, peers: Peers) -> Self {
        Self { log, node, peers, gates: config.features.all() }
    }
}

impl Source for Figures {
    fn write(&self, page: &mut Page) {
        self.peers.write(page);
        let log = self.log.figures();
        let name = "etcd_disk_wal_fsync_duration_seconds";
        page.histogram(name, "Time to flush the log.", &log.flush);
        let name = "etcd_disk_wal_write_duration_seconds";
        page.histogram(name, "Time to write to the log.", &log.write);
        let bytes = log.bytes.load(Ordering::Relaxed);
        page.gauge("etcd_disk_wal_write_bytes_total", "Bytes written to the log.", bytes);
        let name = "etcd_server_feature_enabled";
        page.family(name, "gauge", "Whether a feature is on.");
        for (gate, stage, on) in &self.gates {
            let stage = match stage {
                GateStage::Alpha => "ALPHA",
                GateStage::Beta => "BETA",
            };
            page.sample(name, &format!("name=\"{gate}\",stage=\"{stage}\""), u64::from(*on));
        }
        let name = "kvd_server_replication_failing";
        page.family(name, "gauge", "Members that entries do not reach until something is done about it.");
        for (member, _) in self.node.replication_faults() {
            page.sample(name, &format!("To=\"{member}\""), 1_u64);
        }
        let stalled = self.node.log_stalled_for().map_or(0.0, |time| time.as_secs_f64());
        let help = "Seconds for which the disk of the raft log has stood still; 0 if it does not.";
        page.family("kvd_log_stalled_seconds", "gauge", help);
        page.sample("kvd_log_stalled_seconds", "", stalled);
    }
}

/// Counters of the connections with other members.
pub struct Peers {
    own: MemberId,
    store: Store,
    quic: Quic,
}

impl Peers {
    /// Counters of this port's connections with the members that the store knows.
    pub fn new(own: MemberId, store: Store, quic: Quic) -> Self {
        Self { own, store, quic }
    }
}

/// One family with a number for each member.
type Numbers = (&'static str, &'static str, fn(&PeerStatus) -> u64, &'static str);

/// Metrics whose only label is the other member, and that label.
const TO: [Numbers; 5] = [
    ("etcd_network_peer_sent_bytes_total", "counter", |peer| peer.sent_bytes, "Bytes sent to a member."),
    (
        "etcd_network_peer_sent_failures_total",
        "counter",
        |peer| peer.sent_failures,
        "Requests to a member that were not sent, or not answered in time.",
    ),
    (
        "etcd_network_snapshot_send_success",
        "counter",
        |peer| peer.snapshots_sent.took().count(),
        "Snapshots that a member has taken.",
    ),
    (
        "etcd_network_snapshot_send_failures",
        "counter",
        |peer| peer.snapshots_sent.failures(),
        "Snapshots that a member has not taken.",
    ),
    (
        "etcd_network_snapshot_send_inflights_total",
        "gauge",
        |peer| peer.snapshots_sent.under_way(),
        "Snapshots on their way to a member.",
    ),
];
const FROM: [Numbers; 5] = [
    (
        "etcd_network_peer_received_bytes_total",
        "counter",
        |peer| peer.received_bytes,
        "Bytes received of a member.",
    ),
    (
        "etcd_network_peer_received_failures_total",
        "counter",
        |peer| peer.received_failures,
        "Requests of a member that were refused.",
    ),
    (
        "etcd_network_snapshot_receive_success",
        "counter",
        |peer| peer.snapshots_received.took().count(),
        "Snapshots taken of a member.",
    ),
    (
        "etcd_network_snapshot_receive_failures",
        "counter",
        |peer| peer.snapshots_received.failures(),
        "Snapshots of a member that were not taken.",
    ),
    (
        "etcd_network_snapshot_receive_inflights_total",
        "gauge",
        |peer| peer.snapshots_received.under_way(),
        "Snapshots on their way from a member.",
    ),
];
const BOTH: [Numbers; 2] = [
    (
        "etcd_network_active_peers",
        "gauge",
        |peer| u64::from(peer.connected_for.is_some() || peer.heard_for.is_some()),
        "Whether there is a connection with a member.",
    ),
    (
        "etcd_network_disconnected_peers_total",
        "counter",
        |peer| peer.disconnects,
        "Connections to a member that were lost.",
    ),
];

impl Peers {
    fn write(&self, page: &mut Page) {
        let members: Vec<MemberId> = self.store.members().iter().map(|member| member.id).collect();
        // Only members have labels: other callers have no name here.
        let mut peers = self.quic.peers();
        peers.retain(|peer| peer.member != self.own && members.contains(&peer.member));
        let own = self.own;
        let name = "etcd_network_known_peers";
        page.family(name, "gauge", "The members of the cluster.");
        for member in &members {
            page.sample(name, &format!("Local=\"{own}\",Remote=\"{member}\""), 1);
        }
        let numbers = |page: &mut Page, families: &[Numbers], label: &dyn Fn(MemberId) -> String| {
            for (name, kind, number, help) in families {
                page.family(name, kind, help);
                for peer in &peers {
                    page.sample(name, &label(peer.member), number(peer));
                }
            }
        };
        let to = |member: MemberId| format!("To=\"{member}\"");
        let from = |member: MemberId| format!("From=\"{member}\"");
        numbers(page, &BOTH, &|member| format!("Local=\"{own}\",Remote=\"{member}\""));
        numbers(page, &TO, &to);
        numbers(page, &FROM, &from);
        let mut snapshots = |name: &str,
                             help: &str,
                             label: &dyn Fn(MemberId) -> String,
                             of: fn(&PeerStatus) -> &Transfers| {
            page.family(name, "histogram", help);
            for peer in &peers {
                page.histogram_samples(name, &label(peer.member), of(peer).took());
            }
        };
        let name = "etcd_network_snapshot_send_total_duration_seconds";
        snapshots(name, "Time to send a snapshot.", &to, |peer| &peer.snapshots_sent);
        let name = "etcd_network_snapshot_receive_total_duration_seconds";
        snapshots(name, "Time to take a snapshot.", &from, |peer| &peer.snapshots_received);
        let name = "etcd_network_peer_round_trip_time_seconds";
        page.family(name, "histogram", "Round trips to a member.");
        for peer in &peers {
            round_trips(page, name, &to(peer.member), &peer.round_trips);
        }
    }
}

fn round_trips(page: &mut Page, name: &str, labels: &str, trips: &RoundTrips) {
    let mut below = 0;
    for (power, count) in (0..).zip(&trips.buckets) {
        below += count;
        let bound = 0.0001 * 2.0_f64.powi(power);
        page.sample(&format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), below);
    }
    page.sample(&format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), trips.count);
    page.sample(&format!("{name}_sum"), labels, trips.sum_seconds);
    page.sample(&format!("{name}_count"), labels, trips.count);
}
