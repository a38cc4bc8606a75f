//! What operators see of the backups: a part of the status line, and metrics.

use std::sync::atomic::Ordering;

use super::schedule::Backups;
use crate::api::metrics::{Page, Source};

impl Backups {
    /// The end of the member's status line.
    pub fn line(&self) -> String {
        let ledger = self.0.ledger.lock();
        let last = match (&ledger.failed, &ledger.made) {
            (Some((why, _)), _) => format!("; the last backup failed: {why}"),
            (None, Some(made)) => format!("; last backup {}", made.name.time()),
            (None, None) => "; no backup yet".to_string(),
        };
        let busy = if ledger.busy { "; taking a backup" } else { "" };
        format!("{last}{busy}")
    }
}

impl Source for Backups {
    fn write(&self, page: &mut Page) {
        let figures = &self.0.figures;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let help = "Backups that this member has taken and verified.";
        page.counter("kvd_backup_success_total", help, count(&figures.successes));
        let help = "Backups of this member that failed.";
        page.counter("kvd_backup_failures_total", help, count(&figures.failures));
        let (made, busy) = {
            let ledger = self.0.ledger.lock();
            (ledger.made.clone(), ledger.busy)
        };
        page.gauge("kvd_backup_in_progress", "Whether a backup is under way.", u64::from(busy));
        let help = "Bytes of the state that the present or last backup has read.";
        page.gauge("kvd_backup_read_bytes", help, count(&figures.written));
        if let Some(made) = made {
            let help = "When the last backup of this member was taken, in seconds since the unix epoch.";
            page.gauge("kvd_backup_last_timestamp_seconds", help, made.name.at);
            let help = "The size of the last backup of this member.";
            page.gauge("kvd_backup_last_size_bytes", help, made.bytes);
            let help = "The revision in the last backup of this member.";
            page.gauge("kvd_backup_last_revision", help, made.name.revision);
        }
        page.histogram("kvd_backup_duration_seconds", "Time to take and verify a backup.", &figures.took);
    }
}
