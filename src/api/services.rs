//! The objects that all calls share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::audit::Audit;
use super::jobs::Jobs;
use super::metrics::Metrics;
use super::page::around::Around;
use super::page::history::History;
use super::proto::etcdserverpb::ResponseHeader;
use super::reads::Reads;
use super::space;
use super::traces::{self, Traces};
use crate::auth::Logins;
use crate::lease::{self, Lessor};
use crate::model::{Caller, ClusterId, Command, MemberId, Refusal, Reply, Version};
use crate::raft::Node;
use crate::store::Store;
use crate::watch::{Hub, TreeHub};

/// The version of etcd whose behaviour kvd has.
pub const ETCD_VERSION: &str = "3.7.3";
/// The storage version that goes with it.
const STORAGE_VERSION: &str = "3.7.0";

/// Limits and intervals of the API, already checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Largest raft request in bytes (`--max-request-bytes`), measured on etcd's `InternalRaftRequest`.
    pub max_request_bytes: usize,
    /// Most operations in a transaction (`--max-txn-ops`).
    pub max_txn_ops: usize,
    /// The election timeout; streams that require a leader end after three of them without one.
    pub election_timeout: Duration,
    /// The heartbeat interval.
    pub heartbeat_interval: Duration,
    /// Interval of progress notifications to idle watchers (`--watch-progress-notify-interval`).
    pub watch_progress_interval: Duration,
    /// Unary requests that take longer are logged (`--warning-unary-request-duration`).
    pub slow_request: Duration,
    /// Reads that take longer are logged and counted (`--warning-apply-duration`).
    pub slow_read: Duration,
    /// The time of every gRPC method's calls is counted, too (`--metrics extensive`).
    pub extensive_metrics: bool,
    /// The JSON gateway is served (`--enable-grpc-gateway`).
    pub gateway: bool,
    /// The v2 API is served (`--enable-v2`).
    pub v2: bool,
    /// The status page is served (`--enable-status-page`).
    pub page: bool,
    /// `/debug/pprof/` is served (`--enable-pprof`).
    pub pprof: bool,
    /// Who may make requests over plain HTTP.
    pub access: Access,
}

/// Filters of the HTTP pages.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// Origins whose pages may make requests (`--cors`); `*` means all.
    pub cors: Vec<String>,
    /// Host names that are accepted without TLS (`--host-whitelist`); empty or `*` is all.
    pub host_whitelist: Vec<String>,
}

impl Default for Access {
    fn default() -> Self {
        Self { cors: vec!["*".into()], host_whitelist: vec!["*".into()] }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_request_bytes: 1_572_864,
            max_txn_ops: 128,
            election_timeout: Duration::from_millis(1000),
            heartbeat_interval: Duration::from_millis(100),
            watch_progress_interval: Duration::from_secs(600),
            slow_request: Duration::from_millis(300),
            slow_read: Duration::from_millis(100),
            extensive_metrics: false,
            gateway: true,
            v2: true,
            page: true,
            pprof: false,
            access: Access::default(),
        }
    }
}

impl Settings {
    /// Largest message a client may send, in bytes: etcd allows half a MiB of overhead above the request limit.
    pub fn max_receive_bytes(&self) -> usize {
        self.max_request_bytes.saturating_add(512 * 1024)
    }

    /// etcd's `ReqTimeout`: how long a request waits for consensus.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.election_timeout
    }
}

/// The observers of the store that serve clients.
pub struct FanOut {
    /// Passes events to watchers; an observer of the store.
    pub hub: Arc<Hub>,
    /// Passes changes of v2's tree to those who wait; an observer of the store.
    pub tree_hub: Arc<TreeHub>,
    /// Counts the time of leases while this member leads; an observer of the store.
    pub lessor: Arc<Lessor>,
    /// Access to the leader's lessor while this member does not lead.
    pub lease_leader: Arc<dyn lease::Remote>,
}

