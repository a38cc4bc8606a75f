//! What openraft needs of the crate `base2histogram`, without its tables: `[patch.crates-io]` puts this in its place.
//!
//! openraft keeps statistics of itself in histograms of that crate: sizes of batches, and durations if its feature
//! `runtime-stats` is on. kvd has that feature off and reads none of them. The first histogram makes tables for all
//! sixteen resolutions of which openraft uses one, 26 MB, four fifths of what an idle member then has in memory. Here
//! values are counted and nothing else is kept. When the crate makes each table on demand, this can go.

use std::fmt;
use std::marker::PhantomData;

/// Counts values. `T` describes the slots of a histogram with several, which openraft does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    samples: u64,
    slots: PhantomData<T>,
}

impl<T> Histogram<T> {
    /// A histogram without values.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { samples: 0, slots: PhantomData }
    }

    /// Counts a value, and forgets it.
    pub fn record(&mut self, _value: u64) {
        self.samples += 1;
    }

    /// Counts a value that occurred `times` times.
    pub fn record_n(&mut self, _value: u64, times: u64) {
        self.samples += times;
    }

    /// How many values there were; no percentile of them is known, each is 0.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats { samples: self.samples, p0_1: 0, p1: 0, p5: 0, p10: 0, p50: 0, p90: 0, p99: 0, p99_9: 0 }
    }
}

/// The number of values, and percentiles of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PercentileStats {
    /// The number of values.
    pub samples: u64,
    /// 0.1 % of the values are below this.
    pub p0_1: u64,
    /// 1 % of the values are below this.
    pub p1: u64,
    /// 5 % of the values are below this.
    pub p5: u64,
    /// 10 % of the values are below this.
    pub p10: u64,
    /// The median.
    pub p50: u64,
    /// 90 % of the values are below this.
    pub p90: u64,
    /// 99 % of the values are below this.
    pub p99: u64,
    /// 99.9 % of the values are below this.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[samples: {}]", self.samples)
    }
}

/// A chart of histograms as text, which is empty.
#[derive(Debug, Clone, Default)]
pub struct AsciiChart;

impl AsciiChart {
    /// A chart without histograms.
    pub fn new() -> Self {
        Self
    }

    /// The chart with one more histogram.
    #[allow(clippy::should_implement_trait)]
    pub fn add<T>(self, _title: &str, _histogram: Histogram<T>) -> Self {
        self
    }

    /// The chart as text.
    pub fn detailed(&self) -> &'static str {
        ""
    }
}
