//! The raft library's type parameters, and conversions between its types and the log's own.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use openraft::entry::RaftPayload;
use openraft::impls::leader_id_std::LeaderId;
use openraft::vote::RaftLeaderId;
use openraft::{Membership, RaftTypeConfig};
use serde::{Deserialize, Serialize};

use crate::log::{self, Vote};
use crate::model::{LogPosition, Member, Proposal, Reply};

/// kvd's choice of types: one leader per term, groups of proposals as entries.
#[derive(Debug, Clone, Copy, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct Types;

impl RaftTypeConfig for Types {
    type D = Group;
    type R = Replies;
    type NodeId = u64;
    type Node = Peer;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = Payload;
    type Entry = openraft::Entry<<Self::LeaderId as RaftLeaderId>::Committed, Payload>;
    type AsyncRuntime = super::runtime::Runtime;
    type Responder<T>
        = Callback<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// The raft configuration: voters, and the addresses of all members.
pub type Config = Membership<u64, Peer>;
/// An entry in raft's type.
pub type Entry = <Types as RaftTypeConfig>::Entry;
/// A position in raft's type.
pub type LogId = openraft::alias::LogIdOf<Types>;
/// A vote in raft's type.
pub type RaftVote = openraft::alias::VoteOf<Types>;
/// A configuration with its position.
pub type StoredConfig = openraft::alias::StoredMembershipOf<Types>;

/// Proposals that share an entry. Cloning shares them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group(pub Arc<log::Group>);

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} proposals", self.0.proposals.len())
    }
}

/// One reply per proposal of the entry, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Replies(pub Vec<Reply>);

/// What raft knows about a member besides its id. Part of the replicated configuration: see [`encode_config`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The URLs at which the other members reach it.
    pub urls: Vec<String>,
}

impl Peer {
    /// The part of this member that raft needs.
    pub fn of(member: &Member) -> Self {
        Self { urls: member.peer_urls.clone() }
    }
}

/// The content of an entry. A configuration carries the membership change that it belongs to, so that both are one
/// entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing.
    Blank,
    /// Proposals.
    Group(Group),
    /// A configuration with the change it belongs to.
    Config {
        /// The configuration.
        config: Config,
        /// The change.
        change: Option<Arc<Proposal>>,
    },
    /// The membership change of an entry that is about to get its configuration. Never in the log.
    Change(Arc<Proposal>),
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Blank => f.write_str("blank"),
            Payload::Group(group) => group.fmt(f),
            Payload::Config { config, .. } => config.fmt(f),
            Payload::Change(_) => f.write_str("change of members"),
        }
    }
}

impl RaftPayload for Payload {
    type D = Group;
    type NodeId = u64;
    type Node = Peer;

    fn blank() -> Self {
        Payload::Blank
    }

    fn with_normal(self, data: Group) -> Self {
        Payload::Group(data)
    }

    fn with_membership(self, config: Config) -> Self {
        match self {
            Payload::Change(change) | Payload::Config { change: Some(change), .. } => {
                Payload::Config { config, change: Some(change) }
            }
            _ => Payload::Config { config, change: None },
        }
    }

    fn get_membership(&self) -> Option<Config> {
        match self {
            Payload::Config { config, .. } => Some(config.clone()),
            _ => None,
        }
    }
}

/// Called with the outcome of a write, on the raft thread.
pub struct Callback<T>(pub Box<dyn FnOnce(T) + Send>);

impl<T: openraft::OptionalSend + 'static> openraft::raft::responder::Responder<Types, T> for Callback<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}

/// The position in the log's type. Raft's type does not name the leader: with one leader per term the term is enough.
pub fn position(id: &LogId) -> LogPosition {
    LogPosition { term: id.leader_id.term, leader: 0, index: id.index }
}

/// The position in raft's type.
pub fn log_id(position: LogPosition) -> LogId {
    LogId::new(LeaderId::new(position.term, position.leader).to_committed(), position.index)
}

/// The vote in the log's type.
pub fn to_vote(vote: &RaftVote) -> Vote {
    Vote { term: vote.leader_id.term, voted_for: vote.leader_id.voted_for, committed: vote.committed }
}

