//! The configuration as the rest of kvd sees it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::diagnostic::Diagnostic;
use super::options::{GATES, GateStage};
use super::settings::{Origin, Settings};
use super::types::*;
use super::url::Url;
use super::value::Value;

/// A checked configuration: every value typed, every rule of etcd's among options held. It is only made by
/// [`read`](super::read); two are equal when they mean the same, wherever their values come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The member's name.
    pub name: String,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Another directory for the log.
    pub wal_dir: Option<PathBuf>,
    /// Listeners for members (QUIC).
    pub listen_peer_urls: Vec<Url>,
    /// Listeners for clients.
    pub listen_client_urls: Vec<Url>,
    /// Listeners for HTTP alone; when there are any, `listen_client_urls` serve gRPC only.
    pub listen_client_http_urls: Vec<Url>,
    /// More listeners for metrics and health.
    pub listen_metrics_urls: Vec<Url>,
    /// How members reach this one.
    pub advertise_peer_urls: Vec<Url>,
    /// How clients reach this member.
    pub advertise_client_urls: Vec<Url>,
    /// How the first members find each other. Only meant for an empty data directory, see
    /// [`bootstrap_problems`](Self::bootstrap_problems).
    pub bootstrap: Bootstrap,
    /// New or existing.
    pub cluster_state: ClusterState,
    /// `initial-cluster-token`.
    pub cluster_token: String,
    /// The one-step join.
    pub join: Option<Join>,
    /// What identities rest on; none means `cluster_token`, which authenticates nobody who knows it.
    pub cluster_secret: Option<ClusterSecret>,
    /// Consensus.
    pub raft: Raft,
    /// The store.
    pub storage: Storage,
    /// Limits.
    pub limits: Limits,
    /// Sockets.
    pub socket: SocketOptions,
    /// TLS towards clients.
    pub client_tls: ClientTls,
    /// The operator's certificates between members.
    pub peer_tls: PeerTls,
    /// HTTP.
    pub http: Http,
    /// Users.
    pub auth: Auth,
    /// Logs.
    pub logging: Logging,
    /// The socket for reload and status.
    pub admin_socket: Option<PathBuf>,
    /// Start a one-member cluster from the data.
    pub force_new_cluster: bool,
    /// Do not flush the log.
    pub unsafe_no_fsync: bool,
    settings: Settings,
    bootstrap_problems: Problems,
}

/// Findings; equal when they say the same, wherever they found it.
#[derive(Clone, Debug)]
struct Problems(Vec<Diagnostic>);

impl PartialEq for Problems {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|problem| &problem.message).eq(other.0.iter().map(|problem| &problem.message))
    }
}

impl Config {
    /// Makes the typed form of settings that have passed all checks.
    pub(super) fn new(settings: Settings, bootstrap_problems: Vec<Diagnostic>) -> Self {
        let s = &settings;
        Self {
            name: s.text("name"),
            data_dir: PathBuf::from(s.text("data-dir")),
            wal_dir: s.path("wal-dir"),
            listen_peer_urls: s.urls("listen-peer-urls"),
            listen_client_urls: s.urls("listen-client-urls"),
            listen_client_http_urls: s.urls("listen-client-http-urls"),
            listen_metrics_urls: s.urls("listen-metrics-urls"),
            advertise_peer_urls: s.urls("initial-advertise-peer-urls"),
            advertise_client_urls: s.urls("advertise-client-urls"),
            bootstrap: bootstrap(s),
            cluster_state: match s.text("initial-cluster-state").as_str() {
                "existing" => ClusterState::Existing,
                _ => ClusterState::New,
            },
            cluster_token: s.text("initial-cluster-token"),
            join: join(s),
            cluster_secret: cluster_secret(s),
            raft: raft(s),
            storage: storage(s),
            limits: limits(s),
            socket: SocketOptions {
                reuse_port: s.bool("socket-reuse-port"),
                reuse_address: s.bool("socket-reuse-address"),
            },
            client_tls: client_tls(s),
            peer_tls: peer_tls(s),
            http: http(s),
            auth: Auth {
                token: super::check::parse_auth_token(&s.text("auth-token")).unwrap_or(AuthToken::Simple),
                bcrypt_cost: s.number("bcrypt-cost") as u32,
                token_ttl: s.duration("auth-token-ttl"),
            },
            logging: logging(s),
            admin_socket: s.path("admin-socket"),
            force_new_cluster: s.bool("force-new-cluster"),
            unsafe_no_fsync: s.bool("unsafe-no-fsync"),
            settings,
            bootstrap_problems: Problems(bootstrap_problems),
        }
    }

