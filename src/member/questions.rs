//! What members ask each other about their states.

use serde::{Deserialize, Serialize};

use crate::model::{MemberId, StateDigest};

/// The leader's answer for an entry. New variants go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The digest of its state after the entry; `None` if it does not know it (any more).
    At(Option<StateDigest>),
    /// It has not applied the entry yet.
    NotYet,
}

/// What a round compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// The digest after the entry with this index.
    Digest(u64),
    /// etcd's hash of the key space at this revision.
    Hash(i64),
}

/// A question about states. New variants go at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// To the leader: have a round now; with the hash, too, if that is true.
    Round(bool),
    /// To any member: what do you have?
    What(Subject),
    /// From the leader of a term: your state is not the majority's, for this reason.
    Differs(u64, String),
}

/// What a round has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The members that were compared.
    pub compared: Vec<MemberId>,
    /// The members that differ from the majority.
    pub odd: Vec<MemberId>,
    /// They differ, and no majority is known to agree.
    pub is_unknown: bool,
}

impl Outcome {
    /// What was found by either of two rounds; a member counts as compared if both have compared it.
    pub fn and(mut self, other: Self) -> Self {
        self.compared.retain(|member| other.compared.contains(member));
        self.odd.extend(other.odd);
        self.is_unknown |= other.is_unknown;
        self
    }

    /// True if all of so many members were compared and agree.
    pub fn is_good(&self, members: usize) -> bool {
        self.compared.len() == members && self.odd.is_empty() && !self.is_unknown
    }
}

/// A member's value; only equal kinds are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Value {
    /// Scheme and value of a digest.
    Digest(u8, [u8; 32]),
    /// Compacted revision and hash.
    Hash(i64, u32),
}

/// As text, without the zeros at the end.
pub fn hex(digest: &StateDigest) -> String {
    digest.value.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Members as text.
pub fn list(members: &[MemberId]) -> String {
    members.iter().map(MemberId::to_string).collect::<Vec<_>>().join(", ")
}

/// What was compared, for operators.
pub fn name(subject: Subject) -> String {
    match subject {
        Subject::Digest(index) => format!("after log entry {index} the digest of the state"),
        Subject::Hash(revision) => format!("at revision {revision} the hash of the keys"),
    }
}
