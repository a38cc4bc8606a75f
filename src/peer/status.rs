//! The state of the connections with other members, for operators and for metrics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::model::{Histogram, MemberId};

/// The connections with one member.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// The member.
    pub member: MemberId,
    /// Its present or last address.
    pub address: Option<SocketAddr>,
    /// The version of its kvd.
    pub version: Option<String>,
    /// How long this member's connection to it has existed; `None` if there is none.
    pub connected_for: Option<Duration>,
    /// How long its connection to this member has existed.
    pub heard_for: Option<Duration>,
    /// The round trip, smoothed.
    pub round_trip: Option<Duration>,
    /// How far its clock is ahead of this one's, in ms; negative if it is behind.
    pub clock_ahead_ms: Option<i64>,
    /// Bytes of requests, answers and snapshots sent to it (etcd_network_peer_sent_bytes_total).
    pub sent_bytes: u64,
    /// Bytes received from it (etcd_network_peer_received_bytes_total).
    pub received_bytes: u64,
    /// Requests that were not sent, or not answered in time (etcd_network_peer_sent_failures_total).
    pub sent_failures: u64,
    /// Requests from it that were refused (etcd_network_peer_received_failures_total).
    pub received_failures: u64,
    /// Connections to it that were lost (etcd_network_disconnected_peers_total).
    pub disconnects: u64,
    /// Why it cannot be reached at present.
    pub problem: Option<String>,
    /// Round trips measured by probes (etcd_network_peer_round_trip_time_seconds).
    pub round_trips: RoundTrips,
    /// Snapshots sent to it (etcd_network_snapshot_send_...).
    pub snapshots_sent: Arc<Transfers>,
    /// Snapshots received from it (etcd_network_snapshot_receive_...).
    pub snapshots_received: Arc<Transfers>,
}

/// Counters of snapshots in one direction between this member and another.
#[derive(Debug)]
pub struct Transfers {
    under_way: AtomicU64,
    failures: AtomicU64,
    /// Durations of the snapshots that arrived completely and were accepted.
    took: Histogram,
}

impl Default for Transfers {
    fn default() -> Self {
        // The bounds are etcd's.
        let took = Histogram::doubling(0.1, 10);
        Self { under_way: AtomicU64::new(0), failures: AtomicU64::new(0), took }
    }
}

impl Transfers {
    /// Snapshots in progress.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Snapshots that failed or were aborted.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Durations of the successful ones, in seconds.
    pub fn took(&self) -> &Histogram {
        &self.took
    }

    /// A snapshot begins. Unless [`Transfer::done`] is called, it counts as failed when this is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Transfer {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        Transfer { transfers: self.clone(), begun: Instant::now(), is_done: false }
    }
}

/// A snapshot on its way.
pub(super) struct Transfer {
    transfers: Arc<Transfers>,
    begun: Instant,
    is_done: bool,
}

impl Transfer {
    /// It was accepted.
    pub(super) fn done(mut self) {
        self.is_done = true;
        self.transfers.took.observe_time(self.begun.elapsed());
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.transfers.under_way.fetch_sub(1, Ordering::Relaxed);
        self.transfers.failures.fetch_add(u64::from(!self.is_done), Ordering::Relaxed);
    }
}

/// A histogram of round trips.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundTrips {
    /// The number of round trips that took at most 0.1 ms times two to the power of the index; not cumulative. Slower
    /// ones only count in `count`.
    pub buckets: [u64; 16],
    /// The number of all.
    pub count: u64,
    /// Their sum, seconds.
    pub sum_seconds: f64,
}

impl RoundTrips {
    /// Adds a round trip.
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

/// Counters of one member, over all its connections.
#[derive(Default)]
pub(super) struct Counters {
    pub sent_bytes: Counter,
    pub received_bytes: Counter,
    pub sent_failures: Counter,
    pub received_failures: Counter,
    pub disconnects: Counter,
    pub snapshots_sent: Arc<Transfers>,
    pub snapshots_received: Arc<Transfers>,
}

/// A number that only grows.
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
    fn a_transfer_that_is_not_done_has_failed() {
        let transfers = Arc::new(Transfers::default());
        let (first, second) = (transfers.begin(), transfers.begin());
        assert_eq!((transfers.under_way(), transfers.failures(), transfers.took().count()), (2, 0, 0));
        first.done();
        drop(second);
        assert_eq!((transfers.under_way(), transfers.failures(), transfers.took().count()), (0, 1, 1));
    }

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