/// The vote in raft's type.
pub fn from_vote(vote: Vote) -> RaftVote {
    if vote.committed {
        RaftVote::new_committed(vote.term, vote.voted_for)
    } else {
        RaftVote::new(vote.term, vote.voted_for)
    }
}

/// The entry in the log's type.
///
/// # Errors
/// If a configuration cannot be encoded; none is known to be like that.
pub fn to_log(entry: &Entry) -> Result<log::Entry, std::io::Error> {
    let payload = match &entry.payload {
        Payload::Blank | Payload::Change(_) => log::Payload::Blank,
        Payload::Group(group) => log::Payload::Group(group.0.clone()),
        Payload::Config { config, change } => {
            log::Payload::Membership { raft: encode_config(config)?, change: change.clone() }
        }
    };
    Ok(log::Entry { position: position(&entry.log_id), payload })
}

/// The entry in raft's type.
///
/// # Errors
/// If it holds a configuration of another version.
pub fn from_log(entry: log::Entry) -> Result<Entry, std::io::Error> {
    let payload = match entry.payload {
        log::Payload::Blank => Payload::Blank,
        log::Payload::Group(group) => Payload::Group(Group(group)),
        log::Payload::Membership { raft, change } => {
            Payload::Config { config: decode_config(&raft)?, change }
        }
    };
    Ok(Entry { log_id: log_id(entry.position), payload })
}

/// The version of a configuration's encoding.
const CONFIG_VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct ConfigV1 {
    /// One set of voters, or two during a change.
    voters: Vec<Vec<u64>>,
    nodes: Vec<(u64, Vec<String>)>,
}

/// A configuration in the encoding of log, store and wire: a version byte, then sets of voters and all members' peer
/// URLs.
///
/// # Errors
/// None is known, except for lack of memory.
pub fn encode_config(config: &Config) -> Result<Bytes, std::io::Error> {
    let wire = ConfigV1 {
        voters: config.get_joint_config().iter().map(|set| set.iter().copied().collect()).collect(),
        nodes: config.nodes().map(|(id, peer)| (*id, peer.urls.clone())).collect(),
    };
    let bytes = postcard::to_extend(&wire, vec![CONFIG_VERSION]).map_err(std::io::Error::other)?;
    Ok(bytes.into())
}

/// Reads what [`encode_config`] wrote. Never panics.
///
/// # Errors
/// `InvalidData` for another version, invalid bytes, no voters, or a voter that is not a member.
pub fn decode_config(bytes: &[u8]) -> Result<Config, std::io::Error> {
    let invalid = |what: String| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let Some((&CONFIG_VERSION, rest)) = bytes.split_first() else {
        return Err(invalid(format!("raft configuration of version {:?}", bytes.first())));
    };
    let wire: ConfigV1 = postcard::from_bytes(rest).map_err(|error| invalid(error.to_string()))?;
    if !(1..=2).contains(&wire.voters.len()) || wire.voters.iter().any(Vec::is_empty) {
        return Err(invalid("a configuration without voters".into()));
    }
    let nodes: std::collections::BTreeMap<u64, Peer> =
        wire.nodes.into_iter().map(|(id, urls)| (id, Peer { urls })).collect();
    let voters = wire.voters.into_iter().map(|set| set.into_iter().collect()).collect();
    Config::new(voters, nodes).map_err(|error| invalid(error.to_string()))
}

/// True if a configuration has more than one voter.
pub fn has_several_voters(bytes: &[u8]) -> bool {
    decode_config(bytes).is_ok_and(|config| config.voter_ids().count() > 1)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn a_configuration_survives_the_way_there_and_back() {
        let nodes: BTreeMap<u64, Peer> =
            (1..4).map(|id| (id, Peer { urls: vec![format!("http://{id}:2380")] })).collect();
        let config = Config::new(vec![BTreeSet::from([1, 2])], nodes).unwrap();
        let bytes = encode_config(&config).unwrap();
        assert_eq!(decode_config(&bytes).unwrap(), config);
        for cut in 0..bytes.len() {
            assert!(decode_config(&bytes[..cut]).is_err());
        }
    }
}
