//! One change of users, roles or authentication, by etcd's rules and with its answers (semantics section 9).

use std::sync::Arc;

use super::users::{ROOT, Role, TOKEN_KEYS, User, Users};
use crate::model::{AuthChange, KeyRange, PasswordHash, Permission, Refusal, TokenKey};

impl Users {
    /// Makes a change. Whoever asks for it needs the role root, which is checked elsewhere.
    ///
    /// # Errors
    /// A refusal, before anything is changed.
    pub fn change(&mut self, change: &AuthChange) -> Result<(), Refusal> {
        match change {
            AuthChange::Enable => self.enable(),
            AuthChange::Disable => {
                self.disable();
                Ok(())
            }
            AuthChange::UserAdd { name, hash } => self.add_user(name, hash.clone()),
            AuthChange::UserDelete { name } => self.delete_user(name),
            AuthChange::UserPassword { name, hash } => self.set_password(name, hash),
            AuthChange::UserGrantRole { user, role } => self.grant_role(user, role),
            AuthChange::UserRevokeRole { user, role } => self.revoke_role(user, role),
            AuthChange::RoleAdd { name } => self.add_role(name),
            AuthChange::RoleDelete { name } => self.delete_role(name),
            AuthChange::RoleGrant { role, permission } => self.grant(role, permission.as_ref()),
            AuthChange::RoleRevoke { role, range } => self.revoke(role, range),
            AuthChange::TokenKey { key, after } => {
                self.add_token_key(key, *after);
                Ok(())
            }
        }
    }

    /// As in etcd this does not change the revision.
    fn enable(&mut self) -> Result<(), Refusal> {
        if self.state.enabled {
            return Ok(());
        }
        let root = self.user(ROOT).ok_or(Refusal::RootUserMissing)?;
        if !root.is_root() {
            return Err(Refusal::RootRoleMissing);
        }
        self.state.enabled = true;
        Ok(())
    }

    fn disable(&mut self) {
        if self.state.enabled {
            self.state.enabled = false;
            self.state.revision += 1;
            self.state.disabled_at = self.state.revision;
        }
    }

    fn add_user(&mut self, name: &str, hash: Option<PasswordHash>) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::UserEmpty);
        }
        if self.users.contains_key(name) {
            return Err(Refusal::UserExists);
        }
        self.state.revision += 1;
        self.set_user(name, User { hash, since: self.state.revision, ..User::default() });
        Ok(())
    }

    fn delete_user(&mut self, name: &str) -> Result<(), Refusal> {
        if self.state.enabled && name == ROOT {
            return Err(Refusal::InvalidAuthChange);
        }
        self.users.remove(name).ok_or(Refusal::UserNotFound)?;
        self.state.revision += 1;
        Ok(())
    }

    fn set_password(&mut self, name: &str, hash: &PasswordHash) -> Result<(), Refusal> {
        let user = self.user(name).ok_or(Refusal::UserNotFound)?.clone();
        let hash = user.hash.is_some().then(|| hash.clone());
        self.state.revision += 1;
        self.set_user(name, User { hash, since: self.state.revision, ..user });
        Ok(())
    }

    fn grant_role(&mut self, name: &str, role: &str) -> Result<(), Refusal> {
        let mut user = self.user(name).ok_or(Refusal::UserNotFound)?.clone();
        // The role root need not exist to be granted.
        if role != ROOT && !self.roles.contains_key(role) {
            return Err(Refusal::RoleNotFound);
        }
        if user.roles.insert(role.to_owned()) {
            self.state.revision += 1;
            self.set_user(name, user);
        }
        Ok(())
    }

    fn revoke_role(&mut self, name: &str, role: &str) -> Result<(), Refusal> {
        if self.state.enabled && name == ROOT && role == ROOT {
            return Err(Refusal::InvalidAuthChange);
        }
        let mut user = self.user(name).ok_or(Refusal::UserNotFound)?.clone();
        if !user.roles.remove(role) {
            return Err(Refusal::RoleNotGranted);
        }
        self.state.revision += 1;
        self.set_user(name, user);
        Ok(())
    }

    fn add_role(&mut self, name: &str) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::RoleEmpty);
        }
        if self.roles.contains_key(name) {
            return Err(Refusal::RoleExists);
        }
        self.roles.insert(name.to_owned(), Role::default());
        self.state.revision += 1;
        // The role root can be granted before it exists.
        self.renew_rights(name);
        Ok(())
    }

    fn delete_role(&mut self, name: &str) -> Result<(), Refusal> {
        if self.state.enabled && name == ROOT {
            return Err(Refusal::InvalidAuthChange);
        }
        self.roles.remove(name).ok_or(Refusal::RoleNotFound)?;
        self.state.revision += 1;
        for holder in self.holders(name) {
            let Some(mut user) = self.user(&holder).cloned() else { continue };
            user.roles.remove(name);
            self.set_user(&holder, user);
        }
        Ok(())
    }

    fn grant(&mut self, name: &str, permission: Option<&Permission>) -> Result<(), Refusal> {
        let permission = permission.ok_or(Refusal::PermissionNotGiven)?;
        if permission.range.start.is_empty() || permission.range.is_empty() {
            return Err(Refusal::InvalidAuthChange);
        }
        let role = self.roles.get_mut(name).ok_or(Refusal::RoleNotFound)?;
        let (start, end) = (&permission.range.start, &permission.range.end);
        // As in etcd a permission is only replaced if it is the first one with its start. Otherwise both remain, and
        // together they permit what one of them does.
        let first = role.permissions.partition_point(|other| other.range.start < *start);
        match role.permissions.get_mut(first) {
            Some(other) if other.range.start == *start && other.range.end == *end => {
                other.kind = permission.kind;
            }
            _ => {
                let place = role.permissions.partition_point(|other| other.range.start <= *start);
                role.permissions.insert(place, permission.clone());
            }
        }
        self.state.revision += 1;
        self.renew_rights(name);
        Ok(())
    }

    fn revoke(&mut self, name: &str, range: &KeyRange) -> Result<(), Refusal> {
        let role = self.roles.get_mut(name).ok_or(Refusal::RoleNotFound)?;
        let before = role.permissions.len();
        role.permissions.retain(|permission| permission.range != *range);
        if role.permissions.len() == before {
            return Err(Refusal::PermissionNotGranted);
        }
        self.state.revision += 1;
        self.renew_rights(name);
        Ok(())
    }

    fn add_token_key(&mut self, key: &TokenKey, after: Option<u64>) {
        let keys = &mut self.state.token_keys;
        if keys.last().map(|newest| newest.id) == after && keys.iter().all(|other| other.id != key.id) {
            keys.push(key.clone());
            let surplus = keys.len().saturating_sub(TOKEN_KEYS);
            keys.drain(..surplus);
        }
    }

    /// The users that have a role.
    fn holders(&self, role: &str) -> Vec<String> {
        let holders = self.users.iter().filter(|(_, user)| user.roles.contains(role));
        holders.map(|(name, _)| name.clone()).collect()
    }

    fn renew_rights(&mut self, role: &str) {
        for holder in self.holders(role) {
            if let Some(user) = self.user(&holder).cloned() {
                self.set_user(&holder, user);
            }
        }
    }

    fn set_user(&mut self, name: &str, user: User) {
        let user = self.with_rights(user);
        self.users.insert(name.to_owned(), Arc::new(user));
    }
}
