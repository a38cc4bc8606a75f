//! The state for raft: [`crate::store`] behind openraft's traits. Entries are applied one after another: cheap ones on
//! raft's thread, because each hand-over costs a wake-up; slow ones, or ones that may have to wait for the store's
//! disk, on another thread, so that heartbeats and votes wait for neither. Replies go directly to the callers that wait
//! for them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot, SnapshotMeta};

use super::runtime::offload;
use super::shared::Shared;
use super::types::{
    Entry, LogId, Payload, Replies, StoredConfig, Types, decode_config, encode_config, log_id, position,
};
use crate::model::LogPosition;
use crate::store::{Prepared, SnapshotReader, Store, StoreError, effort};

/// The content of a snapshot.
pub enum SnapshotData {
    /// This member's own state, to be sent.
    Own(Box<SnapshotReader>),
    /// Another member's state, loaded and durable next to this member's own.
    Received(Box<Prepared>),
}

/// Replicated state over a store.
pub struct StateMachine {
    store: Store,
    shared: Arc<Shared>,
    /// How many keys were changed on raft's thread since other tasks had their turn.
    in_a_row: usize,
}

fn failed(error: StoreError) -> io::Error {
    io::Error::other(error)
}

impl StateMachine {
    /// The state in `store`; updates `shared`.
    pub fn new(store: Store, shared: Arc<Shared>) -> Self {
        if let Some(applied) = store.applied() {
            shared.set_applied(applied, true);
        }
        Self { store, shared, in_a_row: 0 }
    }

    /// Applies an entry on the right thread.
    async fn apply_one(&mut self, entry: Entry) -> Result<Replies, io::Error> {
        let effort = match &entry.payload {
            Payload::Group(group) => effort::effort(&group.0.proposals),
            _ => 1,
        };
        if effort > effort::CHEAP || self.store.may_wait() {
            let store = self.store.clone();
            return offload(move || apply(&store, &entry)).await?.map_err(failed);
        }
        self.in_a_row = self.in_a_row.saturating_add(effort);
        if self.in_a_row > effort::CHEAP {
            // Many cheap entries take long, too.
            tokio::task::yield_now().await;
            self.in_a_row = effort;
        }
        apply(&self.store, &entry).map_err(failed)
    }
}

/// Applies an entry, and returns the replies to its commands.
///
/// # Errors
/// Those of the store.
pub fn apply(store: &Store, entry: &Entry) -> Result<Replies, StoreError> {
    let at = position(&entry.log_id);
    match &entry.payload {
        Payload::Group(group) => store.apply(at, &group.0.proposals).map(Replies),
        Payload::Config { config, change } => {
            let bytes = encode_config(config).map_err(|error| StoreError::Damaged(error.to_string()))?;
            let reply = store.apply_membership(at, bytes, change.as_deref())?;
            Ok(Replies(reply.into_iter().collect()))
        }
        Payload::Blank | Payload::Change(_) => store.apply_blank(at).map(|()| Replies::default()),
    }
}

/// The metadata of a snapshot that ends at `last`.
///
/// # Errors
/// If its configuration is of another version.
pub fn meta_of(
    last: Option<LogPosition>,
    config: Option<&(LogPosition, Bytes)>,
) -> Result<SnapshotMetaOf<Types>, io::Error> {
    let config = match config {
        Some((at, bytes)) => StoredConfig::new(Some(log_id(*at)), decode_config(bytes)?),
        None => StoredConfig::default(),
    };
    Ok(SnapshotMeta { last_log_id: last.map(log_id), last_membership: config })
}

