//! The log lines about failed connections: one for each change of the reason, and a limited number in total.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Peers and addresses that are remembered.
const REMEMBERED: usize = 256;
/// Interval before the same reason is logged again.
const SAME_AGAIN: Duration = Duration::from_secs(600);
/// Lines that may be written within [`PERIOD`]; strangers can cause them.
const LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Remembers what was logged.
pub(super) struct Journal(Mutex<Said>);

struct Said {
    reasons: BTreeMap<String, (String, Instant)>,
    period: Instant,
    lines: u32,
    kept_back: u32,
}

impl Journal {
    pub(super) fn new() -> Self {
        let reasons = BTreeMap::new();
        Self(Mutex::new(Said { reasons, period: Instant::now(), lines: 0, kept_back: 0 }))
    }

    /// An incoming connection was refused by this member, or ended before it was admitted.
    pub(super) fn refused(&self, peer: &str, address: &str, reason: &dyn std::fmt::Display) {
        let reason = reason.to_string();
        if self.is_news(format!("in {peer}"), &reason) {
            tracing::warn!(remote_peer_id = peer, address, reason, "rejected a connection of a peer");
        }
    }

    /// Somebody has called in the name of this very member.
    pub(super) fn copied(&self, own: &str, address: &str) {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        if self.is_news(format!("copy {own}"), host) {
            tracing::warn!(
                member = own,
                address,
                "another process calls in the name of this member: it runs on a copy of its data"
            );
        }
    }

    /// An outgoing connection was refused by the other side.
    pub(super) fn refused_by(&self, peer: &str, address: &str, reason: &dyn std::fmt::Display) {
        let reason = reason.to_string();
        if self.is_news(format!("out {peer}"), &reason) {
            tracing::warn!(remote_peer_id = peer, address, reason, "the connection to a peer was rejected");
        }
    }

    /// A peer cannot be reached.
    pub(super) fn unreachable(&self, peer: &str, reason: &str) {
        if self.is_news(format!("out {peer}"), reason) {
            tracing::warn!(remote_peer_id = peer, reason, "failed to reach a peer");
        }
    }

    /// A connection succeeded: the next failure is logged, even for an old reason.
    pub(super) fn went_well(&self, incoming: bool, peer: &str) {
        let way = if incoming { "in" } else { "out" };
        self.0.lock().reasons.remove(&format!("{way} {peer}"));
    }

    fn is_news(&self, who: String, reason: &str) -> bool {
        let now = Instant::now();
        let mut said = self.0.lock();
        if let Some((before, at)) = said.reasons.get(&who)
            && before == reason
            && now.duration_since(*at) < SAME_AGAIN
        {
            return false;
        }
        if now.duration_since(said.period) >= PERIOD {
            if said.kept_back > 0 {
                tracing::warn!(lines = said.kept_back, "more rejected connections were not logged");
            }
            (said.period, said.lines, said.kept_back) = (now, 0, 0);
        }
        if said.lines >= LINES {
            said.kept_back += 1;
            return false;
        }
        said.lines += 1;
        if said.reasons.len() >= REMEMBERED && !said.reasons.contains_key(&who) {
            let oldest = said.reasons.iter().min_by_key(|(_, (_, at))| *at).map(|(who, _)| who.clone());
            oldest.map(|who| said.reasons.remove(&who));
        }
        said.reasons.insert(who, (reason.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_is_said_once_until_it_changes_and_floods_are_kept_back() {
        let journal = Journal::new();
        assert!(journal.is_news("in a".into(), "one"));
        assert!(!journal.is_news("in a".into(), "one"));
        assert!(journal.is_news("in b".into(), "one"));
        assert!(journal.is_news("in a".into(), "two"));
        journal.went_well(true, "a");
        assert!(journal.is_news("in a".into(), "two"));
        let said = (0..1000).filter(|index| journal.is_news(format!("in {index}"), "x")).count();
        assert_eq!(said, LINES as usize - 4);
        for round in 0..100 {
            tokio::time::advance(PERIOD).await;
            assert!((0..LINES).all(|index| journal.is_news(format!("in {round} {index}"), "x")));
        }
        assert!(journal.0.lock().reasons.len() <= REMEMBERED);
        tokio::time::advance(SAME_AGAIN).await;
        assert!(journal.is_news("in b".into(), "one"));
    }
}
