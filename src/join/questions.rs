//! The questions of a process that wants to enter a cluster, and the members' answers. A version byte, then postcard;
//! new variants go at the end.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{ClusterId, Member, MemberId, Version};

/// The version of these messages.
const VERSION: u8 = 3;
/// The longest question: a member's name and URLs.
const LONGEST_QUESTION: usize = 64 << 10;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Which members does the cluster have? With the `initial-cluster-token` of the asking process, if it was given.
    Roll(Option<String>),
    /// Add me as a member (the one-step join).
    Join(Candidate),
}

/// A process that wants to become a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// The URLs at which members will reach it.
    pub peer_urls: Vec<String>,
    /// As a learner, until it is promoted by request.
    pub learner: bool,
    /// Its `initial-cluster-token`, if it was given.
    pub token: Option<String>,
    /// The version of its program.
    pub version: Version,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The cluster as the member that answers knows it.
    Roll(Roll),
    /// The candidate is a member now: this one.
    Joined(Roll, MemberId),
    /// Not now; asking again later may help.
    Later(String),
    /// No; asking again does not help.
    Refused(String),
    /// No: the candidate's program does not fit this version of the cluster.
    Misfit(Version),
}

/// A cluster and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roll {
    /// The cluster.
    pub cluster: ClusterId,
    /// Which life of the cluster this is.
    pub epoch: u64,
    /// Its members, ascending by id.
    pub members: Vec<Member>,
    /// Its version, once it has one.
    pub version: Option<Version>,
}

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The message was written by another version of kvd.
    #[error("this is version {0} of the questions of entry, not version {VERSION}: update kvd on both sides")]
    Version(u8),
    /// The message has any other fault.
    #[error("a message of entry cannot be read: {0}")]
    Malformed(String),
}

/// The message as bytes.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, QuestionError> {
    let bytes = postcard::to_extend(message, vec![VERSION]);
    bytes.map(Bytes::from).map_err(|error| QuestionError::Malformed(error.to_string()))
}

/// A question that came from outside.
pub fn decode_question(bytes: &[u8]) -> Result<Question, QuestionError> {
    if bytes.len() > LONGEST_QUESTION {
        return Err(QuestionError::Malformed(format!("{} bytes are too many", bytes.len())));
    }
    decode(bytes)
}

/// A message.
pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, QuestionError> {
    match bytes.split_first() {
        None => Err(QuestionError::Malformed("it is empty".into())),
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|error| QuestionError::Malformed(error.to_string()))
        }
        Some((&other, _)) => Err(QuestionError::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_and_strange_ones_are_refused() {
        let candidate = Candidate {
            name: "b".into(),
            peer_urls: vec!["https://10.0.0.2:2380".into()],
            learner: true,
            token: Some("t".into()),
            version: Version::OWN,
        };
        let question = Question::Join(candidate);
        let bytes = encode(&question).expect("encoded");
        assert_eq!(decode_question(&bytes), Ok(question));
        assert_eq!(decode_question(&[9, 0]), Err(QuestionError::Version(9)));
        assert!(matches!(decode_question(&[]), Err(QuestionError::Malformed(_))));
        assert!(matches!(decode_question(&bytes[..bytes.len() - 1]), Err(QuestionError::Malformed(_))));
        assert!(matches!(
            decode_question(&vec![VERSION; LONGEST_QUESTION + 1]),
            Err(QuestionError::Malformed(_))
        ));
    }
}
