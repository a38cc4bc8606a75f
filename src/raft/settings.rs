//! openraft's settings, from etcd's.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy, StepDownPolicy};

use super::options::{NodeOptions, StartError};

/// Entries that wait to be applied before a member takes no more of them: its leader sends them again, and heartbeats,
/// which carry none, go on.
pub const MAX_UNAPPLIED: u64 = 1 << 16;

/// Commits that may wait to be applied before raft's core waits, and with it heartbeats: more than there can be,
/// because a member accepts no entries when it has [`MAX_UNAPPLIED`] to apply.
const WAITING_COMMITS: u64 = 4 * MAX_UNAPPLIED;

/// The settings for a heartbeat interval H and an election timeout T. openraft grants the leader a lease of the longest
/// timeout, and adds a timeout that it draws anew for every election. So with 0.25 T to 0.45 T a member asks for votes
/// after 0.7 T to 0.9 T without a message, while a member of etcd waits for T to 2 T. It may be that early because it
/// asks first: a member that receives the leader's messages refuses, and nothing has happened. T is at least 5 H, so
/// both are above H, apart from roundings.
///
/// # Errors
/// [`StartError::Timing`] if the two do not fit together.
pub fn settings(options: &NodeOptions) -> Result<Config, StartError> {
    let heartbeat = options.heartbeat.as_millis() as u64;
    let election = options.election.as_millis() as u64;
    let (shortest, longest) = timeouts(heartbeat, election);
    let config = Config {
        cluster_name: options.cluster.to_string(),
        heartbeat_interval: heartbeat,
        election_timeout_min: shortest,
        election_timeout_max: longest,
        enable_pre_vote: Some(options.pre_vote),
        quorum_loss_probe_interval: Some((election * 3 / 2).max(2 * longest)),
        enable_leader_restore: Some(false),
        removed_leader_step_down: StepDownPolicy::After(heartbeat),
        max_payload_entries: 1024,
        install_snapshot_timeout: 10 * 60 * 1000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_count.max(1)),
        max_in_snapshot_log_to_keep: options.catchup_entries,
        purge_batch_size: (options.snapshot_count / 10).max(1),
        state_machine_channel_size: Some(WAITING_COMMITS),
        replication_lag_threshold: options.snapshot_count.saturating_add(options.catchup_entries),
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Timing(error.to_string()))
}

/// For how long a member refuses its vote to others after a message of its leader.
pub fn lease(options: &NodeOptions) -> Duration {
    let (heartbeat, election) = (options.heartbeat.as_millis() as u64, options.election.as_millis() as u64);
    Duration::from_millis(timeouts(heartbeat, election).1)
}

/// The shortest and the longest timeout of an election, in milliseconds.
fn timeouts(heartbeat: u64, election: u64) -> (u64, u64) {
    let shortest = (election / 4).max(heartbeat + 1);
    (shortest, (election * 9 / 20).max(shortest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_pair_gives_timeouts_above_the_heartbeat() {
        assert_eq!(timeouts(100, 1000), (250, 450));
        for heartbeat in 1..100 {
            for election in heartbeat * 5..heartbeat * 5 + 100 {
                let (shortest, longest) = timeouts(heartbeat, election);
                assert!(heartbeat < shortest && shortest < longest && longest < election);
            }
        }
    }
}
