//! What must be provided from outside so that a simulation can replace it. Monotonic time is tokio's clock, which a
//! test can pause; disk and network seams stand in `log` and `peer`.

/// The wall clock.
pub trait Clock: Send + Sync {
    /// Milliseconds since the unix epoch.
    fn now_ms(&self) -> i64;
}

/// A source of random numbers.
pub trait Entropy: Send + Sync {
    /// The next 64 random bits.
    fn next(&self) -> u64;
}
