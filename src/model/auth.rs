//! Changes of users, roles and authentication (etcd semantics section 9).

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::KeyRange;

/// What a [`Permission`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PermissionKind {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
}

impl PermissionKind {
    /// True if it allows reading.
    pub fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// True if it allows writing.
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// A permission of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// What is allowed.
    pub kind: PermissionKind,
    /// On which keys.
    pub range: KeyRange,
}

/// The bcrypt hash of a password, as text in its usual form (`$2a$10$...`). No password fits the empty one. It is never
/// part of debug output.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(Bytes);

impl PasswordHash {
    /// A hash.
    pub fn new(hash: impl Into<Bytes>) -> Self {
        Self(hash.into())
    }

    /// Its text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A key that signs simple tokens. All members have it, so that a token is valid on each of them. The secret is never
/// part of debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKey {
    /// Its id, chosen by the proposer: tokens name the key that signed them.
    pub id: u64,
    /// Random bytes.
    pub secret: [u8; 32],
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({:x}, ..)", self.id)
    }
}

/// A change of users, roles or authentication. New variants go at the end: the number of a variant is part of the log
/// format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthChange {
    /// Demand authentication.
    Enable,
    /// Do not demand it any more.
    Disable,
    /// Add a user.
    UserAdd {
        /// The user.
        name: String,
        /// The hash of its password; `None` for a user that only logs in by certificate.
        hash: Option<PasswordHash>,
    },
    /// Delete a user.
    UserDelete {
        /// The user.
        name: String,
    },
    /// Change a user's password. It has no effect on a user without one.
    UserPassword {
        /// The user.
        name: String,
        /// The hash of the new one.
        hash: PasswordHash,
    },
    /// Give a role to a user.
    UserGrantRole {
        /// The user.
        user: String,
        /// The role.
        role: String,
    },
    /// Take a role from a user.
    UserRevokeRole {
        /// The user.
        user: String,
        /// The role.
        role: String,
    },
    /// Add a role.
    RoleAdd {
        /// The role.
        name: String,
    },
    /// Delete a role, also from all users.
    RoleDelete {
        /// The role.
        name: String,
    },
    /// Give a permission to a role.
    RoleGrant {
        /// The role.
        role: String,
        /// The permission. Without one the change is refused, after the caller's own permission was checked.
        permission: Option<Permission>,
    },
    /// Take the permission on exactly this range from a role.
    RoleRevoke {
        /// The role.
        role: String,
        /// The range.
        range: KeyRange,
    },
    /// Add a key that signs simple tokens; proposed by members only. The oldest key is forgotten.
    TokenKey {
        /// The key.
        key: TokenKey,
        /// The id of the newest key when this one was made. If there is a newer one by now, two members have made a key
        /// at the same time, and the second one is not added.
        after: Option<u64>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_in_debug_output() {
        let key = TokenKey { id: 0xab, secret: [77; 32] };
        let hash = PasswordHash::new("$2a$10$secret");
        let add = AuthChange::UserAdd { name: "ann".into(), hash: Some(hash) };
        let text = format!("{add:?} {:?}", AuthChange::TokenKey { key, after: None });
        assert!(!text.contains("secret") && !text.contains("77") && !text.contains("$2a"), "{text}");
        assert!(text.contains("ann") && text.contains("TokenKey(ab, ..)"), "{text}");
    }
}
