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
//! [`Verifier`] says which certificates of others are accepted: those of members, of clients at any listener, and of the
//! servers that kvctl connects to. It accepts what Go's crypto/x509 accepts, because that is what etcd's users have
//! (`tests/golden/pki` compares): `certificate` reads what stands in one, if it is DER (`der`), `chain` finds the path to a
//! CA, `names` compares names, `revocation` has what was revoked, and `refusal` the words for what is refused.
//! `algorithms` and `keys` are the cryptography: ring's, and for what ring lacks that of RustCrypto. `files` reads the
//! operator's files. [`self_signed`] makes the certificate of `--auto-tls` for clients. [`probe`]: for fuzzing.
//!
//! Rules: rcgen stays in this room. A key or a secret is never printed. Time comes from the clock that is passed in, so
//! that tests can let certificates expire. No TLS session is resumed: every connection is verified anew, so that a
//! revoked certificate stays out.

mod algorithms;
mod authority;
mod certificate;
mod chain;
mod credentials;
mod der;
mod error;
mod files;
mod keys;
mod names;
mod probe;
mod refusal;
mod revocation;
mod secret;
pub mod self_signed;
mod uri;
mod verify;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::lab;

pub use certificate::Holder;
pub use credentials::Credentials;
pub use error::PkiError;
pub use files::{Files, Pair, Stamps, Trust, certificates, check_validity, valid_until};
pub use probe::probe;
pub use refusal::{Refused, watched};
pub use secret::{MIN_SECRET_CHARS, SecretSource};
pub use verify::{Allowed, Verifier};
