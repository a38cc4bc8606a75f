//! Who a member is, in certificates.
//!
//! A member's certificate comes from one of three sources, and [`Credentials`] turns any of them into
//! the TLS that `peer` uses:
//!
//! - the operator's own files (`files`): certificate, key, CA bundle, revocation list, allowed names;
//! - a secret all members share (`secret`): a CA derived from it, with which every member issues its own leaf
//!   (`authority`), short-lived, carrying its member and cluster id, renewed before it expires;
//! - neither: keys that everybody knows; traffic is encrypted, but nobody is kept out.
//!
//! `verify` says which certificates of others are accepted, `certificate` reads what stands in one. [`self_signed`]
//! makes the certificate of `--auto-tls` for clients. What all verifiers of servers share, kvctl's among them, is
//! [`Servers`].
//!
//! Rules: rcgen stays in this room. A key or a secret is never printed. Time comes from the clock that is passed in, so
//! that tests can let certificates expire. No TLS session is resumed: every connection is verified anew, so that a
//! revoked certificate stays out.

mod authority;
mod certificate;
mod credentials;
mod error;
mod files;
mod secret;
pub mod self_signed;
mod servers;
mod verify;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::lab;

pub use certificate::{Holder, check_validity, valid_until};
pub use credentials::Credentials;
pub use error::PkiError;
pub use files::{Files, Pair};
pub use secret::{MIN_SECRET_CHARS, SecretSource};
pub use servers::{ServerRule, Servers, Shown};
