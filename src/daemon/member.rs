//! A running member: all its parts, assembled in order, and stopped in reverse order.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as watch_channel;

use super::compactor::{self, Retention};
use super::directory::{self, Directories};
use super::entry;
use super::figures::{Figures, Peers};
use super::history::HistoryError;
use super::news::{Certificates, News, Observer, View};
use super::notices::{COPY, HISTORY, Notice, OUTDATED, REMOVED, STRANGER};
use super::outside::{SystemClock, SystemEntropy};
use super::peers::{self, Counter, Door, Ending};
use super::readiness::Readiness;
use super::running::{Running, retention, settings};
use super::sockets::Inherited;
use super::{EXIT_CONFIG, EXIT_HISTORY, EXIT_IDENTITY, EXIT_START, fatal, listeners, logging, systemd};
use crate::api::leases::{self, LeaderLessor};
use crate::api::server::tls::Tls;
use crate::api::server::{Server, ServerOptions};
use crate::api::services::{FanOut, Services, Stop, Stopper};
use crate::api::space::SpaceWatch;
use crate::config::Config;
use crate::join::bootstrap::BootstrapError;
use crate::join::enter::EntryError;
use crate::join::identity::{self, Identity, IdentityError};
use crate::lease::{self, Lessor};
use crate::log::{self, Log, LogError, RealDisk};
use crate::model::{Caller, Clock, Command, MemberId, Refusal};
use crate::peer::{Quic, Transport};
use crate::pki::{self, Credentials, PkiError};
use crate::raft::{Node, NodeOptions, StartError, TopicTaken};
use crate::store::{self, CheckpointPolicy, Store, StoreError};
use crate::watch::{self, Hub};

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The configuration does not define how to begin.
    #[error("{0}")]
    Config(String),
    /// No cluster can be started.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The member cannot enter the cluster.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Files, directories or sockets.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The identity file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Identity, log and store do not belong together.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Another process of the member is running.
    #[error("{0}")]
    Copy(String),
    /// The log.
    #[error("the log: {0}")]
    Log(#[from] LogError),
    /// The store.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// Two parts of this member registered for the same topic.
    #[error(transparent)]
    Topic(#[from] TopicTaken),
    /// Raft.
    #[error("raft: {0}")]
    Raft(#[from] StartError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
}

impl MemberError {
    /// The exit code, by which the service manager decides whether to try again.
    pub fn exit_code(&self) -> u8 {
        match self {
            MemberError::Config(_) | MemberError::Bootstrap(_) | MemberError::Pki(_) => EXIT_CONFIG,
            MemberError::Identity(IdentityError::Removed { .. })
            | MemberError::Copy(_)
            | MemberError::Entry(EntryError::Refused(_) | EntryError::Stranger(_)) => EXIT_IDENTITY,
            MemberError::History(_) => EXIT_HISTORY,
            _ => EXIT_START,
        }
    }

    /// Its explanation in the journal, if an operator has to act on it.
    pub fn notice(&self) -> Option<&'static Notice> {
        match self {
            MemberError::History(_) => Some(&HISTORY),
            MemberError::Copy(_) => Some(&COPY),
            MemberError::Entry(EntryError::Stranger(_)) => Some(&STRANGER),
            _ => None,
        }
    }
}

/// Interval at which the status line for systemd is updated.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// If more entries than this wait to be applied, the status line says so.
const FAR_BEHIND: u64 = 1000;

/// A running member.
pub struct Member {
    node: Node,
    store: Store,
    lessor: Arc<Lessor>,
    space: Arc<SpaceWatch>,
    services: Arc<Services>,
    tls: Option<Arc<Tls>>,
    retention: watch_channel::Sender<Retention>,
    readiness: Readiness,
    server: Server,
    stopper: Stopper,
    directory: PathBuf,
    certificates: Vec<PathBuf>,
    quic: Quic,
    credentials: Arc<Credentials>,
}

impl Member {
    /// Starts in order: directories, sockets, store, log, identity, raft, then the API. Problems with a socket, a file
    /// or a disk are found before the cluster is asked to admit this member; see `entry.rs`.
    pub async fn start(config: &Config, mut inherited: Inherited) -> Result<Self, MemberError> {
        let fresh = identity::load(&config.member.data_dir.join("member"))?.is_none();
        if fresh {
            entry::refuse_bad_bootstrap(config)?;
        }
        // Errors in files that the configuration names are errors of the configuration: `kvd check` refuses them with
        // the same exit code.
        let tls = listeners::open_tls(config).map_err(|error| MemberError::Config(error.to_string()))?;
        let credentials = Arc::new(peers::credentials(config, Arc::new(SystemClock))?);
        let clients = listeners::bind(config, tls, &mut inherited)?;
        let directories = directory::prepare(&config.member.data_dir, config.member.wal_dir.as_deref())?;
        // The log's lock comes first: it ensures that no other process uses these data.
        let disk = Arc::new(RealDisk::open(&directories.log)?);
        identity::refuse_removed(&directories.member)?;
        let quic = peers::open(config, credentials.clone(), &mut inherited)?;
        inherited.close();
        entry::refuse_missing_log(&directories, &*disk)?;
        systemd::status("opening the data");
        let store = open_store(config, &directories)?;
        let log = open_log(config, disk)?;
        systemd::status("finding the cluster");
        let identity = entry::enter(config, &directories, (&log, &store), &Door(quic.clone())).await?;
        quic.identify(identity.member, identity.cluster);
        refuse_copy(&quic, identity.member, &store).await?;
        let hub = Hub::new(Arc::new(store.clone()), watch::Options::default());
        let lessor = new_lessor(config, identity.member, &store);
        let space = SpaceWatch::new();
        store.set_observers(vec![hub.clone(), lessor.clone(), space.clone()]);
        systemd::status("replaying the log");
        let node =
            start_node(config, (identity, fresh), log.clone(), store.clone(), quic.transport()).await?;
        leases::answer(&node, &lessor)?;
        quic.serve(
            identity.member,
            identity.cluster,
            Arc::new(Counter::new(node.clone(), entry::given_token(config))),
        );
        let (stopper, stop) = Stop::channel();
        let fan_out =
            FanOut { hub, lessor: lessor.clone(), lease_leader: Arc::new(LeaderLessor(node.clone())) };
        let services = Arc::new(Services::new(node.clone(), store.clone(), fan_out, settings(config), stop));
        let peers = Peers::new(identity.member, store.clone(), quic.clone());
        services.metrics.register(Arc::new(Figures::new(config, log, node.clone(), peers)));
        let server = Server::serve(services.clone(), clients.listeners, server_options(config), workers())?;
        tracing::info!(local_member_id = %identity.member, cluster_id = %identity.cluster, "member started");
        let readiness = readiness(config, identity.member, &node, &store);
        Ok(Self {
            node,
            store,
            lessor,
            space,
            services,
            tls: clients.tls,
            retention: watch_channel::Sender::new(retention(config)),
            readiness,
            server,
            stopper,
            directory: directories.member,
            certificates: certificates(config),
            quic,
            credentials,
        })
    }

    /// Runs a member's background work: admits clients, follows changes of the leader, expires leases, compacts,
    /// notifies systemd. Ends when this member must not take part any more; a removal is recorded in its directory.
    ///
    /// # Errors
    /// If it cannot be recorded.
    pub async fn keep_house(&self) -> Result<Ending, MemberError> {
        let compacting = Compacting { node: self.node.clone(), store: self.store.clone() };
        let house = async {
            tokio::join!(
                self.let_clients_in(),
                leases::run(self.node.clone(), self.lessor.clone()),
                self.space.run(&self.node, &self.store),
                compactor::run(self.retention.subscribe(), &compacting),
                self.tell_status(),
                self.prove_alive(),
            );
        };
        let ending = tokio::select! {
            () = house => std::future::pending().await,
            ending = peers::watch_members(self.node.clone(), self.quic.clone()) => ending,
        };
        match &ending {
            Ending::Removed => {
                let local_member_id = self.node.status().id;
                tracing::error!(
                    message_id = REMOVED.id,
                    %local_member_id,
                    "the member has been permanently removed from the cluster"
                );
                tracing::error!(data_dir = %self.directory.display(), "data-dir used by this member must be removed");
                identity::mark_removed(&self.directory)?;
            }
            Ending::Copy(why) => tracing::error!(message_id = COPY.id, "the member ends: {why}"),
            Ending::Outdated(why) => tracing::error!(message_id = OUTDATED.id, "the member ends: {why}"),
        }
        Ok(ending)
    }

    /// Applies what a reload can change; `config` is the one of [`Config::reloaded`]. All of it or, on an error,
    /// nothing.
    ///
    /// # Errors
    /// What is wrong with the files that the configuration names.
    pub fn apply(&self, config: &Config) -> Result<(), MemberError> {
        let Running { settings, quota, retention, level, tls } = Running::of(config)?;
        match (&self.tls, tls) {
            (Some(current), Some(options)) => {
                // Tried first, because the certificates between members may still be refused.
                Tls::new(options.clone())?;
                self.credentials.reload()?;
                current.reload(options)?;
            }
            (Some(_), None) => {
                let message = "there are https listeners: cert-file and key-file cannot be taken away";
                return Err(MemberError::Config(message.to_string()));
            }
            (None, _) => self.credentials.reload()?,
        }
        self.services.set_settings(settings);
        self.store.set_quota(quota);
        self.retention.send_if_modified(|current| std::mem::replace(current, retention) != retention);
        logging::set_level(level);
        Ok(())
    }

    /// True if there are files that [`apply`](Self::apply) reads again.
    pub fn has_tls_files(&self, config: &Config) -> bool {
        self.tls.is_some() || config.peer_tls.key_pair().is_some()
    }

    /// Notifies systemd that raft and the state machine make progress, if systemd requires it. The disk is not
    /// included: a disk that stalls for a while must not cause a restart, which would find the same disk.
    async fn prove_alive(&self) {
        let Some(within) = systemd::watchdog() else { return };
        loop {
            if self.node.pulse().await.is_ok() {
                systemd::alive();
            }
            tokio::time::sleep(within / 4).await;
        }
    }

    async fn let_clients_in(&self) {
        if !self.readiness.reached().await {
            let waited = self.readiness.patience;
            tracing::warn!(
                ?waited,
                "the cluster does not know this member yet; serving what needs no quorum"
            );
        }
        tracing::info!(client_urls = ?self.readiness.client_urls, "ready to serve client requests");
        self.server.open();
    }

    async fn tell_status(&self) {
        let mut told = String::new();
        let mut leadership = self.node.leadership();
        let mut observer = Observer::new(self.readiness.patience);
        let mut certificates = Certificates::new(self.certificates.clone());
        loop {
            let now = tokio::time::Instant::now();
            let wall = SystemClock.now_ms() / 1000;
            let mut news = observer.look(self.view(), now);
            news.extend(certificates.look(now, wall, |file| pki::valid_until(file)));
            news.iter().for_each(News::tell);
            let status = self.status();
            if status != told {
                systemd::status(&status);
                told = status;
            }
            tokio::select! {
                // An error means that the node has ended; the pause continues.
                Ok(()) = leadership.changed() => {}
                () = tokio::time::sleep(STATUS_INTERVAL) => {}
            }
        }
    }

    fn view(&self) -> View {
        let status = self.node.status();
        let sizes = self.store.sizes();
        let full = |quota: u64| sizes.in_use.saturating_mul(100).checked_div(quota);
        View {
            learner: status.is_learner,
            led: status.leader.is_some(),
            alarms: self.store.alarms(),
            full: sizes.quota.and_then(full),
            no_room: self.node.is_disk_full(),
        }
    }

    /// One line for an operator.
    pub fn status(&self) -> String {
        let status = self.node.status();
        let (there, voters) = self.node.reachable();
        // Followers only communicate with their leader: they do not know which other members are up.
        let role = match status.leader {
            None if there * 2 <= voters => format!("waiting for quorum, {there} of {voters}"),
            None => format!("waiting for a leader, {there} of {voters}"),
            Some(_) if status.is_leader => format!("serving, leader, {there} of {voters}"),
            Some(leader) if self.node.is_learner() => format!("serving, learner of {leader}"),
            Some(leader) if status.is_learner => {
                format!("serving, votes once it has caught up with {leader}")
            }
            Some(leader) => format!("serving, follower of {leader}"),
        };
        let alarms: Vec<String> = self
            .store
            .alarms()
            .iter()
            .map(|alarm| format!("; alarm {:?} of {}", alarm.kind, alarm.member))
            .collect();
        let faults: Vec<String> = self
            .node
            .replication_faults()
            .iter()
            .map(|(id, why)| format!("; entries do not reach {id}: {why}"))
            .collect();
        let disk = if self.node.is_disk_full() { "; the disk is full" } else { "" };
        let told = [self.progress(), disk.to_string(), alarms.concat(), faults.concat()];
        format!("{role}, term {}{}", status.term, told.concat())
    }

    /// How far this member is behind the others; empty if it keeps up.
    fn progress(&self) -> String {
        let status = self.node.status();
        if let Some(bytes) = self.quic.snapshot_bytes() {
            return format!("; taking over a snapshot, {} MB so far", bytes >> 20);
        }
        if status.committed > status.applied + FAR_BEHIND {
            return format!("; {} of {} entries applied", status.applied, status.committed);
        }
        String::new()
    }

    /// Stops in order: leadership is transferred, clients are notified and get some time, raft ends, the store makes
    /// everything durable. Without a quorum raft ends at once: waiting for a quorum would only use up the clients'
    /// time.
    pub async fn stop(self) -> Result<(), String> {
        let Self { node, store, server, stopper, quic, .. } = self;
        node.hand_over().await;
        stopper.stop();
        let served = tokio::task::spawn_blocking(move || server.join());
        if !node.has_quorum() {
            tracing::info!("there is no quorum: stopping without waiting for one");
            node.shutdown().await;
        }
        let served = served.await;
        node.shutdown().await;
        quic.close().await;
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        served.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        closed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// Refuses to start if another process of this very member answers at one of its peer URLs. A member that has not
/// applied anything yet knows no URLs; the others refuse its copies.
async fn refuse_copy(quic: &Quic, own: MemberId, store: &Store) -> Result<(), MemberError> {
    let urls = store.members().into_iter().find(|member| member.id == own).map(|member| member.peer_urls);
    match quic.other_self(&urls.unwrap_or_default()).await {
        Some(address) => Err(MemberError::Copy(peers::other_process(own, &address))),
        None => Ok(()),
    }
}

fn open_store(config: &Config, directories: &Directories) -> Result<Store, StoreError> {
    let defaults = store::Options::default();
    let storage = &config.storage;
    let checkpoint = match defaults.checkpoint {
        CheckpointPolicy::Background { bytes, .. } => CheckpointPolicy::Background {
            interval: storage.checkpoint_interval,
            bytes,
            operations: storage.checkpoint_operations,
        },
        other => other,
    };
    let options = store::Options {
        map_size: storage.map_size.map_or(defaults.map_size, |size| size as usize),
        quota: storage.quota,
        checkpoint,
        compaction_batch: storage.compaction_batch,
        compaction_sleep: storage.compaction_sleep,
        slow_apply: config.logging.warn_apply,
        on_fatal: Some(Arc::new(|error| fatal("the store failed", error))),
        ..defaults
    };
    let store = Store::open(&directories.store, options)?;
    if let Some(megabytes) = storage.defragment_at_start {
        defragment_where_worth(&store, megabytes << 20)?;
    }
    Ok(store)
}

fn defragment_where_worth(store: &Store, threshold: u64) -> Result<(), StoreError> {
    let sizes = store.sizes();
    let free = sizes.allocated.saturating_sub(sizes.in_use);
    if free < threshold {
        tracing::info!(free, threshold, "nothing to defragment at the start");
        return Ok(());
    }
    tracing::info!(free, threshold, "defragmenting at the start");
    store.defragment()
}

fn open_log(config: &Config, disk: Arc<RealDisk>) -> Result<Log, LogError> {
    if config.emergency.unsafe_no_fsync {
        tracing::warn!(
            "unsafe-no-fsync: the log is not flushed; a crash of the machine loses what was acknowledged, \
             or spoils the member's data for good"
        );
    }
    let options = log::Options {
        flush: !config.emergency.unsafe_no_fsync,
        on_failure: Arc::new(|error| fatal("the log failed", error)),
        ..log::Options::new(Arc::new(SystemEntropy))
    };
    Log::open(disk, options)
}

fn new_lessor(config: &Config, id: MemberId, store: &Store) -> Arc<Lessor> {
    let store = store.clone();
    let options = lease::Options {
        election_timeout: config.raft.election_timeout,
        heartbeat: config.raft.heartbeat_interval,
    };
    Lessor::new(Arc::new(move || store.leases()), Arc::new(SystemClock), id, options)
}

async fn start_node(
    config: &Config,
    (identity, fresh): (Identity, bool),
    log: Log,
    store: Store,
    transport: Arc<dyn Transport>,
) -> Result<Node, StartError> {
    Node::start_on_thread(NodeOptions {
        id: identity.member,
        cluster: identity.cluster,
        name: config.member.name.clone(),
        client_urls: client_urls(config),
        // A new cluster needs no force.
        force_new_cluster: config.emergency.force_new_cluster && !fresh,
        log,
        store,
        transport,
        clock: Arc::new(SystemClock),
        heartbeat: config.raft.heartbeat_interval,
        election: config.raft.election_timeout,
        snapshot_count: config.raft.snapshot_count,
        catchup_entries: config.raft.snapshot_catchup_entries,
        strict_reconfig: config.raft.strict_reconfig_check,
        max_learners: config.raft.max_learners,
        epoch: identity.epoch,
        pre_vote: config.raft.pre_vote,
        on_fatal: Arc::new(|why| fatal("raft failed", &why)),
    })
    .await
}

/// The operator's own certificates; issued ones are renewed automatically.
fn certificates(config: &Config) -> Vec<PathBuf> {
    let (client, peer) = (&config.client_tls, &config.peer_tls);
    let pairs = [client.key_pair(), peer.key_pair(), peer.client_key_pair()];
    pairs.into_iter().flatten().map(|pair| pair.cert).collect()
}

fn readiness(config: &Config, id: MemberId, node: &Node, store: &Store) -> Readiness {
    Readiness {
        node: node.clone(),
        store: store.clone(),
        id,
        name: config.member.name.clone(),
        client_urls: client_urls(config),
        patience: settings(config).request_timeout(),
    }
}

fn client_urls(config: &Config) -> Vec<String> {
    config.addresses.advertise_client_urls.iter().map(|url| url.as_str().to_string()).collect()
}

fn server_options(config: &Config) -> ServerOptions {
    let defaults = ServerOptions::default();
    let limits = &config.limits;
    ServerOptions {
        max_concurrent_streams: limits.max_concurrent_streams,
        keepalive_min_time: limits.keepalive_min_time.unwrap_or_default(),
        keepalive_interval: limits.keepalive_interval.unwrap_or_default(),
        keepalive_timeout: limits.keepalive_timeout.unwrap_or(defaults.keepalive_timeout),
        ..defaults
    }
}

/// Threads that serve clients: half the processors, because raft, the log and the store have their own threads.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2))
}

/// Compacts through the log.
struct Compacting {
    node: Node,
    store: Store,
}

impl compactor::Member for Compacting {
    fn is_leader(&self) -> bool {
        self.node.status().is_leader
    }

    fn revision(&self) -> i64 {
        self.store.revision()
    }

    async fn compact(&self, revision: i64) -> Result<(), Refusal> {
        self.node.propose(Caller::System, Command::Compact { revision }).await.map(drop)
    }
}
