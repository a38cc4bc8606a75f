//! openraft's own suite for logs and state machines.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use super::*;
use crate::raft::log_store::LogStore;
use crate::raft::shared::Shared;
use crate::raft::state_machine::StateMachine;
use crate::raft::types::Types;

struct Builder;

impl StoreBuilder<Types, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared::new(MemberId(0), ClusterId(1), Duration::from_secs(1)));
        let log = LogStore::new(open_log(&SimDisk::new(1)), shared.clone());
        let machine = StateMachine::new(open_store(&dir), shared);
        Ok((dir, log, machine))
    }
}

#[tokio::test(start_paused = true)]
async fn openrafts_suite_passes() {
    Suite::<Types, LogStore, StateMachine, Builder, TempDir>::test_all(Builder).await.unwrap();
}
