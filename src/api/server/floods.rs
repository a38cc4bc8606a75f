//! How many control frames a client may send. A frame of settings, priorities or flow control is a dozen bytes for the
//! client and work for the server, which others on the same thread wait for (as with CVE-2019-9515 and its siblings), and
//! so is a request that is taken back at once (CVE-2023-44487). The only ones that an honest client sends often are those
//! that give back the window of an answer: so many are free with each part of an answer, and beyond them a fixed number in
//! a second; fewer in the first one, so that it gains nothing to begin with a new connection again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pings::Activity;

/// Frames that a client may send as soon as it has connected.
const FIRST: u32 = 200;
/// Frames that it gets in each second after that.
const FREE: u32 = 1000;
/// Frames that are free with each frame of an answer: a client gives back the windows of stream and connection.
const PER_ANSWER: u32 = 4;
/// The most that is saved up: more frames of answers are never under way.
const MOST: u32 = 20_000;

/// Counts a connection's control frames.
pub(super) struct Floods {
    activity: Arc<Activity>,
    left: u32,
    filled: Instant,
}

impl Floods {
    /// For a new connection.
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self { activity, left: FIRST, filled: Instant::now() }
    }

    /// The activity of the connection's streams.
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Counts a frame; true if it is one too many. `now` is only asked for now and then.
    pub(super) fn is_exceeded_by_frame(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            self.refill(now());
        }
        let exceeded = self.left == 0;
        self.left = self.left.saturating_sub(1);
        exceeded
    }

    fn refill(&mut self, now: Instant) {
        let answers = self.activity.take_frames().saturating_mul(PER_ANSWER);
        let passed = now.saturating_duration_since(self.filled) >= Duration::from_secs(1);
        if passed {
            self.filled = now;
        }
        self.left = answers.saturating_add(if passed { FREE } else { 0 }).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_second_and_with_each_answer() {
        let activity = Arc::<Activity>::default();
        let mut floods = Floods::new(activity.clone());
        let begun = Instant::now();
        let mut count = |after_ms: u64| {
            let at = || begun + Duration::from_millis(after_ms);
            (0..100_000).take_while(|_| !floods.is_exceeded_by_frame(at)).count()
        };
        assert_eq!([count(0), count(999)], [200, 0]);
        assert_eq!([count(1000), count(1500), count(2500)], [1000, 0, 1000]);
        (0..50).for_each(|_| activity.sent_frame());
        assert_eq!([count(2600), count(2600)], [200, 0]);
        (0..10_000).for_each(|_| activity.sent_frame());
        assert_eq!(count(2700), 20_000, "what is saved up has an end");
    }

    #[test]
    fn a_client_that_sends_one_now_and_then_stays() {
        let mut floods = Floods::new(Arc::default());
        let begun = Instant::now();
        for minute in 0..10_000u64 {
            assert!(
                !floods.is_exceeded_by_frame(|| begun + Duration::from_secs(60 * (minute + 1))),
                "{minute}"
            );
        }
    }
}
