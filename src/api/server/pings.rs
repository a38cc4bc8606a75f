//! How often a client may ping (`--grpc-keepalive-min-time`), by grpc-go's rules. A ping that comes too early is a
//! strike, and the third strike ends the connection. Whenever a part of an answer is written, the count starts at zero
//! again, because clients measure their bandwidth by pings while an answer is being sent. If no stream is open there is
//! nothing to keep alive, and two hours must pass between pings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Strikes without consequences.
const MAX_STRIKES: u32 = 2;
/// The shortest time between pings while no stream is open.
const MIN_TIME_IDLE: Duration = Duration::from_secs(2 * 3600);

/// The activity of a connection's streams.
#[derive(Default)]
pub(super) struct Activity {
    open: AtomicUsize,
    /// One of them has ended.
    ended: AtomicBool,
    answered: AtomicBool,
    frames: AtomicU32,
}

impl Activity {
    /// A part of an answer was written to the client: headers, or a part of a body.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// True once a stream has ended.
    pub(super) fn has_ended_one(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// A frame of an answer's body is being written.
    pub(super) fn sent_frame(&self) {
        // Only the thread of the connection counts, so that nothing is lost between the two steps.
        let frames = self.frames.load(Ordering::Relaxed);
        self.frames.store(frames.saturating_add(1), Ordering::Relaxed);
    }

    /// How many such frames there were since this was last asked.
    pub(super) fn take_frames(&self) -> u32 {
        self.frames.swap(0, Ordering::Relaxed)
    }
}

/// Checks the pings of a connection.
pub(super) struct Policy {
    min_time: Duration,
    activity: Arc<Activity>,
    strikes: u32,
    last: Option<Instant>,
}

impl Policy {
    /// The policy for a connection that may ping every `min_time`.
    pub(super) fn new(min_time: Duration, activity: Arc<Activity>) -> Self {
        Self { min_time, activity, strikes: 0, last: None }
    }

    /// Counts a ping; true if it is one too many.
    pub(super) fn is_exceeded_by_ping(&mut self, now: Instant) -> bool {
        let last = self.last.replace(now);
        if self.activity.answered.swap(false, Ordering::Relaxed) {
            self.strikes = 0;
            return false;
        }
        let idle = self.activity.open.load(Ordering::Relaxed) == 0;
        let apart = if idle { MIN_TIME_IDLE } else { self.min_time };
        if last.is_some_and(|last| now.saturating_duration_since(last) < apart) {
            self.strikes += 1;
        }
        self.strikes > MAX_STRIKES
    }
}

/// An open stream, until it is dropped.
pub(super) struct Open(Arc<Activity>);

impl Open {
    /// A stream has been opened.
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::Relaxed);
        Self(activity.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> (Policy, Arc<Activity>) {
        let activity = Arc::<Activity>::default();
        (Policy::new(5 * SECOND, activity.clone()), activity)
    }

    #[test]
    fn the_third_ping_that_comes_too_early_is_one_too_many() {
        let (mut policy, activity) = policy();
        let _open = Open::new(&activity);
        let start = Instant::now();
        let mut at = |seconds: u32| policy.is_exceeded_by_ping(start + seconds * SECOND);
        assert!(!at(0) && !at(1) && !at(2));
        // In time: no strike, but earlier strikes stay.
        assert!(!at(7));
        assert!(at(8));
    }

    #[test]
    fn an_answer_forgives_all_strikes() {
        let (mut policy, activity) = policy();
        let _open = Open::new(&activity);
        let start = Instant::now();
        for _ in 0..50 {
            assert!(!policy.is_exceeded_by_ping(start));
            activity.answered();
        }
        assert!(!policy.is_exceeded_by_ping(start));
        assert!(!policy.is_exceeded_by_ping(start) && !policy.is_exceeded_by_ping(start));
        assert!(policy.is_exceeded_by_ping(start));
    }

    #[test]
    fn without_a_stream_there_is_nothing_to_keep_alive() {
        let (mut policy, activity) = policy();
        let start = Instant::now();
        drop(Open::new(&activity));
        let hour = 3600 * SECOND;
        assert!(!policy.is_exceeded_by_ping(start) && !policy.is_exceeded_by_ping(start + hour));
        assert!(!policy.is_exceeded_by_ping(start + 2 * hour));
        assert!(policy.is_exceeded_by_ping(start + 3 * hour));
    }
}