    /// Whether a feature gate is on. Gates that were not named follow their group, then their default.
    pub fn gate(&self, name: &str) -> bool {
        let given = match &self.settings.get("feature-gates").value {
            Value::Gates(gates) => gates.clone(),
            _ => Default::default(),
        };
        let Some(gate) = GATES.iter().find(|gate| gate.name == name) else { return false };
        let group = match gate.stage {
            GateStage::Alpha => "AllAlpha",
            GateStage::Beta => "AllBeta",
        };
        given.get(name).or_else(|| given.get(group)).copied().unwrap_or(gate.default)
    }

    /// Every gate and both groups: name, stage, whether it is on.
    pub fn gates(&self) -> Vec<(&'static str, GateStage, bool)> {
        let given = match &self.settings.get("feature-gates").value {
            Value::Gates(gates) => gates.clone(),
            _ => Default::default(),
        };
        let group = |name| given.get(name).copied().unwrap_or(false);
        let groups = [
            ("AllAlpha", GateStage::Alpha, group("AllAlpha")),
            ("AllBeta", GateStage::Beta, group("AllBeta")),
        ];
        let gates = GATES.iter().map(|gate| (gate.name, gate.stage, self.gate(gate.name)));
        groups.into_iter().chain(gates).collect()
    }

    /// What is wrong with the options that only count while the data directory is empty. The daemon refuses to start
    /// with any of these when it has to bootstrap, and ignores them on a member that has data, as etcd does.
    pub fn bootstrap_problems(&self) -> &[Diagnostic] {
        &self.bootstrap_problems.0
    }

    /// Where an option's value comes from; the name is the flag's.
    pub fn origin(&self, option: &str) -> &Origin {
        self.settings.origin(option)
    }

    /// All values with their origins.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The names of the gates that are on.
    pub fn gates_on(&self) -> BTreeSet<&'static str> {
        GATES.iter().map(|gate| gate.name).filter(|name| self.gate(name)).collect()
    }
}

fn bootstrap(s: &Settings) -> Bootstrap {
    let endpoints = s.list("discovery-endpoints");
    if !endpoints.is_empty() {
        let user = s.text("discovery-user");
        let (user, password) = match user.split_once(':') {
            Some((user, password)) if s.text("discovery-password").is_empty() => {
                (user.to_string(), password.to_string())
            }
            _ => (user, s.text("discovery-password")),
        };
        return Bootstrap::Discovery(Box::new(Discovery {
            endpoints,
            token: s.text("discovery-token"),
            dial_timeout: s.duration("discovery-dial-timeout"),
            request_timeout: s.duration("discovery-request-timeout"),
            keepalive_time: s.duration("discovery-keepalive-time"),
            keepalive_timeout: s.duration("discovery-keepalive-timeout"),
            insecure_transport: s.bool("discovery-insecure-transport"),
            insecure_skip_tls_verify: s.bool("discovery-insecure-skip-tls-verify"),
            cert: s.path("discovery-cert"),
            key: s.path("discovery-key"),
            cacert: s.path("discovery-cacert"),
            user: (!user.is_empty()).then(|| (user, Secret::new(password))),
        }));
    }
    let domain = s.text("discovery-srv");
    if !domain.is_empty() {
        return Bootstrap::Dns { domain, suffix: s.text("discovery-srv-name") };
    }
    match &s.get("initial-cluster").value {
        Value::Cluster(members) => Bootstrap::Static(members.clone()),
        _ => Bootstrap::Static(Default::default()),
    }
}

fn join(s: &Settings) -> Option<Join> {
    let peers = s.list("join-peers");
    (!peers.is_empty()).then(|| Join {
        peers: peers.iter().map(|peer| peer_url(peer)).collect(),
        learner: s.text("join-role") == "learner",
        timeout: s.duration("join-timeout"),
    })
}

