//! One record per member: the connection to it, its connections to this one, and counters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::clock::{ClockWatch, Sample};
use super::greeting::close;
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
    /// The process that was found at the member's own URLs last.
    home: Mutex<Option<u64>>,
    /// Held while a process of the member that is not known yet is compared with what is.
    pub proving: tokio::sync::Mutex<()>,
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
    incarnation: u64,
    since: Instant,
}

/// A connection that came in, in the member's record until this is dropped.
pub(super) struct Entry {
    pub peer: Arc<Peer>,
    connection: quinn::Connection,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.peer.leaves(&self.connection);
    }
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
            home: Mutex::default(),
            proving: tokio::sync::Mutex::default(),
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

    /// The address at which it was reached last.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let connected = self.link.connected().map(|(connection, _)| connection.remote_address());
        connected.or(self.told.lock().address)
    }

    /// Records a comparison of clocks, made over this member's own connection.
    pub(super) fn probed(&self, sample: Sample) {
        self.told.lock().round_trips.add(sample.round_trip);
        self.clock.note(self.member, sample);
    }

    /// A connection of a process of the member comes in.
    pub(super) fn enters(self: &Arc<Self>, connection: &quinn::Connection, incarnation: u64) -> Entry {
        let mut incoming = self.incoming.lock();
        if incoming.len() >= MAX_CONNECTIONS_A_MEMBER {
            close(
                &incoming.remove(0).connection,
                &Rejection::Closed("a newer connection takes its place".into()),
            );
        }
        incoming.push(Incoming { connection: connection.clone(), incarnation, since: Instant::now() });
        Entry { peer: self.clone(), connection: connection.clone() }
    }

    fn leaves(&self, connection: &quinn::Connection) {
        let mut incoming = self.incoming.lock();
        incoming.retain(|other| other.connection.stable_id() != connection.stable_id());
    }

    /// True if this process was found at the member's own URLs last.
    pub(super) fn is_at_home(&self, incarnation: u64) -> bool {
        *self.home.lock() == Some(incarnation)
    }

    /// The connections, both ways, with processes of the member other than this one.
    pub(super) fn others(&self, incarnation: u64) -> Vec<quinn::Connection> {
        let incoming = self.incoming.lock();
        let others = incoming.iter().filter(|other| other.incarnation != incarnation);
        let mut others: Vec<_> = others.map(|other| other.connection.clone()).collect();
        others.extend(self.link.connected_to_other(incarnation));
        others
    }

    /// This process was found at the member's own URLs, which makes it the member: the others are at most copies. Says
    /// whose connections were closed.
    pub(super) fn found_at_home(&self, incarnation: u64, address: SocketAddr) {
        *self.home.lock() = Some(incarnation);
        for other in self.others(incarnation) {
            let from = other.remote_address();
            tracing::info!(remote_peer_id = %self.member, %address, %from, "a newer process of a peer takes its place");
            close(&other, &Rejection::Copy(is_elsewhere(self.member, address)));
        }
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

/// Why a process of a member is refused: the member is there.
pub(super) fn is_elsewhere(member: MemberId, address: SocketAddr) -> String {
    format!(
        "another process of member {member} answers at {address}, the member's peer URL: whoever calls from elsewhere \
         in its name runs on a copy of its data"
    )
}
