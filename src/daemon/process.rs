//! The process of a member: everything is opened and started in order, and stopped in reverse order.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::admin::{AdminSocket, Reserved};
use super::around::Around;
use super::expiry::Certificates;
use super::outside::SystemClock;
use super::running::Running;
use super::sockets::Inherited;
use super::stopping::{self, Steps};
use super::{
    audit, backups, beginnings, listeners, logging, logins, notices, opening, peer_port, status, systemd,
    traces,
};
use crate::api::audit::Audit;
use crate::api::server::tls::Tls;
use crate::api::server::{Server, ServerOptions};
use crate::api::services::Services;
use crate::api::traces::Traces;
use crate::backup::{self, Backups};
use crate::config::{ClusterState, Config};
use crate::join::identity;
use crate::log::RealDisk;
use crate::member::figures::{Figures, Peers};
use crate::member::peers::{Answers, PeerPort};
use crate::member::roster::{self, Ending};
use crate::member::{Member, MemberError, directory, entry, versions};
use crate::peer::Quic;
use crate::pki::Credentials;

/// How much later than planned the jobs of this thread may look, so that several of them do it at once.
const SLACK: Duration = Duration::from_millis(100);

/// A running member and what the process has around it.
pub struct Process {
    member: Member,
    quic: Quic,
    server: Server,
    tls: Option<Arc<Tls>>,
    credentials: Arc<Credentials>,
    certificates: Arc<Certificates>,
    /// None if the configuration asks for none.
    backups: Option<Backups>,
    /// The member's directory.
    directory: PathBuf,
    admin: Option<AdminSocket>,
}

impl Process {
    /// Starts in order: directories, sockets, store, log, identity, raft, then the API. Problems with a socket, a file
    /// or a disk are found before the cluster is asked to admit this member; see `member/entry.rs`.
    pub async fn start(config: &Config, mut inherited: Inherited) -> Result<Self, MemberError> {
        let fresh = identity::load(&config.member.data_dir.join("member"))?.is_none();
        if fresh {
            entry::refuse_bad_bootstrap(config)?;
        }
        // Errors in files that the configuration names are errors of the configuration: `kvd check` refuses them with
        // the same exit code.
        let tls = listeners::open_tls(config).map_err(|error| MemberError::Config(error.to_string()))?;
        let logins = logins::options(config).map_err(MemberError::Config)?;
        let audit = audit::open(config).map_err(|error| MemberError::Config(error.to_string()))?;
        let traces = traces::open(config).map_err(MemberError::Config)?;
        let credentials = Arc::new(peer_port::credentials(config, Arc::new(SystemClock))?);
        let clients = listeners::bind(config, tls, &mut inherited)?;
        let directories = directory::prepare(&config.member.data_dir, config.member.wal_dir.as_deref())?;
        // The log's lock comes first: it ensures that no other process uses these data.
        let disk = Arc::new(RealDisk::open(&directories.log)?);
        let admin = config.member.admin_socket.as_deref().map(Reserved::bind).transpose()?;
        identity::refuse_removed(&directories.member)?;
        let quic = peer_port::open(config, credentials.clone(), &mut inherited)?;
        inherited.close();
        entry::refuse_missing_log(&directories, &*disk)?;
        systemd::status("opening the data");
        let store = opening::store(config, &directories)?;
        let version = opening::version();
        versions::refuse_misfit(version, &store)?;
        let log = opening::log(config, &directories, disk, &store)?;
        systemd::status("finding the cluster");
        let asker = PeerPort(quic.clone());
        let tell = |what: &str| {
            tracing::warn!("{what}");
            systemd::status(&format!("finding the cluster: {}", what.replace('\n', "; ")));
        };
        let identity = entry::enter((config, version), &directories, (&log, &store), &asker, &tell).await?;
        quic.identify(identity.member, identity.cluster);
        roster::refuse_copy(&quic, identity.member, &store).await?;
        systemd::status("replaying the log");
        let data = (log.clone(), store.clone());
        if fresh {
            // Whoever joins does not know yet whether there are users.
            beginnings::warn(config, config.clustering.initial_cluster_state == ClusterState::Existing);
        }
        let seams = opening::seams(config, (identity, fresh), data, quic.transport(), logins);
        let member = Member::start(seams).await?;
        let token = entry::given_token(config);
        let former = identity::former(&directories.member)?;
        let answers = Answers::new(member.node.clone(), Arc::new(SystemClock), token, former);
        quic.serve(identity.member, identity.cluster, Arc::new(answers));
        let peers = Peers::new(identity.member, store, quic.clone());
        let figures = Figures::new(config, log.clone(), member.node.clone(), peers);
        member.services.metrics.register(Arc::new(figures));
        let certificates = Arc::new(Certificates::of(config));
        member.services.metrics.register(certificates.clone());
        backup::answer(&member.node, Arc::new(SystemClock))?;
        let backups = backups::of(config, &member);
        if let Some(backups) = &backups {
            member.services.metrics.register(Arc::new(backups.clone()));
        }
        // It is set once.
        let around =
            Around::of(quic.clone(), log, certificates.clone(), member.states.clone(), backups.clone());
        let _ = member.services.around.set(Arc::new(around));
        observe(&member.services, audit, traces);
        let (services, options) = (member.services.clone(), server_options(config));
        let server = Server::serve(services, clients.listeners, options, workers())?;
        tracing::info!(local_member_id = %identity.member, cluster_id = %identity.cluster, "member started");
        Ok(Self {
            member,
            quic,
            server,
            tls: clients.tls,
            credentials,
            certificates,
            backups,
            directory: directories.member,
            admin: admin.map(Reserved::listen).transpose()?,
        })
    }

