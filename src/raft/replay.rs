//! Before raft starts, entries known to be committed are applied: a member without a quorum can then answer the same
//! reads as before its restart. Raft would do the same, but it would wait without end for a store whose disk is full,
//! and the member would serve nothing. So entries without room are left to the running raft, which waits for room while
//! everything else continues.

use std::io;

use super::options::{NodeOptions, StartError};
use super::runtime::offload;
use super::state_machine::apply;
use super::types::from_log;
use crate::log::Log;
use crate::model::LogPosition;
use crate::store::Store;

/// Bytes of entries that are read at a time.
const READ: usize = 4 << 20;

/// Applies the entries that the log knows to be committed, as far as the store has room.
///
/// # Errors
/// [`StartError::Storage`].
pub async fn replay(options: &NodeOptions) -> Result<(), StartError> {
    let (log, store) = (options.log.clone(), options.store.clone());
    let replayed = offload(move || replay_committed(&log, &store)).await.flatten();
    replayed.map_err(|error| StartError::Storage(error.to_string()))
}

fn replay_committed(log: &Log, store: &Store) -> Result<(), io::Error> {
    // Only if the log holds it: entries below a missing position may differ from the committed ones. What the log's end
    // lost in a crash comes back from the leader.
    log.committed()
        .filter(|committed| log.holds(*committed))
        .map_or(Ok(()), |last| replay_to(log, store, last))
}

/// Applies all entries of a log, whether they are known to be committed or not: for a member that is all that is left.
///
/// # Errors
/// Those of the log and the store.
pub fn replay_all(log: &Log, store: &Store) -> Result<(), io::Error> {
    log.bounds().last.map_or(Ok(()), |last| replay_to(log, store, last))
}

/// Applies the entries of a log up to one of them.
///
/// # Errors
/// Those of the log and the store.
pub fn replay_to(log: &Log, store: &Store, last: LogPosition) -> Result<(), io::Error> {
    let mut next = store.applied().map_or(0, |applied| applied.index + 1);
    while next <= last.index {
        for entry in log.read(next..last.index + 1, READ)? {
            if !store.gets_room() {
                tracing::warn!(
                    next,
                    last = last.index,
                    "the store's disk is full: the rest is applied later"
                );
                return Ok(());
            }
            apply(store, &from_log(entry)?).map_err(io::Error::other)?;
            next += 1;
        }
    }
    Ok(())
}
