//! The parts of a [`Config`](super::Config): plain data, checked, with units in their types.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::url::Url;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret in clear.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

/// `initial-cluster-state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// All members start together.
    New,
    /// The cluster runs; this member joins it.
    Existing,
}

/// What the members' identity rests on, where there are no certificate files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterSecret {
    /// The secret itself.
    Inline(Secret),
    /// The file that holds it; white space around the secret does not count.
    File(PathBuf),
}

/// How the first members find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// By `initial-cluster`: every member's name and peer URLs.
    Static(BTreeMap<String, Vec<Url>>),
    /// By SRV records of this domain, with this suffix to the service names.
    Dns {
        /// `discovery-srv`.
        domain: String,
        /// `discovery-srv-name`; may be empty.
        suffix: String,
    },
    /// Through another etcd cluster.
    Discovery(Box<Discovery>),
}

/// v3 discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Endpoints of the cluster that is asked.
    pub endpoints: Vec<String>,
    /// The token of the cluster to be formed.
    pub token: String,
    /// How long to try to connect.
    pub dial_timeout: Duration,
    /// How long to wait for an answer.
    pub request_timeout: Duration,
    /// The interval of pings.
    pub keepalive_time: Duration,
    /// How long to wait for a ping's answer.
    pub keepalive_timeout: Duration,
    /// Without TLS.
    pub insecure_transport: bool,
    /// With TLS, but any certificate will do.
    pub insecure_skip_tls_verify: bool,
    /// The client certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The servers' CA.
    pub cacert: Option<PathBuf>,
    /// User and password.
    pub user: Option<(String, Secret)>,
}

/// The one-step join of a running cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Peer URLs of members to be asked.
    pub peers: Vec<String>,
    /// Join as a learner.
    pub learner: bool,
    /// How long to try; zero for ever.
    pub timeout: Duration,
}

/// Times and rules of consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raft {
    /// A leader's heartbeat.
    pub heartbeat_interval: Duration,
    /// etcd's election timeout.
    pub election_timeout: Duration,
    /// Ask before an election.
    pub pre_vote: bool,
    /// Log entries between two cuts of the log.
    pub snapshot_count: u64,
    /// Log entries kept for slow followers.
    pub snapshot_catchup_entries: u64,
    /// Refuse changes that lose the quorum.
    pub strict_reconfig_check: bool,
    /// The most learners.
    pub max_learners: usize,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Bytes above which writes are refused; none for no limit.
    pub quota: Option<u64>,
    /// The longest time between two checkpoints; none for the store's own default.
    pub checkpoint_interval: Option<Duration>,
    /// The most operations between two checkpoints; none for the store's own default.
    pub checkpoint_operations: Option<u64>,
    /// Revisions one step of a compaction removes.
    pub compaction_batch: usize,
    /// The pause between two steps.
    pub compaction_sleep: Duration,
    /// Defragment at start where that frees so many bytes.
    pub defragment_at_start: Option<u64>,
    /// LMDB's address space in bytes; none to let the store choose.
    pub map_size: Option<u64>,
    /// Automatic compaction.
    pub auto_compaction: AutoCompaction,
    /// How often members compare their data; none for never.
    pub corrupt_check: Option<Duration>,
    /// How often hashes of compactions are compared.
    pub compact_hash_check: Duration,
}

/// `auto-compaction-mode` and `auto-compaction-retention`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Never.
    Off,
    /// Keep this much time.
    Periodic(Duration),
    /// Keep so many revisions.
    Revision(i64),
}

/// Limits of requests and connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations of a transaction.
    pub max_txn_ops: usize,
    /// Bytes of a request.
    pub max_request_bytes: usize,
    /// HTTP/2 streams of a connection.
    pub max_concurrent_streams: u32,
    /// The shortest interval of a client's pings; none allows all.
    pub keepalive_min_time: Option<Duration>,
    /// The server's pings on an idle connection; none for none.
    pub keepalive_interval: Option<Duration>,
    /// How long it waits for their answer; none for the library's default.
    pub keepalive_timeout: Option<Duration>,
    /// The interval of progress notifications; at least 100 ms.
    pub watch_progress_interval: Duration,
}

/// Sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// SO_REUSEADDR.
    pub reuse_address: bool,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// PEM, with the chain.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// The server's certificate; none with `auto_tls` or without TLS.
    pub key_pair: Option<KeyPair>,
    /// Make a self-signed certificate. Never together with `key_pair`.
    pub auto_tls: bool,
    /// A certificate's common name is the user, where auth is enabled.
    pub cert_auth: bool,
    /// The clients' CA. With it every client must show a certificate, as with etcd.
    pub trusted_ca: Option<PathBuf>,
    /// Revoked certificates.
    pub crl: Option<PathBuf>,
    /// Names of which a client's certificate must carry one; empty for any.
    pub allowed_hostnames: Vec<String>,
    /// TLS 1.2 suites in Go's names; empty for the safe ones.
    pub cipher_suites: Vec<String>,
    /// The lowest version.
    pub min_version: TlsVersion,
    /// The highest version; none for the newest.
    pub max_version: Option<TlsVersion>,
    /// How many years a self-signed certificate is valid.
    pub self_signed_years: u32,
}

/// TLS versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// The operator's own certificates between members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTls {
    /// This member's certificate; none to issue one from the cluster's secret.
    pub key_pair: Option<KeyPair>,
    /// Another one for connections it opens.
    pub client_key_pair: Option<KeyPair>,
    /// The members' CA; may hold several.
    pub trusted_ca: Option<PathBuf>,
    /// Revoked certificates.
    pub crl: Option<PathBuf>,
    /// Common names of which a member's certificate must carry one; empty for any.
    pub allowed_cn: Vec<String>,
    /// Names of which a member's certificate must carry one; empty for any.
    pub allowed_hostnames: Vec<String>,
}

/// The HTTP faces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Serve /v3.
    pub gateway: bool,
    /// Serve /v2.
    pub v2: bool,
    /// Origins; `*` for all.
    pub cors: Vec<String>,
    /// Host names; empty for all.
    pub host_whitelist: Vec<String>,
    /// Histograms of every gRPC method.
    pub extensive_metrics: bool,
}

/// Users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What a token is.
    pub token: AuthToken,
    /// The cost of a password's hash.
    pub bcrypt_cost: u32,
    /// The life of a simple token after its last use.
    pub token_ttl: Duration,
}

/// `auth-token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthToken {
    /// A random text, known to this member.
    Simple,
    /// A signed token.
    Jwt {
        /// `sign-method`: RS256, ES384, HS512, EdDSA and so on.
        sign_method: String,
        /// `pub-key`.
        public_key: Option<PathBuf>,
        /// `priv-key`.
        private_key: Option<PathBuf>,
        /// `ttl`.
        ttl: Duration,
    },
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The least level.
    pub level: LogLevel,
    /// Lines or JSON.
    pub format: LogFormat,
    /// Where to.
    pub outputs: Vec<LogOutput>,
    /// Rotation of the one file.
    pub rotation: Option<LogRotation>,
    /// Applying for longer than this is logged.
    pub warn_apply: Duration,
    /// A request that takes longer than this is logged.
    pub warn_request: Duration,
}

/// The least level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What operators follow.
    Info,
    /// What may need them.
    Warn,
    /// What failed.
    Error,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain on a terminal, JSON otherwise.
    Auto,
    /// Plain.
    Console,
    /// One object a line.
    Json,
}

/// Where logs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOutput {
    /// The journal under systemd, standard error otherwise.
    Default,
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// The journal.
    Journal,
    /// A file.
    File(PathBuf),
}

/// `log-rotation-config-json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRotation {
    /// Megabytes of a file; 0 means 100.
    pub max_size_megabytes: u64,
    /// Days a file is kept; 0 for ever.
    pub max_age_days: u64,
    /// Files that are kept; 0 for all.
    pub max_backups: u64,
    /// Names carry local time.
    pub local_time: bool,
    /// Compress old files.
    pub compress: bool,
}
