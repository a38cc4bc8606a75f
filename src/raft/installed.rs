//! What a crash leaves between taking over a snapshot and cutting the log.
//!
//! A snapshot replaces the state first; only then is the log cut. The log's own writes of that time may be lost as well,
//! so that any older log can stand beside the new state: one that ends before the snapshot, one whose entries contradict
//! it, one whose last entry has a higher term than the snapshot. Raft would take the order of its log for spoiled and
//! refuse to start, or believe entries that were never committed.

use super::options::NodeOptions;
use crate::log::LogError;

/// Cuts a log that does not hold the last entry of the state: its entries end before it, or contradict what is
/// committed. What was committed of them is in the state.
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
    log.purge(applied)
}
