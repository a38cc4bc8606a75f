//! Repairs the state after a crash between installing a snapshot and truncating the log.
//!
//! Installing a snapshot replaces the state first; only then is the log truncated. The log's own writes of that time
//! may be lost as well, so that any older log can be next to the new state: one that ends before the snapshot, one
//! whose entries contradict it, one whose last entry has a higher term than the snapshot. Raft would consider the order
//! of such a log corrupt and refuse to start, or believe in entries that were never committed.

use super::options::NodeOptions;
use crate::log::LogError;

/// Truncates a log that does not hold the last entry of the state: its entries end before it, or contradict what is
/// committed. The committed ones among them are in the state.
///
/// # Errors
/// If the log has failed.
pub fn cut_log(options: &NodeOptions) -> Result<(), LogError> {
    let (log, Some(applied)) = (&options.log, options.store.applied()) else { return Ok(()) };
    if log.holds(applied) {
        return Ok(());
    }
    let bounds = log.bounds();
    tracing::info!(
        index = applied.index,
        term = applied.term,
        first = bounds.first,
        next = bounds.next,
        "the log does not hold the last entry of the state, which came as a snapshot; it begins again after it"
    );
    log.truncate_after(bounds.purged)?;
    log.purge(applied, options.store.checkpointed())
}