/// The objects that all calls share. One per process.
pub struct Services {
    /// The raft node, for proposals.
    pub node: Node,
    /// All reads of requests.
    pub reads: Reads,
    /// The store, for its sizes, members and alarms. Its keys are read through `reads`.
    pub store: Store,
    /// Signals that the server stops.
    pub stop: Stop,
    /// Counts the time of leases while this member leads.
    pub lessor: Arc<Lessor>,
    /// Access to the leader's lessor while this member does not lead.
    pub lease_leader: Arc<dyn lease::Remote>,
    /// Passwords and tokens.
    pub logins: Logins,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Work that blocks.
    pub jobs: Jobs,
    /// Who did what, if that is recorded.
    pub audit: OnceLock<Arc<Audit>>,
    /// Spans of calls, if they are exported.
    pub traces: OnceLock<Arc<Traces>>,
    /// True while nothing of this member's state may be served, if somebody provides it.
    pub out: OnceLock<tokio::sync::watch::Receiver<bool>>,
    /// What the status page shows of other rooms, if somebody provides it.
    pub around: OnceLock<Arc<dyn Around>>,
    /// The last minutes, for the status page.
    pub history: History,
    /// When this process has begun to serve.
    pub begun: Instant,
    settings: ArcSwap<Settings>,
    cluster_id: ClusterId,
    member_id: MemberId,
}

impl Services {
    /// The services of a node; the ids are the node's.
    pub fn new(
        node: Node,
        store: Store,
        fan_out: FanOut,
        logins: Logins,
        settings: Settings,
        stop: Stop,
    ) -> Self {
        let status = node.status();
        let FanOut { hub, tree_hub, lessor, lease_leader } = fan_out;
        let jobs = Jobs::default();
        Self {
            reads: Reads::new(node.clone(), store.clone(), (hub, tree_hub), lessor.clone(), jobs.clone()),
            node,
            store,
            lessor,
            lease_leader,
            logins,
            metrics: Arc::new(Metrics::new(settings.extensive_metrics)),
            jobs,
            audit: OnceLock::new(),
            traces: OnceLock::new(),
            out: OnceLock::new(),
            around: OnceLock::new(),
            history: History::default(),
            begun: Instant::now(),
            settings: ArcSwap::from_pointee(settings),
            stop,
            cluster_id: status.cluster,
            member_id: status.id,
        }
    }

    /// The present limits and intervals.
    pub fn settings(&self) -> arc_swap::Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Changes limits and intervals from now on.
    pub fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// This member.
    pub fn member_id(&self) -> MemberId {
        self.member_id
    }

    /// This cluster.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// The header of an answer, with the store's current revision (lease, auth, alarm, hash, status, watch control).
    pub fn header(&self) -> ResponseHeader {
        self.header_at(self.store.revision())
    }

