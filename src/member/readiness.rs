//! When clients are admitted. As in etcd, not before the cluster knows this member's name and URLs, and its own
//! version: an earlier client would see a member without a name, and be refused as if nothing were supported. But if
//! there is no quorum, requests that need none (status, serializable reads, snapshots) are not refused for ever, as in
//! etcd after a restart.

use std::time::Duration;

use crate::model::MemberId;
use crate::raft::Node;
use crate::store::Store;

/// Interval at which it is checked whether the member is known.
const LOOK: Duration = Duration::from_millis(5);

/// The conditions for admitting clients.
pub struct Readiness {
    pub node: Node,
    pub store: Store,
    pub id: MemberId,
    /// The name and the client URLs that the cluster must know.
    pub name: String,
    pub client_urls: Vec<String>,
    /// Longest wait: as long as a request waits for consensus.
    pub patience: Duration,
}

impl Readiness {
    /// Waits until the member is known; false if that took too long.
    pub async fn reached(&self) -> bool {
        let known = async {
            while !self.is_known() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(self.patience, known).await.is_ok()
    }

    fn is_known(&self) -> bool {
        // A reopened store knows the member already; it is up to date only if there is a leader.
        let led = match self.node.leader() {
            None => false,
            Some(leader) if leader == self.id => self.node.leadership().borrow().leading,
            Some(_) => true,
        };
        let own = |member: &crate::model::Member| {
            member.id == self.id && member.name == self.name && member.client_urls == self.client_urls
        };
        led && self.store.cluster_version().is_some() && self.store.members().iter().any(own)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::member::{Member, Seams, lab};
    use crate::model;
    use crate::peer::NoTransport;
    use crate::raft::NodeOptions;
    use crate::store;

    /// The only running one of so many founders.
    async fn one_of(founders: u64, patience: Duration) -> (Readiness, TempDir) {
        let dir = TempDir::new().unwrap();
        let options = store::Options { map_size: 1 << 30, ..store::Options::default() };
        let store = Store::open(dir.path(), options).unwrap();
        let founder = |id| model::Member::founder(MemberId(id), vec![format!("http://10.0.0.{id}:2380")]);
        let founders: Vec<_> = (1..=founders).map(founder).collect();
        let (data, transport) = ((lab::log_options(), store), Arc::new(NoTransport));
        let raft = NodeOptions {
            name: "one".into(),
            client_urls: vec!["http://10.0.0.1:2379".into()],
            ..lab::founder(MemberId(1), &founders, data, transport, Arc::new(lab::StoppedClock)).await
        };
        let member = Member::start(Seams::new(raft)).await.unwrap();
        (Readiness { patience, ..member.readiness }, dir)
    }

    #[tokio::test]
    async fn reached_once_the_cluster_knows_the_member() {
        let (readiness, _dir) = one_of(1, Duration::from_secs(60)).await;
        assert!(readiness.reached().await);
        assert_eq!(readiness.store.members()[0].name, "one");
        assert!(readiness.store.cluster_version().is_some());
        readiness.node.shutdown().await;
    }

    #[tokio::test]
    async fn given_up_where_no_quorum_comes_about() {
        let (readiness, _dir) = one_of(2, Duration::from_millis(50)).await;
        assert!(!readiness.reached().await);
        readiness.node.shutdown().await;
    }
}