    /// Runs the member: admits clients, does its jobs, reports to systemd. Ends when this member must not take part any
    /// more; a removal is recorded in its directory.
    ///
    /// # Errors
    /// If it cannot be recorded.
    pub async fn run(&self) -> Result<Ending, MemberError> {
        let node = &self.member.node;
        let work = async {
            tokio::join!(
                self.let_clients_in(),
                self.member.all_jobs(),
                status::report(self.shown()),
                self.take_backups(),
                self.prove_alive(),
            );
        };
        let ending = tokio::select! {
            () = work => std::future::pending().await,
            ending = roster::watch_members(node.clone(), self.quic.clone()) => ending,
        };
        match &ending {
            Ending::Removed => {
                let local_member_id = node.status().id;
                tracing::error!(
                    message_id = notices::REMOVED.id,
                    %local_member_id,
                    "the member has been permanently removed from the cluster"
                );
                tracing::error!(data_dir = %self.directory.display(), "data-dir used by this member must be removed");
                identity::mark_removed(&self.directory)?;
            }
            Ending::Copy(why) => tracing::error!(message_id = notices::COPY.id, "the member ends: {why}"),
            Ending::Outdated(why) => {
                tracing::error!(message_id = notices::OUTDATED.id, "the member ends: {why}")
            }
            Ending::Version(why) => {
                tracing::error!(message_id = notices::VERSION.id, "the member ends: {why}")
            }
        }
        Ok(ending)
    }

    /// The socket for operators.
    pub fn admin(&self) -> Option<&AdminSocket> {
        self.admin.as_ref()
    }

    /// One line for an operator.
    pub fn status(&self) -> String {
        status::line(self.shown())
    }

    fn shown(&self) -> status::Shown<'_> {
        let (member, quic, certificates) = (&self.member, &self.quic, &*self.certificates);
        status::Shown { member, quic, certificates, backups: self.backups() }
    }

    /// Has this member's state replaced by the leader's.
    ///
    /// # Errors
    /// Why that is impossible.
    pub async fn rebuild(&self) -> Result<(), String> {
        self.member.states.rebuild().await
    }

    /// The scheduled backups; none if the configuration asks for none.
    pub fn backups(&self) -> Option<&Backups> {
        self.backups.as_ref()
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
        self.member.services.set_settings(settings);
        self.member.store.set_quota(quota);
        self.member.retention.send_if_modified(|current| std::mem::replace(current, retention) != retention);
        logging::set_level(level);
        self.certificates.replace(config);
        Ok(())
    }

    /// True if a listener for clients uses TLS.
    pub fn has_client_tls(&self) -> bool {
        self.tls.is_some()
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
            if self.member.node.pulse().await.is_ok() {
                systemd::alive();
            }
            tokio::time::sleep(within / 4).await;
        }
    }

    async fn take_backups(&self) {
        if let Some(backups) = &self.backups {
            backups.run().await;
        }
    }

    async fn let_clients_in(&self) {
        let readiness = &self.member.readiness;
        if !readiness.reached().await {
            let waited = readiness.patience;
            tracing::warn!(
                ?waited,
                "the cluster does not know this member yet; serving what needs no quorum"
            );
        }
        self.member.states.check_first().await;
        tracing::info!(client_urls = ?readiness.client_urls, "ready to serve client requests");
        self.server.open();
        set_slack(Some(SLACK));
    }

    /// Stops in order: leadership is transferred, clients are notified and get some time, raft ends, the store makes
    /// everything durable. Without a quorum raft ends at once: waiting for a quorum would only use up the clients'
    /// time. What it waits for is said meanwhile.
    pub async fn stop(self) -> Result<(), String> {
        set_slack(None);
        let (steps, node) = (Steps::first("handing leadership over"), self.member.node.clone());
        tokio::select! {
            stopped = self.end(&steps) => stopped,
            never = stopping::watch(&steps, &node) => match never {},
        }
    }

    async fn end(self, steps: &Steps) -> Result<(), String> {
        let Self { member: Member { node, store, stopper, services, .. }, server, quic, .. } = self;
        node.hand_over().await;
        stopper.stop();
        steps.next("ending requests");
        let served = tokio::task::spawn_blocking(move || {
            let served = server.join();
            if let Some(traces) = services.traces.get() {
                traces.close();
            }
            served
        });
        if !node.has_quorum() {
            tracing::info!("there is no quorum: stopping without waiting for one");
            node.shutdown().await;
        }
        let served = served.await;
        steps.next("ending raft and flushing its log");
        node.shutdown().await;
        quic.close().await;
        steps.next("writing the state");
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        served.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        closed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// Calls are recorded and traced from now on, as far as that is wanted.
fn observe(services: &Services, audit: Option<Audit>, traces: Option<Traces>) {
    // Both are set once.
    if let Some(audit) = audit.map(Arc::new) {
        services.metrics.register(audit.clone());
        let _ = services.audit.set(audit);
    }
    if let Some(traces) = traces.map(Arc::new) {
        services.metrics.register(traces.clone());
        let _ = services.traces.set(traces);
    }
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

/// Lets the kernel wake this thread for several timers at once, or sets what is usual: each of its jobs looks now and then,
/// and a member at rest does little else. The threads that serve clients and members have been started, and stay as they
/// are.
fn set_slack(slack: Option<Duration>) {
    let slack = slack.and_then(|slack| NonZeroU64::new(slack.as_nanos() as u64));
    if let Err(error) = rustix::thread::set_current_timer_slack(slack) {
        tracing::debug!(%error, "the main thread wakes for each of its timers");
    }
}
