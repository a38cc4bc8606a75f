//! The handle, with the reads that are not of ranges.

use std::sync::Arc;

use bytes::Bytes;

use super::limited::{Place, Places};
use super::permission::{Sight, permit};
use super::snapshot::Snapshot;
use crate::api::jobs::{Job, Jobs};
use crate::lease::Lessor;
use crate::model::{Caller, LeaseId, Refusal};
use crate::raft::Node;
use crate::store::{HashKv, Store};
use crate::watch::{Hub, HubStats};

/// Concurrent streams of ranges. Each has read one chunk ahead of its client.
const RANGE_STREAMS: usize = 256;

/// Concurrent snapshots. Each keeps pages of the store from being reused.
const SNAPSHOTS: usize = 16;

/// How recent the state of a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It includes everything that was acknowledged before, to any client.
    Linearizable,
    /// The state of this member, which may be behind.
    Serializable,
}

impl Freshness {
    /// By the flag of a request.
    pub fn of(serializable: bool) -> Self {
        if serializable { Self::Serializable } else { Self::Linearizable }
    }
}

/// All reads of requests. One per process, shared by all connections.
pub struct Reads {
    node: Node,
    pub(super) store: Store,
    pub(super) hub: Arc<Hub>,
    lessor: Arc<Lessor>,
    pub(super) jobs: Jobs,
    range_streams: Places,
    snapshots: Places,
}

impl Reads {
    /// The reads of a member's state.
    pub fn new(node: Node, store: Store, hub: Arc<Hub>, lessor: Arc<Lessor>, jobs: Jobs) -> Self {
        let (range_streams, snapshots) = (Places::new(RANGE_STREAMS), Places::new(SNAPSHOTS));
        Self { node, store, hub, lessor, jobs, range_streams, snapshots }
    }

    /// Returns when this member's state may be read linearizably.
    ///
    /// # Errors
    /// If the leader could not be asked, or the state did not catch up in time.
    pub async fn read_index(&self) -> Result<(), Refusal> {
        self.node.read_index().await
    }

    /// Returns when this member's state is recent enough.
    ///
    /// # Errors
    /// As of [`Reads::read_index`].
    pub async fn fresh(&self, freshness: Freshness) -> Result<(), Refusal> {
        match freshness {
            Freshness::Linearizable => self.node.read_index().await,
            Freshness::Serializable => Ok(()),
        }
    }

    /// The ids of all leases; in the order of their expiry if this member is the primary lessor.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], and internal ones.
    pub fn leases(&self, caller: &Caller) -> Result<Vec<LeaseId>, Refusal> {
        permit(caller, Sight::Leases)?;
        match self.lessor.by_expiry() {
            Some(ids) => Ok(ids),
            None => Ok(self.store.leases()?.into_iter().map(|lease| lease.id).collect()),
        }
    }

    /// The keys that are attached to a lease, ascending.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], and internal ones.
    pub async fn lease_keys(&self, caller: &Caller, id: LeaseId) -> Result<Vec<Bytes>, Refusal> {
        let store = self.store.clone();
        let keys = self.jobs.run(Job::Read, move || store.lease_keys(id)).await?;
        permit(caller, Sight::Keys(&keys))?;
        Ok(keys)
    }

    /// A hash of all stored data.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], and internal ones.
    pub async fn hash(&self, caller: &Caller) -> Result<u32, Refusal> {
        permit(caller, Sight::Whole)?;
        let store = self.store.clone();
        self.jobs.run(Job::Whole, move || store.hash()).await
    }

    /// A hash of the keys at a revision; 0 is the current one.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], [`Refusal::Compacted`], [`Refusal::FutureRevision`], and internal ones.
    pub async fn hash_kv(&self, caller: &Caller, revision: i64) -> Result<HashKv, Refusal> {
        permit(caller, Sight::Whole)?;
        let store = self.store.clone();
        self.jobs.run(Job::Whole, move || store.hash_kv(revision)).await
    }

    /// A copy of the whole state, with its slot among the concurrent snapshots.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`]; [`Refusal::TooManyRequests`] if the limit is reached.
    pub fn snapshot(&self, caller: &Caller) -> Result<(Snapshot, Place), Refusal> {
        permit(caller, Sight::Whole)?;
        Ok((Snapshot::new(self.store.clone(), self.jobs.clone()), self.snapshots.take()?))
    }

    /// A slot for a stream of a range.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`] if the limit is reached.
    pub fn range_stream(&self) -> Result<Place, Refusal> {
        self.range_streams.take()
    }

    /// Figures of the watchers.
    pub fn watch_stats(&self) -> HubStats {
        self.hub.stats()
    }
}
