//! Leases and the keys attached to them.

use bytes::Bytes;

use super::StoreError;
use super::core::Reader;
use super::format::leases::{decode, key};
use super::mvcc::disk::damaged;
use super::mvcc::keys;
use super::tables::Id;
use crate::model::{Lease, LeaseId};

impl Reader<'_> {
    /// One lease.
    pub fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        let lease = self.row(Id::Leases, &key(id), decode)?;
        lease.map(|lease| lease.ok_or_else(|| damaged("leases"))).transpose()
    }

    /// All leases, ascending by id.
    pub fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        let mut leases = Vec::new();
        self.each_row(Id::Leases, &[], &mut |_, value| {
            leases.push(decode(value).ok_or_else(|| damaged("leases"))?);
            Ok(())
        })?;
        // Rows are ordered by unsigned ids.
        leases.sort_unstable_by_key(|lease: &Lease| lease.id);
        Ok(leases)
    }

    /// The keys attached to a lease, ascending.
    pub fn lease_keys(&self, id: LeaseId) -> Result<Vec<Bytes>, StoreError> {
        let mut attached = Vec::new();
        self.each_row(Id::Attached, &key(id), &mut |row, value| {
            let (_, key) = keys::parse_attached(row, value).ok_or_else(|| damaged("attached"))?;
            attached.push(Bytes::copy_from_slice(key));
            Ok(())
        })?;
        // Long keys are ordered by their hashes.
        attached.sort_unstable();
        Ok(attached)
    }
}
