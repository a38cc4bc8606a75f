//! The rows of leases and of the keys attached to them.

use crate::model::{Lease, LeaseId};
use crate::store::StoreError;
use crate::store::mvcc::keys::{self, KeyBuf, parse_attached};

/// The key of a lease.
pub fn key(id: LeaseId) -> KeyBuf {
    KeyBuf::from_slice(&(id as u64).to_be_bytes())
}

/// The value of a lease.
///
/// # Errors
/// None is known.
pub fn encode(lease: &Lease) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(lease).map_err(|error| StoreError::Damaged(format!("encoding a lease: {error}")))
}

/// The lease in a value.
pub fn decode(value: &[u8]) -> Option<Lease> {
    postcard::from_bytes(value).ok()
}

/// True for a valid row of `leases`.
pub fn is_lease(row: &[u8], value: &[u8]) -> bool {
    decode(value).is_some_and(|lease| key(lease.id).as_slice() == row)
}

/// True for a valid row of `attached`.
pub fn is_attached(row: &[u8], value: &[u8]) -> bool {
    parse_attached(row, value).is_some_and(|(lease, key)| {
        let (again, rest) = keys::attached(lease, key);
        again.as_slice() == row && rest == value
    })
}
