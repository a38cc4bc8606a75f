//! This member: its name, directories, listeners and limits.

use super::{Kind, OptionSpec};

const U64: u64 = u64::MAX;
const U32: u64 = u32::MAX as u64;

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::etcd("name", Kind::Text, "default", "The member's name, unlike all others in the cluster."),
    OptionSpec::etcd(
        "data-dir",
        Kind::Path,
        "",
        "The directory of everything the member must not lose. Without it: $STATE_DIRECTORY where systemd sets it, \
         /var/lib/kv where /etc/kv/cluster.toml exists, and NAME.etcd in the working directory otherwise.",
    ),
    OptionSpec::etcd("wal-dir", Kind::Path, "", "Another directory for the raft log, on a disk of its own. Without it: inside data-dir."),
    OptionSpec::etcd("listen-client-urls", Kind::ClientUrls, "http://localhost:2379", "Where clients are listened to. An https URL needs cert-file and key-file, or auto-tls.").empty_is_default(),
    OptionSpec::etcd("listen-client-http-urls", Kind::ClientUrls, "", "Listeners for the JSON and HTTP interfaces alone, so that listen-client-urls is left to gRPC."),
    OptionSpec::etcd("listen-metrics-urls", Kind::ClientUrls, "", "More listeners for /metrics, /health, /livez and /readyz."),
    OptionSpec::etcd("listen-peer-urls", Kind::PeerUrls, "http://localhost:2380", "Where other members are listened to. Members talk QUIC over UDP with mutual TLS whatever the scheme says; http, https and quic are accepted.").empty_is_default(),
    OptionSpec::etcd("heartbeat-interval", Kind::Millis, "100", "The time between a leader's heartbeats."),
    OptionSpec::etcd("election-timeout", Kind::Millis, "1000", "How long members wait for a leader before they elect another; at least five heartbeats, at most 50 s."),
    OptionSpec::etcd("initial-election-tick-advance", Kind::Bool, "true", "Speeds up the first election.").ignored("the first election is fast in any case"),
    OptionSpec::etcd("snapshot-count", Kind::Number(U64), "10000", "How many log entries are kept before the log is cut at the last checkpoint."),
    OptionSpec::etcd("snapshot-catchup-entries", Kind::Number(U64), "5000", "How many entries stay in the log for slow followers when it is cut; those further behind are sent a snapshot.").since("3.6"),
    OptionSpec::etcd("max-snapshots", Kind::Number(U64), "5", "How many snapshot files are kept.").since("3.4 to 3.7").ignored("kvd keeps its state in one LMDB environment, not in snapshot files"),
    OptionSpec::etcd("max-wals", Kind::Number(U64), "5", "How many log files are kept.").ignored("the log is cut at each checkpoint and its files are recycled"),
    OptionSpec::etcd("memory-mlock", Kind::Bool, "false", "Locks the process into memory.").since("3.6").ignored("LMDB reads through the page cache, which the kernel keeps"),
    OptionSpec::etcd("quota-backend-bytes", Kind::Signed, "0", "The size of the store above which writes are refused. 0 means 2147483648, a negative number means no limit.").reloads(),
    OptionSpec::etcd("backend-bbolt-freelist-type", Kind::Text, "", "The form of bbolt's free list.").since("3.5").ignored("kvd stores its data in LMDB, not in bbolt"),
    OptionSpec::etcd("backend-batch-interval", Kind::Duration, "0s", "The longest time between two checkpoints of the state into LMDB. 0 means 1s. Nothing is lost between two: the log is flushed before each answer."),
    OptionSpec::etcd("backend-batch-limit", Kind::Number(U32), "0", "The most operations between two checkpoints. 0 means 2000."),
    OptionSpec::etcd("max-txn-ops", Kind::Number(U32), "128", "The most operations in one transaction.").reloads(),
    OptionSpec::etcd("max-request-bytes", Kind::Number(U32), "1572864", "The largest request in bytes.").reloads(),
    OptionSpec::etcd("max-concurrent-streams", Kind::Number(U32), "4294967295", "The most HTTP/2 streams of one client connection."),
    OptionSpec::etcd("grpc-keepalive-min-time", Kind::Duration, "5s", "The shortest interval at which a client may ping; one that pings more often is disconnected. 0 allows all."),
    OptionSpec::etcd("grpc-keepalive-interval", Kind::Duration, "2h", "How often the server pings an idle client connection. 0 means never."),
    OptionSpec::etcd("grpc-keepalive-timeout", Kind::Duration, "20s", "How long the server waits for the answer to its ping before it closes the connection. 0 means the library's default."),
    OptionSpec::etcd("socket-reuse-port", Kind::Bool, "false", "Sets SO_REUSEPORT on listeners.").key("socket-options.reuse-port").since("3.5"),
    OptionSpec::etcd("socket-reuse-address", Kind::Bool, "false", "Sets SO_REUSEADDR on listeners.").key("socket-options.reuse-address").since("3.5"),
    OptionSpec::etcd("raft-read-timeout", Kind::Duration, "5s", "The read timeout of connections between members.").since("3.5").ignored("a QUIC connection between members ends after election-timeout without a sign of life"),
    OptionSpec::etcd("raft-write-timeout", Kind::Duration, "5s", "The write timeout of connections between members.").since("3.5").ignored("a QUIC connection between members ends after election-timeout without a sign of life"),
    OptionSpec::etcd("enable-grpc-gateway", Kind::Bool, "true", "Serves the JSON gateway (/v3/...) beside gRPC.").pending(),
    OptionSpec::etcd("feature-gates", Kind::Gates, "", "Feature gates to turn on or off, by etcd's names. None of them changes what kvd does yet; one that is turned on or off is answered with a warning that says why.").since("3.6"),
];
