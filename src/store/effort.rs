//! Estimates how long applying takes: the applying thread also has to send heartbeats, and leaves slow entries, or
//! entries that may be slow, to another thread.
//!
//! One thing cannot be told before: whether a page of LMDB that a cheap entry reads is in memory. If it is not, the thread
//! waits for that read, once: an entry that waited makes the disk count as slow, as does a commit under way, and what
//! comes next goes to the other thread. So heartbeats are late by one cold read of a disk that was fast until then, for
//! as long as that read takes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::model::{Caller, Command, Compare, Op, Proposal, TreeCommand, Txn};

/// The number of keys that are applied in a few milliseconds.
pub const CHEAP: usize = 256;

/// So many bytes of a value take about as long as a key: each of them is hashed.
const LIKE_A_KEY: usize = 16 << 10;

/// A commit that takes longer than this shows that the disk is busy: a read of it may take as long.
const SLOW_COMMIT: Duration = Duration::from_millis(100);

/// A cheap entry that took longer than this has waited for the disk.
const SLOW_APPLY: Duration = Duration::from_millis(20);

/// How long the disk is considered slow after that.
const SLOW_FOR: Duration = Duration::from_secs(1);

/// How many keys the commands touch, where a large value counts as several; [`usize::MAX`] if that is only known after a
/// search for the keys.
pub fn effort(proposals: &[Proposal]) -> usize {
    sum(proposals.iter().map(|proposal| match &proposal.caller {
        // To check a user's permissions all keys of a lease are read.
        Caller::User { .. } if names_lease(&proposal.command) => usize::MAX,
        _ => of_command(&proposal.command),
    }))
}

fn sum(efforts: impl Iterator<Item = usize>) -> usize {
    efforts.fold(0, usize::saturating_add)
}

fn of_command(command: &Command) -> usize {
    match command {
        Command::Delete(delete) if delete.range.as_single().is_none() => usize::MAX,
        Command::LeaseRevoke { .. } => usize::MAX,
        Command::Txn(txn) => of_txn(txn),
        Command::LeaseCheckpoint { remaining } => remaining.len(),
        // It copies the users, and there may be many; a change of a role changes the rights of all who have it.
        Command::Auth(_) => usize::MAX,
        // They may remove many nodes.
        Command::Tree(TreeCommand::Delete { recursive: true, .. } | TreeCommand::Expire) => usize::MAX,
        // They may make every directory above.
        Command::Tree(TreeCommand::Set { path, value, .. } | TreeCommand::Create { path, value, .. }) => {
            path.matches('/').count() + of_value(value.len())
        }
        Command::Put(put) => 1 + of_value(put.value.len()),
        _ => 1,
    }
}

fn of_value(bytes: usize) -> usize {
    bytes / LIKE_A_KEY
}

/// True if a command attaches a key to a lease.
fn names_lease(command: &Command) -> bool {
    fn in_txn(txn: &Txn) -> bool {
        txn.success.iter().chain(&txn.failure).any(|op| match op {
            Op::Put(put) => put.lease != 0,
            Op::Txn(nested) => in_txn(nested),
            Op::Range(_) | Op::Delete(_) => false,
        })
    }
    match command {
        Command::Put(put) => put.lease != 0,
        Command::Txn(txn) => in_txn(txn),
        _ => false,
    }
}

/// Both branches, because it is not known yet which one will run.
fn of_txn(txn: &Txn) -> usize {
    let compare = |compare: &Compare| if compare.range.as_single().is_some() { 1 } else { usize::MAX };
    let ops = txn.success.iter().chain(&txn.failure);
    sum(txn.compares.iter().map(compare)).saturating_add(sum(ops.map(of_op)))
}

fn of_op(op: &Op) -> usize {
    let range = match op {
        Op::Put(put) => return 1 + of_value(put.value.len()),
        Op::Txn(nested) => return of_txn(nested),
        Op::Range(query) => &query.range,
        Op::Delete(delete) => &delete.range,
    };
    if range.as_single().is_some() { 1 } else { usize::MAX }
}

/// The present speed of the disk.
pub(super) struct Pace {
    born: Instant,
    /// When the running commit began, in microseconds since `born`; 0 if there is none.
    committing: AtomicU64,
    /// Until when the disk is considered slow, likewise.
    slow_until: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { born: Instant::now(), committing: AtomicU64::new(0), slow_until: AtomicU64::new(0) }
    }
}

