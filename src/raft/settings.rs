//! openraft's settings, from etcd's.

use openraft::{Config, SnapshotPolicy, StepDownPolicy};

use super::options::{NodeOptions, StartError};

/// The settings for a heartbeat interval H and an election timeout T. openraft measures its timeouts from the last
/// contact, draws them anew for every election, and grants the leader a lease of the longest of them; so 0.4 T to 0.7 T
/// there does what T to 2 T of ticks does in etcd, sooner.
///
/// # Errors
/// [`StartError::Timing`] where the two do not go together.
pub fn settings(options: &NodeOptions) -> Result<Config, StartError> {
    let heartbeat = options.heartbeat.as_millis() as u64;
    let election = options.election.as_millis() as u64;
    let longest = election * 7 / 10;
    let config = Config {
        cluster_name: options.cluster.to_string(),
        heartbeat_interval: heartbeat,
        election_timeout_min: election * 4 / 10,
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
        replication_lag_threshold: options.snapshot_count.saturating_add(options.catchup_entries),
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Timing(error.to_string()))
}
