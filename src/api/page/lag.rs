//! How far members are behind: their leader knows, and answers whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{MemberId, Refusal};
use crate::raft::topics::{decode, encode};
use crate::raft::{Handler, Node, Pending, Topic, TopicTaken};

/// Entries that each member has not acknowledged yet.
pub type Lag = BTreeMap<MemberId, u64>;

/// From now on this member answers while it leads.
///
/// # Errors
/// If the topic has a handler already.
pub fn serve(node: &Node) -> Result<(), TopicTaken> {
    node.register(Topic::LAG, Arc::new(Answers(node.clone())))
}

/// Asks the leader.
///
/// # Errors
/// If there is none, or it does not answer.
pub async fn ask(node: &Node) -> Result<Lag, Refusal> {
    let answer = node.ask_leader(Topic::LAG, Bytes::new()).await?;
    decode(&answer)
}

struct Answers(Node);

impl Handler for Answers {
    fn answer(&self, _question: Bytes) -> Pending<Result<Bytes, Refusal>> {
        let node = self.0.clone();
        Box::pin(async move {
            let status = node.status();
            if !status.is_leader {
                return Err(Refusal::NotLeader);
            }
            encode(&lag(&node))
        })
    }
}

fn lag(node: &Node) -> Lag {
    let status = node.status();
    let of = |id: MemberId| {
        if id == status.id {
            return Some(0);
        }
        // Committed is a count, so it is one more than the last index.
        let last = node.acknowledged(id)?.last?;
        Some(status.committed.saturating_sub(last.index + 1))
    };
    node.members().into_iter().filter_map(|member| Some((member.id, of(member.id)?))).collect()
}
