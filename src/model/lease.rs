//! Leases.

use serde::{Deserialize, Serialize};

/// A lease's id. Zero means "no lease" wherever a key's lease is named.
pub type LeaseId = i64;

/// A lease as the replicated state knows it. Renewals are the leader's own and not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its id, never zero.
    pub id: LeaseId,
    /// Granted time to live, in seconds.
    pub ttl: i64,
    /// The leader's wall clock, in milliseconds since the epoch, at which it would run out: set at the grant and by
    /// checkpoints; `None` once it was renewed after that, when only a full TTL is safe after a change of leader.
    pub deadline_ms: Option<i64>,
}
