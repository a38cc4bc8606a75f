//! The store's counters, for metrics. Nothing is decided by them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::tree::TreeFigures;
use crate::model::{AuthChange, Command, Histogram, LogPosition, OpReply};

/// Counters since the start, except as noted.
#[derive(Debug)]
pub struct Figures {
    /// Puts, deletions and ranges that were executed, including those inside transactions.
    pub puts: AtomicU64,
    /// See `puts`.
    pub deletes: AtomicU64,
    /// See `puts`; compares are ranges, too.
    pub ranges: AtomicU64,
    /// Requests with more than one of these.
    pub txns: AtomicU64,
    /// Bytes of the keys and values that were put.
    pub put_bytes: AtomicU64,
    /// Versions that compactions have removed.
    pub compacted_versions: AtomicU64,
    /// The time of the last requested compaction, in milliseconds since the epoch by the leader's clock; 0 for never.
    pub last_compaction_ms: AtomicI64,
    /// Duration of a checkpoint's commit to the disk.
    pub commit: Histogram,
    /// Duration of one step of a compaction, in milliseconds.
    pub compaction_step: Histogram,
    /// Duration of a hash of everything.
    pub hash: Histogram,
    /// Duration of a hash of the key space.
    pub hash_kv: Histogram,
    /// Duration of a defragmentation.
    pub defragment: Histogram,
    /// Running defragmentations.
    pub defragmenting: AtomicI64,
    /// Requests whose execution took too long.
    pub slow_applies: AtomicU64,
    /// Duration of a whole compaction, in milliseconds.
    pub compaction: Histogram,
    /// Duration of reading a whole snapshot.
    pub snapshot: Arc<Histogram>,
    /// What was done with v2's tree.
    pub tree: TreeFigures,
    /// Duration of applying a request, for each kind, refused and done.
    applies: [[Histogram; 2]; OPS.len()],
}

/// The kinds of requests as etcd names them.
const OPS: [&str; 22] = [
    "Put",
    "DeleteRange",
    "Txn",
    "Compaction",
    "LeaseGrant",
    "LeaseRevoke",
    "LeaseCheckpoint",
    "Alarm",
    "ClusterMemberAttrSet",
    "ClusterVersionSet",
    "AuthEnable",
    "AuthDisable",
    "AuthUserAdd",
    "AuthUserDelete",
    "AuthUserChangePassword",
    "AuthUserGrantRole",
    "AuthUserRevokeRole",
    "AuthRoleAdd",
    "AuthRoleDelete",
    "AuthRoleGrantPermission",
    "AuthRoleRevokePermission",
    "DowngradeInfoSet",
];

/// The index of a command's kind; `None` for kinds that etcd does not count either.
fn op_of(command: &Command) -> Option<usize> {
    Some(match command {
        Command::Put(_) => 0,
        Command::Delete(_) => 1,
        Command::Txn(_) => 2,
        Command::Compact { .. } => 3,
        Command::LeaseGrant { .. } => 4,
        Command::LeaseRevoke { .. } => 5,
        Command::LeaseCheckpoint { .. } => 6,
        Command::AlarmRaise(_) | Command::AlarmClear(_) | Command::AlarmList { .. } => 7,
        Command::Member(_) => 8,
        Command::ClusterVersion(_) => 9,
        // Neither does etcd count those of v2 here.
        Command::Tree(_) => return None,
        Command::Auth(change) => match change {
            AuthChange::Enable => 10,
            AuthChange::Disable => 11,
            AuthChange::UserAdd { .. } => 12,
            AuthChange::UserDelete { .. } => 13,
            AuthChange::UserPassword { .. } => 14,
            AuthChange::UserGrantRole { .. } => 15,
            AuthChange::UserRevokeRole { .. } => 16,
            AuthChange::RoleAdd { .. } => 17,
            AuthChange::RoleDelete { .. } => 18,
            AuthChange::RoleGrant { .. } => 19,
            AuthChange::RoleRevoke { .. } => 20,
            AuthChange::TokenKey { .. } => return None,
        },
        Command::Downgrade(_) => 21,
    })
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            puts: AtomicU64::new(0),
            deletes: AtomicU64::new(0),
            ranges: AtomicU64::new(0),
            txns: AtomicU64::new(0),
            put_bytes: AtomicU64::new(0),
            compacted_versions: AtomicU64::new(0),
            last_compaction_ms: AtomicI64::new(0),
            // The bounds are etcd's.
            commit: Histogram::doubling(0.001, 14),
            compaction_step: Histogram::doubling(1.0, 13),
            hash: Histogram::doubling(0.01, 15),
            hash_kv: Histogram::doubling(0.01, 15),
            defragment: Histogram::doubling(0.1, 13),
            defragmenting: AtomicI64::new(0),
            slow_applies: AtomicU64::new(0),
            compaction: Histogram::doubling(100.0, 14),
            snapshot: Arc::new(Histogram::doubling(0.01, 17)),
            tree: TreeFigures::default(),
            applies: std::array::from_fn(|_| std::array::from_fn(|_| Histogram::doubling(0.0001, 20))),
        }
    }
}

