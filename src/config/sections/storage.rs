//! The state on disk: its size, its checkpoints, its compaction.

use std::time::Duration;

use super::{U32, U64};
use crate::config::diagnostic::Diagnostic;
use crate::config::duration::parse_duration;
use crate::config::findings::Findings;
use crate::config::spec::{Kind, OptionSpec, Section};
use crate::config::typed::{FromValue, choice, mismatch, section};
use crate::config::value::Value;

choice! {
    /// What a member does whose state is not that of the majority.
    pub enum OnDivergence {
        /// It raises the alarm CORRUPT and serves nothing.
        Alarm = "alarm",
        /// It replaces its state by the leader's.
        Rebuild = "rebuild",
    }
}

choice! {
    /// What `auto-compaction-retention` counts.
    pub enum CompactionMode {
        /// Time.
        Periodic = "periodic",
        /// Revisions.
        Revision = "revision",
    }
}

section! {
    /// The store.
    pub struct Storage under Storage {
        /// None for no limit.
        quota: Option<u64> = etcd("quota-backend-bytes", Kind::Signed, "0", "The size of the store above which writes are refused; a negative number means no limit.").zero_means("2147483648").reloads();
        checkpoint_interval: Duration = etcd("backend-batch-interval", Kind::Duration, "0s", "The longest time between two checkpoints of the state into LMDB. Nothing is lost between two: the log is flushed before each response.").zero_means("1s");
        checkpoint_operations: usize = etcd("backend-batch-limit", Kind::Number(U32), "0", "The most operations between two checkpoints.").zero_means("2000");
        /// None lets the store choose.
        map_size: Option<u64> = own("lmdb-map-size-bytes", Kind::Number(U64), "0", "The address space reserved for LMDB, which the store cannot outgrow; it takes neither memory nor disk. 0 lets kvd choose.");
        auto_compaction_mode: CompactionMode = etcd("auto-compaction-mode", Kind::Choice(CompactionMode::CHOICES), "periodic", "Whether auto-compaction-retention is a time or a number of revisions.").words(unknown_mode).reloads();
        auto_compaction_retention: Retention = etcd("auto-compaction-retention", Kind::Text, "0", "How much history automatic compaction keeps: with periodic a duration or whole hours, with revision a number of revisions. 0 turns it off.").takes_numbers().empty_is_default().reloads();
        compaction_batch: usize = etcd("compaction-batch-limit", Kind::Number(U32), "0", "How many revisions one step of a compaction removes.").since("3.6").zero_means("10000");
        compaction_sleep: Duration = etcd("compaction-sleep-interval", Kind::Duration, "0s", "The pause between two steps of a compaction.").since("3.6").zero_means("10ms");
        /// In megabytes; none for never.
        defragment_at_start: Option<u64> = etcd("bootstrap-defrag-threshold-megabytes", Kind::Number(U32), "0", "Defragments at the start if that frees so many megabytes; 0 means never.").since("3.6");
        /// None for never.
        corrupt_check: Option<Duration> = etcd("corrupt-check-time", Kind::Duration, "0s", "How often the leader compares etcd's hash of all members' keys, which reads all data; 0 means never. The digests of their states are compared all the time.").since("3.6");
        compact_hash_check: Duration = etcd("compact-hash-check-time", Kind::Duration, "1m", "How often members compare the hashes of compactions, with the gate CompactHashCheck.").since("3.6");
        on_divergence: OnDivergence = own("on-divergence", Kind::Choice(OnDivergence::CHOICES), "alarm", "What a member does whose state is found not to be that of the majority. It serves nothing of it in any case. alarm: it raises the alarm CORRUPT, which refuses writes on all members until it is disarmed, and waits for `kvctl rebuild`. rebuild: it replaces its state by the leader's at once, and raises the alarm only if that fails. A member whose own data are damaged does the same.");
        /// Zero for never.
        scrub_every: Duration = own("scrub-every", Kind::Duration, "24h", "How often all data are read from the disk and their checksums verified in the background; 0 means never. A member with damaged data serves nothing of them and does what on-divergence says. Each start checks the data, too, but for large values: after an orderly stop beside serving, at once and with half of a core; after any other end, or if this is 0, before anything is served.").key("scrub.every");
        scrub_pace: u64 = own("scrub-bytes-per-second", Kind::Number(U64), "2250000", "How fast the scrub reads: the default is 8 GB in an hour.").key("scrub.bytes-per-second");
    }
    without effect {
        OptionSpec::etcd("backend-bbolt-freelist-type", Kind::Text, "", "The form of bbolt's free list.").since("3.5").ignored("kvd stores its data in LMDB, not in bbolt"),
    }
}

fn unknown_mode(text: &str) -> String {
    format!("unknown auto-compaction-mode {text:?}")
}

/// `auto-compaction-retention`; its mode decides which of these it may be.
#[derive(Clone, Debug)]
pub enum Retention {
    /// Whole hours, or revisions.
    Count(i64),
    /// Another text: a duration, or why it is none.
    Text(String, Result<Duration, String>),
}

impl FromValue for Retention {
    fn from_value(value: &Value) -> Result<Self, Box<Diagnostic>> {
        let text = String::from_value(value)?;
        Ok(match text.parse::<i64>() {
            Ok(count) if count >= 0 => Self::Count(count),
            _ => {
                let duration = parse_duration(&text).map_err(|error| error.to_string());
                Self::Text(text, duration)
            }
        })
    }
}

/// What automatic compaction keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Never.
    Off,
    /// Keep this much time.
    Periodic(Duration),
    /// Keep this many revisions.
    Revision(i64),
}

impl Storage {
    /// Automatic compaction, by its mode and its retention.
    ///
    /// # Errors
    /// In Go's words if the retention is none of that mode; a checked configuration has no such one.
    pub fn auto_compaction(&self) -> Result<AutoCompaction, String> {
        match (&self.auto_compaction_retention, self.auto_compaction_mode) {
            (Retention::Count(0), _) => Ok(AutoCompaction::Off),
            (Retention::Count(revisions), CompactionMode::Revision) => {
                Ok(AutoCompaction::Revision(*revisions))
            }
            (Retention::Count(hours), CompactionMode::Periodic) => {
                let seconds = u64::try_from(*hours).ok().and_then(|hours| hours.checked_mul(3600));
                let seconds = seconds.filter(|seconds| *seconds <= i64::MAX as u64 / 1_000_000_000);
                Ok(AutoCompaction::Periodic(Duration::from_secs(seconds.ok_or("value out of range")?)))
            }
            (Retention::Text(text, _), CompactionMode::Revision) => {
                Err(format!("{text:?} is no number of revisions"))
            }
            (Retention::Text(_, duration), CompactionMode::Periodic) => match duration.clone()? {
                Duration::ZERO => Ok(AutoCompaction::Off),
                period => Ok(AutoCompaction::Periodic(period)),
            },
        }
    }

    pub(in crate::config) fn check(&self, found: &mut Findings<'_>) {
        if self.compact_hash_check.is_zero() {
            found.error("compact-hash-check-time", "--compact-hash-check-time must be >0 (set to 0s)");
        }
        if self.scrub_pace == 0 {
            found.error(
                "scrub-bytes-per-second",
                "--scrub-bytes-per-second must be at least 1; --scrub-every=0 turns the scrub off",
            );
        }
        if let Err(reason) = self.auto_compaction()
            && found.are_readable(&["auto-compaction-mode"])
        {
            found.error("auto-compaction-retention", format!("error parsing CompactionRetention: {reason}"));
        }
    }
}
