//! The settings of a running member that can change without a restart.

use std::io;

use tracing::level_filters::LevelFilter;

use super::listeners;
use crate::api::server::tls::TlsOptions;
use crate::api::services::{Access, Settings};
use crate::config::{AutoCompaction, Config, LogLevel, Metrics};
use crate::member::Retention;

/// All of them. A member begins with those of its configuration; a reload replaces them by those of
/// [`Config::reloaded`], in which options that need a restart have the values of the start.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// Limits and intervals of the API.
    pub settings: Settings,
    /// Bytes of the store above which writes are refused.
    pub quota: Option<u64>,
    /// The retention of automatic compaction.
    pub retention: Retention,
    /// The lowest level that is logged.
    pub level: LevelFilter,
    /// TLS for clients, if there is any.
    pub tls: Option<TlsOptions>,
}

impl Running {
    /// The settings in this configuration.
    ///
    /// # Errors
    /// If a self-signed certificate cannot be made.
    pub fn of(config: &Config) -> io::Result<Self> {
        Ok(Self {
            settings: settings(config),
            quota: config.storage.quota,
            retention: retention(config),
            level: level(config),
            tls: listeners::client_tls(config)?,
        })
    }
}

/// The settings of the API.
pub fn settings(config: &Config) -> Settings {
    Settings {
        max_request_bytes: config.limits.max_request_bytes,
        max_txn_ops: config.limits.max_txn_ops,
        election_timeout: config.raft.election_timeout,
        heartbeat_interval: config.raft.heartbeat_interval,
        watch_progress_interval: config.limits.watch_progress_interval,
        slow_request: config.logging.warn_request,
        slow_read: config.logging.warn_apply,
        extensive_metrics: config.http.metrics == Metrics::Extensive,
        gateway: config.http.gateway,
        v2: config.http.v2,
        page: config.http.status_page,
        // As in etcd.
        pprof: config.http.pprof || config.logging.level == LogLevel::Debug,
        access: Access { cors: config.http.cors.clone(), host_whitelist: config.http.host_whitelist.clone() },
    }
}

/// The retention of automatic compaction.
pub fn retention(config: &Config) -> Retention {
    match config.storage.auto_compaction() {
        // A checked configuration has no invalid retention.
        Ok(AutoCompaction::Off) | Err(_) => Retention::Off,
        Ok(AutoCompaction::Periodic(period)) => Retention::Period(period),
        Ok(AutoCompaction::Revision(keep)) => Retention::Revisions(keep),
    }
}

/// The lowest level that is logged.
pub fn level(config: &Config) -> LevelFilter {
    filter(config.logging.level)
}

/// The filter of a level.
pub fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::{self, Kind, OptionSpec};
    use crate::config::{Surroundings, read};

    /// The configuration from these flags, without any file.
    fn config(flags: &[String]) -> Config {
        let nothing = ["--config-file=/dev/null".to_string()];
        let mut surroundings = Surroundings::of_process(nothing.iter().chain(flags).cloned().collect());
        surroundings.variables.clear();
        match read(&surroundings).into_result() {
            Ok((config, _)) => config,
            Err(findings) => panic!("{flags:?}: {}", crate::config::cli::text_of(&findings)),
        }
    }

    /// With listeners that use TLS, and with compaction, so that options about them have an effect.
    fn started() -> Vec<String> {
        let flags = "--listen-client-urls=https://127.0.0.1:2379 --advertise-client-urls=https://127.0.0.1:2379 \
                     --cert-file=/a --key-file=/a --trusted-ca-file=/a --auto-compaction-retention=5";
        flags.split_whitespace().map(str::to_string).collect()
    }

    /// Another value than that of [`started`].
    fn another(spec: &OptionSpec) -> String {
        let current = config(&started()).settings().get(spec.name).value.to_text(spec.kind);
        let is_other = |text: &&str| **text != *current;
        let texts: &[&str] = match spec.kind {
            Kind::Choice(choices) => choices,
            Kind::Bool => &["true", "false"],
            Kind::Number(_) | Kind::Signed => &["17", "18"],
            Kind::Millis => &["110", "4000"],
            Kind::Duration | Kind::Seconds => &["17s", "18s"],
            Kind::ClientUrls => &["https://127.0.0.1:17", "https://127.0.0.1:18"],
            Kind::PeerUrls => &["http://127.0.0.1:17", "http://127.0.0.1:18"],
            Kind::List if spec.name == "cipher-suites" => &["TLS_AES_128_GCM_SHA256"],
            Kind::List => &["a:17", "a:18"],
            Kind::Origins => &["http://a:17", "http://a:18"],
            Kind::Cluster => &["default=http://localhost:2380,b=http://b:1"],
            Kind::Gates => &["AllAlpha=true"],
            Kind::Text | Kind::Path | Kind::Anything => &["7", "8"],
        };
        match texts.iter().copied().filter(|text| !text.is_empty()).find(is_other) {
            Some(text) => text.to_string(),
            None => panic!("{} needs another value than {current}", spec.name),
        }
    }

    /// A row marked `reloads()` promises operators that a reload applies the option. This test fails if no setting of a
    /// running member changes with it.
    #[test]
    fn whatever_reloads_changes_something_in_a_running_member() {
        let started_with = config(&started());
        let before = Running::of(&started_with).expect("nothing is made");
        let mut tried = 0;
        for spec in options::all().filter(|spec| spec.reloads) {
            let value = another(spec);
            let mut flags = started();
            flags.push(format!("--{}={value}", spec.name));
            let after = Running::of(&started_with.reloaded(&config(&flags))).expect("nothing is made");
            assert_ne!(before, after, "--{}={value} is said to reload, but nothing applies it", spec.name);
            tried += 1;
        }
        assert!(tried >= 19, "only {tried} options were tried");
    }

    /// All other options keep the value of the start until a restart, whatever else changes.
    #[test]
    fn whatever_takes_a_restart_keeps_its_value() {
        let started_with = config(&started());
        let before = Running::of(&started_with).expect("nothing is made");
        let flags = ["--heartbeat-interval=110", "--election-timeout=4000", "--metrics=extensive"];
        let others = ["--warning-apply-duration=7s", "--auto-tls", "--name=other", "--max-txn-ops=7"];
        let flags = flags.iter().chain(&others).map(|flag| flag.to_string());
        let new = config(&started().into_iter().chain(flags).collect::<Vec<_>>());
        let in_force = started_with.reloaded(&new);
        let mut expected = before;
        expected.settings.max_txn_ops = 7;
        assert_eq!(Running::of(&in_force).expect("nothing is made"), expected);
        assert_eq!(in_force.member.name, "default");
        assert_eq!(in_force.limits.max_txn_ops, 7);
    }
}