    /// The header of an answer that names the revision itself (the key-value service).
    pub fn header_at(&self, revision: i64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster_id.0,
            member_id: self.member_id.0,
            revision,
            raft_term: self.node.term(),
        }
    }

    /// The version of etcd that this member says to clients.
    pub fn server_version(&self) -> String {
        match self.node.version() {
            Version::OWN => ETCD_VERSION.into(),
            claimed => claimed.of_cluster(),
        }
    }

    /// The storage version that goes with what the cluster's members may use.
    pub fn storage_version(&self) -> String {
        self.store.cluster_version().unwrap_or_else(|| STORAGE_VERSION.into())
    }

    /// The header of the cluster service: the revision is always zero there.
    pub fn header_without_revision(&self) -> ResponseHeader {
        self.header_at(0)
    }

    /// Proposes a command on behalf of a caller; returns the reply when it is applied here.
    ///
    /// # Errors
    /// Why it was refused, or why its result is unknown.
    pub async fn propose(&self, caller: Caller, command: Command) -> Result<Reply, Refusal> {
        if self.traces.get().is_none() {
            return self.node.propose(caller, command).await;
        }
        traces::event("Send raft proposal");
        let reply = self.node.propose(caller, command).await;
        let came = !matches!(
            reply,
            Err(Refusal::NoLeader
                | Refusal::NotLeader
                | Refusal::LeaderChanged
                | Refusal::Timeout
                | Refusal::TimeoutLeaderFailed
                | Refusal::TimeoutConnectionLost
                | Refusal::TimeoutApplied
                | Refusal::Stopped)
        );
        if came {
            traces::event("Receive raft result");
        }
        reply
    }

    /// Refuses a command that does not fit into the space quota, and raises the alarm, which all members see. As in
    /// etcd this comes before every other check of the request.
    pub async fn check_quota(&self, command: &Command) -> Result<(), Refusal> {
        space::check(&self.node, &self.store, command).await
    }

    /// True if nothing of this member's state may be served at present.
    fn is_out(&self) -> bool {
        self.out.get().is_some_and(|out| *out.borrow())
    }

    /// Sets `out`, and lets open streams end when it becomes true. Call it on a runtime.
    pub fn follow_out(&self, mut out: tokio::sync::watch::Receiver<bool>) {
        if self.out.set(out.clone()).is_ok() {
            let stop = self.stop.clone();
            tokio::spawn(async move {
                while out.changed().await.is_ok() {
                    stop.0.waiting.notify_waiters();
                }
            });
        }
    }

    /// Returns when all open streams end, with the reason. Nearly every open stream waits for it, so the future is a small
    /// one: it waits for one thing only.
    #[expect(clippy::manual_async_fn, reason = "the future of an async function has its arguments twice")]
    pub fn all_end(self: Arc<Self>) -> impl Future<Output = Refusal> + Send {
        async move {
            loop {
                // From here on a signal wakes it, also if it is given before the first poll.
                let signalled = self.stop.0.waiting.notified();
                if self.stop.is_stopping() {
                    return Refusal::Stopped;
                }
                if self.is_out() {
                    return Refusal::Corrupt;
                }
                signalled.await;
            }
        }
    }

    /// Returns when nothing of this member's state may be served any more.
    pub async fn taken_out(&self) {
        let Some(mut out) = self.out.get().cloned() else { return std::future::pending().await };
        // An error means that nobody says so any more.
        if out.wait_for(|out| *out).await.is_err() {
            std::future::pending().await
        }
    }

    /// Refuses a request that is larger than `--max-request-bytes`. `length` is the encoded length of the request's
    /// own message; etcd measures the raft request around it, whose header holds an id of up to ten bytes.
    pub fn check_size(&self, length: usize) -> Result<(), Refusal> {
        const HEADER: usize = 2 + 1 + 1 + 10;
        let around = HEADER + 1 + prost::length_delimiter_len(length);
        if length.saturating_add(around) > self.settings().max_request_bytes {
            return Err(Refusal::RequestTooLarge);
        }
        Ok(())
    }
}

/// Ends everything that waits: made with [`Stop::channel`], cloned for every task that must notice.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Signal>);

/// The sending end. Dropping it also signals the stop.
#[derive(Debug)]
pub struct Stopper(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    is_given: AtomicBool,
    /// Those who wait for it, or for the member to be taken out.
    waiting: Notify,
}

impl Stop {
    /// A pair of ends.
    pub fn channel() -> (Stopper, Stop) {
        let signal = Arc::<Signal>::default();
        (Stopper(signal.clone()), Stop(signal))
    }

    /// True after the stop was signalled.
    pub fn is_stopping(&self) -> bool {
        self.0.is_given.load(Ordering::SeqCst)
    }

    /// Returns when the stop is signalled.
    pub async fn stopping(&self) {
        loop {
            // From here on the signal wakes it, also if it is given before the first poll.
            let signalled = self.0.waiting.notified();
            if self.is_stopping() {
                return;
            }
            signalled.await;
        }
    }
}

impl Stopper {
    /// Signals the stop, for ever.
    pub fn stop(&self) {
        self.0.is_given.store(true, Ordering::SeqCst);
        self.0.waiting.notify_waiters();
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}
