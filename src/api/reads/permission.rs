//! What a caller may see.

use std::fmt;

use bytes::Bytes;

use crate::model::{Caller, KeyRange, Refusal, Txn};

/// What is to be read, as permissions see it.
pub(super) enum Sight<'a> {
    /// The keys and values of a range, or their events.
    Range(&'a KeyRange),
    /// What a transaction compares and reads.
    Txn(&'a Txn),
    /// Keys that are attached to a lease, without their values.
    Keys(&'a [Bytes]),
    /// Which leases there are.
    Leases,
    /// Everything.
    Whole,
}

impl fmt::Display for Sight<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(f, "range {range:?}"),
            Self::Txn(txn) => write!(f, "transaction {txn:?}"),
            Self::Keys(keys) => write!(f, "{} keys of a lease", keys.len()),
            Self::Leases => f.write_str("leases"),
            Self::Whole => f.write_str("everything"),
        }
    }
}

/// Refuses what the caller may not see. Whoever is not a user may see everything as long as there are no users, and a
/// user nothing as long as there are no roles.
pub(super) fn permit(caller: &Caller, sight: Sight<'_>) -> Result<(), Refusal> {
    match caller {
        Caller::Anonymous | Caller::System => Ok(()),
        Caller::User { name, .. } => {
            tracing::debug!(%name, %sight, "not permitted");
            Err(Refusal::PermissionDenied)
        }
    }
}
