//! What a member needs from outside.

use std::sync::Arc;
use std::time::Duration;

use crate::api::services::Settings;
use crate::auth::LoginOptions;
use crate::model::Observer;
use crate::raft::NodeOptions;

/// Everything by which a real member, one of a test and a simulated one differ.
pub struct Seams {
    /// Its identity, its log and its store (with their disks below), the network, the clock, the end of the process,
    /// and the options of raft.
    pub raft: NodeOptions,
    /// Where raft's tasks run.
    pub raft_on: RaftOn,
    /// Limits and intervals of the API.
    pub settings: Settings,
    /// How users log in.
    pub logins: LoginOptions,
    /// The retention of automatic compaction.
    pub retention: Retention,
    /// How members compare their states.
    pub checks: Checks,
    /// Observers of the store that are called before the member's own.
    pub observers: Vec<Arc<dyn Observer>>,
}

/// How members compare their states, and what follows if one is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Replaces a state that is wrong by the leader's, instead of raising the alarm CORRUPT.
    pub replaces: bool,
    /// Interval of the comparisons of etcd's hash (etcd `--corrupt-check-time`); none for never.
    pub corrupt_check: Option<Duration>,
    /// Interval at which the hashes of compactions are compared (etcd `--compact-hash-check-time`, with the gate
    /// CompactHashCheck); none for never.
    pub compact_hash_check: Option<Duration>,
    /// When all data are read from the disk; none for never.
    pub scrub: Option<Scrub>,
    /// All states are compared before clients are admitted (etcd's gate InitialCorruptCheck).
    pub initial: bool,
}

/// When the data are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrub {
    /// From the beginning of one scrub to that of the next.
    pub every: Duration,
    /// How fast.
    pub bytes_per_second: u64,
}

/// Where raft's tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaftOn {
    /// On the transport's thread, or on one of raft's own.
    Thread,
    /// On the runtime that starts the member.
    Here,
}

/// The retention of history under automatic compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// All of it.
    Off,
    /// Keep the history of this time.
    Period(Duration),
    /// Keep this many revisions.
    Revisions(i64),
}

impl Seams {
    /// Those of a member with etcd's defaults that keeps all history; raft runs on a thread.
    pub fn new(raft: NodeOptions) -> Self {
        let settings = Settings {
            election_timeout: raft.election,
            heartbeat_interval: raft.heartbeat,
            ..Settings::default()
        };
        Self {
            raft,
            raft_on: RaftOn::Thread,
            settings,
            logins: LoginOptions::default(),
            retention: Retention::Off,
            checks: Checks::default(),
            observers: Vec::new(),
        }
    }
}
