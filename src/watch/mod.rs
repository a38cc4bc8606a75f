//! Watching: passes what was applied to every watcher that wants it.
//!
//! ```text
//! apply -> Hub -> Index -> group of watchers alike -> Inbox of each session -> gRPC stream
//!                                                       ^
//!                  history thread: pages for those behind
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `hub.rs` | the hub: the store's observer, opening and closing of watchers; below `session.rs` and `history.rs` |
//! | `delivery.rs` | a delivery to many watchers that is under way |
//! | `delivering.rs` | very many watchers get their events some at a time |
//! | `groups.rs` | watchers alike are matched once |
//! | `index.rs` | from a key to the groups that watch it |
//! | `inbox.rs` | a session's state: live and lagging watchers, what is ready to be sent |
//! | `order.rs` | the order of a session's items, in which time only goes forward |
//! | `few.rs` | queues of one item at most times |
//! | `seldom.rs` | queues that most sessions never use |
//! | `session.rs` | what a client holds: session, feed |
//! | `shared.rs` | what these share |
//! | `history.rs` | the thread that reads history for those behind |
//! | `run.rs` | events on their way: shared, counted, encoded once |
//! | `wake.rs` | waking many streams with one system call |
//! | `tree.rs` | waiting for changes of v2's tree, apart from all of this |
//!
//! Rules. The applying thread only queues: it never waits for a client, reads no history and encodes nothing. Locks
//! are taken in the order hub, inbox. A watcher goes live only under the hub's lock, and only when everything up to
//! the hub's revision has been read for it; so there is neither a gap nor a duplicate. A revision is never split.
//! All memory that slow clients can hold is counted against one budget; above it, queues become cursors.
//! This room knows neither gRPC nor LMDB, and never writes.

mod delivering;
mod delivery;
mod few;
mod groups;
mod history;
mod hub;
mod inbox;
mod index;
mod order;
mod run;
mod seldom;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod tree;
mod wake;

pub use hub::{Hub, HubStats, Options, WatchSpec};
pub use order::{Item, WatchKey};
pub use run::{Run, Want};
pub use session::{Feed, FeedItem, Session};
pub use tree::{From as TreeFrom, TreeFeed, TreeHub, TreeWait, from as tree_from};

use crate::model::{Refusal, RevisionEvents};
use crate::store::{Store, Wanted};

/// What watching needs of a store. Any thread may call it.
pub trait History: Send + Sync {
    /// The current revision.
    fn revision(&self) -> i64;

    /// The compacted revision, -1 at first.
    fn compacted_revision(&self) -> i64;

    /// The events that are wanted, and the revision at which to read on. Only whole revisions, and at least one of them
    /// however large. [`Refusal::Compacted`] if the first one is below the compacted revision, [`Refusal::TooManyRequests`] if the caller may
    /// try again in a moment.
    fn events(&self, wanted: &Wanted<'_>) -> Result<(Vec<RevisionEvents>, i64), Refusal>;
}

impl History for Store {
    fn revision(&self) -> i64 {
        Store::revision(self)
    }

    fn compacted_revision(&self) -> i64 {
        Store::compacted_revision(self)
    }

    fn events(&self, wanted: &Wanted<'_>) -> Result<(Vec<RevisionEvents>, i64), Refusal> {
        Store::events(self, wanted)
    }
}
