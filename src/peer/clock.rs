//! How far the clocks of two members differ.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::tuning::{CLOCK_LIMIT, WARN_AGAIN};
use crate::model::MemberId;

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// How far the other clock is ahead, in ms; negative if it is behind.
    pub ahead_ms: i64,
    /// Duration of the request and its answer: the difference is only known up to half of it.
    pub round_trip: Duration,
}

impl Sample {
    /// From the other clock's time in an answer that has just arrived, after `round_trip`.
    pub(super) fn new(now_ms: i64, other_ms: i64, round_trip: Duration) -> Self {
        let half = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
        Self { ahead_ms: other_ms.saturating_sub(now_ms.saturating_sub(half)), round_trip }
    }

    /// The same, seen from the other side.
    pub(super) fn turned(self) -> Self {
        Self { ahead_ms: self.ahead_ms.saturating_neg(), ..self }
    }

    /// True if the difference is more than [`CLOCK_LIMIT`], whatever the delays were.
    fn is_too_far(self) -> bool {
        let surely = Duration::from_millis(self.ahead_ms.unsigned_abs()).saturating_sub(self.round_trip / 2);
        surely > CLOCK_LIMIT
    }
}

/// The last comparison with one member's clock.
#[derive(Default)]
pub(super) struct ClockWatch(Mutex<(Option<Sample>, Option<Instant>)>);

impl ClockWatch {
    /// Records a comparison, and warns if the clocks differ too much: at once, then every [`WARN_AGAIN`].
    pub(super) fn note(&self, peer: MemberId, sample: Sample) {
        let now = Instant::now();
        let mut known = self.0.lock();
        known.0 = Some(sample);
        let lately = known.1.is_some_and(|at| now.duration_since(at) < WARN_AGAIN);
        if !sample.is_too_far() {
            known.1 = known.1.filter(|_| lately);
        } else if !lately {
            known.1 = Some(now);
            let sign = if sample.ahead_ms < 0 { "-" } else { "" };
            let difference = Duration::from_millis(sample.ahead_ms.unsigned_abs());
            tracing::warn!(
                remote_peer_id = %peer,
                clock_drift = format!("{sign}{difference:?}"),
                limit = ?CLOCK_LIMIT,
                rtt = ?sample.round_trip,
                "prober found high clock drift"
            );
        }
    }

    /// The last comparison.
    pub(super) fn last(&self) -> Option<Sample> {
        self.0.lock().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_round_trip_is_not_held_against_a_clock() {
        let sample = |now, other, trip| Sample::new(now, other, Duration::from_millis(trip));
        // Sent at 1000, answered at 1100 by a clock that says 1050: both agree.
        assert_eq!(sample(1100, 1050, 100).ahead_ms, 0);
        assert_eq!(sample(1000, 3500, 0).ahead_ms, 2500);
        assert_eq!(sample(1000, 3500, 0).turned().ahead_ms, -2500);
        assert!(!sample(0, 1000, 0).is_too_far());
        assert!(sample(0, 1001, 0).is_too_far());
        assert!(sample(5000, 3900, 0).is_too_far());
        // 1.4 s off, but the round trip took 1 s: it may be 0.9 s.
        assert!(!sample(0, 900, 1000).is_too_far());
        assert!(sample(0, 1100, 1000).is_too_far());
        let far = Sample { ahead_ms: i64::MIN, round_trip: Duration::ZERO };
        assert!(far.is_too_far() && far.turned().is_too_far());
    }
}
