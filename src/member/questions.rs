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

impl Value {
    /// True if the two are of one kind: digests of one scheme, or hashes with the same history. Programs of different
    /// versions may compute different digests of one state, and what was compacted elsewhere has another hash.
    pub fn compares_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Digest(own, _), Value::Digest(scheme, _)) => own == scheme,
            (Value::Hash(own, _), Value::Hash(compacted, _)) => own == compacted,
            _ => false,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_computed_alike_is_compared() {
        let (digest, hash) = (|scheme, byte| Value::Digest(scheme, [byte; 32]), Value::Hash);
        assert!(digest(1, 7).compares_with(&digest(1, 8)) && hash(5, 7).compares_with(&hash(5, 8)));
        assert!(!digest(1, 7).compares_with(&digest(2, 8)), "a member of another version is not wrong");
        assert!(!hash(5, 7).compares_with(&hash(6, 7)));
        assert!(!hash(5, 7).compares_with(&digest(1, 7)));
    }
}
