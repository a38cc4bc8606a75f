//! Permissions to read. They are checked against the users of this member's present state, after the read index and before
//! the read, and confirmed after it: no read gives what a right permits that was taken away before the state that it has
//! read.

use bytes::Bytes;

use crate::auth::Need;
use crate::model::{Caller, KeyRange, Op, Refusal, Txn};
use crate::store::{Store, UsersEpoch};

/// The subject of a read, for permissions.
pub(super) enum Sight<'a> {
    /// The keys and values of a range, or their events.
    Range(&'a KeyRange),
    /// The keys that a read-only transaction compares and reads, in both branches.
    Txn(&'a Txn),
    /// Everything.
    Whole,
}

/// Checks a caller's permission to read; returns what a read of keys is to be confirmed with ([`Store::confirm`]).
///
/// # Errors
/// As [`Store::check`].
pub(super) fn permit(store: &Store, caller: &Caller, sight: Sight<'_>) -> Result<UsersEpoch, Refusal> {
    // Before the users are asked.
    let epoch = store.users_epoch();
    if epoch.is_enabled() {
        match sight {
            Sight::Range(range) => store.check(caller, Need::Read(range))?,
            Sight::Txn(txn) => permit_txn(store, caller, txn)?,
            Sight::Whole => store.check(caller, Need::Root)?,
        }
    }
    Ok(epoch)
}

fn permit_txn(store: &Store, caller: &Caller, txn: &Txn) -> Result<(), Refusal> {
    for compare in &txn.compares {
        store.check(caller, Need::Read(&compare.range))?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            Op::Range(query) => store.check(caller, Need::Read(&query.range))?,
            // It goes through the log, and is checked when it is applied.
            Op::Put(_) | Op::Delete(_) | Op::Txn(_) => {}
        }
    }
    Ok(())
}

/// Checks a caller's permission on each of a lease's keys. Whoever has the role root may do anything with a lease.
///
/// # Errors
/// As [`Store::check`].
pub(super) fn permit_keys(
    store: &Store,
    caller: &Caller,
    keys: &[Bytes],
    need: impl Fn(&KeyRange) -> Need<'_>,
) -> Result<(), Refusal> {
    store.check(caller, Need::User)?;
    if store.check(caller, Need::Root).is_ok() {
        return Ok(());
    }
    keys.iter().try_for_each(|key| store.check(caller, need(&KeyRange::single(key.clone()))))
}
