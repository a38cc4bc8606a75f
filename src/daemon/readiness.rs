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
    use crate::daemon::outside::{SystemClock, SystemEntropy};
    use crate::log::{self, Log, SimDisk};
    use crate::model::{Member, cluster_id};
    use crate::peer::NoTransport;
    use crate::raft::{self, NodeOptions};
    use crate::store;

    async fn readiness(members: u64, patience: Duration) -> (Readiness, TempDir) {
        let dir = TempDir::new().unwrap();
        let options = store::Options { map_size: 1 << 30, ..store::Options::default() };
        let store = Store::open(dir.path(), options).unwrap();
        let member = |id| Member::founder(MemberId(id), vec![format!("http://10.0.0.{id}:2380")]);
        let client_urls = vec!["http://10.0.0.1:2379".to_string()];
        let log = Log::open(Arc::new(SimDisk::new(1)), log::Options::new(Arc::new(SystemEntropy))).unwrap();
        raft::found(&log, &(1..=members).map(member).collect::<Vec<_>>()).await.unwrap();
        let (id, transport, clock) = (MemberId(1), Arc::new(NoTransport), Arc::new(SystemClock));
        let node = Node::start_on_thread(NodeOptions {
            name: "one".into(),
            client_urls: client_urls.clone(),
            ..NodeOptions::new(id, cluster_id(&[id]), log, store.clone(), transport, clock)
        })
        .await
        .unwrap();
        (Readiness { node, store, id: MemberId(1), name: "one".into(), client_urls, patience }, dir)
    }

    #[tokio::test]
    async fn reached_once_the_cluster_knows_the_member() {
        let (readiness, _dir) = readiness(1, Duration::from_secs(60)).await;
        assert!(readiness.reached().await);
        assert_eq!(readiness.store.members()[0].name, "one");
        assert!(readiness.store.cluster_version().is_some());
        readiness.node.shutdown().await;
    }

    #[tokio::test]
    async fn given_up_where_no_quorum_comes_about() {
        let (readiness, _dir) = readiness(2, Duration::from_millis(50)).await;
        assert!(!readiness.reached().await);
        readiness.node.shutdown().await;
    }
}
