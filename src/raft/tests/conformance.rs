//! openraft's own suite for logs and state machines.

use std::io;

use futures_util::{Stream, StreamExt};
use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{OptionalSend, StorageError};

use super::*;
use crate::model::LogPosition;
use crate::raft::log_store::LogStore;
use crate::raft::shared::Shared;
use crate::raft::state_machine::{self, SnapshotData, StateMachine};
use crate::raft::types::{LogId, StoredConfig, Types, position};

struct Builder;

impl StoreBuilder<Types, LogStore, Filling, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Filling), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared::new(MemberId(0), ClusterId(1), Duration::from_secs(1)));
        // The suite tests logs by themselves: it purges entries that it has applied nowhere.
        let durable = Arc::new(|| Some(LogPosition { index: u64::MAX, ..LogPosition::default() }));
        let log = LogStore::new(open_log(&SimDisk::new(1)), shared.clone(), durable);
        let store = open_store(&dir);
        Ok((dir, log, Filling { machine: StateMachine::new(store.clone(), shared), store }))
    }
}

/// The suite leaves gaps between the entries that it applies, which no log does and the store rules out: blank entries
/// fill them.
struct Filling {
    machine: StateMachine,
    store: Store,
}

fn fill(store: &Store, before: LogPosition) {
    for index in store.applied().map_or(0, |applied| applied.index + 1)..before.index {
        store.apply_blank(LogPosition { index, ..before }).unwrap();
    }
}

impl RaftStateMachine<Types> for Filling {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = state_machine::Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredConfig), io::Error> {
        self.machine.applied_state().await
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let store = self.store.clone();
        let filled = entries.inspect(move |item| {
            if let Ok((entry, _)) = item {
                fill(&store, position(&entry.log_id));
            }
        });
        self.machine.apply(filled).await
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Self::SnapshotBuilder> {
        self.machine.try_create_snapshot_builder(force).await
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.machine.get_snapshot_builder().await
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        self.machine.install_snapshot(meta, snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, SnapshotData>>, io::Error> {
        self.machine.get_current_snapshot().await
    }
}

#[tokio::test(start_paused = true)]
async fn openrafts_suite_passes() {
    Suite::<Types, LogStore, Filling, Builder, TempDir>::test_all(Builder).await.unwrap();
}
