//! What the log carries, in the log's own words: nothing here is a type of the raft library, whose types may change.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{Command, LogPosition, Proposal};

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place.
    pub position: LogPosition,
    /// What it says. Cloning shares it.
    pub payload: Payload,
}

/// What an entry says. New variants go at the end: the number of a variant is part of the format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing; a new leader begins with it.
    Blank,
    /// Proposals, applied one after the other.
    Group(Arc<Vec<Proposal>>),
    /// A raft configuration, together with the change of members that it belongs to.
    Membership {
        /// The configuration, in raft's own encoding.
        raft: Bytes,
        /// The change of members.
        change: Option<Arc<Proposal>>,
    },
}

/// What an entry or a command takes up beside its own encoding: its place, its share of headers, memory.
const FIXED: usize = 64;

impl Payload {
    /// The bytes it takes up on disk and on its way to other members, and about those in memory.
    pub fn weight(&self) -> usize {
        FIXED.saturating_add(encoded(self))
    }
}

/// The bytes a command takes up: everything it carries, as it is encoded.
pub fn weight(command: &Command) -> usize {
    FIXED.saturating_add(encoded(command))
}

fn encoded<T: Serialize>(value: &T) -> usize {
    // What cannot be encoded, which nothing is known to be, fits nowhere.
    postcard::experimental::serialized_size(value).unwrap_or(u32::MAX as usize)
}

/// A vote: in which term this member voted for whom, and whether that one became leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The term.
    pub term: u64,
    /// The member voted for.
    pub voted_for: u64,
    /// True once a quorum is known to have voted alike.
    pub committed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::encode_payload;
    use crate::model::{
        Compare, CompareOp, CompareTarget, Delete, KeyRange, Member, MemberChange, MemberId, Op, Put,
        RangeQuery, Stamp, Txn,
    };

    /// A megabyte, wherever a command has room for one.
    fn large() -> Vec<Command> {
        let mega = || Bytes::from(vec![b'x'; 1 << 20]);
        let range = || KeyRange::single(mega());
        let put = || Put { key: mega(), ..Put::default() };
        let delete = || Delete { range: range(), prev_kv: false };
        let compare = |range, target| Compare { range, op: CompareOp::Equal, target };
        let txn = |compares: Vec<Compare>, success: Vec<Op>, failure: Vec<Op>| {
            Command::Txn(Txn { compares, success, failure })
        };
        let inner = Txn { failure: vec![Op::Delete(delete())], ..Txn::default() };
        let member = Member {
            id: MemberId(1),
            name: "n".repeat(1 << 20),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            learner: false,
            pending: false,
        };
        vec![
            Command::Put(put()),
            Command::Delete(delete()),
            txn(vec![compare(range(), CompareTarget::Version(1))], Vec::new(), Vec::new()),
            txn(vec![compare(KeyRange::all(), CompareTarget::Value(mega()))], Vec::new(), Vec::new()),
            txn(Vec::new(), vec![Op::Range(RangeQuery::current(range()))], Vec::new()),
            txn(Vec::new(), vec![Op::Txn(inner)], vec![Op::Put(put())]),
            Command::Member(MemberChange::Add(member)),
            Command::ClusterVersion("3".repeat(1 << 20)),
            Command::LeaseCheckpoint { remaining: vec![(i64::MAX, Some(i64::MAX)); 100_000] },
        ]
    }

    #[test]
    fn whatever_a_command_carries_is_weighed() {
        for command in large() {
            let what = format!("{command:?}").chars().take(40).collect::<String>();
            let proposal = Proposal { stamp: Stamp { time_ms: i64::MAX }, command };
            let of_command = weight(&proposal.command);
            let payload = Payload::Group(Arc::new(vec![proposal]));
            let mut bytes = Vec::new();
            encode_payload(&payload, &mut bytes).unwrap();
            let range = bytes.len()..bytes.len() + 100;
            assert!(range.contains(&payload.weight()) && range.contains(&of_command), "{what}: {range:?}");
        }
    }
}
