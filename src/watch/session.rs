//! What a client of the hub holds: a session with its watchers, or a feed, which is a session with one.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;

use super::hub::{Hub, WatchSpec};
use super::inbox::Inbox;
use super::order::{Item, WatchKey};
use super::run::Run;
use super::shared::{Request, Shared};
use crate::model::{KeyRange, Refusal};

/// Watchers that share one order of items. Dropping it closes them.
pub struct Session {
    hub: Arc<Hub>,
    shared: Arc<Shared>,
}

impl Hub {
    /// A session, on which several watchers share one order of items. Call it on the runtime that will poll it.
    pub fn session(self: &Arc<Self>) -> Session {
        Session { hub: self.clone(), shared: self.begin() }
    }

    /// A session with one watcher.
    pub fn watch(self: &Arc<Self>, spec: WatchSpec) -> Feed {
        let session = self.session();
        session.open(spec);
        Feed { session }
    }
}

impl Session {
    /// Opens a watcher; returns its key and the store's revision, which counts as shown.
    pub fn open(&self, spec: WatchSpec) -> (WatchKey, i64) {
        self.hub.open(&self.shared, spec)
    }

    /// Closes a watcher. No more items about it follow.
    pub fn close(&self, key: WatchKey) {
        self.hub.close(&self.shared, key);
    }

    /// Ends the watchers whose ranges may not be read any more: an [`Item::Denied`] follows for each, and nothing else
    /// about it. Returns their tags.
    pub fn deny(&self, permits: impl Fn(&KeyRange) -> bool) -> Vec<i64> {
        self.shared.inbox.lock().deny(permits)
    }

    /// The next item, in order. One task at a time may wait for it.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Item> {
        let asks = loop {
            {
                let mut inbox = self.shared.inbox.lock();
                if !inbox.is_late()
                    && let Some(item) = inbox.next()
                {
                    return Poll::Ready(item);
                }
                if !inbox.is_late() {
                    break inbox.park(cx.waker());
                }
            }
            self.hub.with_inbox(&self.shared, Inbox::ask_again);
        };
        if !asks.is_empty() {
            self.hub.ask(asks.into_iter().map(|ask| Request {
                shared: Arc::downgrade(&self.shared),
                key: ask.key,
                interest: ask.interest,
                next: ask.next,
            }));
        }
        Poll::Pending
    }

    /// Asks for [`Item::Progress`], which comes only if all watchers are synced. It comes after every event up to its
    /// revision.
    pub fn request_progress(&self) {
        self.hub.with_inbox(&self.shared, |inbox, revision| inbox.progress(revision));
    }

    /// Asks for an [`Item::Notify`] for each of `keys` that is synced.
    pub fn notify(&self, keys: impl IntoIterator<Item = WatchKey>) {
        self.hub.with_inbox(&self.shared, |inbox, revision| {
            keys.into_iter().for_each(|key| inbox.notify(key, revision));
        });
    }

    /// The last revision that was delivered to watchers.
    pub fn revision(&self) -> i64 {
        self.hub.revision()
    }

    /// The revision for the header of an answer outside the order: the store's. No later item shows a lower one.
    pub fn show_revision(&self) -> i64 {
        self.hub.show_revision(&self.shared)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hub.close_all(&self.shared);
    }
}

/// An item about a session's only watcher.
#[derive(Debug)]
pub enum FeedItem {
    /// Events.
    Events {
        /// The revision in the header of the answer; see [`Item::Events`].
        header_revision: i64,
        /// The events.
        runs: SmallVec<[Arc<Run>; 1]>,
    },
    /// The feed has ended: what comes next has been compacted.
    Compacted(i64),
    /// Everything up to the revision has been sent.
    Progress(i64),
    /// The feed has ended: its range may no longer be read.
    Denied,
    /// The feed has ended: history cannot be read.
    Failed(Refusal),
}

impl From<Item> for FeedItem {
    fn from(item: Item) -> Self {
        match item {
            Item::Events { header_revision, runs, .. } => Self::Events { header_revision, runs },
            Item::Compacted { revision, .. } => Self::Compacted(revision),
            Item::Denied { .. } => Self::Denied,
            Item::Progress { revision } | Item::Notify { revision, .. } => Self::Progress(revision),
            Item::Failed(refusal) => Self::Failed(refusal),
        }
    }
}

/// A session with one watcher. Dropping it ends the watch.
pub struct Feed {
    session: Session,
}

impl Feed {
    /// The next item.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<FeedItem> {
        self.session.poll_next(cx).map(FeedItem::from)
    }

    /// The next item. Dropping the future loses nothing.
    pub async fn next(&self) -> FeedItem {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Asks for [`FeedItem::Progress`], which comes only if the feed is synced.
    pub fn request_progress(&self) {
        self.session.request_progress();
    }
}
