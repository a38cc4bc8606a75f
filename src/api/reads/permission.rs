//! Permissions to read.

use std::fmt;

use bytes::Bytes;

use crate::model::{Caller, KeyRange, Refusal, Txn};

/// The subject of a read, for permissions.
pub(super) enum Sight<'a> {
    /// The keys and values of a range, or their events.
    Range(&'a KeyRange),
    /// The keys that a transaction compares and reads.
    Txn(&'a Txn),
    /// Keys that are attached to a lease, without their values.
    Keys(&'a [Bytes]),
    /// The list of leases.
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

/// Refuses a read without permission. A caller that is not a user may read everything as long as there are no users,
/// and a user may read nothing as long as there are no roles.
pub(super) fn permit(caller: &Caller, sight: Sight<'_>) -> Result<(), Refusal> {
    match caller {
        Caller::Anonymous | Caller::System => Ok(()),
        Caller::User { name, .. } => {
            tracing::debug!(%name, %sight, "not permitted");
            Err(Refusal::PermissionDenied)
        }
    }
}
