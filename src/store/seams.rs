//! What must hold where one part of the store hands over to another.
//!
//! It is checked in production, for a few comparisons an entry, a checkpoint or a slice: a store that contradicts itself
//! stops and names the values, since a member that goes on would answer what no other one does. Whoever calls passes the
//! error to [`Inner::fail`](super::core::Inner::fail), but for what a stream says: that is refused.

use std::fmt;

use super::StoreError;
use super::format::meta::Meta;
use crate::model::{LogPosition, Refusal, RevisionEvents};

fn hold(holds: bool, broken: impl FnOnce() -> String) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Broken(broken())) }
}

/// How far a state has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Index of the last entry in it.
    pub index: Option<u64>,
    pub revision: i64,
    pub compacted: i64,
}

impl Point {
    /// The state of a meta record.
    pub fn of(meta: &Meta) -> Self {
        let index = meta.applied.map(|applied| applied.index);
        Self { index, revision: meta.revision, compacted: meta.compacted }
    }

    /// True if `later` may come of it, or is the same.
    fn is_before(self, later: Self) -> bool {
        self.index <= later.index && self.revision <= later.revision && self.compacted <= later.compacted
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, revision, compacted } = self;
        match index {
            Some(index) => write!(f, "(entry {index}, revision {revision}, compacted at {compacted})"),
            None => write!(f, "(no entry, revision {revision}, compacted at {compacted})"),
        }
    }
}

/// Entries are applied without a gap, from the first of the log on, and terms never go back.
pub(super) fn entry(applied: Option<LogPosition>, position: LogPosition) -> Result<(), StoreError> {
    let (next, term) = applied.map_or((0, 0), |applied| (applied.index + 1, applied.term));
    hold(position.index == next && position.term >= term, || {
        format!("log entry {position:?} is applied after {applied:?}")
    })
}

/// An entry leaves one revision after the other behind `before`, and compacts nothing that is to come.
pub(super) fn published(
    before: Point,
    revision: i64,
    compacted: i64,
    batch: &[RevisionEvents],
) -> Result<(), StoreError> {
    let revisions = batch.iter().map(|events| events.revision);
    let follow = revisions.eq(before.revision + 1..=revision) && revision >= before.revision;
    let compacts = before.compacted <= compacted && compacted <= revision;
    hold(follow && compacts, || {
        let count = batch.len();
        format!("{before} is followed by {count} revisions up to {revision}, compacted at {compacted}")
    })
}

/// A refusal must come before any change.
pub(super) fn refused(position: LogPosition, refusal: &Refusal, changes: usize) -> Result<(), StoreError> {
    hold(changes == 0, || format!("{refusal:?} comes after {changes} changes, in log entry {position:?}"))
}

/// The new durable position is between the old one and the applied one.
pub(super) fn checkpoint(durable: Point, next: Point, applied: Point) -> Result<(), StoreError> {
    hold(durable.is_before(next) && next.is_before(applied), || {
        format!("a checkpoint at {next} lies outside of {durable} and {applied}")
    })
}

/// Removing advances within the compacted revisions, and never goes back.
pub(super) fn pruned(before: &Meta, after: &Meta) -> Result<(), StoreError> {
    let from = (before.pruned, before.prune_from);
    let to = (after.pruned, after.prune_from);
    // At the end of a compaction it begins anew with the deletions at that revision.
    let goes_on = if from.0 == to.0 { from.1 <= to.1 } else { from.0 < to.0 && from.1.0 <= to.1.0 };
    hold(goes_on && to.0 <= after.compacted, || {
        format!("removing went from {from:?} to {to:?}, compacted at {}", after.compacted)
    })
}

/// LMDB has no revision that is not published.
pub(super) fn readable(published: i64, stored: i64) -> Result<(), StoreError> {
    hold(stored <= published, || format!("revision {stored} is stored, and {published} is the current one"))
}

/// A state that replaces another one must be in its future.
pub(super) fn adopted(own: Point, other: Point) -> Result<(), StoreError> {
    hold(own.is_before(other), || format!("a state at {other} is to take the place of one at {own}"))
}

/// Checks that a meta record is consistent; the error says what is wrong.
pub(super) fn whole(meta: &Meta) -> Result<(), String> {
    let Meta { applied, revision, compacted, pruned, prune_from, .. } = meta;
    let configured = meta.raft_membership.as_ref().map(|(position, _)| position.index);
    let agrees = *revision >= 1
        && (-1..=*revision).contains(compacted)
        && (-1..=*compacted).contains(pruned)
        && prune_from.0 <= *revision
        && configured <= applied.map(|applied| applied.index);
    if agrees {
        return Ok(());
    }
    Err(format!(
        "its figures contradict each other: {}, removed up to {pruned} and {prune_from:?}, raft's configuration of \
         entry {configured:?}",
        Point::of(meta)
    ))
}

/// The newest change that is stored is not newer than the revision.
pub(super) fn newest(meta: &Meta, change: Option<i64>) -> Result<(), String> {
    match change {
        Some(change) if change > meta.revision => {
            Err(format!("it holds a change at revision {change}, and its revision is {}", meta.revision))
        }
        _ => Ok(()),
    }
}
