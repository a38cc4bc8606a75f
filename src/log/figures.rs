//! What the log counts, for metrics.

use std::sync::atomic::AtomicU64;

use crate::model::Histogram;

/// Figures since the start; the bounds of the histograms are etcd's.
#[derive(Debug)]
pub struct Figures {
    /// Time of a flush: a group of whatever was queued during the one before.
    pub flush: Histogram,
    /// Time of the write before it.
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
