//! Waiting for conditions.

use std::time::{Duration, Instant};

/// How long a condition may take before a test fails: far more than any machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Lets etcdctl wait as long: its defaults of 2 and 5 seconds would judge how busy this machine is.
pub const PATIENT: [(&str, &str); 2] = [("ETCDCTL_DIAL_TIMEOUT", "60s"), ("ETCDCTL_COMMAND_TIMEOUT", "60s")];

/// Polls `condition` until it holds; panics with `what` after [`PATIENCE`].
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "gave up waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
