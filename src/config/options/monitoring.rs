//! Logs, metrics and warnings.

use super::{Kind, OptionSpec, Section};

const fn opt(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> OptionSpec {
    OptionSpec::etcd(name, kind, default, help).section(Section::Monitoring)
}

const NO_TRACING: &str = "kvd does not export traces";

pub(super) const OPTIONS: &[OptionSpec] = &[
    opt(
        "log-level",
        Kind::Choice(&["debug", "info", "warn", "error", "panic", "fatal"]),
        "info",
        "The least level that is logged; panic and fatal are the same as error.",
    ).empty_is_default()
    .reloads(),
    opt(
        "log-format",
        Kind::Choice(&["auto", "console", "json"]),
        "auto",
        "Plain lines, or one JSON object a line; auto is plain on a terminal and JSON otherwise. etcd's default is json.",
    ).empty_is_default()
    .since("3.6"),
    opt(
        "log-outputs",
        Kind::List,
        "default",
        "Where logs go: default (the journal under systemd, standard error otherwise), stderr, stdout, systemd/journal, or files.",
    ),
    opt("logger", Kind::Text, "zap", "The log library.").ignored("kvd has one log library"),
    opt(
        "enable-log-rotation",
        Kind::Bool,
        "false",
        "Rotates the one file of log-outputs as log-rotation-config-json says.",
    )
    .since("3.5"),
    opt(
        "log-rotation-config-json",
        Kind::Text,
        "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, \"compress\": false}",
        "Rotation: a file is put aside at maxsize megabytes (0 means 100) under a name with the time, local with \
         localtime; compress gzips it. Those older than maxage days or beyond maxbackups go; 0 keeps all.",
    )
    .since("3.5"),
    opt("enable-pprof", Kind::Bool, "false", "Serves Go's profiler.")
        .ignored("Go's profiler does not exist here; use perf"),
    opt(
        "metrics",
        Kind::Choice(&["basic", "extensive"]),
        "basic",
        "extensive adds a histogram of every gRPC method.",
    ).empty_is_default(),
    opt(
        "warning-apply-duration",
        Kind::Duration,
        "100ms",
        "Applying an entry for longer than this is logged, and counted in the metrics.",
    )
    .since("3.6"),
    opt(
        "warning-unary-request-duration",
        Kind::Duration,
        "300ms",
        "A request that takes longer than this is logged; 0 means 300ms.",
    )
    .since("3.6")
    .reloads(),
    opt("enable-distributed-tracing", Kind::Bool, "false", "Exports traces.")
        .since("3.6")
        .ignored(NO_TRACING),
    opt("distributed-tracing-address", Kind::Text, "localhost:4317", "The collector of traces.")
        .since("3.6")
        .ignored(NO_TRACING),
    opt("distributed-tracing-service-name", Kind::Text, "etcd", "The service's name in traces.")
        .since("3.6")
        .ignored(NO_TRACING),
    opt("distributed-tracing-instance-id", Kind::Text, "", "The instance's id in traces.")
        .since("3.6")
        .ignored(NO_TRACING),
    opt(
        "distributed-tracing-sampling-rate",
        Kind::Number(1_000_000),
        "0",
        "Traces sampled out of a million.",
    )
    .since("3.6")
    .ignored(NO_TRACING),
];