/// A peer that is given as host:port, as a URL.
fn peer_url(peer: &str) -> String {
    if peer.contains("://") { peer.to_string() } else { format!("https://{peer}") }
}

fn cluster_secret(s: &Settings) -> Option<ClusterSecret> {
    let inline = s.text("cluster-secret");
    if !inline.is_empty() {
        return Some(ClusterSecret::Inline(Secret::new(inline)));
    }
    s.path("cluster-secret-file").map(ClusterSecret::File)
}

fn raft(s: &Settings) -> Raft {
    Raft {
        heartbeat_interval: s.duration("heartbeat-interval"),
        election_timeout: s.duration("election-timeout"),
        pre_vote: s.bool("pre-vote"),
        snapshot_count: s.number("snapshot-count"),
        snapshot_catchup_entries: s.number("snapshot-catchup-entries"),
        strict_reconfig_check: s.bool("strict-reconfig-check"),
        max_learners: s.number("max-learners") as usize,
    }
}

fn storage(s: &Settings) -> Storage {
    Storage {
        quota: match s.signed("quota-backend-bytes") {
            0 => Some(2_147_483_648),
            quota => u64::try_from(quota).ok(),
        },
        checkpoint_interval: s.duration_unless_zero("backend-batch-interval"),
        checkpoint_operations: s.number_unless_zero("backend-batch-limit"),
        compaction_batch: s.number_unless_zero("compaction-batch-limit").unwrap_or(1000) as usize,
        compaction_sleep: s
            .duration_unless_zero("compaction-sleep-interval")
            .unwrap_or(Duration::from_millis(10)),
        defragment_at_start: s
            .number_unless_zero("bootstrap-defrag-threshold-megabytes")
            .map(|megabytes| megabytes << 20),
        map_size: s.number_unless_zero("lmdb-map-size-bytes"),
        auto_compaction: super::check::parse_auto_compaction(
            &s.text("auto-compaction-mode"),
            &s.text("auto-compaction-retention"),
        )
        .unwrap_or(AutoCompaction::Off),
        corrupt_check: s.duration_unless_zero("corrupt-check-time"),
        compact_hash_check: s.duration("compact-hash-check-time"),
    }
}

fn limits(s: &Settings) -> Limits {
    let progress =
        s.duration_unless_zero("watch-progress-notify-interval").unwrap_or(Duration::from_secs(600));
    Limits {
        max_txn_ops: s.number("max-txn-ops") as usize,
        max_request_bytes: s.number("max-request-bytes") as usize,
        max_concurrent_streams: s.number("max-concurrent-streams") as u32,
        keepalive_min_time: s.duration_unless_zero("grpc-keepalive-min-time"),
        keepalive_interval: s.duration_unless_zero("grpc-keepalive-interval"),
        keepalive_timeout: s.duration_unless_zero("grpc-keepalive-timeout"),
        watch_progress_interval: progress.max(Duration::from_millis(100)),
    }
}

fn client_tls(s: &Settings) -> ClientTls {
    let key_pair = key_pair(s, "cert-file", "key-file");
    ClientTls {
        auto_tls: s.bool("auto-tls") && key_pair.is_none(),
        key_pair,
        cert_auth: s.bool("client-cert-auth"),
        trusted_ca: s.path("trusted-ca-file"),
        crl: s.path("client-crl-file"),
        allowed_hostnames: s.list("client-cert-allowed-hostname"),
        cipher_suites: s.list("cipher-suites"),
        min_version: tls_version(&s.text("tls-min-version")).unwrap_or(TlsVersion::Tls12),
        max_version: tls_version(&s.text("tls-max-version")),
        self_signed_years: s.number("self-signed-cert-validity").max(1) as u32,
    }
}

fn peer_tls(s: &Settings) -> PeerTls {
    PeerTls {
        key_pair: key_pair(s, "peer-cert-file", "peer-key-file"),
        client_key_pair: key_pair(s, "peer-client-cert-file", "peer-client-key-file"),
        trusted_ca: s.path("peer-trusted-ca-file"),
        crl: s.path("peer-crl-file"),
        allowed_cn: s.list("peer-cert-allowed-cn"),
        allowed_hostnames: s.list("peer-cert-allowed-hostname"),
    }
}

