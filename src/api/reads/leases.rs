//! Leases: which there are, their keys, and who may do something with them.

use bytes::Bytes;

use super::handle::Reads;
use super::permission::permit_keys;
use crate::api::jobs::Job;
use crate::auth::Need;
use crate::model::{Caller, LeaseId, Refusal};

impl Reads {
    /// The ids of all leases; in the order of their expiry if this member is the primary lessor.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], and internal ones.
    pub async fn leases(&self, caller: &Caller) -> Result<Vec<LeaseId>, Refusal> {
        let ids = match self.lessor.by_expiry() {
            Some(ids) => ids,
            None => self.store.leases()?.into_iter().map(|lease| lease.id).collect(),
        };
        self.permit_list(caller, &ids).await?;
        Ok(ids)
    }

    /// The keys that are attached to a lease, ascending.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], and internal ones.
    pub async fn lease_keys(&self, caller: &Caller, id: LeaseId) -> Result<Vec<Bytes>, Refusal> {
        let keys = self.attached(id).await?;
        permit_keys(&self.store, caller, &keys, |key| Need::Read(key))?;
        Ok(keys)
    }

    /// The keys that are attached to a lease, whoever asks.
    pub(super) async fn attached(&self, id: LeaseId) -> Result<Vec<Bytes>, Refusal> {
        let store = self.store.clone();
        self.jobs.run(Job::Read, move || store.lease_keys(id)).await
    }

    /// True if the caller may renew any lease. Otherwise [`Reads::permit_renewal`] decides.
    #[inline]
    pub fn may_renew_all(&self, caller: &Caller) -> bool {
        !self.store.users_epoch().is_enabled() || self.store.check_now(caller, Need::Root).is_ok()
    }

    /// Checks that a caller may renew a lease: as in etcd it may write all keys that are attached to it.
    ///
    /// # Errors
    /// As [`crate::store::Store::check_now`], since a stream of renewals goes on for long; internal ones.
    pub async fn permit_renewal(&self, caller: &Caller, id: LeaseId) -> Result<(), Refusal> {
        self.store.check_now(caller, Need::User)?;
        if self.may_renew_all(caller) {
            return Ok(());
        }
        let keys = self.attached(id).await?;
        let caller = self.store.renewed(caller)?;
        permit_keys(&self.store, &caller, &keys, |key| Need::Write(key))
    }

    /// Checks that a caller may list these leases: as in etcd it may read all keys that are attached to any of them.
    ///
    /// # Errors
    /// As [`crate::store::Store::check`]; internal ones.
    pub(super) async fn permit_list(&self, caller: &Caller, ids: &[LeaseId]) -> Result<(), Refusal> {
        if !self.store.users_epoch().is_enabled() {
            return Ok(());
        }
        self.store.check(caller, Need::User)?;
        if self.store.check(caller, Need::Root).is_ok() {
            return Ok(());
        }
        let (store, caller, ids) = (self.store.clone(), caller.clone(), ids.to_vec());
        let permit = move || {
            ids.iter().try_for_each(|id| {
                permit_keys(&store, &caller, &store.lease_keys(*id)?, |key| Need::Read(key))
            })
        };
        self.jobs.run(Job::Read, permit).await
    }
}
