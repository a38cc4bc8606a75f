//! The daemon: the order of start and stop, notifications to systemd, and logging.
//!
//! | file | holds |
//! |---|---|
//! | `command.rs` | the entry of the process |
//! | `process.rs` | a running member with its sockets: started and stopped in order |
//! | `opening.rs`, `peer_port.rs`, `listeners.rs`, `logins.rs` | from the configuration to a member's seams, its peer port, its sockets for clients, users' tokens |
//! | `exit.rs` | exit codes |
//! | `admin.rs`, `reload.rs`, `running.rs` | the socket for operators; a new configuration in a running member |
//! | `status.rs`, `expiry.rs`, `news.rs`, `notices.rs` | the status line; how long certificates are valid; messages for the operator, and their explanations in the journal |
//! | `sockets.rs`, `startup.rs` | sockets kept over a restart or opened by systemd; slow starts |
//! | `stopping.rs` | what an end waits for, and for how long |
//! | `backups.rs` | the scheduled backups |
//! | `beginnings.rs` | what a first start says about who may do what |
//! | `secret.rs`, `dropin.rs`, `account.rs` | `kvd secret new`; `kvd config dropin`; the service's account |
//! | `trial.rs`, `service.rs` | the steps of a start that `kvd check` tries; as the service, if root asks |
//! | `audit.rs` | the outputs of the audit |
//! | `traces.rs` | traces, as the configuration asks for them |
//! | `logging.rs`, `fields.rs`, `journal.rs`, `rotation.rs` | the log: its lines, the journal's entries, its files |
//! | `systemd.rs`, `outside.rs` | systemd, the real clock and randomness |
//!
//! Only this room ends the process. Exit codes: 0 after a signal and if the member was removed from its cluster, 1 if
//! it cannot start or did not stop cleanly, 65 if identity, log and store do not belong together, 74 if it cannot
//! continue (a disk fails), 77 if the cluster refuses this member: it was removed, is a copy of a member, has another
//! secret, or may not join, 78 if the configuration cannot be used.

mod account;
mod admin;
mod around;
mod audit;
mod backups;
mod beginnings;
mod command;
mod dropin;
mod exit;
mod expiry;
mod fields;
mod journal;
mod listeners;
mod logging;
mod logins;
mod news;
mod notices;
mod opening;
mod outside;
mod peer_port;
mod process;
mod reload;
mod rotation;
mod running;
mod secret;
mod service;
mod sockets;
mod startup;
mod status;
mod stopping;
mod systemd;
mod traces;
mod trial;

use std::process::ExitCode;
use std::time::Duration;

pub use command::main;
pub use notices::catalog;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::admin::{Answer, Request};
use crate::config::{Config, Diagnostic, LogFormat, LogOutput, LogRotation};
use crate::member::MemberError;
use crate::member::roster::Ending;
use process::Process;
use reload::Reloader;
use sockets::Inherited;
use startup::Patience;

/// Runs a member until it is asked to stop. `warnings` come from reading the configuration.
pub fn run(
    config: Config,
    warnings: Vec<Diagnostic>,
    inherited: Inherited,
    arguments: Vec<String>,
) -> ExitCode {
    if let Err(error) = start_logging(&config) {
        let advice = dropin::advice(&config, &error).map(|text| format!("kvd: {text}\n")).unwrap_or_default();
        eprint!("{}", journal::for_stderr(&format!("kvd: {error}\n{advice}"), true));
        return ExitCode::from(exit::CONFIG);
    }
    for warning in &warnings {
        tracing::warn!("{}", warning.to_string().trim_end());
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        etcd_version = crate::api::services::ETCD_VERSION,
        data_dir = %config.member.data_dir.display(),
        name = config.member.name,
        "starting kvd"
    );
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start a runtime");
            return ExitCode::from(exit::START);
        }
    };
    // The tasks of the main thread are few and not `Send`: they share one thread with the signals.
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, serve(&config, inherited, arguments))
}

