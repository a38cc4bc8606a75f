//! Log lines about refused clients: each reason at most once a minute, with the address of one client.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::api::client::Peer;

/// How long a reason is not logged again.
const INTERVAL: Duration = Duration::from_secs(60);

/// The reasons logged recently.
#[derive(Default)]
pub(super) struct Complaints(Mutex<HashMap<(What, &'static str), Told>>);

/// The action against the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Ended,
    Reset,
    NotAccepted,
}

struct Told {
    at: Instant,
    /// How often the reason occurred since.
    since: u64,
}

impl Complaints {
    /// A connection was ended by this server, for a reason of its own.
    pub(super) fn ended(&self, reason: &'static str, client: Peer, detail: impl fmt::Display) {
        if let Some(untold) = self.is_due((What::Ended, reason), Instant::now()) {
            tracing::warn!(%client, reason, %detail, untold, "ended the connection of a client");
        }
    }

    /// A stream was reset by this server, for a reason of its own.
    pub(super) fn reset(&self, reason: &'static str, client: Peer, stream: u32) {
        if let Some(untold) = self.is_due((What::Reset, reason), Instant::now()) {
            tracing::warn!(%client, reason, stream, untold, "reset a stream of a client");
        }
    }

    /// The connections that come to this address cannot be accepted.
    pub(super) fn not_accepted(&self, address: &str, error: &std::io::Error) {
        if let Some(untold) = self.is_due((What::NotAccepted, "accept"), Instant::now()) {
            tracing::warn!(address, %error, untold, "cannot accept connections");
        }
    }

    /// How often the reason occurred without a log line; `None` if it must not be logged yet.
    fn is_due(&self, reason: (What, &'static str), now: Instant) -> Option<u64> {
        let mut reasons = self.0.lock();
        let Some(told) = reasons.get_mut(&reason) else {
            reasons.insert(reason, Told { at: now, since: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(told.at) < INTERVAL {
            told.since += 1;
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.since))
    }

    /// The reasons logged, in alphabetical order.
    #[cfg(test)]
    pub(super) fn reasons(&self) -> Vec<&'static str> {
        let mut reasons: Vec<_> = self.0.lock().keys().map(|(_, reason)| *reason).collect();
        reasons.sort_unstable();
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_are_not_accepted_are_told_once_a_minute() {
        let complaints = Complaints::default();
        for _ in 0..20 {
            complaints.not_accepted("127.0.0.1:2379", &std::io::Error::from_raw_os_error(libc::EMFILE));
        }
        assert_eq!(complaints.0.lock()[&(What::NotAccepted, "accept")].since, 19);
    }

    #[test]
    fn every_reason_is_told_once_a_minute() {
        let complaints = Complaints::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(complaints.is_due((What::Ended, "a"), after(0)), Some(0));
        assert_eq!(complaints.is_due((What::Reset, "a"), after(0)), Some(0));
        assert_eq!(complaints.is_due((What::Ended, "a"), after(1)), None);
        assert_eq!(complaints.is_due((What::Ended, "a"), after(59)), None);
        assert_eq!(complaints.is_due((What::Ended, "a"), after(60)), Some(2));
        assert_eq!(complaints.is_due((What::Ended, "a"), after(119)), None);
        assert_eq!(complaints.is_due((What::Reset, "a"), after(120)), Some(0));
    }
}
