//! Stand-ins for the rooms `raft` and `store` until they are merged, with the same signatures.
#![allow(missing_docs, clippy::unused_async)]

use crate::model::{ClusterId, Command, MemberId, Refusal, Reply};

#[derive(Clone)]
pub struct Node;

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
    pub async fn propose(&self, _command: Command) -> Result<Reply, Refusal> {
        Err(Refusal::NoLeader)
    }
    pub async fn read_index(&self) -> Result<(), Refusal> {
        Err(Refusal::NoLeader)
    }
    pub fn status(&self) -> Status {
        Status::default()
    }
}

#[derive(Clone)]
pub struct Store;

impl Store {
    pub fn revision(&self) -> i64 {
        1
    }
    pub fn cluster_version(&self) -> Option<String> {
        None
    }
}
