//! The users, the roles, and whether authentication is on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rights::Covered;
use crate::model::{KeyRange, PasswordHash, Permission, PermissionKind, TokenKey};

/// The name of the user that authentication needs, and of the role that may do everything.
pub const ROOT: &str = "root";

/// The keys for simple tokens that are kept: the newest signs, the one before it still verifies.
pub(super) const TOKEN_KEYS: usize = 2;

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The hash of its password; `None` if it only logs in by certificate.
    pub hash: Option<PasswordHash>,
    /// Its roles.
    pub roles: BTreeSet<String>,
    /// The revision of users and roles at which it was added or got its present password: simple tokens from before are
    /// not its own.
    pub since: u64,
    #[serde(skip)]
    pub(super) read: Covered,
    #[serde(skip)]
    pub(super) write: Covered,
}

impl User {
    /// A user with this password and these roles, before [`Users::restore_user`] gives it their rights.
    pub fn new(hash: Option<PasswordHash>, roles: BTreeSet<String>) -> Self {
        Self { hash, roles, ..Self::default() }
    }

    /// True if it may do everything.
    pub fn is_root(&self) -> bool {
        self.roles.contains(ROOT)
    }
}

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// What it permits, ascending by the start of the range.
    pub permissions: Vec<Permission>,
}

/// Everything but users and roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Authentication is on.
    pub enabled: bool,
    /// The revision of users and roles, which begins at 1.
    pub revision: u64,
    /// The revision at which authentication was last disabled, 0 if never: simple tokens from before are void.
    pub disabled_at: u64,
    /// The keys that sign simple tokens, the newest one last.
    pub token_keys: Vec<TokenKey>,
}

impl Default for State {
    fn default() -> Self {
        Self { enabled: false, revision: 1, disabled_at: 0, token_keys: Vec::new() }
    }
}

/// All users and roles at one moment. Cloning shares the users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    pub(super) state: State,
    pub(super) users: BTreeMap<String, Arc<User>>,
    pub(super) roles: BTreeMap<String, Role>,
}

impl Users {
    /// True if authentication is on.
    pub fn is_enabled(&self) -> bool {
        self.state.enabled
    }

    /// The revision of users and roles.
    pub fn revision(&self) -> u64 {
        self.state.revision
    }

    /// A user.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name).map(Arc::as_ref)
    }

    /// All users with their names, ascending.
    pub fn users(&self) -> impl Iterator<Item = (&str, &User)> {
        self.users.iter().map(|(name, user)| (name.as_str(), user.as_ref()))
    }

    /// A role.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    /// All roles with their names, ascending.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &Role)> {
        self.roles.iter().map(|(name, role)| (name.as_str(), role))
    }

    /// The permissions of a role as they are shown: the role root has one on everything, whatever it was given.
    pub fn permissions(&self, role: &str) -> Option<Vec<Permission>> {
        let found = self.role(role)?;
        if role == ROOT {
            return Some(vec![Permission { kind: PermissionKind::ReadWrite, range: KeyRange::all() }]);
        }
        Some(found.permissions.clone())
    }

    /// The keys that sign simple tokens, the newest one last. The newest one signs; all of them verify.
    pub fn token_keys(&self) -> &[TokenKey] {
        &self.state.token_keys
    }

    /// True if a simple token that this user was given at `revision` (of users and roles) is still its own: since then the
    /// user was not deleted, its password was not changed, and authentication was not disabled.
    pub fn holds_token(&self, name: &str, revision: u64) -> bool {
        self.user(name).is_some_and(|user| user.since <= revision) && self.state.disabled_at <= revision
    }

    /// The parts that the store keeps beside users and roles.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Adds a role that was read from disk. To be called before any user that has it is added.
    pub fn restore_role(&mut self, name: String, role: Role) {
        self.roles.insert(name, role);
    }

    /// Adds a user that was read from disk.
    pub fn restore_user(&mut self, name: String, user: User) {
        let user = self.with_rights(user);
        self.users.insert(name, Arc::new(user));
    }

    /// Sets what was read from disk.
    pub fn restore_state(&mut self, state: State) {
        self.state = state;
    }

    /// The user with the rights that its roles give it now.
    pub(super) fn with_rights(&self, user: User) -> User {
        let permissions = user.roles.iter().filter_map(|role| self.roles.get(role));
        let permissions = permissions.flat_map(|role| &role.permissions);
        let ranges = |wanted: fn(PermissionKind) -> bool| {
            let wanted = permissions.clone().filter(move |permission| wanted(permission.kind));
            Covered::by(wanted.map(|permission| &permission.range))
        };
        let (read, write) = (ranges(PermissionKind::reads), ranges(PermissionKind::writes));
        User { read, write, ..user }
    }
}
