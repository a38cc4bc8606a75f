//! Elections, membership and the log.

use std::time::Duration;

use super::{U32, U64};
use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::section;

/// etcd's longest election timeout.
const MAX_ELECTION_MS: u128 = 50_000;

const ENDS_ANYWAY: &str =
    "a QUIC connection between members ends after election-timeout without a sign of life";

section! {
    /// Times and rules of consensus.
    pub struct Raft under Raft {
        heartbeat_interval: Duration = etcd("heartbeat-interval", Kind::Millis, "100", "The time between two heartbeats of a leader.");
        election_timeout: Duration = etcd("election-timeout", Kind::Millis, "1000", "How long members wait for a leader before they elect another; at least five heartbeats, at most 50 s.");
        pre_vote: bool = etcd("pre-vote", Kind::Bool, "true", "Asks whether an election could be won before it begins one, so that a member that returns does not depose the leader.");
        strict_reconfig_check: bool = etcd("strict-reconfig-check", Kind::Bool, "true", "Refuses membership changes that would lose the quorum.");
        max_learners: usize = etcd("max-learners", Kind::Number(U32), "1", "The most learners in the cluster.").since("3.6");
        snapshot_count: u64 = etcd("snapshot-count", Kind::Number(U64), "10000", "How many log entries are kept before the log is cut at the last checkpoint.");
        snapshot_catchup_entries: u64 = etcd("snapshot-catchup-entries", Kind::Number(U64), "5000", "How many entries stay in the log for slow followers when it is cut; a follower further behind gets a snapshot.").since("3.6");
    }
    without effect {
        OptionSpec::etcd("initial-election-tick-advance", Kind::Bool, "true", "Speeds up the first election.").ignored("the first election is fast in any case"),
        OptionSpec::etcd("max-snapshots", Kind::Number(U64), "5", "How many snapshot files are kept.").since("3.4 to 3.7").ignored("kvd keeps its state in one LMDB environment, not in snapshot files"),
        OptionSpec::etcd("max-wals", Kind::Number(U64), "5", "How many log files are kept.").ignored("the log is cut at each checkpoint and its files are recycled"),
        OptionSpec::etcd("raft-read-timeout", Kind::Duration, "5s", "The read timeout of connections between members.").since("3.5").ignored(ENDS_ANYWAY),
        OptionSpec::etcd("raft-write-timeout", Kind::Duration, "5s", "The write timeout of connections between members.").since("3.5").ignored(ENDS_ANYWAY),
        OptionSpec::etcd("downgrade-check-time", Kind::Duration, "5s", "How often a downgrade is looked for.").since("3.6").ignored("a downgrade is noticed when it is asked for"),
    }
}

impl Raft {
    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        let (beat, timeout) = (self.heartbeat_interval, self.election_timeout);
        let (heartbeat, election) = (beat.as_millis(), timeout.as_millis());
        if heartbeat == 0 {
            let message = format!("--heartbeat-interval must be >0 (set to {heartbeat}ms)");
            found.error("heartbeat-interval", message);
        }
        if election == 0 {
            found.error("election-timeout", format!("--election-timeout must be >0 (set to {election}ms)"));
        } else if beat.saturating_mul(5) > timeout
            && found.are_readable(&["heartbeat-interval", "election-timeout"])
        {
            // Point at the one that was given, the election timeout when it was both.
            let given = found.is_given("election-timeout");
            let option = if given { "election-timeout" } else { "heartbeat-interval" };
            let message = format!(
                "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
            );
            found.error(option, message);
        }
        if timeout.as_nanos() > MAX_ELECTION_MS * 1_000_000 {
            let message = format!(
                "--election-timeout[{election}ms] is too long, and should be set less than {MAX_ELECTION_MS}ms"
            );
            found.error("election-timeout", message);
        }
    }
}