/// The last checkpoint as a snapshot. It only has to be opened, which may read the disk.
async fn own_snapshot(store: &Store) -> Result<SnapshotOf<Types, SnapshotData>, io::Error> {
    let store = store.clone();
    let reader = offload(move || store.snapshot()).await?.map_err(failed)?;
    let header = reader.header();
    let meta = meta_of(header.position, header.raft_membership.as_ref())?;
    Ok(Snapshot { meta, snapshot: SnapshotData::Own(Box::new(reader)) })
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredConfig), io::Error> {
        let config = match self.store.raft_membership() {
            Some((at, bytes)) => StoredConfig::new(Some(log_id(at)), decode_config(&bytes)?),
            None => StoredConfig::default(),
        };
        Ok((self.store.applied().map(log_id), config))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let at = position(&entry.log_id);
            self.shared.gate.enter().await;
            let replies = if self.shared.gate.is_inside(at.index) {
                Replies::default()
            } else {
                let replies = self.apply_one(entry).await?;
                self.shared.set_applied(at, false);
                replies
            };
            self.shared.gate.leave(at.index);
            if let Some(responder) = responder {
                responder.send(replies);
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        // Without a checkpoint there can be no snapshot: raft waits for the next one.
        // Raft must know how far the state is: after a takeover it comes to know when it has passed the entries up to there.
        if self.shared.gate.is_ahead() {
            return None;
        }
        (force || self.store.checkpointed().is_some()).then(|| Builder { store: self.store.clone(), force })
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { store: self.store.clone(), force: true }
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMetaOf<Types>,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let store = self.store.clone();
        let restored = offload(move || match snapshot {
            SnapshotData::Own(reader) => store.restore(*reader),
            SnapshotData::Received(prepared) => store.adopt(*prepared),
        });
        let installing = &self.shared.figures.installing;
        installing.fetch_add(1, Ordering::Relaxed);
        let restored = restored.await;
        installing.fetch_sub(1, Ordering::Relaxed);
        let header = restored?.map_err(failed)?;
        if let Some((_, bytes)) = &header.raft_membership {
            self.shared.set_config(&decode_config(bytes)?);
        }
        if let Some(at) = header.position {
            self.shared.set_applied(at, true);
            tracing::info!(index = at.index, term = at.term, "installed a snapshot");
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, SnapshotData>>, io::Error> {
        match self.store.checkpointed() {
            Some(_) => own_snapshot(&self.store).await.map(Some),
            None => Ok(None),
        }
    }
}

/// "Builds" a snapshot: it is the last checkpoint.
pub struct Builder {
    store: Store,
    force: bool,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotData>, io::Error> {
        if self.force {
            let store = self.store.clone();
            match offload(move || store.checkpoint()).await? {
                // On a full disk the previous checkpoint is the newest one.
                Ok(()) | Err(StoreError::Full { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        own_snapshot(&self.store).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::super::types::Group;
    use super::*;
    use crate::log;
    use crate::model::{Caller, ClusterId, Command, MemberId, Proposal, Put, Stamp};
    use crate::store::{CheckpointPolicy, Options};

    fn put(index: u64) -> Entry {
        let value = vec![b'v'; 1 << 20].into();
        let command = Command::Put(Put { key: "k".into(), value, ..Put::default() });
        let proposal = Proposal { stamp: Stamp::default(), caller: Caller::Anonymous, command };
        let payload = Payload::Group(Group(Arc::new(log::Group::from(vec![proposal]))));
        Entry { log_id: log_id(LogPosition { term: 1, leader: 1, index }), payload }
    }

    #[tokio::test]
    async fn between_large_entries_other_tasks_have_their_turn() {
        let dir = tempfile::tempdir().unwrap();
        let manual =
            Options { checkpoint: CheckpointPolicy::Manual, map_size: 1 << 30, ..Options::default() };
        let store = Store::open(dir.path(), manual).unwrap();
        let shared = Arc::new(Shared::new(MemberId(1), ClusterId(1), Duration::from_secs(1)));
        let mut state = StateMachine::new(store.clone(), shared);
        let turns = Arc::<AtomicUsize>::default();
        let counted = turns.clone();
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        state.apply(futures_util::stream::iter((0..20).map(|index| Ok((put(index), None))))).await.unwrap();
        other.abort();
        assert_eq!(store.revision(), 21);
        assert!(turns.load(Ordering::Relaxed) >= 4, "{turns:?}");
    }
}
