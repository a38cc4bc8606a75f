//! A member's answers to those who want to enter its cluster.

use std::sync::Arc;

use bytes::Bytes;

use super::enter::with_urls;
use super::existing;
use super::questions::{Answer, Candidate, Question, QuestionError, Roll, decode_question, encode};
use crate::model::{Caller, Clock, Command, Member, MemberChange, Refusal, Reply, Version};
use crate::peer::Names;
use crate::raft::Node;

/// See the module.
pub struct Admission {
    node: Node,
    clock: Arc<dyn Clock>,
    /// Separate from the resolver that looks up members' names, because strangers cause lookups here.
    names: Names,
    token: Option<String>,
}

impl Admission {
    /// The answers of a member to questions about admission. Its `initial-cluster-token` is `token`, if it was given.
    pub fn new(node: Node, clock: Arc<dyn Clock>, names: Names, token: Option<String>) -> Self {
        Self { node, clock, names, token }
    }

    /// Answers a question. The transport has verified the certificate of the asking side.
    ///
    /// # Errors
    /// If the question cannot be read.
    pub async fn answer(&self, question: &[u8]) -> Result<Bytes, QuestionError> {
        let question = decode_question(question)?;
        let token = match &question {
            Question::Roll(token) => token,
            Question::Join(candidate) => &candidate.token,
        };
        if let Some(refused) = refuse_token(self.token.as_deref(), token.as_deref()) {
            return encode(&Answer::Refused(refused));
        }
        let answer = match question {
            Question::Roll(_) if self.node.status().applied == 0 => {
                Answer::Later("this member has not begun yet".to_string())
            }
            Question::Roll(_) => Answer::Roll(self.roll()),
            Question::Join(candidate) => self.admit(candidate).await.unwrap_or_else(|refusal| {
                if may_pass(&refusal) {
                    Answer::Later(refusal.to_string())
                } else {
                    Answer::Refused(refusal.to_string())
                }
            }),
        };
        encode(&answer)
    }

    fn roll(&self) -> Roll {
        let node = &self.node;
        let version = node.cluster_version().as_deref().and_then(Version::parse);
        Roll { cluster: node.status().cluster, epoch: node.epoch(), members: node.members(), version }
    }

    /// Adds the candidate, or confirms that it was added before.
    async fn admit(&self, candidate: Candidate) -> Result<Answer, Refusal> {
        self.node.read_index().await?;
        if let Some(cluster) = self.roll().version.filter(|cluster| !candidate.version.fits(*cluster)) {
            return Ok(Answer::Misfit(cluster));
        }
        if let Some(known) = with_urls(&self.names, &self.node.members(), &candidate.peer_urls).await {
            if let Err(wiped) = existing::refuse_wiped(known) {
                return Ok(Answer::Refused(wiped.to_string()));
            }
            return Ok(Answer::Joined(self.roll(), known.id));
        }
        let now = self.clock.now_ms() / 1000;
        let member = Member::added(candidate.peer_urls, candidate.learner, now)?;
        let id = member.id;
        match self.node.propose(Caller::System, Command::Member(MemberChange::Add(member))).await? {
            Reply::Members { members, .. } => {
                tracing::info!(member = %id, name = candidate.name, learner = candidate.learner, "a member joined");
                Ok(Answer::Joined(Roll { members, ..self.roll() }, id))
            }
            other => Err(Refusal::Internal(format!("an unexpected reply: {other:?}"))),
        }
    }
}

/// Why a token is not this cluster's. A token that was not given matches any: the default does not say which cluster is
/// meant.
fn refuse_token(here: Option<&str>, theirs: Option<&str>) -> Option<String> {
    let (here, theirs) = here.zip(theirs).filter(|(here, theirs)| here != theirs)?;
    Some(format!(
        "its initial-cluster-token is {theirs:?}, that of this cluster {here:?}: is this the cluster it means?"
    ))
}

/// True if asking again later can help.
fn may_pass(refusal: &Refusal) -> bool {
    !matches!(
        refusal,
        Refusal::MemberBadUrls
            | Refusal::MemberExists
            | Refusal::MemberNotFound
            | Refusal::PeerUrlExists
            | Refusal::TooManyLearners
            | Refusal::NotSupported(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_token_is_refused_if_both_were_given() {
        let refused = refuse_token(Some("red"), Some("blue")).expect("refused");
        assert!(refused.starts_with("its initial-cluster-token is \"blue\", that of this cluster \"red\""));
        for (here, theirs) in [(Some("red"), Some("red")), (None, Some("blue")), (Some("red"), None)] {
            assert_eq!(refuse_token(here, theirs), None);
        }
    }
}
