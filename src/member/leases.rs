//! Connects the lessor with raft: it is primary while this member leads, proposes in its term only, and answers the
//! questions of followers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::parts::{Job, Member};
use crate::lease::{Answering, Lessor, Proposer, Remote, Renewal, TimeToLive};
use crate::model::{Command, LeaseId, Refusal, Reply};
use crate::raft::topics::{decode, encode};
use crate::raft::{Handler, Node, Pending, Topic, TopicTaken, offload};

/// Longest wait of a renewal from another member; that member asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A follower's question. New variants go at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Question {
    Renew(LeaseId),
    TimeToLive(LeaseId),
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Told {
    /// To a renewal: the seconds the lease lives.
    Renewed(Option<i64>),
    /// Seconds that remain, and seconds granted.
    TimeToLive(Option<(i64, i64)>),
}

/// Registers the handler for other members' questions to this one's lessor, while it leads.
///
/// # Errors
/// [`TopicTaken`].
pub fn answer(node: &Node, lessor: &Arc<Lessor>) -> Result<(), TopicTaken> {
    node.register(Topic::LEASES, Arc::new(LeaseHandler { node: node.clone(), lessor: lessor.clone() }))
}

/// Expires leases while this member leads.
pub fn job(member: &Member) -> Job {
    Box::pin(run(member.node.clone(), member.lessor.clone()))
}

/// Follows changes of the leader, and expires leases.
async fn run(node: Node, lessor: Arc<Lessor>) {
    let expiry = lessor.clone().run(Arc::new(LeaseProposer(node.clone())));
    tokio::join!(expiry, follow(node, lessor));
}

async fn follow(node: Node, lessor: Arc<Lessor>) {
    let mut leadership = node.leadership();
    let mut counting = None;
    loop {
        let now = *leadership.borrow_and_update();
        let term = now.leading.then_some(now.term);
        if term != counting {
            match term {
                Some(term) => {
                    let (lessor, claiming) = (lessor.clone(), node.clone());
                    // It reads all leases from the store.
                    let claim = Arc::new(move || claiming.leads(term));
                    let _ = offload(move || lessor.promote(term, claim)).await;
                }
                None => lessor.demote(),
            }
            counting = term;
        }
        if leadership.changed().await.is_err() {
            lessor.demote();
            return;
        }
    }
}

/// The lessor's access to the log.
struct LeaseProposer(Node);

impl Proposer for LeaseProposer {
    fn propose(&self, term: u64, command: Command) -> Answering<Reply> {
        let node = self.0.clone();
        Box::pin(async move { node.propose_in_term(term, command).await })
    }
}

/// Access to the leader's lessor.
pub struct LeaderLessor(pub Node);

impl LeaderLessor {
    fn ask(&self, question: Question) -> Answering<Told> {
        let node = self.0.clone();
        Box::pin(async move {
            let answer = node.ask_leader(Topic::LEASES, encode(&question)?).await?;
            decode(&answer)
        })
    }
}

impl Remote for LeaderLessor {
    fn renew(&self, id: LeaseId) -> Answering<Option<i64>> {
        let asked = self.ask(Question::Renew(id));
        Box::pin(async move {
            match asked.await? {
                Told::Renewed(ttl) => Ok(ttl),
                Told::TimeToLive(_) => Err(Refusal::Internal("an answer to another question".into())),
            }
        })
    }

    fn time_to_live(&self, id: LeaseId) -> Answering<Option<TimeToLive>> {
        let asked = self.ask(Question::TimeToLive(id));
        Box::pin(async move {
            match asked.await? {
                Told::TimeToLive(found) => {
                    Ok(found.map(|(remaining, granted)| TimeToLive { remaining, granted }))
                }
                Told::Renewed(_) => Err(Refusal::Internal("an answer to another question".into())),
            }
        })
    }
}

/// Answers other members.
struct LeaseHandler {
    node: Node,
    lessor: Arc<Lessor>,
}

impl Handler for LeaseHandler {
    fn answer(&self, question: Bytes) -> Pending<Result<Bytes, Refusal>> {
        let (node, lessor) = (self.node.clone(), self.lessor.clone());
        Box::pin(async move {
            let question = decode(&question)?;
            let told = tokio::time::timeout(ANSWER_WITHIN, tell(&node, &lessor, question)).await;
            encode(&told.map_err(|_| Refusal::Timeout)??)
        })
    }
}

async fn tell(node: &Node, lessor: &Arc<Lessor>, question: Question) -> Result<Told, Refusal> {
    let told = tell_now(lessor, question).await?;
    if !matches!(told, Told::Renewed(None) | Told::TimeToLive(None)) {
        return Ok(told);
    }
    // The lease may have been granted, but not be applied here yet.
    node.read_index().await?;
    tell_now(lessor, question).await
}

async fn tell_now(lessor: &Arc<Lessor>, question: Question) -> Result<Told, Refusal> {
    match question {
        Question::Renew(id) => Ok(Told::Renewed(match lessor.renew(id) {
            Renewal::Renewed(ttl) => Some(ttl),
            Renewal::Missing => None,
            Renewal::NotPrimary => return Err(Refusal::NotLeader),
            Renewal::Wait(waiting) => waiting.wait().await?,
        })),
        Question::TimeToLive(id) => {
            let found = lessor.time_to_live(id)?;
            Ok(Told::TimeToLive(found.map(|time| (time.remaining, time.granted))))
        }
    }
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
