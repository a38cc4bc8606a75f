//! Linearizable reads: the read index, requested once for all waiting readers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::sync::mpsc;

use super::ask::ask;
use super::inner::Inner;
use super::queue::Reader;
use super::wire::{Answer, Request};
use crate::model::{Planted, Refusal, is_planted};
use crate::peer::Channel;

/// Pause before a round that failed is repeated.
const RETRY: Duration = Duration::from_millis(20);

/// Runs until the node stops. A reader that comes while a round is in progress shares the next one.
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
        // The reader may have stopped waiting.
        let _ = reader.send(result.clone());
    }
}

/// The result of a round.
pub enum Round {
    /// A reader may read after the entry with this index is applied.
    Index(u64),
    /// The leader that was asked lost its leadership in the meantime.
    LeaderChanged,
    /// There is no leader, or it could not be asked: try again.
    Again,
    /// Raft has stopped.
    Stopped,
}

async fn round(inner: &Arc<Inner>) -> Round {
    match inner.shared.leader() {
        None => Round::Again,
        Some(leader) if leader == inner.shared.id() => own_round(inner).await,
        Some(leader) => match ask(inner, leader, Channel::Control, &Request::ReadIndex).await {
            Ok(Answer::ReadIndex(index)) => Round::Index(index),
            Ok(_) | Err(_) if inner.shared.leader() != Some(leader) => Round::LeaderChanged,
            Ok(_) | Err(_) => Round::Again,
        },
    }
}

/// The round of a leader: a quorum confirms that it still leads. Never by its lease alone, because a member that
/// restarts quickly does not remember the lease.
pub async fn own_round(inner: &Arc<Inner>) -> Round {
    let Some(raft) = inner.raft() else { return Round::Stopped };
    if is_planted(Planted::UnconfirmedReads) {
        return Round::Index(inner.shared.applied().saturating_sub(1));
    }
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => Round::Index(linearizer.read_log_id().index()),
        Err(RaftError::Fatal(_)) => Round::Stopped,
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => Round::LeaderChanged,
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Round::Again,
    }
}