impl Pace {
    fn now(&self) -> u64 {
        // Never 0, which means none.
        1 + self.born.elapsed().as_micros() as u64
    }

    /// Runs a commit.
    pub fn commit<T>(&self, commit: impl FnOnce() -> T) -> T {
        self.committing.store(self.now(), Ordering::Relaxed);
        let done = commit();
        self.committing.store(0, Ordering::Relaxed);
        done
    }

    /// An entry took this long to apply.
    pub fn applied(&self, took: Duration) {
        if took > SLOW_APPLY {
            self.slow_until.store(self.now() + SLOW_FOR.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// True if a read from the disk may have to wait.
    pub fn is_slow(&self) -> bool {
        let now = self.now();
        let since = self.committing.load(Ordering::Relaxed);
        let committing = since != 0 && now.saturating_sub(since) > SLOW_COMMIT.as_micros() as u64;
        committing || now < self.slow_until.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Delete, KeyRange, Put, RangeQuery, Stamp};

    fn of(command: Command) -> usize {
        effort(&[Proposal { stamp: Stamp::default(), caller: Caller::Anonymous, command }])
    }

    #[test]
    fn what_names_single_keys_counts_them_and_the_rest_is_unknown() {
        let put = || Op::Put(Put { key: "k".into(), ..Put::default() });
        let range = || Op::Range(RangeQuery::current(KeyRange::all()));
        let delete = |range| Op::Delete(Delete { range, prev_kv: false });
        let txn = |success, failure| Command::Txn(Txn { compares: Vec::new(), success, failure });
        assert_eq!(of(Command::LeaseGrant { id: 1, ttl: 1 }), 1);
        let large = || Put { key: "k".into(), value: vec![b'v'; 1 << 20].into(), ..Put::default() };
        assert_eq!([of(Command::Put(large())), of(txn(vec![Op::Put(large())], vec![put()]))], [65, 66]);
        assert_eq!(of(Command::Delete(Delete { range: KeyRange::single("k"), prev_kv: true })), 1);
        assert_eq!(of(Command::Delete(Delete { range: KeyRange::all(), prev_kv: true })), usize::MAX);
        assert_eq!(of(Command::LeaseRevoke { id: 1 }), usize::MAX);
        assert_eq!(of(Command::LeaseCheckpoint { remaining: vec![(1, None); 900] }), 900);
        assert_eq!(of(Command::Auth(crate::model::AuthChange::Enable)), usize::MAX);
        assert_eq!(of(txn(vec![put(), put()], vec![put()])), 3);
        let (path, value) = ("/a".repeat(250).into(), "".into());
        let deep = TreeCommand::Set { path, dir: false, value, ttl: crate::model::Ttl::default() };
        assert_eq!(of(Command::Tree(deep)), 250, "with the directories above it");
        let nested = Op::Txn(Txn { failure: vec![put(), delete(KeyRange::single("k"))], ..Txn::default() });
        assert_eq!(of(txn(vec![put(), nested], Vec::new())), 3);
        assert_eq!(of(txn(vec![put()], vec![range()])), usize::MAX);
        assert_eq!(of(txn(vec![delete(KeyRange::all()), put()], Vec::new())), usize::MAX);
        let leased = Put { key: "k".into(), lease: 7, ..Put::default() };
        assert_eq!(of(Command::Put(leased.clone())), 1);
        let nested = Op::Txn(Txn { failure: vec![Op::Put(leased.clone())], ..Txn::default() });
        for command in [Command::Put(leased), txn(vec![nested], Vec::new())] {
            let caller = Caller::user("u", 1);
            assert_eq!(effort(&[Proposal { stamp: Stamp::default(), caller, command }]), usize::MAX);
        }
    }

    #[test]
    fn a_commit_that_lasts_and_an_apply_that_lasted_make_the_disk_slow() {
        let pace = Pace::default();
        assert!(!pace.is_slow());
        pace.commit(|| {
            std::thread::sleep(2 * SLOW_COMMIT);
            assert!(pace.is_slow());
        });
        assert!(!pace.is_slow());
        pace.applied(SLOW_APPLY);
        assert!(!pace.is_slow());
        pace.applied(2 * SLOW_FOR);
        assert!(pace.is_slow());
    }
}
