//! What members ask their leader beside raft's own affairs: each topic has a handler of its own.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::model::Refusal;
use crate::peer::Pending;

/// What a question is about. The number travels, so it is never given to another topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Topic(pub u16);

impl Topic {
    /// Renewals of leases, and how long they live.
    pub const LEASES: Topic = Topic(1);
}

/// Answers the questions of one topic; what they are about is its own affair.
pub trait Handler: Send + Sync + 'static {
    /// Answers a question, or says why not; [`Refusal::NotLeader`] sends the asker looking for the leader.
    fn answer(&self, question: Bytes) -> Pending<Result<Bytes, Refusal>>;
}

/// A topic has a handler already, which stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic {} has a handler already", .0.0)]
pub struct TopicTaken(pub Topic);

/// The handlers.
#[derive(Default)]
pub struct Topics(RwLock<BTreeMap<Topic, Arc<dyn Handler>>>);

impl Topics {
    /// Gives a topic its handler.
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

    /// Has the topic's handler answer. Without one, this member has not come so far yet, or its version knows no such
    /// topic: it does not lead as far as the asker is concerned.
    ///
    /// # Errors
    /// What the handler refuses; [`Refusal::NotLeader`].
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
