//! A digest of the replicated state, by which members that have diverged are found.

use serde::{Deserialize, Serialize};

/// What a member's replicated state amounts to after one log entry. Two members with different digests of one scheme at
/// one entry have diverged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDigest {
    /// The index of the log entry that was applied last. A digest says nothing about the state at any other entry: one
    /// that was stored by a member which did not keep it up to date afterwards is known by that.
    pub index: u64,
    /// How it is computed. Digests of different schemes say nothing about each other.
    pub scheme: u8,
    /// The digest. One that is shorter has zeros at its end.
    pub value: [u8; 32],
}
