//! What must be provided from outside so that a simulation can replace it. Timers and raft's own time are tokio's, which a
//! test can pause; disk and network seams stand in `log` and `peer`.

use std::time::Duration;

/// A member's clocks. What they say is never compared with what those of another member say: wall clocks may be hours
/// apart and step, monotonic ones begin anywhere.
pub trait Clock: Send + Sync {
    /// The wall clock: milliseconds since the unix epoch. It may step, and serves for ids and for what people read.
    fn now_ms(&self) -> i64;

    /// The monotonic clock: time since a moment of its own. It never steps back; all that ends in time goes by it.
    fn monotonic(&self) -> Duration;
}

/// A source of random numbers.
pub trait Entropy: Send + Sync {
    /// The next 64 random bits.
    fn next(&self) -> u64;
}
