//! The log's counters, for metrics.

use std::sync::atomic::AtomicU64;

use crate::model::Histogram;

/// Figures since the start; the bounds of the histograms are etcd's.
#[derive(Debug)]
pub struct Figures {
    /// Duration of a flush: of everything that was queued during the flush before it.
    pub flush: Histogram,
    /// Duration of the write before the flush.
    pub write: Histogram,
    /// Bytes written.
    pub bytes: AtomicU64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            flush: Histogram::doubling(0.001, 14),
            write: Histogram::doubling(0.001, 14),
            bytes: AtomicU64::new(0),
        }
    }
}
