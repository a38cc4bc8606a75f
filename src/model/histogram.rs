//! A histogram in the form of Prometheus; any thread may count into it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Observations by size, in buckets with the upper bounds of the histogram. A read is not a consistent snapshot.
#[derive(Debug)]
pub struct Histogram {
    bounds: Box<[f64]>,
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
    /// The bits of the sum.
    sum: AtomicU64,
}

impl Histogram {
    /// Buckets up to these bounds, ascending.
    pub fn new(bounds: impl IntoIterator<Item = f64>) -> Self {
        let bounds: Box<[f64]> = bounds.into_iter().collect();
        let buckets = bounds.iter().map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, count: AtomicU64::new(0), sum: AtomicU64::new(0.0_f64.to_bits()) }
    }

    /// `count` buckets; the first has the bound `first`, each next one has twice the bound of the one before.
    pub fn doubling(first: f64, count: i32) -> Self {
        Self::new((0..count).map(|power| first * 2.0_f64.powi(power)))
    }

    /// Counts an observation.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        // The update is never refused.
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Counts a time, in seconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// The bounds with the number of observations in each bucket (not cumulative).
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        self.bounds.iter().copied().zip(counts).collect()
    }

    /// The same with one more bucket, at twice the last bound: for what is beyond it.
    pub fn all_buckets(&self) -> Vec<(f64, u64)> {
        let mut buckets = self.buckets();
        let within: u64 = buckets.iter().map(|(_, count)| count).sum();
        let last = buckets.last().map_or(0.0, |(bound, _)| *bound);
        buckets.push((2.0 * last, self.count().saturating_sub(within)));
        buckets
    }

    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::doubling(0.5, 3);
        for value in [0.1, 0.5, 0.6, 2.0, 2.1] {
            histogram.observe(value);
        }
        assert_eq!(histogram.buckets(), [(0.5, 2), (1.0, 1), (2.0, 1)]);
        let beyond = histogram.count() - 4;
        assert_eq!(histogram.all_buckets(), [(0.5, 2), (1.0, 1), (2.0, 1), (4.0, beyond)]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum() - 5.3).abs() < 1e-9);
    }
}
