//! Reads of v2's tree. It knows nothing of v3's users: while there are any, it is for those with the role root.

use std::sync::Arc;

use super::handle::{Freshness, Reads};
use super::permission::{Sight, permit};
use crate::api::jobs::Job;
use crate::model::{Caller, Held, Refusal, TreeError, TreeListing};
use crate::watch::{TreeFeed, TreeFrom, TreeWait};

/// A tree that is at most this large is listed on the connection's own thread.
const WORTH_A_THREAD: u64 = 1 << 20;

/// A node with what is below it, the tree's index, and the room that this takes.
pub struct Listed {
    /// The node, or why there is none.
    pub found: Result<TreeListing, TreeError>,
    /// The index of the tree.
    pub index: u64,
    /// To be kept as long as `found`.
    pub room: Held,
}

impl Reads {
    /// Reads a node; `then` makes an answer of it, on the same thread.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`]; [`Refusal::MessageTooLong`] and [`Refusal::AnswersUnread`] if it is too large; those of
    /// [`Reads::fresh`].
    pub async fn tree<T: Send + 'static>(
        &self,
        caller: &Caller,
        (path, recursive): (Arc<str>, bool),
        freshness: Freshness,
        then: impl FnOnce(Listed) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.fresh(freshness).await?;
        let permitted = permit(&self.store, caller, Sight::Whole)?;
        let (tree, now_ms, store) = (self.store.tree(), self.node.now_ms(), self.store.clone());
        let bytes = tree.bytes();
        let read = move || {
            let (found, room) = tree.list(&path, recursive, now_ms, store.answers())?;
            store.figures().tree.read(found.is_ok());
            then(Listed { found, index: tree.index(), room })
        };
        let answer = if bytes <= WORTH_A_THREAD { read()? } else { self.jobs.run(Job::Read, read).await? };
        self.store.confirm(caller, permitted)?;
        Ok(answer)
    }

    /// Waits for changes of nodes.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], and those of [`crate::watch::TreeHub::wait`]; an error of the tree if its history does
    /// not reach back so far.
    pub fn tree_wait(
        &self,
        caller: &Caller,
        wanted: &TreeWait,
        from: TreeFrom,
    ) -> Result<Result<TreeFeed, TreeError>, Refusal> {
        let permitted = permit(&self.store, caller, Sight::Whole)?;
        let feed = self.tree_hub.wait(wanted, from, || self.store.tree())?;
        // A change of users ends those who wait by then.
        self.store.confirm(caller, permitted)?;
        Ok(feed)
    }

    /// How many wait.
    pub fn tree_waiters(&self) -> usize {
        self.tree_hub.waiters()
    }
}
