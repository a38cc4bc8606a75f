//! What is known of the other members' connections, for an operator and for metrics.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::MemberId;

/// The connections with one member.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerStatus {
    /// The member.
    pub member: MemberId,
    /// Where it is reached, or was last.
    pub address: Option<SocketAddr>,
    /// kvd's version there.
    pub version: Option<String>,
    /// How long this member's own connection to it has stood; `None` where there is none.
    pub connected_for: Option<Duration>,
    /// How long its connection to this member has stood.
    pub heard_for: Option<Duration>,
    /// The round trip, smoothed.
    pub round_trip: Option<Duration>,
    /// How far its clock is ahead of this one's, ms; behind where negative.
    pub clock_ahead_ms: Option<i64>,
    /// Bytes of requests, answers and snapshots sent to it (etcd_network_peer_sent_bytes_total).
    pub sent_bytes: u64,
    /// Bytes received of it (etcd_network_peer_received_bytes_total).
    pub received_bytes: u64,
    /// Requests that were not sent, or not answered in time (etcd_network_peer_sent_failures_total).
    pub sent_failures: u64,
    /// Requests of it that were refused (etcd_network_peer_received_failures_total).
    pub received_failures: u64,
    /// Connections to it that were lost (etcd_network_disconnected_peers_total).
    pub disconnects: u64,
    /// Why it cannot be reached at present.
    pub problem: Option<String>,
    /// Round trips as probes measured them (etcd_network_peer_round_trip_time_seconds).
    pub round_trips: RoundTrips,
}

/// A histogram of round trips.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundTrips {
    /// How many took at most 0.1 ms times two to the power of the index; not cumulative. Slower ones only count in
    /// `count`.
    pub buckets: [u64; 16],
    /// All.
    pub count: u64,
    /// Their sum, seconds.
    pub sum_seconds: f64,
}

impl RoundTrips {
    /// Adds one.
    pub(super) fn add(&mut self, round_trip: Duration) {
        let bound = |index: usize| Duration::from_micros(100) * (1 << index);
        let bucket = self.buckets.iter_mut().enumerate().find(|(index, _)| round_trip <= bound(*index));
        if let Some((_, bucket)) = bucket {
            *bucket += 1;
        }
        self.count += 1;
        self.sum_seconds += round_trip.as_secs_f64();
    }
}

/// Counts of one member, over all its connections.
#[derive(Default)]
pub(super) struct Counters {
    pub sent_bytes: Counter,
    pub received_bytes: Counter,
    pub sent_failures: Counter,
    pub received_failures: Counter,
    pub disconnects: Counter,
}

/// A number that grows.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_fall_into_buckets_that_double() {
        let mut trips = RoundTrips::default();
        for micros in [1, 100, 101, 200, 3_276_800, 10_000_000] {
            trips.add(Duration::from_micros(micros));
        }
        assert_eq!((trips.buckets[0], trips.buckets[1], trips.buckets[15], trips.count), (2, 2, 1, 6));
        assert!((trips.sum_seconds - 13.277_202).abs() < 1e-9);
    }
}
