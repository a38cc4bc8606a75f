//! Leases and the keys attached to them: head and LMDB as one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use super::StoreError;
use super::core::Reader;
use super::head::Layer;
use super::mvcc::disk::damaged;
use super::mvcc::keys;
use crate::model::{Lease, LeaseId};

impl Reader<'_> {
    /// One lease.
    pub fn lease(&self, id: LeaseId) -> Result<Option<Lease>, StoreError> {
        if let Some(lease) = self.active.read().leases.get(&id) {
            return Ok(lease.clone());
        }
        if let Some(lease) = self.frozen.as_ref().and_then(|frozen| frozen.read().leases.get(&id).cloned()) {
            return Ok(lease);
        }
        let row = self.tables.leases.get(&self.disk().txn, &(id as u64).to_be_bytes());
        row.map_err(StoreError::lmdb("reading a lease"))?.map(decode).transpose()
    }

    /// All leases, ascending by id.
    pub fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        let mut leases = BTreeMap::new();
        let read = StoreError::lmdb("reading the leases");
        for row in self.tables.leases.iter(&self.disk().txn).map_err(&read)? {
            let lease = decode(row.map_err(&read)?.1)?;
            leases.insert(lease.id, lease);
        }
        let mut overlay = |layer: &Layer| {
            for (id, lease) in &layer.leases {
                match lease {
                    Some(lease) => leases.insert(*id, lease.clone()),
                    None => leases.remove(id),
                };
            }
        };
        if let Some(frozen) = &self.frozen {
            overlay(&frozen.read());
        }
        overlay(&self.active.read());
        Ok(leases.into_values().collect())
    }

    /// The keys attached to a lease, ascending.
    pub fn lease_keys(&self, id: LeaseId) -> Result<Vec<Bytes>, StoreError> {
        let mut attached = BTreeSet::new();
        let read = StoreError::lmdb("reading the keys of a lease");
        for row in
            self.tables.attached.prefix_iter(&self.disk().txn, &(id as u64).to_be_bytes()).map_err(&read)?
        {
            let (row, value) = row.map_err(&read)?;
            let (_, key) = keys::parse_attached(row, value).ok_or_else(|| damaged("attached"))?;
            attached.insert(Bytes::copy_from_slice(key));
        }
        let mut overlay = |layer: &Layer| {
            let first = (id, Bytes::new());
            let rows = layer.attached.range((Bound::Included(&first), Bound::Unbounded));
            for ((_, key), present) in rows.take_while(|((lease, _), _)| *lease == id) {
                match present {
                    true => attached.insert(key.clone()),
                    false => attached.remove(key),
                };
            }
        };
        if let Some(frozen) = &self.frozen {
            overlay(&frozen.read());
        }
        overlay(&self.active.read());
        Ok(attached.into_iter().collect())
    }
}

fn decode(bytes: &[u8]) -> Result<Lease, StoreError> {
    postcard::from_bytes(bytes).map_err(|_| damaged("leases"))
}
