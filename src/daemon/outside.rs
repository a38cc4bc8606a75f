//! The real clock and the real random numbers, behind the traits of `model`.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Clock, Entropy};

/// The machine's clocks. The monotonic clock continues while the process is stopped.
pub struct SystemClock;

/// The zero of the monotonic clock.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        BEGINNING.elapsed()
    }
}

/// The operating system's random numbers, through one generator per thread.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn next(&self) -> u64 {
        rand::random()
    }
}
