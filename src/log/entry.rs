//! The contents of the log, in types of this crate: types of the raft library may change, so none is used here.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{Caller, Command, LogPosition, Proposal, StateDigest};

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its position.
    pub position: LogPosition,
    /// Its content. Cloning shares it.
    pub payload: Payload,
}

/// The content of an entry. New variants go at the end: the number of a variant is part of the format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing; a new leader begins with it.
    Blank,
    /// Proposals.
    Group(Arc<Group>),
    /// A raft configuration, together with the change of members that it belongs to.
    Membership {
        /// The configuration, in raft's own encoding.
        raft: Bytes,
        /// The change of members.
        change: Option<Arc<Proposal>>,
    },
}

/// Proposals that share an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Room for a digest of the leader's state at an earlier entry. Members compare digests by asking the leader; nothing
    /// writes it yet.
    pub digest: Option<StateDigest>,
    /// Applied one after the other.
    pub proposals: Vec<Proposal>,
}

impl From<Vec<Proposal>> for Group {
    fn from(proposals: Vec<Proposal>) -> Self {
        Self { digest: None, proposals }
    }
}

/// Bytes of an entry or a command in addition to its own encoding: its position, its share of headers, memory.
const FIXED: usize = 64;

impl Payload {
    /// The bytes it needs on disk and on the network, and approximately in memory.
    pub fn weight(&self) -> usize {
        FIXED.saturating_add(encoded(self))
    }
}

/// The bytes of a command and its caller in their encoding, with everything they carry.
pub fn weight(caller: &Caller, command: &Command) -> usize {
    FIXED.saturating_add(encoded(caller)).saturating_add(encoded(command))
}

fn encoded<T: Serialize>(value: &T) -> usize {
    // A command that cannot be encoded (none is known) is too large for everything.
    postcard::experimental::serialized_size(value).unwrap_or(u32::MAX as usize)
}

/// A vote: the term, the member this member voted for, and whether that one became leader.
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
        RangeQuery, Stamp, TreeCommand, Ttl, Txn, Version,
    };

    /// A megabyte, in every place where a command can carry one.
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
        let member = Member { name: "n".repeat(1 << 20), ..Member::founder(MemberId(1), Vec::new()) };
        vec![
            Command::Put(put()),
            Command::Delete(delete()),
            txn(vec![compare(range(), CompareTarget::Version(1))], Vec::new(), Vec::new()),
            txn(vec![compare(KeyRange::all(), CompareTarget::Value(mega()))], Vec::new(), Vec::new()),
            txn(Vec::new(), vec![Op::Range(RangeQuery::current(range()))], Vec::new()),
            txn(Vec::new(), vec![Op::Txn(inner)], vec![Op::Put(put())]),
            Command::Member(MemberChange::Add(member)),
            Command::ClusterVersion("3".repeat(1 << 20)),
            Command::Tree(TreeCommand::Update {
                path: "/p".into(),
                value: "v".repeat(1 << 20).into(),
                ttl: Ttl { seconds: Some(u64::MAX), refresh: true },
            }),
            Command::Downgrade(Some(Version::OWN)),
            Command::LeaseCheckpoint { remaining: vec![(i64::MAX, Some(i64::MAX)); 100_000] },
        ]
    }

    #[test]
    fn whatever_a_command_carries_is_weighed() {
        for command in large() {
            let what = format!("{command:?}").chars().take(40).collect::<String>();
            let caller = Caller::user("n".repeat(1000), u64::MAX);
            let stamp = Stamp { time_ms: i64::MAX, tenant: u32::MAX };
            let of_command = weight(&caller, &command);
            let proposals = vec![Proposal { stamp, caller, command }];
            let digest = Some(StateDigest { index: 1, scheme: 1, value: [1; 32] });
            let payload = Payload::Group(Arc::new(Group { digest, proposals }));
            let mut bytes = Vec::new();
            encode_payload(&payload, &mut bytes).unwrap();
            let range = bytes.len()..bytes.len() + 100;
            assert!(range.contains(&payload.weight()) && range.contains(&of_command), "{what}: {range:?}");
        }
    }
}
