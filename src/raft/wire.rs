//! The messages between members. Every message begins with a version byte, the cluster, sender and receiver, so that a
//! message from a stranger or for another member is refused with the reason; the rest is postcard of the types below.
//! New variants go at the end.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::topics::Topic;
use crate::log::{Payload, Vote};
use crate::model::{Caller, ClusterId, Command, LogPosition, MemberId, Refusal, Reply};

/// The version of the messages.
pub const WIRE_VERSION: u8 = 3;
/// Bytes before the message itself.
const HEADER: usize = 25;

/// The sender and the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The cluster.
    pub cluster: ClusterId,
    /// The sender.
    pub from: MemberId,
    /// The receiver.
    pub to: MemberId,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Entries, or a heartbeat if there are none.
    Append {
        /// The leader's vote.
        vote: Vote,
        /// The position before the first entry.
        previous: Option<LogPosition>,
        /// The entries.
        entries: Vec<(LogPosition, Payload)>,
        /// The last position that the leader knows to be committed.
        committed: Option<LogPosition>,
    },
    /// A request for a vote.
    Vote(Ballot),
    /// Would the vote be granted?
    PreVote(Ballot),
    /// Become leader, or let another member become leader.
    Transfer {
        /// The present leader's vote.
        from: Vote,
        /// The next leader.
        to: u64,
        /// The position that the next leader's log must have.
        last: Option<LogPosition>,
    },
    /// A snapshot follows.
    Snapshot {
        /// The leader's vote.
        vote: Vote,
        /// The last position in it.
        position: LogPosition,
        /// The configuration in it, with its position.
        config: Option<(LogPosition, Bytes)>,
    },
    /// Propose these as the leader, each for its caller.
    Propose(Vec<(Caller, Command)>),
    /// Which entries must be applied to read everything that was acknowledged before?
    ReadIndex,
    /// A question to the leader's handler of a topic.
    Service {
        /// Its topic.
        topic: Topic,
        /// The question for the handler.
        question: Bytes,
    },
    /// Send your whole state: the sender's is wrong. The answer comes before the state.
    WantState {
        /// Index of an entry that must be in it.
        beyond: u64,
    },
    /// The state that was asked for follows, as a snapshot.
    State {
        /// The last position in it.
        position: LogPosition,
        /// The configuration in it, with its position.
        config: Option<(LogPosition, Bytes)>,
    },
}

/// A candidate's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// The vote it wants.
    pub vote: Vote,
    /// The end of its log.
    pub last: Option<LogPosition>,
    /// True if the leader wants it to be elected.
    pub transfer: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The entries are on disk.
    Appended,
    /// The log does not have the position before the first entry.
    Conflict,
    /// A higher vote exists.
    HigherVote(Vote),
    /// To a request for a vote.
    Voted {
        /// The present vote.
        vote: Vote,
        /// Whether it was given.
        granted: bool,
        /// The end of the log.
        last: Option<LogPosition>,
    },
    /// The transfer was passed on.
    Transferring,
    /// The snapshot is installed, or the present vote forbids it.
    Installed(Vote),
    /// One outcome per proposal; `index` is the highest index of their entries.
    Proposed {
        /// The outcomes.
        outcomes: Vec<Result<Reply, Refusal>>,
        /// The largest index.
        index: u64,
    },
    /// This member does not lead; nothing was done.
    NotLeader,
    /// The index asked for.
    ReadIndex(u64),
    /// Something else went wrong; it may have been done.
    Failed(String),
    /// The handler's answer.
    Service(Result<Bytes, Refusal>),
    /// The disk has no room for the snapshot.
    NoRoom(String),
    /// The state that was asked for is about to be sent.
    StateFollows,
    /// The state that was asked for is in use.
    StateTaken,
}

/// The longest text of another member that is passed on.
const MOST_TEXT: usize = 512;

impl Answer {
    /// The kind of an answer, for log lines: the whole answer may be long.
    pub fn name(&self) -> String {
        let name = match self {
            Answer::Appended => "appended",
            Answer::Conflict => "conflict",
            Answer::HigherVote(_) => "a higher vote",
            Answer::Voted { .. } => "voted",
            Answer::Transferring => "transferring",
            Answer::Installed(_) => "installed",
            Answer::Proposed { .. } => "proposed",
            Answer::NotLeader => "not the leader",
            Answer::ReadIndex(_) => "a read index",
            Answer::Failed(why) | Answer::NoRoom(why) => return why.chars().take(MOST_TEXT).collect(),
            Answer::Service(_) => "what a handler says",
            Answer::StateFollows => "the state follows",
            Answer::StateTaken => "the state is taken over",
        };
        name.to_string()
    }
}