async fn serve(config: &Config, inherited: Inherited, arguments: Vec<String>) -> ExitCode {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let (mut interrupt, mut terminate, mut hangup) = match signals {
        [Ok(interrupt), Ok(terminate), Ok(hangup)] => (interrupt, terminate, hangup),
        [interrupt, terminate, hangup] => {
            let error = [interrupt, terminate, hangup].into_iter().find_map(Result::err);
            tracing::error!(?error, "cannot listen for signals");
            return ExitCode::from(exit::START);
        }
    };
    let patience = Patience::begin();
    let started = tokio::select! {
        started = Process::start(config, inherited) => started,
        () = startup::wait_for_others() => return ExitCode::from(exit::START),
        _ = interrupt.recv() => return ExitCode::SUCCESS,
        _ = terminate.recv() => return ExitCode::SUCCESS,
    };
    let process = match started {
        Ok(started) => started,
        Err(error) => {
            match exit::notice(&error) {
                Some(notice) => tracing::error!(message_id = notice.id, "failed to start: {error}"),
                None => tracing::error!("failed to start: {error}"),
            }
            let cause: &(dyn std::error::Error + 'static) = match &error {
                MemberError::Io(error) => error,
                error => error,
            };
            let Some(advice) = dropin::advice(config, cause) else {
                return ExitCode::from(exit::code(&error));
            };
            tracing::error!("{advice}");
            // As `kvd check` says: the next start would find the same.
            return ExitCode::from(exit::CONFIG);
        }
    };
    drop(patience);
    systemd::ready(&process.status());
    let reloader = Reloader::new(&process, arguments, config);
    let mut code = 0;
    let received = tokio::select! {
        ended = process.run() => {
            match ended {
                Ok(Ending::Removed) => {}
                Ok(Ending::Copy(_) | Ending::Outdated(_)) => code = exit::IDENTITY,
                Ok(Ending::Version(_)) => code = exit::CONFIG,
                Err(error) => tracing::error!("the data may be taken for those of a member: {error}"),
            }
            systemd::status(match code {
                0 => "removed from the cluster; the data directory must be removed",
                exit::CONFIG => "refused: the program is too old for the cluster",
                _ => "refused: the data are a copy of the member's, or an older copy",
            });
            None
        }
        () = hear(&reloader, &mut hangup) => None,
        () = answer(&process, &reloader) => None,
        _ = interrupt.recv() => Some("interrupt"),
        _ = terminate.recv() => Some("terminated"),
    };
    if let Some(signal) = received {
        tracing::info!(signal, "received signal; shutting down");
    }
    systemd::stopping();
    let _patience = Patience::begin();
    let stopped = process.stop().await;
    if let Err(error) = &stopped {
        tracing::error!(error, "did not stop cleanly");
    }
    ExitCode::from(exit::after(code, stopped.is_ok()))
}

/// Reads the configuration again at every SIGHUP. Never ends.
async fn hear(reloader: &Reloader<'_>, hangup: &mut Signal) {
    while hangup.recv().await.is_some() {
        reloader.reload();
    }
    std::future::pending().await
}

/// The answer to a rebuild that has begun.
const REBUILDING: &str = "the leader's state takes the place of this member's own; the journal and the metric \
                          kvd_state_differs say when it is served";

/// Answers on the admin socket. Never ends.
async fn answer(process: &Process, reloader: &Reloader<'_>) {
    let Some(admin) = process.admin() else { return std::future::pending().await };
    let answer = async |request| match request {
        Request::Reload => reloader.reload(),
        Request::Status => Answer { lines: vec![process.status()], ..Answer::default() },
        Request::Rebuild => match process.rebuild().await {
            Ok(()) => Answer { lines: vec![REBUILDING.to_string()], ..Answer::default() },
            Err(why) => Answer::refused(why),
        },
        Request::Backup => backups::begin(process.backups()),
        Request::Backups => backups::progress(process.backups()),
        Request::LogLevel(level) => {
            let level = running::filter(level);
            logging::set_level(level);
            tracing::warn!(%level, "the log level was changed until the configuration is read again");
            let line = format!("log-level {level} is in force until a reload or a restart").to_lowercase();
            Answer { lines: vec![line], ..Answer::default() }
        }
    };
    admin.serve(answer).await;
}

/// etcd's defaults: 100 MB per file, and all files are kept.
fn rotation(rules: LogRotation) -> rotation::Rules {
    let days = |days: u64| Duration::from_secs(days.saturating_mul(24 * 3600));
    let megabytes = if rules.max_size_megabytes == 0 { 100 } else { rules.max_size_megabytes };
    rotation::Rules {
        max_bytes: megabytes.saturating_mul(1 << 20),
        max_age: (rules.max_age_days > 0).then(|| days(rules.max_age_days)),
        max_backups: (rules.max_backups > 0).then_some(rules.max_backups as usize),
        local_time: rules.local_time,
        compress: rules.compress,
    }
}

fn start_logging(config: &Config) -> std::io::Result<()> {
    let format = match config.logging.format {
        LogFormat::Auto => logging::Format::Auto,
        LogFormat::Json => logging::Format::Json,
        LogFormat::Console => logging::Format::Console,
    };
    let outputs: Vec<logging::Output> = config
        .logging
        .outputs
        .iter()
        .map(|output| match output {
            LogOutput::Default => logging::Output::Default,
            LogOutput::Stderr => logging::Output::Stderr,
            LogOutput::Stdout => logging::Output::Stdout,
            LogOutput::Journal => logging::Output::Journal,
            LogOutput::File(path) => {
                logging::Output::File(path.clone(), config.logging.rotation().map(rotation))
            }
        })
        .collect();
    logging::start(running::level(config), format, &outputs)
}
