//! The scheduled backups of this process: from the configuration, with what the journal and operators learn of them.

use std::sync::Arc;

use super::dropin;
use super::notices::{BACKUP_FAILED, BACKUP_MADE};
use super::outside::SystemClock;
use crate::backup::{BackupError, Backups, Folder, Made, Options};
use crate::config::admin::Answer;
use crate::config::{Compression, Config};
use crate::member::Member;

/// The backups that the configuration asks for, if it asks for any.
pub fn of(config: &Config, member: &Member) -> Option<Backups> {
    let backup = &config.backup;
    let options = Options {
        directory: backup.directory.clone()?,
        every: backup.every,
        keep: backup.keep,
        compress: backup.compress == Compression::Gzip,
    };
    let config = config.clone();
    let on_end = Box::new(move |outcome: &Result<Made, BackupError>| report(&config, outcome));
    Some(Backups::new(options, member.node.clone(), member.store.clone(), Arc::new(SystemClock), on_end))
}

fn report(config: &Config, outcome: &Result<Made, BackupError>) {
    match outcome {
        Ok(Made { path, name, bytes, removed }) => tracing::info!(
            message_id = BACKUP_MADE.id,
            path = %path.display(),
            revision = name.revision,
            bytes,
            removed,
            "a backup was taken and verified"
        ),
        // It is taken by another member, or after the start.
        Err(BackupError::Stopped) => tracing::info!("a backup was given up: the member stops"),
        Err(error) => {
            let advice =
                dropin::advice(config, error).map(|advice| format!("; {advice}")).unwrap_or_default();
            tracing::warn!(message_id = BACKUP_FAILED.id, "no backup was taken: {error}{advice}");
        }
    }
}

/// What keeps the directory of the configuration from being used for backups.
pub fn finding(config: &Config) -> Option<String> {
    let directory = config.backup.directory.as_deref()?;
    Folder::judge(directory).err().map(|error| error.to_string())
}

/// Begins a backup for an operator.
pub fn begin(backups: Option<&Backups>) -> Answer {
    match backups {
        Some(backups) => Answer { lines: vec![backups.begin().to_string()], ..Answer::default() },
        None => none(),
    }
}

/// What has become of the backups, for an operator.
pub fn progress(backups: Option<&Backups>) -> Answer {
    let Some(backups) = backups else { return none() };
    let progress = backups.progress();
    let state = if progress.busy { "busy" } else { "idle" };
    let last = progress.last.map(|path| path.display().to_string()).unwrap_or_default();
    let lines = vec![state.to_string(), progress.ended.to_string(), last];
    Answer { lines, error: progress.failed, ..Answer::default() }
}

fn none() -> Answer {
    Answer::refused("this member takes no backups: its configuration has no [backup] directory")
}
