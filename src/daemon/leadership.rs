//! What follows from becoming and ceasing to be the leader: the lessor counts, or stops counting.

use std::sync::Arc;

use tokio::sync::watch;

use crate::lease::{Answering, Lessor, Proposer};
use crate::model::{Command, Refusal, Reply};
use crate::raft::{Leadership, Node};

/// Proposes for the lessor, in the term it leads in.
pub struct Proposals {
    node: Node,
    leadership: watch::Receiver<Leadership>,
}

impl Proposals {
    /// Proposals through `node`.
    pub fn new(node: Node) -> Arc<Self> {
        Arc::new(Self { leadership: node.leadership(), node })
    }
}

impl Proposer for Proposals {
    fn propose(&self, term: u64, command: Command) -> Answering<Reply> {
        let now = *self.leadership.borrow();
        let node = self.node.clone();
        Box::pin(async move {
            if !now.leading || now.term != term {
                return Err(Refusal::NotLeader);
            }
            node.propose(command).await
        })
    }

    fn confirm(&self) -> Answering<()> {
        let node = self.node.clone();
        Box::pin(async move { node.read_index().await })
    }
}

/// Follows who leads, for ever.
pub async fn follow(node: Node, lessor: Arc<Lessor>) {
    let mut leadership = node.leadership();
    let mut promoted = None;
    loop {
        let now = *leadership.borrow_and_update();
        let term = now.leading.then_some(now.term);
        if term != promoted {
            match term {
                Some(term) => lessor.promote(term),
                None => lessor.demote(),
            }
            promoted = term;
        }
        if leadership.changed().await.is_err() {
            lessor.demote();
            return;
        }
    }
}