fn key_pair(s: &Settings, cert: &str, key: &str) -> Option<KeyPair> {
    Some(KeyPair { cert: s.path(cert)?, key: s.path(key)? })
}

/// `TLS1.2` or `TLS1.3`.
pub(super) fn tls_version(text: &str) -> Option<TlsVersion> {
    match text {
        "TLS1.2" => Some(TlsVersion::Tls12),
        "TLS1.3" => Some(TlsVersion::Tls13),
        _ => None,
    }
}

fn http(s: &Settings) -> Http {
    let mut host_whitelist = s.list("host-whitelist");
    if host_whitelist.iter().any(|host| host == "*") {
        host_whitelist.clear();
    }
    Http {
        gateway: s.bool("enable-grpc-gateway"),
        v2: s.bool("enable-v2"),
        cors: s.list("cors"),
        host_whitelist,
        extensive_metrics: s.text("metrics") == "extensive",
    }
}

fn logging(s: &Settings) -> Logging {
    let outputs = s.list("log-outputs").into_iter().map(|output| match output.as_str() {
        "default" => LogOutput::Default,
        "stderr" => LogOutput::Stderr,
        "stdout" => LogOutput::Stdout,
        "systemd/journal" => LogOutput::Journal,
        _ => LogOutput::File(PathBuf::from(output)),
    });
    Logging {
        level: match s.text("log-level").as_str() {
            "debug" => LogLevel::Debug,
            "warn" => LogLevel::Warn,
            "error" | "panic" | "fatal" => LogLevel::Error,
            _ => LogLevel::Info,
        },
        format: match s.text("log-format").as_str() {
            "json" => LogFormat::Json,
            "console" => LogFormat::Console,
            _ => LogFormat::Auto,
        },
        outputs: outputs.collect(),
        rotation: if s.bool("enable-log-rotation") {
            super::check::parse_rotation(&s.text("log-rotation-config-json")).ok()
        } else {
            None
        },
        warn_apply: s.duration("warning-apply-duration"),
        warn_request: s
            .duration_unless_zero("warning-unary-request-duration")
            .unwrap_or(Duration::from_millis(300)),
    }
}

/// Typed access by flag name. Which type an option has is known from its table; another is a mistake in this file and
/// read as empty, which the tests of defaults would show.
impl Settings {
    pub(super) fn text(&self, name: &str) -> String {
        match &self.get(name).value {
            Value::Text(text) => text.clone(),
            other => {
                debug_assert!(false, "{name} is no text: {other:?}");
                String::new()
            }
        }
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let text = self.text(name);
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        debug_assert!(matches!(self.get(name).value, Value::Bool(_)), "{name} is no bool");
        matches!(self.get(name).value, Value::Bool(true))
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        match self.get(name).value {
            Value::Number(number) => number,
            ref other => {
                debug_assert!(false, "{name} is no number: {other:?}");
                0
            }
        }
    }

    fn number_unless_zero(&self, name: &str) -> Option<u64> {
        Some(self.number(name)).filter(|number| *number > 0)
    }

    fn signed(&self, name: &str) -> i64 {
        match self.get(name).value {
            Value::Signed(number) => number,
            ref other => {
                debug_assert!(false, "{name} is no number: {other:?}");
                0
            }
        }
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        match self.get(name).value {
            Value::Duration(duration) => duration,
            ref other => {
                debug_assert!(false, "{name} is no duration: {other:?}");
                Duration::ZERO
            }
        }
    }

    fn duration_unless_zero(&self, name: &str) -> Option<Duration> {
        Some(self.duration(name)).filter(|duration| !duration.is_zero())
    }

    pub(super) fn urls(&self, name: &str) -> Vec<Url> {
        match &self.get(name).value {
            Value::Urls(urls) => urls.clone(),
            other => {
                debug_assert!(false, "{name} is no list of URLs: {other:?}");
                Vec::new()
            }
        }
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match &self.get(name).value {
            Value::List(list) => list.clone(),
            other => {
                debug_assert!(false, "{name} is no list: {other:?}");
                Vec::new()
            }
        }
    }
}
