//! Names that older etcds accepted: the experimental flags, flags removed since, and flags that etcd itself ignores
//! silently.

use super::{U32, U64};
use crate::config::spec::{Effect, Kind, OptionSpec, Section};

const fn opt(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::etcd(name, kind, default, help).section(Section::Retired)
}

/// The former name of an option.
const fn was(name: &'static str, kind: Kind, now: &'static str) -> OptionSpec {
    opt(name, kind, "", "The former name of another option.").since("up to 3.6").effect(Effect::Alias(now))
}

/// The former flag of a feature gate.
const fn gate(name: &'static str, now: &'static str) -> OptionSpec {
    opt(name, Kind::Bool, "", "The former flag of a feature gate.")
        .since("up to 3.6")
        .effect(Effect::GateAlias(now))
}

/// A flag that has had no meaning in etcd since 3.0; all of them are booleans for etcd's parser.
const fn dropped(name: &'static str) -> OptionSpec {
    opt(name, Kind::Anything, "", "Without meaning.").since("2.x").key("").ignored("etcd drops it, too")
}

fn no_proxy(_: &str) -> String {
    "the v2 proxy was removed from etcd in 3.6 and kvd has none; clients know several endpoints themselves"
        .to_string()
}

const NO_PROXY: Effect = Effect::Ignored("the v2 proxy was removed");

pub(in crate::config) const OPTIONS: &[OptionSpec] = &[
    was("experimental-backend-bbolt-freelist-type", Kind::Text, "backend-bbolt-freelist-type"),
    was(
        "experimental-bootstrap-defrag-threshold-megabytes",
        Kind::Number(U32),
        "bootstrap-defrag-threshold-megabytes",
    ),
    gate("experimental-compact-hash-check-enabled", "CompactHashCheck"),
    was("experimental-compact-hash-check-time", Kind::Duration, "compact-hash-check-time"),
    was("experimental-compaction-batch-limit", Kind::Number(U32), "compaction-batch-limit"),
    was("experimental-compaction-sleep-interval", Kind::Duration, "compaction-sleep-interval"),
    was("experimental-corrupt-check-time", Kind::Duration, "corrupt-check-time"),
    was("experimental-distributed-tracing-address", Kind::Text, "distributed-tracing-address"),
    was("experimental-distributed-tracing-instance-id", Kind::Text, "distributed-tracing-instance-id"),
    was(
        "experimental-distributed-tracing-sampling-rate",
        Kind::Number(1_000_000),
        "distributed-tracing-sampling-rate",
    ),
    was("experimental-distributed-tracing-service-name", Kind::Text, "distributed-tracing-service-name"),
    was("experimental-downgrade-check-time", Kind::Duration, "downgrade-check-time"),
    was("experimental-enable-distributed-tracing", Kind::Bool, "enable-distributed-tracing"),
    gate("experimental-enable-lease-checkpoint", "LeaseCheckpoint"),
    gate("experimental-enable-lease-checkpoint-persist", "LeaseCheckpointPersist"),
    gate("experimental-initial-corrupt-check", "InitialCorruptCheck"),
    was("experimental-max-learners", Kind::Number(U32), "max-learners"),
    was("experimental-memory-mlock", Kind::Bool, "memory-mlock"),
    was("experimental-peer-skip-client-san-verification", Kind::Bool, "peer-skip-client-san-verification"),
    was("experimental-snapshot-catchup-entries", Kind::Number(U64), "snapshot-catchup-entries"),
    gate("experimental-stop-grpc-service-on-defrag", "StopGRPCServiceOnDefrag"),
    gate("experimental-txn-mode-write-with-shared-buffer", "TxnModeWriteWithSharedBuffer"),
    was("experimental-warning-apply-duration", Kind::Duration, "warning-apply-duration"),
    was("experimental-warning-unary-request-duration", Kind::Duration, "warning-unary-request-duration"),
    was("experimental-watch-progress-notify-interval", Kind::Duration, "watch-progress-notify-interval"),
    opt("proxy", Kind::Choice(&["off", "readonly", "on"]), "off", "Runs a v2 proxy.")
        .since("3.4, 3.5")
        .effect(Effect::Refused { harmless: &["off"], reason: no_proxy }),
    opt("proxy-failure-wait", Kind::Number(U32), "5000", "Of the v2 proxy.")
        .since("3.4, 3.5")
        .effect(NO_PROXY),
    opt("proxy-refresh-interval", Kind::Number(U32), "30000", "Of the v2 proxy.")
        .since("3.4, 3.5")
        .effect(NO_PROXY),
    opt("proxy-dial-timeout", Kind::Number(U32), "1000", "Of the v2 proxy.")
        .since("3.4, 3.5")
        .effect(NO_PROXY),
    opt("proxy-write-timeout", Kind::Number(U32), "5000", "Of the v2 proxy.")
        .since("3.4, 3.5")
        .effect(NO_PROXY),
    opt("proxy-read-timeout", Kind::Number(U32), "0", "Of the v2 proxy.").since("3.4, 3.5").effect(NO_PROXY),
    opt("debug", Kind::Bool, "false", "Logs more; now log-level debug.")
        .since("3.4")
        .effect(Effect::Alias("log-level")),
    was("log-output", Kind::List, "log-outputs").since("3.4"),
    opt("log-package-levels", Kind::Text, "", "Log levels of Go packages.")
        .since("3.4")
        .ignored("log-level is for the whole process"),
    opt("next-cluster-version-compatible", Kind::Bool, "false", "Lets the cluster version rise.")
        .since("3.4")
        .ignored("kvd has one cluster version"),
    dropped("cluster-active-size"),
    dropped("cluster-remove-delay"),
    dropped("cluster-sync-interval"),
    dropped("config"),
    dropped("force"),
    dropped("max-result-buffer"),
    dropped("max-retry-attempts"),
    dropped("peer-heartbeat-interval"),
    dropped("peer-election-timeout"),
    dropped("retry-interval"),
    dropped("snapshot"),
    dropped("v"),
    dropped("vv"),
    dropped("test.coverprofile"),
    dropped("test.outputdir"),
];
