//! The handle, with the reads of everything.

use std::sync::Arc;

use super::limited::{Place, Places};
use super::permission::{Sight, permit};
use super::snapshot::Snapshot;
use crate::api::jobs::{Job, Jobs};
use crate::lease::Lessor;
use crate::model::{Caller, Refusal};
use crate::raft::Node;
use crate::store::{HashKv, Store};
use crate::watch::{Hub, HubStats, TreeHub};

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
    pub(super) node: Node,
    pub(super) store: Store,
    pub(super) hub: Arc<Hub>,
    pub(super) tree_hub: Arc<TreeHub>,
    pub(super) lessor: Arc<Lessor>,
    pub(super) jobs: Jobs,
    range_streams: Places,
    snapshots: Places,
}

impl Reads {
    /// The reads of a member's state.
    pub fn new(
        node: Node,
        store: Store,
        (hub, tree_hub): (Arc<Hub>, Arc<TreeHub>),
        lessor: Arc<Lessor>,
        jobs: Jobs,
    ) -> Self {
        let (range_streams, snapshots) = (Places::new(RANGE_STREAMS), Places::new(SNAPSHOTS));
        Self { node, store, hub, tree_hub, lessor, jobs, range_streams, snapshots }
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

    /// A hash of all stored data.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], and internal ones.
    pub async fn hash(&self, caller: &Caller) -> Result<u32, Refusal> {
        permit(&self.store, caller, Sight::Whole)?;
        let store = self.store.clone();
        let hash = self.jobs.run(Job::Whole, move || store.hash()).await?;
        permit(&self.store, caller, Sight::Whole)?;
        Ok(hash)
    }

    /// A hash of the keys at a revision; 0 is the current one.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`], [`Refusal::Compacted`], [`Refusal::FutureRevision`], and internal ones.
    pub async fn hash_kv(&self, caller: &Caller, revision: i64) -> Result<HashKv, Refusal> {
        permit(&self.store, caller, Sight::Whole)?;
        let store = self.store.clone();
        let hash = self.jobs.run(Job::Whole, move || store.hash_kv(revision)).await?;
        permit(&self.store, caller, Sight::Whole)?;
        Ok(hash)
    }

    /// A copy of the whole state without the keys that sign tokens, with its slot among the concurrent snapshots.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`]; [`Refusal::TooManyRequests`] if the limit is reached.
    pub fn snapshot(&self, caller: &Caller) -> Result<(Snapshot, Place), Refusal> {
        permit(&self.store, caller, Sight::Whole)?;
        let snapshot = Snapshot::new(self.store.clone(), self.jobs.clone(), caller.clone());
        Ok((snapshot, self.snapshots.take()?))
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
