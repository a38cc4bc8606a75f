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
    /// `None` for an anonymous one: there may be very many of them.
    caller: Option<Box<Caller>>,
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
            match self.session.poll_next(cx) {
                Poll::Ready(item) => {
                    if let Some(item) = self.still_permitted(item) {
                        return Poll::Ready(item);
                    }
                }
                // A change before this session waits does not wake it.
                Poll::Pending if self.store.users_epoch() != self.permitted => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// An item that was taken, unless users have changed since the last check and its watcher has ended: it may be newer
    /// than the change.
    fn still_permitted(&mut self, item: Item) -> Option<Item> {
        let denied = self.deny();
        let is_denied = item.tag().is_some_and(|tag| denied.contains(&tag));
        (!is_denied).then_some(item)
    }

    /// Ends the watchers that the caller may not have any more, if users have changed; returns their tags.
    fn deny(&mut self) -> Vec<i64> {
        let epoch = self.store.users_epoch();
        if epoch == self.permitted {
            return Vec::new();
        }
        self.permitted = epoch;
        self.session.deny(|range| self.permit(range).is_ok())
    }

    /// Checks that the caller may watch a range. The stream of a watcher is long, so its caller counts as authenticated
    /// now.
    ///
    /// # Errors
    /// As [`Store::check_now`].
    pub fn permit(&self, range: &KeyRange) -> Result<(), Refusal> {
        let caller = self.caller.as_deref().unwrap_or(&Caller::Anonymous);
        self.store.check_now(caller, Need::Read(range))
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
        let caller = (!matches!(caller, Caller::Anonymous)).then(|| Box::new(caller));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rpc::stories::{lone_leader, with_users};
    use crate::model::{AuthChange, Command, Permission, PermissionKind, Put, RangeEnd};
    use crate::watch::Want;

    fn below(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange { start: start.into(), end: RangeEnd::Before(end.into()) }
    }

    /// A right is taken away after an item was taken and before it is returned.
    #[tokio::test]
    async fn what_was_taken_before_a_right_ended_is_dropped() {
        let (services, _stopper, _dir) = lone_leader().await;
        with_users(&services).await;
        let change = async |change| {
            services.propose(Caller::System, Command::Auth(change)).await.expect("a change");
        };
        let put = async |key: &'static str| {
            let put = Put { key: key.into(), ..Put::default() };
            services.propose(Caller::System, Command::Put(put)).await.expect("a put");
        };
        let (kept, taken) = (below("kept/", "kept0"), below("read/", "read0"));
        let permission = Permission { kind: PermissionKind::Read, range: kept.clone() };
        change(AuthChange::RoleGrant { role: "reads".into(), permission: Some(permission) }).await;
        let reader = Caller::user("reader", services.store.users().revision());
        let mut watches = services.reads.watches(reader);
        for (tag, range) in [(1, taken.clone()), (2, kept)] {
            let spec = WatchSpec { tag, range, start_revision: 0, want: Want::default() };
            watches.open(spec).expect("she may read both");
        }
        for key in ["read/a", "kept/a"] {
            put(key).await;
        }
        let first = poll_fn(|cx| watches.session.poll_next(cx)).await;
        let second = poll_fn(|cx| watches.session.poll_next(cx)).await;
        assert_eq!([first.tag(), second.tag()], [Some(1), Some(2)]);
        change(AuthChange::RoleRevoke { role: "reads".into(), range: taken }).await;
        assert!(watches.still_permitted(first).is_none());
        assert!(matches!(watches.still_permitted(second), Some(Item::Events { tag: 2, .. })));
        let end = poll_fn(|cx| watches.poll_next(cx)).await;
        assert!(matches!(end, Item::Denied { tag: 1, .. }), "{end:?}");
        services.node.shutdown().await;
    }
}
