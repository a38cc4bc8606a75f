//! Watchers, with their callers' permissions.

use std::ops::Deref;

use super::handle::Reads;
use super::permission::{Sight, permit};
use crate::model::{Caller, Refusal};
use crate::watch::{Feed, Session, WatchKey, WatchSpec};

/// A caller's watchers, which share one order of items; see [`Session`].
pub struct Watches {
    caller: Caller,
    session: Session,
}

impl Watches {
    /// Opens a watcher; returns its key and the store's revision, which counts as shown.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`].
    pub fn open(&self, spec: WatchSpec) -> Result<(WatchKey, i64), Refusal> {
        permit(&self.caller, Sight::Range(&spec.range))?;
        Ok(self.session.open(spec))
    }
}

/// For everything except opening a watcher.
impl Deref for Watches {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Reads {
    /// Watchers of a caller, none at first. Call it on the runtime that will poll them.
    pub fn watches(&self, caller: Caller) -> Watches {
        Watches { caller, session: self.hub.session() }
    }

    /// A single watcher.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`].
    pub fn watch(&self, caller: &Caller, spec: WatchSpec) -> Result<Feed, Refusal> {
        permit(caller, Sight::Range(&spec.range))?;
        Ok(self.hub.watch(spec))
    }
}
