//! Watchers, with their callers' permissions. A watcher ends before its next event if its caller has lost the right to
//! read its range, and soon if there is no event: a change of users wakes every session.

use std::future::poll_fn;
use std::ops::Deref;
use std::task::{Context, Poll};

use super::handle::Reads;
use crate::auth::Need;
use crate::model::{Caller, KeyRange, Refusal};
use crate::store::{Store, UsersEpoch};
use crate::watch::{FeedItem, Item, Session, WatchKey, WatchSpec};

/// A caller's watchers, which share one order of items; see [`Session`].
pub struct Watches {
    store: Store,
    caller: Caller,
    session: Session,
    /// When the permissions of all watchers were checked.
    permitted: UsersEpoch,
}

impl Watches {
    /// Opens a watcher; returns its key and the store's revision, which counts as shown.
    ///
    /// # Errors
    /// As [`Watches::permit`].
    pub fn open(&self, spec: WatchSpec) -> Result<(WatchKey, i64), Refusal> {
        self.permit(&spec.range)?;
        Ok(self.session.open(spec))
    }

    /// The next item, in order. One task at a time may wait for it.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        loop {
            self.deny();
            let polled = self.session.poll_next(cx);
            // A change before this session waits does not wake it.
            if polled.is_ready() || self.store.users_epoch() == self.permitted {
                return polled;
            }
        }
    }

    /// Ends the watchers that the caller may not have any more, if users have changed.
    fn deny(&mut self) {
        let epoch = self.store.users_epoch();
        if epoch != self.permitted {
            self.session.deny(|range| self.permit(range).is_ok());
            self.permitted = epoch;
        }
    }

    /// Checks that the caller may watch a range. The stream of a watcher is long, so its caller counts as authenticated
    /// now.
    ///
    /// # Errors
    /// As [`Store::check_now`].
    pub fn permit(&self, range: &KeyRange) -> Result<(), Refusal> {
        self.store.check_now(&self.caller, Need::Read(range))
    }
}

/// For everything except opening a watcher and the items.
impl Deref for Watches {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// A single watcher of a caller. Dropping it ends the watch.
pub struct Watching(Watches);

impl Watching {
    /// The next item. Dropping the future loses nothing.
    pub async fn next(&mut self) -> FeedItem {
        poll_fn(|cx| self.0.poll_next(cx).map(FeedItem::from)).await
    }
}

impl Reads {
    /// Watchers of a caller, none at first. Call it on the runtime that will poll them.
    pub fn watches(&self, caller: Caller) -> Watches {
        let permitted = self.store.users_epoch();
        Watches { store: self.store.clone(), caller, session: self.hub.session(), permitted }
    }

    /// A single watcher.
    ///
    /// # Errors
    /// As [`Watches::open`].
    pub fn watch(&self, caller: &Caller, spec: WatchSpec) -> Result<Watching, Refusal> {
        let watches = self.watches(caller.clone());
        watches.open(spec)?;
        Ok(Watching(watches))
    }
}
