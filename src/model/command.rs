//! The commands in the raft log.

use serde::{Deserialize, Serialize};

use super::{
    Alarm, AlarmKind, AuthChange, Caller, Delete, LeaseId, Member, MemberId, Put, TreeCommand, Txn, Version,
};

/// Upper bound for `--max-request-bytes`: every member receives what any other one was asked for, in one message.
pub const MAX_REQUEST_BYTES: usize = 48 << 20;

/// The largest size of one command in the log and between members. A request of many small operations is larger as a
/// command than as a request.
pub const MAX_COMMAND_BYTES: usize = 60 << 20;

/// Information that the leader adds to a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The proposing leader's wall clock, in milliseconds since the epoch. For what people read, and for the end of nodes
    /// in v2's tree, which clients see as a time of day; nothing else is decided by it, since the next leader's clock may
    /// be hours away.
    pub time_ms: i64,
    /// The tenant that pays for the command; 0 is the cluster itself, as long as there are no others.
    pub tenant: u32,
}

impl Stamp {
    /// The stamp of a command that the cluster itself pays for; `time_ms` as above.
    pub fn at(time_ms: i64) -> Self {
        Self { time_ms, tenant: 0 }
    }
}

/// A command with its stamp and its caller: one unit of work in the log. A log entry holds one or more of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Added by the leader.
    pub stamp: Stamp,
    /// The user who sent the request. Checked again when the command is applied.
    pub caller: Caller,
    /// What to do.
    pub command: Command,
}

/// A change to the list of members, in the same entry as the raft configuration it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberChange {
    /// Add a member (as learner, or as voter that starts pending).
    Add(Member),
    /// Remove a member; its id is kept for ever, so that it is not used again.
    Remove(MemberId),
    /// Replace its peer URLs.
    Update {
        /// The member.
        id: MemberId,
        /// The new list.
        peer_urls: Vec<String>,
    },
    /// Make a learner, or a pending voter, a voter.
    Promote(MemberId),
    /// A member makes its name and client URLs known.
    Publish {
        /// The member.
        id: MemberId,
        /// Its name.
        name: String,
        /// Its client URLs.
        client_urls: Vec<String>,
    },
    /// Remove all members but one, which becomes a voter, and begin another life of the cluster (disaster recovery; never
    /// proposed by a running node).
    Retain {
        /// The member that stays.
        id: MemberId,
        /// The epoch from here on: which life of the cluster this is.
        epoch: u64,
    },
}

/// One deterministic change of the replicated state. New variants go at the end: the number of a variant is part of
/// the log format (see `log::format`). A member that does not know a variant stops: see [`Command::since`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Put a key.
    Put(Put),
    /// Delete a range.
    Delete(Delete),
    /// Run a transaction.
    Txn(Txn),
    /// Forget history up to and including a revision.
    Compact {
        /// The revision.
        revision: i64,
    },
    /// Grant a lease. The id has been chosen, and the TTL (seconds) raised to the minimum, before the command is
    /// proposed.
    LeaseGrant {
        /// Its id, not zero.
        id: LeaseId,
        /// Its time to live, in seconds.
        ttl: i64,
    },
    /// Revoke a lease and delete its keys.
    LeaseRevoke {
        /// Its id.
        id: LeaseId,
    },
    /// Record the remaining time of leases (`None`: renewed since, see [`super::Lease::remaining_ms`]). Unknown ids are
    /// ignored.
    LeaseCheckpoint {
        /// Lease and milliseconds.
        remaining: Vec<(LeaseId, Option<i64>)>,
    },
    /// Raise an alarm.
    AlarmRaise(Alarm),
    /// Clear an alarm.
    AlarmClear(Alarm),
    /// List alarms through the log.
    AlarmList {
        /// Only this kind.
        kind: Option<AlarmKind>,
    },
    /// Change the members.
    Member(MemberChange),
    /// Set the cluster's version, `"X.Y.0"`.
    ClusterVersion(String),
    /// Change users, roles or authentication.
    Auth(AuthChange),
    /// Change the tree of the v2 API.
    Tree(TreeCommand),
    /// Begin to go back to this version, the one before the cluster's; `None` ends that.
    Downgrade(Option<Version>),
}

impl Command {
    /// The first version whose programs know the command: it is not proposed in a cluster of an older version, since
    /// some of its members may stop at it.
    pub fn since(&self) -> Version {
        match self {
            Command::Put(_)
            | Command::Delete(_)
            | Command::Txn(_)
            | Command::Compact { .. }
            | Command::LeaseGrant { .. }
            | Command::LeaseRevoke { .. }
            | Command::LeaseCheckpoint { .. }
            | Command::AlarmRaise(_)
            | Command::AlarmClear(_)
            | Command::AlarmList { .. }
            | Command::Member(_)
            | Command::ClusterVersion(_)
            | Command::Auth(_)
            | Command::Downgrade(_) => Version::FIRST,
            Command::Tree(_) => TREE_SINCE,
        }
    }
}

/// The first version with a v2 API.
pub const TREE_SINCE: Version = Version { major: 3, minor: 7 };
