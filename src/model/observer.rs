//! The interface of observers, which are notified of what was applied.

use super::{LeaseId, RevisionEvents, TreeChange};

/// A change to leases that was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseChange {
    /// Granted with a time to live in seconds.
    Granted {
        /// The lease.
        id: LeaseId,
        /// Its time to live, in seconds.
        ttl: i64,
    },
    /// Revoked or expired.
    Revoked {
        /// The lease.
        id: LeaseId,
    },
}

/// Is notified of what was applied, in order, after it has become readable. Called on the applying thread: it must not
/// block and must not read the store at length.
///
/// Each kind of news has a method that does nothing by default, so a new kind changes only the observers that want it.
/// Only [`Observer::on_restored`] concerns all of them: whatever an observer keeps of the state is no longer true then.
pub trait Observer: Send + Sync {
    /// Revisions of the key space that were applied, ascending, each complete.
    fn on_events(&self, _revisions: &[RevisionEvents]) {}
    /// Leases that changed.
    fn on_leases(&self, _changes: &[LeaseChange]) {}
    /// History up to and including `revision` is no longer readable.
    fn on_compacted(&self, _revision: i64) {}
    /// Changes of v2's tree, in order.
    fn on_tree(&self, _changes: &[TreeChange]) {}
    /// Users or roles have changed, or authentication was enabled or disabled.
    fn on_users(&self) {}
    /// A command that takes space was applied, and the data are now above this member's space quota.
    fn on_quota_exceeded(&self) {}
    /// The whole state was replaced by a snapshot; `revision` is now the current one.
    fn on_restored(&self, revision: i64);
}
