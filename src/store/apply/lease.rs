//! Leases (etcd semantics section 8). The leader decides when they end; the store only keeps the remaining time that
//! the leader recorded.

use bytes::Bytes;

use super::{Applying, Stop};
use crate::model::{Lease, LeaseChange, LeaseId, Refusal, Reply};
use crate::store::StoreError;
use crate::store::format::leases::{encode, key};
use crate::store::tables::Id;

/// The longest time to live, in seconds (etcd's `MaxLeaseTTL`).
const MAX_TTL: i64 = 9_000_000_000;

impl Applying<'_> {
    pub(super) fn grant(&mut self, id: LeaseId, ttl: i64) -> Result<Reply, Stop> {
        if id == 0 {
            return Err(Refusal::LeaseNotFound.into());
        }
        if ttl > MAX_TTL {
            return Err(Refusal::LeaseTtlTooLarge.into());
        }
        if self.reader.lease(id)?.is_some() {
            return Err(Refusal::LeaseExists.into());
        }
        self.set_lease(id, Some(Lease { id, ttl, remaining_ms: None }))?;
        self.lease_changes.push(LeaseChange::Granted { id, ttl });
        Ok(Reply::Lease { revision: self.now(), id, ttl })
    }

    /// Deletes the lease, and its keys in key order under one revision.
    pub(super) fn revoke(&mut self, id: LeaseId) -> Result<Reply, Stop> {
        if self.reader.lease(id)?.is_none() {
            return Err(Refusal::LeaseNotFound.into());
        }
        let keys = self.reader.lease_keys(id)?;
        self.events.reserve_exact(keys.len());
        for key in keys {
            let state = self.reader.get(&key, self.here())?.and_then(|version| version.to_kv(key));
            let attached = state.filter(|state| state.lease == id);
            let state = attached
                .ok_or_else(|| StoreError::Damaged(format!("a key of lease {id:x} is not its own")))?;
            self.work.deletes += 1;
            self.delete_key(state)?;
        }
        self.set_lease(id, None)?;
        self.lease_changes.push(LeaseChange::Revoked { id });
        Ok(self.done())
    }

    pub(super) fn checkpoint_leases(&mut self, remaining: &[(LeaseId, Option<i64>)]) -> Result<Reply, Stop> {
        for (id, remaining_ms) in remaining {
            if let Some(lease) = self.reader.lease(*id)? {
                self.set_lease(*id, Some(Lease { remaining_ms: *remaining_ms, ..lease }))?;
            }
        }
        Ok(self.done())
    }

    fn set_lease(&mut self, id: LeaseId, lease: Option<Lease>) -> Result<(), StoreError> {
        let value = lease.as_ref().map(encode).transpose()?;
        self.put_row(Id::Leases, &key(id), value.map(Bytes::from));
        Ok(())
    }
}
