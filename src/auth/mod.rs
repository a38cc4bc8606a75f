//! Users and roles: who may do what; their passwords and tokens.
//!
//! | file | holds |
//! |---|---|
//! | `users.rs` | [`Users`]: the state, replicated and immutable; lookups |
//! | `change.rs` | one change of it, by etcd's rules |
//! | `check.rs` | the question whether a caller has what a request [needs](Need) |
//! | `rights.rs` | a user's ranges of keys, merged from its roles |
//! | `logins.rs` | [`Logins`]: what a member needs to let users log in |
//! | `passwords.rs` | [`Passwords`]: bcrypt on threads of its own |
//! | `tokens.rs` | [`Tokens`] of users who are logged in, of either kind: |
//! | `simple.rs` | signed with a replicated key, good on every member |
//! | `jwt.rs`, `jwt_keys.rs` | JSON web tokens, signed with a key of the operator's |
//! | `certificate.rs` | the user that a client's certificate names |
//!
//! Rules. Users and roles are pure: the same changes give the same users on every member, and a check depends on nothing
//! but them. The store keeps the users and applies the changes; [`crate::store::Store::users`] has the present ones.
//! While authentication is off a check costs a branch. Passwords and tokens belong to one member: nothing of theirs is
//! replicated but the hash of a password and the keys of simple tokens, which the proposer makes. No password, token or
//! key is ever part of a message, an error or debug output.
//!
//! # The revision of users and roles
//! Every change of users or roles increments it, and so does disabling authentication: exactly the changes that
//! increment etcd's. A caller carries the revision at which its token was checked. What it asks for is checked again when
//! it is done; if the revision has changed in between, keys are refused with [`AuthOldRevision`], and the caller may be
//! authenticated again. As in etcd the checks for the role root compare no revisions: they ask what the user may do now.
//!
//! [`AuthOldRevision`]: crate::model::Refusal::AuthOldRevision

mod certificate;
mod change;
mod check;
mod jwt;
mod jwt_keys;
mod logins;
#[cfg(test)]
mod model_test;
mod passwords;
mod rights;
mod simple;
mod tokens;
mod users;

pub use certificate::certified_user;
pub use check::Need;
pub use jwt::Jwt;
pub use jwt_keys::KeyError;
pub use logins::{LoginOptions, Logins};
pub use passwords::{Password, Passwords, check_cost};
pub use tokens::{TokenOptions, Tokens};
pub use users::{ROOT, Role, State, User, Users};
