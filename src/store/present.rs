//! The users of the published state.
//!
//! Every change of users is followed by a new epoch. Both are set before the state that contains the change can be read.
//! So whoever remembers the epoch, checks a permission, reads, and finds the same epoch after that has not read anything
//! newer than the users who were asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::auth::Users;

/// The users of the published state.
pub(super) struct Present {
    users: ArcSwap<Users>,
    /// The number of changes, times two, and one more if authentication is on.
    epoch: AtomicU64,
}

/// A moment in the life of the users: it differs from the one before if anything about them has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsersEpoch(u64);

impl UsersEpoch {
    /// True if authentication is on.
    pub fn is_enabled(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Present {
    /// The users of a state that was opened.
    pub fn new(users: Arc<Users>) -> Self {
        let epoch = AtomicU64::new(u64::from(users.is_enabled()));
        Self { users: ArcSwap::new(users), epoch }
    }

    /// Replaces them. The caller holds the write lock of the state with which they become readable.
    pub fn set(&self, users: Arc<Users>) {
        let next = (self.epoch.load(Ordering::Relaxed) | 1) + 1;
        let enabled = u64::from(users.is_enabled());
        self.users.store(users);
        // After the users: whoever sees the new epoch sees them, too.
        self.epoch.store(next | enabled, Ordering::Release);
    }

    /// The present epoch: one load.
    pub fn epoch(&self) -> UsersEpoch {
        UsersEpoch(self.epoch.load(Ordering::Acquire))
    }

    /// The present users.
    pub fn users(&self) -> Guard<Arc<Users>> {
        self.users.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_has_an_epoch_of_its_own_that_says_whether_authentication_is_on() {
        let mut enabled = Users::default();
        enabled.restore_state(crate::auth::State { enabled: true, ..crate::auth::State::default() });
        let (off, on) = (Arc::new(Users::default()), Arc::new(enabled));
        let present = Present::new(off.clone());
        let mut seen = vec![present.epoch()];
        for users in [&off, &on, &on, &off, &on, &off, &off] {
            present.set(users.clone());
            assert_eq!(present.epoch().is_enabled(), users.is_enabled());
            assert!(!seen.contains(&present.epoch()), "{seen:?}");
            seen.push(present.epoch());
        }
    }
}
