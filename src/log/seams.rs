//! What must hold of whatever is written to the log.
//!
//! It is checked in production, for a few comparisons an entry, a vote, a purge or a frame: a log that contradicts itself
//! fails and names the values, since it could lose, or acknowledge twice, what others rely on.

use super::{LogError, Vote};
use crate::model::LogPosition;

fn hold(holds: bool, broken: impl FnOnce() -> String) -> Result<(), LogError> {
    if holds { Ok(()) } else { Err(LogError::Broken(broken())) }
}

/// Entries follow each other without a gap, and terms never go back. `last` is the last entry, purged or not; the store
/// checks that the first one of all has index 0.
pub(super) fn appended(last: Option<LogPosition>, position: LogPosition) -> Result<(), LogError> {
    let follows = last.is_none_or(|last| position.index == last.index + 1 && position.term >= last.term);
    hold(follows, || format!("entry {position:?} comes after {last:?}"))
}

/// Votes never go back, and a member votes once in a term: after that it may only find out who was elected.
pub(super) fn voted(held: Option<Vote>, vote: Vote) -> Result<(), LogError> {
    let follows = held.is_none_or(|held| {
        let is_same = vote.voted_for == held.voted_for && vote.committed == held.committed;
        vote.term > held.term || vote.term == held.term && (vote.committed && !held.committed || is_same)
    });
    hold(follows, || format!("{vote:?} comes after {held:?}"))
}

/// Only entries that the durable state contains are removed. `durable` is the last one in it.
pub(super) fn purged(upto: LogPosition, durable: Option<LogPosition>) -> Result<(), LogError> {
    hold(durable.is_some_and(|durable| upto.index <= durable.index), || {
        format!("entries up to {upto:?} are to be removed, while the durable state ends with {durable:?}")
    })
}

/// Segments follow each other without a gap.
pub(super) fn segment(current: u64, next: u64) -> Result<(), LogError> {
    hold(next == current + 1, || format!("segment {next:016x} comes after {current:016x}"))
}

/// A frame, with its seal, lies within its segment. `end` is the offset at which the seal ends.
pub(super) fn frame(segment: u64, end: u64, length: u64) -> Result<(), LogError> {
    hold(end <= length, || format!("a frame ends at {end} in segment {segment:016x} of {length} bytes"))
}
