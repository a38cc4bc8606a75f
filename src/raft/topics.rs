//! Questions of members to their leader that are not raft's: each topic has its own handler.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::Refusal;
use crate::peer::Pending;

/// The topic of a question. The number is part of the protocol, so it is never used for another topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Topic(pub u16);

impl Topic {
    /// Renewals of leases, and their remaining time.
    pub const LEASES: Topic = Topic(1);
    /// Whose turn it is to take a backup.
    pub const BACKUPS: Topic = Topic(2);
    /// How far members are behind.
    pub const LAG: Topic = Topic(3);
    /// Digests of the state.
    pub const STATES: Topic = Topic(4);
    /// The members' versions.
    pub const VERSIONS: Topic = Topic(5);
    /// Rounds in which all members' states are compared; asked of any member.
    pub const CHECKS: Topic = Topic(6);
}

/// Answers the questions of one topic, and defines their encoding: as a rule that of [`encode`].
pub trait Handler: Send + Sync + 'static {
    /// Answers a question, or refuses it; after [`Refusal::NotLeader`] the asking member looks for the leader.
    fn answer(&self, question: Bytes) -> Pending<Result<Bytes, Refusal>>;
}

/// A question or an answer as bytes.
///
/// # Errors
/// [`Refusal::Internal`] if it cannot be encoded; none is known to be like that.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, Refusal> {
    postcard::to_stdvec(message).map(Bytes::from).map_err(|error| Refusal::Internal(error.to_string()))
}

/// A question or an answer from bytes. Never panics, whatever the bytes.
///
/// # Errors
/// [`Refusal::Internal`] if it is not one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    postcard::from_bytes(bytes).map_err(|error| Refusal::Internal(error.to_string()))
}

/// A topic has a handler already, which is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic {} has a handler already", .0.0)]
pub struct TopicTaken(pub Topic);

/// The handlers.
#[derive(Default)]
pub struct Topics(RwLock<BTreeMap<Topic, Arc<dyn Handler>>>);

impl Topics {
    /// Registers a topic's handler.
    ///
    /// # Errors
    /// [`TopicTaken`].
    pub fn register(&self, topic: Topic, handler: Arc<dyn Handler>) -> Result<(), TopicTaken> {
        match self.0.write().entry(topic) {
            Entry::Occupied(_) => Err(TopicTaken(topic)),
            Entry::Vacant(place) => {
                place.insert(handler);
                Ok(())
            }
        }
    }

    /// Asks the topic's handler. If there is none, this member is still starting, or its version does not know the
    /// topic: for the asking member it is not the leader.
    ///
    /// # Errors
    /// The handler's refusals; [`Refusal::NotLeader`].
    pub async fn answer(&self, topic: Topic, question: Bytes) -> Result<Bytes, Refusal> {
        let handler = self.0.read().get(&topic).cloned();
        match handler {
            Some(handler) => handler.answer(question).await,
            None => Err(Refusal::NotLeader),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(&'static [u8]);

    impl Handler for Says {
        fn answer(&self, _question: Bytes) -> Pending<Result<Bytes, Refusal>> {
            let answer = Bytes::from_static(self.0);
            Box::pin(async move { Ok(answer) })
        }
    }

    #[tokio::test]
    async fn a_topic_has_one_handler() {
        let (topics, other) = (Topics::default(), Topic(7));
        assert_eq!(topics.answer(Topic::LEASES, Bytes::new()).await, Err(Refusal::NotLeader));
        assert_eq!(topics.register(Topic::LEASES, Arc::new(Says(b"leases"))), Ok(()));
        assert_eq!(topics.register(other, Arc::new(Says(b"other"))), Ok(()));
        let again = topics.register(Topic::LEASES, Arc::new(Says(b"again")));
        assert_eq!(again, Err(TopicTaken(Topic::LEASES)));
        assert_eq!(topics.answer(Topic::LEASES, Bytes::new()).await, Ok(Bytes::from_static(b"leases")));
        assert_eq!(topics.answer(other, Bytes::new()).await, Ok(Bytes::from_static(b"other")));
        assert_eq!(topics.answer(Topic(8), Bytes::new()).await, Err(Refusal::NotLeader));
    }
}
