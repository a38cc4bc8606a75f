//! One record per member: the connection to it, its connections to this one, and counters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::clock::{ClockWatch, Sample};
use super::link::Link;
use super::status::{Counters, PeerStatus, RoundTrips};
use super::transport::Rejection;
use super::tuning::{MAX_CONNECTIONS_A_MEMBER, MAX_RECORDS};
use crate::model::MemberId;

/// All members that this one has called or was called by.
#[derive(Default)]
pub(super) struct Registry(Mutex<BTreeMap<MemberId, Arc<Peer>>>);

/// One member.
pub(super) struct Peer {
    pub member: MemberId,
    /// The connection to it.
    pub link: Link,
    /// Its connections to this member, oldest first.
    incoming: Mutex<Vec<Incoming>>,
    pub counters: Counters,
    pub clock: ClockWatch,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    address: Option<SocketAddr>,
    version: Option<String>,
    round_trips: RoundTrips,
}

struct Incoming {
    connection: quinn::Connection,
    since: Instant,
}

impl Registry {
    /// The record of a member; made if there is none.
    pub(super) fn peer(&self, member: MemberId) -> Arc<Peer> {
        let mut peers = self.0.lock();
        if peers.len() >= MAX_RECORDS && !peers.contains_key(&member) {
            peers.retain(|_, peer| peer.is_in_use());
        }
        peers.entry(member).or_insert_with(|| Arc::new(Peer::new(member))).clone()
    }

    /// The record, if there is one.
    pub(super) fn find(&self, member: MemberId) -> Option<Arc<Peer>> {
        self.0.lock().get(&member).cloned()
    }

    /// Removes the record.
    pub(super) fn remove(&self, member: MemberId) -> Option<Arc<Peer>> {
        self.0.lock().remove(&member)
    }

    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        self.0.lock().values().cloned().collect()
    }
}

impl Peer {
    fn new(member: MemberId) -> Self {
        Self {
            member,
            link: Link::new(),
            incoming: Mutex::default(),
            counters: Counters::default(),
            clock: ClockWatch::default(),
            told: Mutex::default(),
        }
    }

    fn is_in_use(&self) -> bool {
        self.link.is_running() || !self.incoming.lock().is_empty()
    }

    /// Records what a greeting says.
    pub(super) fn met(&self, address: Option<SocketAddr>, version: &str) {
        let mut told = self.told.lock();
        told.address = address.or(told.address);
        told.version = Some(version.to_owned());
    }

    /// Records a comparison of clocks, made over this member's own connection.
    pub(super) fn probed(&self, sample: Sample) {
        self.told.lock().round_trips.add(sample.round_trip);
        self.clock.note(self.member, sample);
    }

    /// A connection of the member was admitted. True if it had none before.
    pub(super) fn enters(&self, connection: &quinn::Connection) -> bool {
        let mut incoming = self.incoming.lock();
        let first = incoming.is_empty();
        if incoming.len() >= MAX_CONNECTIONS_A_MEMBER {
            close(
                &incoming.remove(0).connection,
                &Rejection::Closed("a newer connection takes its place".into()),
            );
        }
        incoming.push(Incoming { connection: connection.clone(), since: Instant::now() });
        first
    }

    /// The connection has ended. True if it was the last one.
    pub(super) fn leaves(&self, connection: &quinn::Connection) -> bool {
        let mut incoming = self.incoming.lock();
        incoming.retain(|other| other.connection.stable_id() != connection.stable_id());
        incoming.is_empty()
    }

    /// Closes every connection with the member, in both directions.
    pub(super) fn close(&self, reason: &Rejection) {
        self.link.end(reason);
        for incoming in self.incoming.lock().iter() {
            close(&incoming.connection, reason);
        }
    }

    /// The age of the member's oldest connection to this one.
    pub(super) fn heard_for(&self) -> Option<Duration> {
        self.incoming.lock().first().map(|incoming| incoming.since.elapsed())
    }

    pub(super) fn status(&self) -> PeerStatus {
        let told = self.told.lock();
        let connected = self.link.connected();
        let heard = self.incoming.lock().last().map(|incoming| incoming.connection.rtt());
        PeerStatus {
            member: self.member,
            address: told.address,
            version: told.version.clone(),
            connected_for: connected.as_ref().map(|(_, since)| since.elapsed()),
            heard_for: self.heard_for(),
            round_trip: connected.map(|(connection, _)| connection.rtt()).or(heard),
            clock_ahead_ms: self.clock.last().map(|sample| sample.ahead_ms),
            sent_bytes: self.counters.sent_bytes.get(),
            received_bytes: self.counters.received_bytes.get(),
            sent_failures: self.counters.sent_failures.get(),
            received_failures: self.counters.received_failures.get(),
            disconnects: self.counters.disconnects.get(),
            problem: self.link.problem(),
            round_trips: told.round_trips.clone(),
            snapshots_sent: self.counters.snapshots_sent.clone(),
            snapshots_received: self.counters.snapshots_received.clone(),
        }
    }
}

/// Closes a connection and sends the reason to the other side.
pub(super) fn close(connection: &quinn::Connection, reason: &Rejection) {
    connection.close(reason.code().into(), reason.to_string().as_bytes());
}
