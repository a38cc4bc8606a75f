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
    /// What a leader recorded last of the time that remains, in milliseconds; never a moment of a clock, since the next
    /// leader has another one. `None`: nothing was recorded, or it was renewed since, so the next leader gives it its
    /// full time.
    pub remaining_ms: Option<i64>,
}
