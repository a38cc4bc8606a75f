//! The replies to commands.

use serde::{Deserialize, Serialize};

use super::nesting::nested;
use super::{Alarm, KeyValue, LeaseId, Member, RangeResult, Refusal, TreeReply};

/// The answer to one operation, alone or inside a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpReply {
    /// To a range.
    Range(RangeResult),
    /// To a put.
    Put {
        /// The store's revision after it.
        revision: i64,
        /// The state before, if it was asked for and exists.
        prev_kv: Option<KeyValue>,
    },
    /// To a deletion.
    Delete {
        /// The store's revision after it.
        revision: i64,
        /// How many keys were deleted.
        deleted: i64,
        /// Their states before, if asked for.
        prev_kvs: Vec<KeyValue>,
    },
    /// To a transaction.
    Txn {
        /// The store's revision after it.
        revision: i64,
        /// Whether all compares held.
        succeeded: bool,
        /// One answer for each operation of the branch that ran.
        #[serde(deserialize_with = "nested")]
        replies: Vec<OpReply>,
    },
}

/// The answer to a [`super::Command`]. Every variant's `revision` is the store's revision after it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To a put, a deletion or a transaction.
    Op(OpReply),
    /// To every command without a result of its own.
    Done {
        /// The store's revision.
        revision: i64,
    },
    /// To a lease grant.
    Lease {
        /// The store's revision.
        revision: i64,
        /// The lease's id.
        id: LeaseId,
        /// The time to live that was granted, in seconds.
        ttl: i64,
    },
    /// To an alarm command: those listed or touched.
    Alarms {
        /// The store's revision.
        revision: i64,
        /// The alarms.
        alarms: Vec<Alarm>,
    },
    /// To a member change: all members, ascending by id.
    Members {
        /// The member concerned, if it still exists.
        member: Option<Member>,
        /// All of them.
        members: Vec<Member>,
    },
    /// The command was refused; every member records the same, and nothing changed.
    Refused(Refusal),
    /// To a change of v2's tree.
    Tree(TreeReply),
}

impl Reply {
    /// Why the command was refused, if it was.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}
