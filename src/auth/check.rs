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

    /// True for a user that was authenticated at the present revision.
    pub fn is_current(&self, caller: &Caller) -> bool {
        matches!(caller, Caller::User { auth_revision, .. } if *auth_revision >= self.state.revision)
    }

    /// The caller of a call that goes on for long, as it would be authenticated now: with the present revision, so that a
    /// check asks what its user may do now. While authentication is off that is the caller itself.
    ///
    /// # Errors
    /// [`Refusal::InvalidToken`] if its token would not authenticate it: its user was deleted or has another password, or
    /// authentication was disabled in between. A certificate still names its user then.
    pub fn renewed(&self, caller: &Caller) -> Result<Caller, Refusal> {
        match caller {
            Caller::User { name, auth_revision, certified } if self.state.enabled => {
                if *certified || self.holds_token(name, *auth_revision) {
                    let (name, auth_revision) = (name.clone(), self.state.revision);
                    Ok(Caller::User { name, auth_revision, certified: *certified })
                } else {
                    Err(Refusal::InvalidToken)
                }
            }
            _ => Ok(caller.clone()),
        }
    }

    /// Says whether what a check has permitted still holds for a caller that was checked before the last change, and
    /// while authentication was on if `was_enabled`.
    ///
    /// # Errors
    /// As [`Users::check`] of keys.
    pub fn confirm(&self, caller: &Caller, was_enabled: bool) -> Result<(), Refusal> {
        match caller {
            _ if !self.state.enabled => Ok(()),
            Caller::System => Ok(()),
            Caller::Anonymous => Err(Refusal::UserEmpty),
            // Whatever changes rights increments the revision.
            Caller::User { auth_revision, .. } if was_enabled && *auth_revision >= self.state.revision => {
                Ok(())
            }
            Caller::User { .. } => Err(Refusal::AuthOldRevision),
        }
    }

    fn check_enabled(&self, caller: &Caller, need: Need<'_>) -> Result<(), Refusal> {
        let (name, revision) = match caller {
            Caller::System => return Ok(()),
            // As in etcd that is its own name, although nobody has it.
            Caller::Anonymous if need == Need::KnowUser("") => return Ok(()),
            Caller::Anonymous => return Err(Refusal::UserEmpty),
            Caller::User { name, auth_revision, .. } => (name.as_ref(), *auth_revision),
        };
        let user = self.user(name);
        match need {
            Need::User => Ok(()),
            Need::Read(range) => self.check_keys(user, revision, |user| user.read.includes(range)),
            Need::Write(range) => self.check_keys(user, revision, |user| user.write.includes(range)),
            Need::Root => check_root(name, user),
            Need::KnowUser(asked) => check_root(name, user).or_else(|refusal| own(asked == name, refusal)),
            Need::KnowRole(asked) => {
                let has = user.is_some_and(|user| user.roles.contains(asked));
                check_root(name, user).or_else(|refusal| own(has, refusal))
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

fn check_root(name: &str, user: Option<&User>) -> Result<(), Refusal> {
    match user {
        // A certificate without a name.
        None if name.is_empty() => Err(Refusal::UserEmpty),
        None => Err(Refusal::UserNotFound),
        Some(user) if user.is_root() => Ok(()),
        Some(_) => Err(Refusal::PermissionDenied),
    }
}

fn own(is_own: bool, refusal: Refusal) -> Result<(), Refusal> {
    if is_own { Ok(()) } else { Err(refusal) }
}
