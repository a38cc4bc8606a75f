//! What waits in a node: commands to be proposed, and reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use crate::model::{Caller, Command, Refusal, Reply};

/// Bytes of commands that may be undecided before more are refused.
const QUEUE_BYTES: usize = 256 << 20;

/// A waiting reader.
pub type Reader = oneshot::Sender<Result<(), Refusal>>;

/// The outcome of a command, with the index of its entry.
pub type Outcome = Result<(Reply, u64), Refusal>;

/// A command that waits.
pub struct Waiting {
    /// Its caller.
    pub caller: Caller,
    /// The command.
    pub command: Command,
    /// Its size in bytes.
    pub weight: usize,
    /// The receiver of the outcome. If it is gone, the command is not proposed.
    pub reply: ReplyTo,
    /// Counts its bytes until its outcome is known.
    pub charge: Charge,
}

/// Bytes that count as undecided until this is dropped.
pub struct Charge(Arc<AtomicUsize>, usize);

impl Charge {
    /// Counts `bytes` in `total`; `None` if that would exceed the limit for undecided commands.
    pub fn new(total: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let charge = Self(total.clone(), bytes);
        (total.fetch_add(bytes, Ordering::Relaxed) < QUEUE_BYTES).then_some(charge)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// The receiver of an outcome.
pub struct ReplyTo {
    /// The sending end for the waiting caller.
    pub sender: oneshot::Sender<Outcome>,
    /// Only the leader of this term may propose the command, and only if it is this member.
    pub term: Option<u64>,
}

impl ReplyTo {
    /// Sends the outcome to the waiting caller.
    pub fn send(self, outcome: Outcome) {
        // The caller may have stopped waiting.
        let _ = self.sender.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_limited_in_bytes() {
        let total = Arc::default();
        let mut waiting = Vec::new();
        while let Some(charge) = Charge::new(&total, 60 << 20) {
            waiting.push(charge);
        }
        assert_eq!(waiting.len(), 5, "256 MiB, and the one that goes beyond");
        waiting.pop();
        assert!(Charge::new(&total, 1).is_some(), "a refusal counts nothing");
        drop(waiting);
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }
}
