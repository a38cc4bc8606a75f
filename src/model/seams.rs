//! What is provided from outside, so that a simulation can replace it. Timers and raft's own time are tokio's, which a
//! test can pause; the interfaces to disk and network are in `log` and `peer`.

use std::time::Duration;

/// A member's clocks. Their times are never compared with those of another member: wall clocks may be hours apart and
/// step, monotonic clocks begin anywhere.
pub trait Clock: Send + Sync {
    /// The wall clock: milliseconds since the unix epoch. It may step; it is used for ids and for texts.
    fn now_ms(&self) -> i64;

    /// The monotonic clock: time since some moment of its own. It never steps back; all timeouts use it.
    fn monotonic(&self) -> Duration;
}

/// A source of random numbers.
pub trait Entropy: Send + Sync {
    /// The next 64 random bits.
    fn next(&self) -> u64;
}
