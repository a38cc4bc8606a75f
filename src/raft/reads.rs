//! Reads that see everything acknowledged before them: the read index, asked for once for all who wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::node::Inner;
use super::proposer::ask;
use super::wire::{Answer, Request};
use crate::model::Refusal;
use crate::peer::Lane;

/// Someone who waits.
pub type Reader = oneshot::Sender<Result<(), Refusal>>;

/// Pause before a round that failed is repeated.
const RETRY: Duration = Duration::from_millis(20);

/// Runs until the node stops: whoever comes while a round is on its way shares the next one.
pub async fn run(inner: Arc<Inner>, mut queue: mpsc::UnboundedReceiver<Reader>) {
    let mut readers: Vec<Reader> = Vec::new();
    let mut leadership = inner.shared.leadership();
    loop {
        if readers.is_empty() {
            match queue.recv().await {
                Some(reader) => readers.push(reader),
                None => return,
            }
        }
        while let Ok(reader) = queue.try_recv() {
            readers.push(reader);
        }
        leadership.mark_unchanged();
        match round(&inner).await {
            Round::Index(index) => {
                let done = std::mem::take(&mut readers);
                if inner.shared.status().applied > index {
                    answer(done, &Ok(()));
                } else {
                    let inner = inner.clone();
                    inner.clone().spawn(async move {
                        let timeout = inner.options.request_timeout();
                        let applied = tokio::time::timeout(timeout, inner.shared.wait_applied(index)).await;
                        answer(done, &applied.map_err(|_| Refusal::Timeout));
                    });
                }
            }
            Round::LeaderChanged => answer(std::mem::take(&mut readers), &Err(Refusal::LeaderChanged)),
            Round::Stopped => answer(std::mem::take(&mut readers), &Err(Refusal::Stopped)),
            Round::Again => {
                inner.shared.figures.repeated_reads.fetch_add(1, Ordering::Relaxed);
                tokio::select! {
                    biased;
                    _ = leadership.changed() => {}
                    () = tokio::time::sleep(RETRY) => {}
                }
                readers.retain(|reader| !reader.is_closed());
            }
        }
    }
}

fn answer(readers: Vec<Reader>, result: &Result<(), Refusal>) {
    for reader in readers {
        // Nobody may wait any more.
        let _ = reader.send(result.clone());
    }
}

/// How a round ended.
pub enum Round {
    /// Whoever has applied the entry with this index may read.
    Index(u64),
    /// The leader it asked lost its place meanwhile.
    LeaderChanged,
    /// No leader, or it could not be asked: worth another try.
    Again,
    /// Raft has stopped.
    Stopped,
}

async fn round(inner: &Arc<Inner>) -> Round {
    match inner.shared.leader() {
        None => Round::Again,
        Some(leader) if leader == inner.shared.id() => own_round(inner).await,
        Some(leader) => match ask(inner, leader, Lane::Control, &Request::ReadIndex).await {
            Ok(Answer::ReadIndex(index)) => Round::Index(index),
            Ok(_) | Err(_) if inner.shared.leader() != Some(leader) => Round::LeaderChanged,
            Ok(_) | Err(_) => Round::Again,
        },
    }
}

/// The round of a leader: a quorum confirms that it still is one. Never by its lease alone, which a member that
/// restarts quickly does not know of.
pub async fn own_round(inner: &Arc<Inner>) -> Round {
    let Some(raft) = inner.raft() else { return Round::Stopped };
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => Round::Index(linearizer.read_log_id().index()),
        Err(RaftError::Fatal(_)) => Round::Stopped,
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => Round::LeaderChanged,
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Round::Again,
    }
}
