//! Checks against the users of the published state. They take no lock.

use std::sync::Arc;

use super::Store;
use super::present::UsersEpoch;
use crate::auth::{Need, Users};
use crate::model::{Caller, Refusal};

impl Store {
    /// The users and roles of the present state. It takes no lock.
    pub fn users(&self) -> Arc<Users> {
        self.0.present.users().clone()
    }

    /// The present epoch of the users: one load.
    #[inline]
    pub fn users_epoch(&self) -> UsersEpoch {
        self.0.present.epoch()
    }

    /// Checks a caller's permission against the users of the present state; one load while authentication is off.
    ///
    /// # Errors
    /// As [`Users::check`].
    #[inline]
    pub fn check(&self, caller: &Caller, need: Need<'_>) -> Result<(), Refusal> {
        if !self.users_epoch().is_enabled() {
            return Ok(());
        }
        self.0.present.users().check(caller, need)
    }

    /// Checks that a caller has the role root.
    ///
    /// # Errors
    /// As [`Users::check`].
    pub fn check_root(&self, caller: &Caller) -> Result<(), Refusal> {
        self.check(caller, Need::Root)
    }

    /// Checks what the caller of a call that goes on for long may do now: as [`Store::check`], but an older revision of
    /// its token does not matter, as long as the token is still its user's own.
    ///
    /// # Errors
    /// As [`Users::check`] and [`Users::renewed`].
    pub fn check_now(&self, caller: &Caller, need: Need<'_>) -> Result<(), Refusal> {
        if !self.users_epoch().is_enabled() {
            return Ok(());
        }
        let users = self.0.present.users();
        users.check(&users.renewed(caller)?, need)
    }

    /// The caller of a call that goes on for long, as it would be authenticated now; see [`Users::renewed`].
    ///
    /// # Errors
    /// As there.
    pub fn renewed(&self, caller: &Caller) -> Result<Caller, Refusal> {
        if !self.users_epoch().is_enabled() {
            return Ok(caller.clone());
        }
        self.0.present.users().renewed(caller)
    }

    /// To be called after a read of keys, with the epoch from before the check: what was read may be newer than the users
    /// who were asked. As in etcd a change in between refuses the read, unless no rights have changed.
    ///
    /// # Errors
    /// [`Refusal::AuthOldRevision`]; [`Refusal::UserEmpty`] if authentication was enabled in between.
    #[inline]
    pub fn confirm(&self, caller: &Caller, before: UsersEpoch) -> Result<(), Refusal> {
        if self.users_epoch() == before {
            return Ok(());
        }
        self.0.present.users().confirm(caller, before.is_enabled())
    }
}
