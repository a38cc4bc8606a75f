//! Rates and times of the last minutes, so that a page that is opened has a past.

use std::collections::VecDeque;
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::{Value, json};

/// Samples that are kept.
const KEPT: usize = 120;

/// The names of the rates.
const RATES: [&str; 6] = ["writes", "reads", "events", "received", "sent", "committed"];

/// The samples.
#[derive(Default)]
pub struct History(Mutex<VecDeque<Sample>>);

/// What has happened between two readings of the counters.
struct Sample {
    at: Instant,
    /// Per second.
    rates: [f64; RATES.len()],
    /// The longest of 99 % of the requests, and of the flushes of the log, in seconds; 0 for none.
    request: f64,
    flush: f64,
}

/// Counters at one time.
pub struct Counts {
    /// When they were read.
    pub at: Instant,
    /// Puts and deletions; ranges; events sent to watchers; bytes from and to clients; entries committed.
    pub rates: [u64; RATES.len()],
    /// Buckets of the time of successful requests.
    pub requests: Vec<(f64, u64)>,
    /// Buckets of the time of the log's flushes.
    pub flushes: Vec<(f64, u64)>,
}

impl History {
    /// Keeps what has happened between two readings.
    pub fn record(&self, before: &Counts, now: &Counts) {
        let passed = now.at.saturating_duration_since(before.at).as_secs_f64().max(0.001);
        let rate = |at: usize| now.rates[at].saturating_sub(before.rates[at]) as f64 / passed;
        let sample = Sample {
            at: now.at,
            rates: std::array::from_fn(rate),
            request: nearly_longest(&before.requests, &now.requests),
            flush: nearly_longest(&before.flushes, &now.flushes),
        };
        let mut samples = self.0.lock();
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// The samples as the page wants them, the oldest first.
    pub fn samples(&self, now: Instant) -> Vec<Value> {
        let samples = self.0.lock();
        let shown = samples.iter().map(|sample| {
            let ago = now.saturating_duration_since(sample.at).as_secs();
            let mut shown = json!({ "ago": ago, "request": sample.request, "flush": sample.flush });
            for (name, rate) in RATES.iter().zip(sample.rates) {
                shown[*name] = rate.into();
            }
            shown
        });
        shown.collect()
    }
}

/// The bound of the bucket below which 99 % of the observations between two readings of a histogram are; 0 without any.
fn nearly_longest(before: &[(f64, u64)], now: &[(f64, u64)]) -> f64 {
    let earlier = |at: usize| before.get(at).map_or(0, |(_, count)| *count);
    let new: Vec<(f64, u64)> = now
        .iter()
        .enumerate()
        .map(|(at, (bound, count))| (*bound, count.saturating_sub(earlier(at))))
        .collect();
    let all: u64 = new.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    for (bound, count) in &new {
        below += count;
        if all > 0 && below * 100 >= all * 99 {
            return *bound;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn samples_are_rates_and_the_oldest_ones_go() {
        let begun = Instant::now();
        let counts = |seconds: u64, all: u64| Counts {
            at: begun + Duration::from_secs(seconds),
            rates: [all; RATES.len()],
            requests: vec![(0.5, all)],
            flushes: Vec::new(),
        };
        let history = History::default();
        for number in 0..200 {
            history.record(&counts(5 * number, 10 * number), &counts(5 * number + 5, 10 * number + 10));
        }
        let samples = history.samples(begun + Duration::from_secs(1000));
        assert_eq!(samples.len(), KEPT);
        assert_eq!((samples[0]["ago"].as_u64(), samples[KEPT - 1]["ago"].as_u64()), (Some(595), Some(0)));
        assert_eq!(samples[7]["writes"], 2.0);
        assert_eq!((&samples[7]["request"], &samples[7]["flush"]), (&json!(0.5), &json!(0.0)));
    }

    #[test]
    fn only_what_is_new_counts() {
        let before = [(1.0, 100), (2.0, 0), (4.0, 7)];
        assert_eq!(nearly_longest(&before, &before), 0.0);
        assert_eq!(nearly_longest(&before, &[(1.0, 199), (2.0, 1), (4.0, 7)]), 1.0);
        assert_eq!(nearly_longest(&before, &[(1.0, 197), (2.0, 3), (4.0, 7)]), 2.0);
        assert_eq!(nearly_longest(&[], &[(1.0, 0), (2.0, 5)]), 2.0);
    }
}
