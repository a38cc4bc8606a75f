//! Leases.

use serde::{Deserialize, Serialize};

/// A lease's id. Zero means "no lease" wherever a key's lease is named.
pub type LeaseId = i64;

/// A lease in the replicated state. Renewals are counted by the leader alone and are not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its id, never zero.
    pub id: LeaseId,
    /// Granted time to live, in seconds.
    pub ttl: i64,
    /// The remaining time that a leader recorded last, in milliseconds; never a time of day, because the next leader
    /// has another clock. `None`: nothing was recorded, or the lease was renewed since, so the next leader gives it its
    /// full time.
    pub remaining_ms: Option<i64>,
}
