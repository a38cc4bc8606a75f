//! What the status page shows of the members' connections, the log, the certificates, the state and the backups.

use std::sync::Arc;

use super::expiry::Certificates;
use super::outside::SystemClock;
use crate::api::page::around::{self, Neighbour};
use crate::backup::Backups;
use crate::log::Log;
use crate::member::States;
use crate::model::{Clock, Histogram};
use crate::peer::{PeerStatus, Quic};

const DAY: i64 = 24 * 3600;

/// See the module.
pub struct Around {
    quic: Quic,
    log: Log,
    certificates: Arc<Certificates>,
    states: Arc<States>,
    backups: Option<Backups>,
}

impl Around {
    /// These parts of a member.
    pub fn of(
        quic: Quic,
        log: Log,
        certificates: Arc<Certificates>,
        states: Arc<States>,
        backups: Option<Backups>,
    ) -> Self {
        Self { quic, log, certificates, states, backups }
    }
}

impl around::Around for Around {
    fn neighbours(&self) -> Vec<Neighbour> {
        self.quic.peers().into_iter().map(neighbour).collect()
    }

    fn certificates(&self) -> Vec<(String, i64)> {
        let now = SystemClock.now_ms() / 1000;
        let ends = self.certificates.ends().into_iter();
        ends.map(|(path, until)| (path.display().to_string(), (until - now).div_euclid(DAY))).collect()
    }

    fn differs(&self) -> bool {
        self.states.differs()
    }

    fn failed_backup(&self) -> Option<String> {
        self.backups.as_ref()?.progress().failed
    }

    fn flushes(&self) -> &Histogram {
        &self.log.figures().flush
    }
}

fn neighbour(peer: PeerStatus) -> Neighbour {
    Neighbour {
        member: peer.member,
        address: peer.address.map(|address| address.to_string()),
        version: peer.version,
        connected: peer.connected_for.is_some() || peer.heard_for.is_some(),
        round_trip: peer.round_trip,
        problem: peer.problem,
    }
}
