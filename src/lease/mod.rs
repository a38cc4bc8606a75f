//! Lease time: expiry and keepalives, on the leader.
//!
//! | file | holds |
//! |---|---|
//! | `lessor.rs` | the lessor: renewals, lookups, the store's observer, starting and stopping to be primary |
//! | `book.rs` | what the primary knows of each lease, with deadlines in order of time; no io, no async |
//! | `expiry.rs` | the task that revokes what has run out and records what remains |
//! | `ids.rs` | ids for leases that are requested without one |
//!
//! Rules. Which leases exist is replicated state. How long they live is counted by the leader alone (the primary), on
//! its monotonic clock. Clocks of two members are never compared: what must outlast a leader is replicated as remaining
//! time, and a new leader gives every lease that time, or its full time, plus one election timeout. So steps and skews
//! of clocks can only make a lease end later.
//!
//! This room changes nothing itself: it only proposes, in the term in which it leads. Nothing is promised unless this
//! member may claim to lead at that moment. A renewal is answered only when a failure of the leader right after it
//! cannot shorten the lease: the first renewal after the remaining time was recorded waits until the record is cleared;
//! all others cost one lookup in a table. An expired lease is never renewed, even while its revocation is still
//! pending.

mod book;
mod expiry;
mod ids;
mod lessor;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::model::{Command, Lease, LeaseId, Refusal, Reply};

pub use ids::IdSource;
pub use lessor::{Figures, Lessor, Options, Renewal, TimeToLive, Waiting};

/// The largest time to live that may be granted, in seconds.
pub const MAX_TTL: i64 = 9_000_000_000;

/// A future of this room's interfaces.
pub type Answering<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send>>;

/// What the lessor needs of consensus.
pub trait Proposer: Send + Sync + 'static {
    /// Proposes a command as the leader of `term`. It must not be forwarded to another leader: a new leader counts
    /// lease time itself.
    fn propose(&self, term: u64, command: Command) -> Answering<Reply>;
}

/// Whether this member may claim, at this moment, to lead in the term it was promoted for. Cheap, never waits.
pub type Claim = Arc<dyn Fn() -> bool + Send + Sync>;

/// Access to the leader, for the other members.
pub trait Remote: Send + Sync + 'static {
    /// Renews a lease there: the seconds it lives, `None` if it does not exist.
    fn renew(&self, id: LeaseId) -> Answering<Option<i64>>;

    /// How long a lease lives; `None` if it does not exist.
    fn time_to_live(&self, id: LeaseId) -> Answering<Option<TimeToLive>>;
}

/// Access to the leader for a member without peers: there is none.
pub struct NoRemote;

impl Remote for NoRemote {
    fn renew(&self, _: LeaseId) -> Answering<Option<i64>> {
        Box::pin(std::future::ready(Err(Refusal::NoLeader)))
    }

    fn time_to_live(&self, _: LeaseId) -> Answering<Option<TimeToLive>> {
        Box::pin(std::future::ready(Err(Refusal::NoLeader)))
    }
}

/// What the lessor needs of the store.
pub trait Leases: Send + Sync + 'static {
    /// Every lease there is.
    fn leases(&self) -> Result<Vec<Lease>, Refusal>;
}

impl<F: Fn() -> Result<Vec<Lease>, Refusal> + Send + Sync + 'static> Leases for F {
    fn leases(&self) -> Result<Vec<Lease>, Refusal> {
        self()
    }
}
