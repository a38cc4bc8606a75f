//! A member's answers to other members, and its questions before it is one of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::join::admission::Admission;
use crate::join::enter::{Asker, NoAnswer};
use crate::model::{Clock, ClusterId, MemberId, Progress};
use crate::peer::{AskError, Caller, Channel, Names, Pending, Pieces, Quic, Rejection, Service};
use crate::raft::Node;

/// Most concurrent lookups of names from members that want to join.
const MAX_LOOKUPS_FOR_STRANGERS: usize = 4;

/// This member's answers to others.
pub struct Answers {
    node: Node,
    admission: Arc<Admission>,
    cluster: ClusterId,
    former: Vec<ClusterId>,
}

impl Answers {
    /// The answers of `node`; `token` is its `initial-cluster-token`, if given, and `former` are the clusters of which its
    /// own was recovered.
    pub fn new(node: Node, clock: Arc<dyn Clock>, token: Option<String>, former: Vec<ClusterId>) -> Self {
        let cluster = node.status().cluster;
        let names = Names::new(MAX_LOOKUPS_FOR_STRANGERS);
        let admission = Arc::new(Admission::new(node.clone(), clock, names, token));
        Self { node, admission, cluster, former }
    }
}

impl Service for Answers {
    /// Strangers may ask questions; of members only removed ones are refused. An unknown member is admitted: this
    /// member may lag behind, and the caller may be its leader.
    fn admit(&self, caller: &Caller) -> Result<(), Rejection> {
        if caller.member == MemberId::default() {
            return Ok(());
        }
        if caller.cluster != self.cluster {
            return Err(Rejection::OtherCluster { here: self.cluster, there: caller.cluster });
        }
        if self.node.was_removed(caller.member) { Err(Rejection::Removed) } else { Ok(()) }
    }

    fn epoch(&self) -> u64 {
        self.node.epoch()
    }

    fn was_once(&self, cluster: ClusterId) -> bool {
        self.former.contains(&cluster)
    }

    fn peer_urls(&self, of: MemberId) -> Vec<String> {
        self.node.peer_urls(of)
    }

    fn progress(&self) -> Progress {
        self.node.progress()
    }

    fn acknowledged(&self, by: MemberId) -> Option<Progress> {
        self.node.acknowledged(by)
    }

    fn call(&self, from: MemberId, _channel: Channel, request: Bytes) -> Pending<Result<Bytes, Rejection>> {
        let node = self.node.clone();
        Box::pin(async move { node.serve(from, &request).await.map_err(malformed) })
    }

    fn snapshot(&self, from: MemberId, request: Bytes, body: Pieces) -> Pending<Result<Bytes, Rejection>> {
        let node = self.node.clone();
        Box::pin(async move { node.serve_snapshot(from, &request, body).await.map_err(malformed) })
    }

    fn ask(&self, _caller: &Caller, question: Bytes) -> Pending<Result<Bytes, Rejection>> {
        let admission = self.admission.clone();
        Box::pin(async move { admission.answer(&question).await.map_err(malformed) })
    }
}

fn malformed(error: impl ToString) -> Rejection {
    Rejection::Malformed(error.to_string())
}

/// Asks questions through the peer port.
pub struct PeerPort(pub Quic);

impl Asker for PeerPort {
    fn ask(&self, urls: Vec<String>, question: Bytes, timeout: Duration) -> Pending<Result<Bytes, NoAnswer>> {
        let quic = self.0.clone();
        Box::pin(async move {
            let answered = quic.ask(&urls, question, timeout).await;
            answered.map(|(_, bytes)| bytes).map_err(|error| match &error {
                AskError::Rejected { rejection: Rejection::Stranger, .. } => {
                    NoAnswer::Stranger(error.to_string())
                }
                AskError::Rejected { .. } => NoAnswer::NotNow(error.to_string()),
                AskError::Unreachable(_) | AskError::Timeout => NoAnswer::Nobody(error.to_string()),
            })
        })
    }
}
