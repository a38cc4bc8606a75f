//! May a caller do this? The answers are etcd's (semantics section 9).

use super::users::{User, Users};
use crate::model::{Caller, KeyRange, Refusal};

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// To be any user.
    User,
    /// To read a range.
    Read(&'a KeyRange),
    /// To write a range.
    Write(&'a KeyRange),
    /// The role root.
    Root,
    /// To know about a user: the role root, or to be that user.
    KnowUser(&'a str),
    /// To know about a role: the role root, or to have that role.
    KnowRole(&'a str),
}

impl Users {
    /// Checks that `caller` has what a request needs.
    ///
    /// # Errors
    /// While authentication is on: [`Refusal::UserEmpty`] for a caller without a user, [`Refusal::AuthOldRevision`] for
    /// keys if the caller was authenticated at an older revision, [`Refusal::UserNotFound`] if the role root is needed
    /// and the user is gone, otherwise [`Refusal::PermissionDenied`].
    #[inline]
    pub fn check(&self, caller: &Caller, need: Need<'_>) -> Result<(), Refusal> {
        if self.state.enabled { self.check_enabled(caller, need) } else { Ok(()) }
    }

    /// True if authentication is off, or the caller has the role root: nothing else has to be checked.
    pub fn allows_all(&self, caller: &Caller) -> bool {
        self.check(caller, Need::Root).is_ok()
    }

    fn check_enabled(&self, caller: &Caller, need: Need<'_>) -> Result<(), Refusal> {
        let (name, revision) = match caller {
            Caller::System => return Ok(()),
            Caller::Anonymous => return Err(Refusal::UserEmpty),
            Caller::User { name, auth_revision } => (name.as_ref(), *auth_revision),
        };
        let user = self.user(name);
        match need {
            Need::User => Ok(()),
            Need::Read(range) => self.check_keys(user, revision, |user| user.read.includes(range)),
            Need::Write(range) => self.check_keys(user, revision, |user| user.write.includes(range)),
            Need::Root => check_root(user),
            Need::KnowUser(asked) => check_root(user).or_else(|refusal| own(asked == name, refusal)),
            Need::KnowRole(asked) => {
                let has = user.is_some_and(|user| user.roles.contains(asked));
                check_root(user).or_else(|refusal| own(has, refusal))
            }
        }
    }

    fn check_keys(
        &self,
        user: Option<&User>,
        revision: u64,
        permits: impl FnOnce(&User) -> bool,
    ) -> Result<(), Refusal> {
        if revision < self.state.revision {
            return Err(Refusal::AuthOldRevision);
        }
        let permitted = user.is_some_and(|user| user.is_root() || permits(user));
        if permitted { Ok(()) } else { Err(Refusal::PermissionDenied) }
    }
}

fn check_root(user: Option<&User>) -> Result<(), Refusal> {
    match user {
        None => Err(Refusal::UserNotFound),
        Some(user) if user.is_root() => Ok(()),
        Some(_) => Err(Refusal::PermissionDenied),
    }
}

fn own(is_own: bool, refusal: Refusal) -> Result<(), Refusal> {
    if is_own { Ok(()) } else { Err(refusal) }
}
