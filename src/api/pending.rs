//! A stand-in for the raft node until the room `raft` is merged, with the same signatures: a sole voter that applies
//! what is proposed at once and keeps no log.
#![allow(missing_docs, clippy::unused_async)]

use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{ClusterId, Command, LogPosition, MemberId, Proposal, Refusal, Reply, Stamp};
use crate::store::Store;

#[derive(Clone)]
pub struct Node {
    store: Store,
    index: Arc<Mutex<u64>>,
}

#[derive(Clone, Copy, Default)]
pub struct Status {
    pub id: MemberId,
    pub cluster_id: ClusterId,
    pub leader: Option<MemberId>,
    pub term: u64,
    pub committed: u64,
    pub applied: u64,
    pub is_leader: bool,
    pub is_learner: bool,
}

impl Node {
    pub fn new(store: Store) -> Self {
        let next = store.applied().map_or(0, |position| position.index + 1);
        Self { store, index: Arc::new(Mutex::new(next)) }
    }
    pub async fn propose(&self, command: Command) -> Result<Reply, Refusal> {
        let mut index = self.index.lock();
        let position = LogPosition { term: 2, leader: 1, index: *index };
        let proposal = Proposal { stamp: Stamp::default(), command };
        let replies =
            self.store.apply(position, &[proposal]).map_err(|error| Refusal::Internal(error.to_string()))?;
        *index += 1;
        match replies.into_iter().next() {
            Some(Reply::Refused(refusal)) => Err(refusal),
            Some(reply) => Ok(reply),
            None => Err(Refusal::Internal("no reply".into())),
        }
    }
    pub async fn read_index(&self) -> Result<(), Refusal> {
        Ok(())
    }
    pub async fn transfer(&self, _target: MemberId) -> Result<(), Refusal> {
        Err(Refusal::BadLeaderTransferee)
    }
    pub fn status(&self) -> Status {
        let next = *self.index.lock();
        Status {
            id: MemberId(0x8e9e_05c5_2164_694d),
            cluster_id: ClusterId(0xcdf8_1819_4e3a_8c32),
            leader: Some(MemberId(0x8e9e_05c5_2164_694d)),
            term: 2,
            committed: next.saturating_sub(1),
            applied: next.saturating_sub(1),
            is_leader: true,
            is_learner: false,
        }
    }
}
