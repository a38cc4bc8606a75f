//! Applying one log entry: this member's side of it. It waits for room, passes the state to `apply`, publishes the
//! result and notifies the observers. Everything that differs between members (limits, pacing, the quota) is used here
//! and only here: nothing of it reaches `apply`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::apply::{Applied, Applying, Before};
use super::core::Inner;
use super::head::Layer;
use super::{CheckpointPolicy, StoreError, seams};
use crate::model::{LogPosition, Proposal, Reply};

impl Inner {
    /// Applies one entry: `raft_membership` if it is a membership entry, and its commands.
    pub fn apply_entry(
        &self,
        position: LogPosition,
        raft_membership: Option<Bytes>,
        proposals: &[Proposal],
    ) -> Result<Vec<Reply>, StoreError> {
        self.health()?;
        self.wait_for_room()?;
        let _applying = self.applying.lock();
        let before = self.before(position).map_err(|error| match error {
            // The caller's mistake; nothing is changed.
            StoreError::OutOfOrder { .. } => error,
            error => self.fail(error),
        })?;
        let mut entry = Applying::begin(before, position);
        if let Some(membership) = raft_membership {
            entry.set_raft_membership(membership);
        }
        let mut replies = Vec::with_capacity(proposals.len());
        for proposal in proposals {
            let begun = Instant::now();
            let reply = entry.run(proposal).map_err(|error| self.fail(error))?;
            let is_done = !matches!(reply, Reply::Refused(_));
            self.figures.ran(&proposal.command, is_done, begun.elapsed());
            replies.push(reply);
        }
        let applied = entry.finish().map_err(|error| self.fail(error))?;
        self.publish(position, applied).map_err(|error| self.fail(error))?;
        Ok(replies)
    }

    /// The state before the entry at `position`.
    fn before(&self, position: LogPosition) -> Result<Before<'_>, StoreError> {
        let shared = self.shared.read();
        if let Some(applied) = shared.applied.filter(|applied| position.index <= applied.index) {
            return Err(StoreError::OutOfOrder { position, applied });
        }
        seams::entry(shared.applied, position)?;
        let (reader, registry) = (self.reader_of(&shared)?, shared.registry.clone());
        Ok(Before { reader, registry, digest: shared.digests.last(), figures: &self.figures })
    }

    /// Waits while the head is full and the previous checkpoint is still running.
    fn wait_for_room(&self) -> Result<(), StoreError> {
        if !matches!(self.options.checkpoint, CheckpointPolicy::Background { .. }) || !self.is_out_of_room() {
            return Ok(());
        }
        self.waiting.store(true, Ordering::Relaxed);
        let stopping = || self.stopping.load(Ordering::Relaxed);
        self.signal.wait_while(|| self.is_out_of_room(), || self.health().is_err() || stopping());
        self.waiting.store(false, Ordering::Relaxed);
        if stopping() && self.is_out_of_room() {
            return Err(StoreError::Failed("it is being stopped".into()));
        }
        self.health()
    }

    /// True if nothing can be applied before the running checkpoint has ended.
    fn is_out_of_room(&self) -> bool {
        let shared = self.shared.read();
        let active = shared.active.read();
        match self.options.checkpoint {
            CheckpointPolicy::Background { bytes, operations, .. } => {
                shared.frozen.is_some()
                    && (active.bytes() > 4 * bytes || active.operations() > 4 * operations)
            }
            CheckpointPolicy::Stepped { operations } => active.operations() > operations,
            CheckpointPolicy::Manual => false,
        }
    }

    /// See [`super::Store::may_wait`].
    pub fn may_wait(&self) -> bool {
        // A simulation's disk is not measured by the real clock.
        let is_stepped = matches!(self.options.checkpoint, CheckpointPolicy::Stepped { .. });
        self.is_out_of_room() || !is_stepped && self.pace.is_slow()
    }

    /// See [`super::Store::gets_room`].
    pub fn gets_room(&self) -> bool {
        // Without a thread that checkpoints, waiting would never end.
        if !matches!(self.options.checkpoint, CheckpointPolicy::Background { .. }) {
            return true;
        }
        let failed = || self.health().is_err();
        self.signal.wait_while(|| self.is_out_of_room(), || failed() || self.space.has_failed());
        // A store that has failed reports that to the applying thread.
        !self.is_out_of_room() || failed()
    }

    /// See [`super::Store::stop_waiting`].
    pub fn stop_waiting(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.signal.wake_all();
    }

    /// Makes the entry readable, then notifies the observers.
    fn publish(&self, position: LogPosition, applied: Applied) -> Result<(), StoreError> {
        let Applied { revision, compacted, registry, batch, lease_changes, compactions, took_space, .. } =
            applied;
        let (tree, tree_changes, digest) = (applied.tree, applied.tree_changes, applied.digest);
        let batch = Arc::new(batch);
        let (full, over_quota, users_changed, tree_before) = {
            let mut shared = self.shared.write();
            seams::published(shared.point(), revision, compacted, &batch)?;
            shared.applied = Some(position);
            shared.digests.applied(position.index, digest);
            shared.revision = revision;
            shared.compacted = compacted;
            for (revision, before) in &compactions {
                shared.remembered.compacts(*revision, *before);
            }
            let users_changed = !Arc::ptr_eq(&shared.registry.users, &registry.users);
            if users_changed {
                self.present.set(registry.users.clone());
            }
            shared.registry = registry;
            let tree_before = tree.map(|tree| std::mem::replace(&mut shared.tree, tree));
            shared.allocated = shared.allocated.max(shared.in_use());
            if !batch.is_empty() {
                shared.ring.push(batch.clone(), self.options.recent_revisions, self.options.recent_bytes);
            }
            let over_quota = took_space && shared.sizes(self.quota()).exceeded_by(0);
            (self.is_full(&shared.active.read()), over_quota, users_changed, tree_before)
        };
        // Freeing what only it had may take long after a large deletion.
        drop(tree_before);
        let observers = self.observers.read().clone();
        for observer in observers.iter() {
            if !batch.is_empty() {
                observer.on_events(&batch);
            }
            if !lease_changes.is_empty() {
                observer.on_leases(&lease_changes);
            }
            if let Some((revision, _)) = compactions.last() {
                observer.on_compacted(*revision);
            }
            if users_changed {
                observer.on_users();
            }
            if !tree_changes.is_empty() {
                observer.on_tree(&tree_changes);
            }
            if over_quota {
                observer.on_quota_exceeded();
            }
        }
        if !compactions.is_empty() {
            self.signal.request_prune();
        } else if full {
            self.signal.request_checkpoint();
        }
        Ok(())
    }

    fn is_full(&self, layer: &Layer) -> bool {
        match self.options.checkpoint {
            CheckpointPolicy::Background { bytes, operations, .. } => {
                layer.bytes() >= bytes || layer.operations() >= operations
            }
            CheckpointPolicy::Manual | CheckpointPolicy::Stepped { .. } => false,
        }
    }
}
