//! What the page shows of rooms that the API does not know.

use std::time::Duration;

use crate::model::{Histogram, MemberId};

/// The connections with another member.
#[derive(Clone, Debug, Default)]
pub struct Neighbour {
    /// The member.
    pub member: MemberId,
    /// Its present or last address.
    pub address: Option<String>,
    /// The version of its kvd.
    pub version: Option<String>,
    /// There is a connection in one direction or the other.
    pub connected: bool,
    /// The round trip, smoothed.
    pub round_trip: Option<Duration>,
    /// Why it cannot be reached.
    pub problem: Option<String>,
}

/// Access to these rooms.
pub trait Around: Send + Sync {
    /// The other members, as far as there was a connection.
    fn neighbours(&self) -> Vec<Neighbour>;
    /// Files with certificates, and the days until they expire.
    fn certificates(&self) -> Vec<(String, i64)>;
    /// The last comparison has found that this member's state is not the leader's.
    fn differs(&self) -> bool;
    /// Why the last scheduled backup of this member failed, if it did.
    fn failed_backup(&self) -> Option<String>;
    /// Durations of flushes of the log, in seconds.
    fn flushes(&self) -> &Histogram;
}
