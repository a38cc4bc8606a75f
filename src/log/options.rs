//! How to open a log.

use std::sync::Arc;

use super::LogError;
use super::space::{Neighbour, OnSpace};
use crate::model::Entropy;

/// Who flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A thread of the log: calls return at once.
    Thread,
    /// The caller, before the call returns: for tests that run on one thread.
    Inline,
    /// Whoever calls [`super::Log::flush`], after a call of [`Options::on_queued`]: for simulations, in which a disk takes
    /// time and a crash loses what waits for it.
    Stepped,
}

/// How to open a log.
#[derive(Clone)]
pub struct Options {
    /// Length of a segment in bytes.
    pub segment_bytes: u64,
    /// Length of the first segment of a new log, which is written before anything else can happen.
    pub first_segment_bytes: u64,
    /// Bytes of entries kept in memory; older ones are read from disk.
    pub cache_bytes: usize,
    /// Bytes of payload after which a frame is closed and flushed.
    pub frame_bytes: usize,
    /// Flush before callbacks are called. Without it a crash of the machine can lose or damage what was acknowledged.
    pub flush: bool,
    /// Who flushes.
    pub mode: Mode,
    /// Called after something was queued, in [`Mode::Stepped`] only. It must not call the log.
    pub on_queued: Arc<dyn Fn() + Send + Sync>,
    /// Bytes of entries that are worth keeping, if nobody needs them.
    pub history_bytes: u64,
    /// Who else needs the disk.
    pub neighbour: Option<Arc<dyn Neighbour>>,
    /// The source of the salts.
    pub entropy: Arc<dyn Entropy>,
    /// Called when the disk has become full, and when it has room again.
    pub on_space: OnSpace,
    /// Called at the first failure, on the thread on which it happens.
    pub on_failure: Arc<dyn Fn(&LogError) + Send + Sync>,
}

impl Options {
    /// The usual sizes: segments of 8 MB, 8 MB of entries in memory, flushes of up to 4 MB.
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self {
            segment_bytes: 8 << 20,
            first_segment_bytes: 8 << 20,
            cache_bytes: 8 << 20,
            frame_bytes: 4 << 20,
            flush: true,
            mode: Mode::Thread,
            on_queued: Arc::new(|| {}),
            history_bytes: u64::MAX,
            neighbour: None,
            entropy,
            on_space: Arc::new(|_| {}),
            on_failure: Arc::new(|_| {}),
        }
    }

    /// The same for a file system of `bytes`: a small one has smaller segments, so that a few of them leave most of it
    /// to others, and keeps less history.
    pub fn on_disk_of(bytes: u64, entropy: Arc<dyn Entropy>) -> Self {
        let usual = Self::new(entropy);
        let segment_bytes = (bytes / SEGMENT_SHARE).clamp(LEAST_SEGMENT, usual.segment_bytes);
        Self {
            segment_bytes,
            first_segment_bytes: segment_bytes,
            frame_bytes: usual.frame_bytes.min(segment_bytes as usize / 2),
            history_bytes: bytes / HISTORY_SHARE,
            ..usual
        }
    }
}

/// A segment is at most this part of the disk,
const SEGMENT_SHARE: u64 = 32;
/// and at least this, in bytes: the largest entry of usual requests fits.
const LEAST_SEGMENT: u64 = 2 << 20;
/// Entries that nobody needs may take this part of it.
const HISTORY_SHARE: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// The usual limit of a request (`--max-request-bytes`).
    const REQUEST: u64 = 3 << 19;

    struct Zero;

    impl Entropy for Zero {
        fn next(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_small_disk_has_small_segments_and_a_large_one_the_usual() {
        let on = |megabytes: u64| Options::on_disk_of(megabytes << 20, Arc::new(Zero));
        let usual = Options::new(Arc::new(Zero));
        for megabytes in [256, 1 << 20] {
            let large = on(megabytes);
            assert_eq!(
                (large.segment_bytes, large.first_segment_bytes, large.frame_bytes),
                (usual.segment_bytes, usual.first_segment_bytes, usual.frame_bytes)
            );
        }
        assert_eq!((on(96).segment_bytes, on(96).first_segment_bytes), (3 << 20, 3 << 20));
        assert_eq!((on(40).segment_bytes, on(40).history_bytes), (2 << 20, 5 << 20));
        for megabytes in [1, 40, 100, 1000] {
            // A full frame, or an entry of the largest usual request, does not need a segment of its own length.
            let (segment, frame) = (on(megabytes).segment_bytes, on(megabytes).frame_bytes as u64);
            let head = segment / 32 + (64 << 10);
            assert!(frame + head <= segment && REQUEST + head <= segment, "{megabytes}");
        }
    }
}
