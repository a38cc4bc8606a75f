//! The options of a node.

use std::sync::Arc;
use std::time::Duration;

use super::standing::Misfit;
use crate::log::Log;
use crate::model::{Clock, ClusterId, MemberId, Version};
use crate::peer::Transport;
use crate::store::Store;

/// Options of a [`super::Node`].
#[derive(Clone)]
pub struct NodeOptions {
    /// This member.
    pub id: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The member's name, published through the log.
    pub name: String,
    /// The URLs at which clients reach it, published through the log.
    pub client_urls: Vec<String>,
    /// Remove all other members from the cluster, if there are data (etcd `--force-new-cluster`).
    pub force_new_cluster: bool,
    /// The raft log.
    pub log: Log,
    /// The state.
    pub store: Store,
    /// How to reach other members.
    pub transport: Arc<dyn Transport>,
    /// The wall clock proposals are stamped with.
    pub clock: Arc<dyn Clock>,
    /// Pause between heartbeats (etcd `--heartbeat-interval`).
    pub heartbeat: Duration,
    /// Time without a leader after which one is elected (etcd `--election-timeout`).
    pub election: Duration,
    /// Entries after which the log may be shortened (etcd `--snapshot-count`).
    pub snapshot_count: u64,
    /// Entries kept for members that lag (etcd `--snapshot-catchup-entries`).
    pub catchup_entries: u64,
    /// Refuse member changes that would cost the quorum (etcd `--strict-reconfig-check`).
    pub strict_reconfig: bool,
    /// Most learners (etcd `--max-learners`).
    pub max_learners: usize,
    /// Which life of the cluster it was when this member entered it; 0 for a founder.
    pub epoch: u64,
    /// The version of this member's program.
    pub version: Version,
    /// Ask peers before disturbing them with an election (etcd `--pre-vote`).
    pub pre_vote: bool,
    /// Called once if the node cannot continue (a disk fails, or the state cannot be applied): the process must end.
    pub on_fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

impl NodeOptions {
    /// The options that each member needs, and etcd's defaults for all others. If the node cannot continue, it panics.
    pub fn new(
        id: MemberId,
        cluster: ClusterId,
        log: Log,
        store: Store,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            id,
            cluster,
            name: "default".into(),
            client_urls: Vec::new(),
            force_new_cluster: false,
            log,
            store,
            transport,
            clock,
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(1000),
            snapshot_count: 10_000,
            catchup_entries: 5_000,
            strict_reconfig: true,
            max_learners: 1,
            epoch: 0,
            version: Version::OWN,
            pre_vote: true,
            on_fatal: Arc::new(|why| panic!("fatal: {why}")),
        }
    }

    /// How long a request may take: etcd's 5 s plus two election timeouts.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.election
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Log and store do not come from the same history.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Log or store cannot be read.
    #[error("{0}")]
    Storage(String),
    /// Heartbeat interval and election timeout do not fit together.
    #[error("heartbeat interval and election timeout: {0}")]
    Timing(String),
    /// The thread or its runtime cannot be started.
    #[error("{0}")]
    Thread(#[from] std::io::Error),
}
