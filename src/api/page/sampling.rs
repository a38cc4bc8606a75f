//! Reads the counters for the history.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::history::Counts;
use crate::api::services::Services;

/// Interval of the samples.
const INTERVAL: Duration = Duration::from_secs(5);

/// Takes samples; never ends.
pub async fn run(services: Arc<Services>) {
    let mut before = counts(&services);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = counts(&services);
        services.history.record(&before, &now);
        before = now;
    }
}

fn counts(services: &Services) -> Counts {
    let figures = services.store.figures();
    let counters = [&figures.puts, &figures.deletes, &figures.ranges];
    let [puts, deletes, reads] = counters.map(|counter| counter.load(Ordering::Relaxed));
    let traffic = services.metrics.traffic();
    let committed = services.node.status().committed;
    let flushes = services.around.get().map(|around| around.flushes().all_buckets());
    Counts {
        at: Instant::now(),
        rates: [puts + deletes, reads, traffic.events, traffic.received, traffic.sent, committed],
        requests: traffic.requests,
        flushes: flushes.unwrap_or_default(),
    }
}