/// The work of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub puts: u64,
    pub deletes: u64,
    pub ranges: u64,
    pub put_bytes: u64,
}

impl Figures {
    /// Counts the work of a request.
    pub(super) fn worked(&self, work: Work) {
        let Work { puts, deletes, ranges, put_bytes } = work;
        let add = |counter: &AtomicU64, amount: u64| {
            if amount > 0 {
                counter.fetch_add(amount, Ordering::Relaxed);
            }
        };
        add(&self.puts, puts);
        add(&self.deletes, deletes);
        add(&self.ranges, ranges);
        add(&self.put_bytes, put_bytes);
        add(&self.txns, u64::from(puts + deletes + ranges > 1));
    }

    /// Counts how long a request took to apply.
    pub(super) fn ran(&self, command: &Command, is_done: bool, took: Duration) {
        if let Some(op) = op_of(command) {
            self.applies[op][usize::from(is_done)].observe_time(took);
        }
    }

    /// The kinds of applied requests, whether they were done or refused, and their durations in seconds.
    pub fn applies(&self) -> impl Iterator<Item = (&'static str, bool, &Histogram)> {
        let both = OPS
            .iter()
            .zip(&self.applies)
            .flat_map(|(op, [refused, done])| [(*op, false, refused), (*op, true, done)]);
        both.filter(|(_, _, took)| took.count() > 0)
    }

    /// Counts a range that was read without the log.
    pub fn ranged(&self) {
        self.worked(Work { ranges: 1, ..Work::default() });
    }

    /// Counts the ranges of a transaction that only reads.
    pub(super) fn read(&self, compares: u64, reply: &OpReply) {
        let ranges = match reply {
            OpReply::Txn { replies, .. } => replies.len() as u64,
            _ => 0,
        };
        self.worked(Work { ranges: compares + ranges, ..Work::default() });
    }

    /// Counts how long an entry took to apply, and logs it if that is more than `limit`.
    pub(super) fn applied(&self, took: Duration, limit: Duration, position: LogPosition, requests: usize) {
        if took > limit {
            self.slow_applies.fetch_add(1, Ordering::Relaxed);
            let index = position.index;
            tracing::warn!(?took, expected = ?limit, index, requests, "apply request took too long");
        }
    }

    /// The same for a read without the log, from the time of its request.
    pub fn answered(&self, took: Duration, limit: Duration, what: &str) {
        if took > limit {
            self.slow_applies.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(?took, expected = ?limit, prefix = what, "apply request took too long");
        }
    }
}

/// Runs `work` and counts its time in seconds.
pub(super) fn timed<T>(histogram: &Histogram, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    histogram.observe_time(begun.elapsed());
    done
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use crate::model::{Command, Compare, CompareOp, CompareTarget, Delete, KeyRange, Op, Put, Txn};
    use crate::store::tests::{Bench, manual};

    fn counts(bench: &Bench) -> [u64; 4] {
        let figures = bench.store.figures();
        [&figures.puts, &figures.deletes, &figures.ranges, &figures.txns]
            .map(|count| count.load(Ordering::Relaxed))
    }

    #[test]
    fn requests_are_counted_as_etcd_counts_them() {
        let mut bench = Bench::new(manual());
        bench.put("a", "1");
        assert_eq!(counts(&bench), [1, 0, 0, 0]);
        // Looking up the previous value is a range, and two operations in one request are a transaction.
        bench.run(Command::Put(Put { key: "a".into(), prev_kv: true, ..Put::default() }));
        assert_eq!(counts(&bench), [2, 0, 1, 1]);
        bench.delete(KeyRange::single("x"));
        assert_eq!(counts(&bench), [2, 1, 1, 1]);
        let compare =
            Compare { range: KeyRange::single("a"), op: CompareOp::Equal, target: CompareTarget::Version(2) };
        let put = Op::Put(Put { key: "b".into(), ..Put::default() });
        let delete = Op::Delete(Delete { range: KeyRange::single("a"), prev_kv: false });
        bench.run(Command::Txn(Txn {
            compares: vec![compare],
            success: vec![put, delete],
            failure: Vec::new(),
        }));
        assert_eq!(counts(&bench), [3, 2, 2, 2]);
        assert_eq!(bench.store.live_keys().unwrap(), 1);
        bench.store.checkpoint().unwrap();
        assert_eq!(bench.store.live_keys().unwrap(), 1);
        assert_eq!(bench.store.figures().commit.count(), 1);
    }

    #[test]
    fn what_takes_longer_than_it_should_is_counted() {
        let mut bench = Bench::new(crate::store::Options { slow_apply: Duration::ZERO, ..manual() });
        bench.put("a", "1");
        assert_eq!(bench.store.figures().slow_applies.load(Ordering::Relaxed), 1);
    }
}