/// Why a message cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Another version.
    #[error("message of version {0}, this member speaks {WIRE_VERSION}")]
    Version(u8),
    /// Another cluster.
    #[error("message for cluster {0}, this one is {1}")]
    Cluster(ClusterId, ClusterId),
    /// Another member.
    #[error("message for member {0}, this one is {1}")]
    Member(MemberId, MemberId),
    /// The sender is not who it says.
    #[error("message from member {0} on a connection of {1}")]
    Sender(MemberId, MemberId),
    /// Not a message.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// Its content cannot be true.
    #[error("impossible message: {0}")]
    Untrue(String),
}

/// A message as bytes.
///
/// # Errors
/// [`WireError::Malformed`] if it cannot be encoded; none is known to be like that.
pub fn encode<T: Serialize>(route: Route, message: &T) -> Result<Bytes, WireError> {
    // Entries are long: a buffer that grows would copy them over and over, and takes them byte by byte.
    let size = postcard::experimental::serialized_size(message);
    let size = size.map_err(|error| WireError::Malformed(error.to_string()))?;
    let mut bytes = vec![0; HEADER + size];
    let (header, body) = bytes.split_at_mut(HEADER);
    header[0] = WIRE_VERSION;
    header[1..9].copy_from_slice(&route.cluster.0.to_le_bytes());
    header[9..17].copy_from_slice(&route.from.0.to_le_bytes());
    header[17..].copy_from_slice(&route.to.0.to_le_bytes());
    postcard::to_slice(message, body).map_err(|error| WireError::Malformed(error.to_string()))?;
    Ok(bytes.into())
}

/// Decodes a message that `from` has sent to `to`. Never panics, whatever the bytes.
///
/// # Errors
/// See [`WireError`].
pub fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8], expected: Route) -> Result<T, WireError> {
    let route = route_of(bytes)?;
    if route.cluster != expected.cluster {
        return Err(WireError::Cluster(route.cluster, expected.cluster));
    }
    if route.to != expected.to {
        return Err(WireError::Member(route.to, expected.to));
    }
    if route.from != expected.from {
        return Err(WireError::Sender(route.from, expected.from));
    }
    let body = bytes.get(HEADER..).unwrap_or_default();
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(WireError::Malformed("bytes are left over".into())),
        Err(error) => Err(WireError::Malformed(error.to_string())),
    }
}

/// The sender and the receiver of a message.
///
/// # Errors
/// [`WireError::Version`] and [`WireError::Malformed`].
pub fn route_of(bytes: &[u8]) -> Result<Route, WireError> {
    match bytes.first() {
        Some(&WIRE_VERSION) => {}
        Some(&version) => return Err(WireError::Version(version)),
        None => return Err(WireError::Malformed("empty".into())),
    }
    let number = |at: usize| {
        let bytes: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    match (number(1), number(9), number(17)) {
        (Some(cluster), Some(from), Some(to)) => {
            Ok(Route { cluster: ClusterId(cluster), from: MemberId(from), to: MemberId(to) })
        }
        _ => Err(WireError::Malformed("cut off".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_for_one_member_of_one_cluster() {
        let route = Route { cluster: ClusterId(1), from: MemberId(2), to: MemberId(3) };
        let bytes = encode(route, &Request::ReadIndex).unwrap();
        assert_eq!(decode::<Request>(&bytes, route), Ok(Request::ReadIndex));
        let other = |change: fn(&mut Route)| {
            let mut route = route;
            change(&mut route);
            decode::<Request>(&bytes, route).unwrap_err()
        };
        assert!(matches!(other(|route| route.cluster.0 = 9), WireError::Cluster(..)));
        assert!(matches!(other(|route| route.to.0 = 9), WireError::Member(..)));
        assert!(matches!(other(|route| route.from.0 = 9), WireError::Sender(..)));
        for cut in 0..bytes.len() {
            assert!(decode::<Request>(&bytes[..cut], route).is_err());
        }
        assert_eq!(decode::<Request>(&[7], route), Err(WireError::Version(7)));
    }
}
