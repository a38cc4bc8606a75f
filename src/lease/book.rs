//! What the primary (the leader that counts lease time) knows of each lease, and which lease expires next. Pure: the
//! caller passes the time, as a [`Moment`] of this member's monotonic clock.
//!
//! A renewal only writes a new deadline. The heap keeps the old one; when that is due, it is found to be stale and the
//! lease is put back. So each lease has one place in the heap, however often it is renewed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::model::{Lease, LeaseId};

/// A moment of this member's monotonic clock (see [`crate::model::Clock::monotonic`]).
pub(super) type Moment = Duration;

/// The remaining time of a lease is recorded only if it is longer than this, and at most once per this interval.
pub(super) const RECORD_INTERVAL: Duration = Duration::from_secs(300);
/// Most leases recorded with one command.
const MAX_RECORDS: usize = 1000;

/// Whether the replicated state holds a lease's remaining time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// Recorded, or perhaps recorded: a renewal must clear it first.
    Set,
    /// It is about to be recorded.
    Setting,
    /// It is about to be cleared.
    Clearing,
    /// Nothing is recorded.
    Clear,
}

pub(super) type Waiter = oneshot::Sender<()>;

struct Entry {
    ttl: i64,
    deadline: Moment,
    /// Distinguishes this lease from earlier ones with the same id in the heaps.
    serial: u64,
    record: Record,
    /// True while the heap of records has an entry for this lease.
    record_due: bool,
    /// True as soon as a revocation has been requested.
    revoking: bool,
    /// Woken when the lease is gone or its record is cleared; each waiter then checks again.
    waiters: SmallVec<[Waiter; 0]>,
}

type Heap = BinaryHeap<Reverse<(Moment, u64, LeaseId)>>;

/// The result of a renewal.
#[derive(Debug)]
pub(super) enum Turn {
    /// Renewed; the time to live in seconds.
    Renewed(i64),
    /// There is no such lease.
    Missing,
    /// Wait until the sender is dropped, then ask [`Book::outcome`].
    Wait(oneshot::Receiver<()>),
    /// As `Wait`, and a record is to be cleared.
    Clear(oneshot::Receiver<()>),
}

/// The result of a renewal that had to wait.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Renewed; the time to live in seconds.
    Renewed(i64),
    /// The lease is gone.
    Gone,
    /// Wait once more.
    Wait(oneshot::Receiver<()>),
    /// The record could not be cleared: nobody knows whether the renewal would outlive this leader.
    Unrecorded,
}

/// See the module.
#[derive(Default)]
pub(super) struct Book {
    leases: HashMap<LeaseId, Entry>,
    expiries: Heap,
    records: Heap,
    /// Records to be written next, at most one for each lease: the deadline, or `None` to clear the record.
    to_record: HashMap<LeaseId, Option<Moment>>,
    serial: u64,
    /// While the leases are being read from the store: the leases that were revoked in the meantime.
    revoked_while_arming: Option<HashSet<LeaseId>>,
}

impl Book {
    /// Begins to read the leases from the store.
    pub(super) fn begin_arming(&mut self) {
        *self = Self { revoked_while_arming: Some(HashSet::new()), serial: self.serial, ..Self::default() };
    }

    /// Takes the leases that were read from the store; each lives for `remaining` from `now` on.
    pub(super) fn arm(&mut self, leases: Vec<Lease>, now: Moment, remaining: impl Fn(&Lease) -> Duration) {
        let revoked = self.revoked_while_arming.take().unwrap_or_default();
        for lease in leases {
            if revoked.contains(&lease.id) || self.leases.contains_key(&lease.id) {
                continue;
            }
            let record = if lease.remaining_ms.is_some() { Record::Set } else { Record::Clear };
            self.insert(lease.id, lease.ttl, now + remaining(&lease), record);
            self.schedule_record(lease.id, now);
        }
    }

    fn insert(&mut self, id: LeaseId, ttl: i64, deadline: Moment, record: Record) {
        self.serial += 1;
        let serial = self.serial;
        let entry = Entry {
            ttl,
            deadline,
            serial,
            record,
            record_due: false,
            revoking: false,
            waiters: SmallVec::new(),
        };
        self.leases.insert(id, entry);
        self.expiries.push(Reverse((deadline, serial, id)));
    }

    /// A lease was granted. True if it expires before all others.
    pub(super) fn granted(&mut self, id: LeaseId, ttl: i64, now: Moment) -> bool {
        if let Some(revoked) = &mut self.revoked_while_arming {
            revoked.remove(&id);
        }
        let deadline = now + seconds(ttl);
        let first = self.expiries.peek().is_none_or(|Reverse((earliest, ..))| deadline < *earliest);
        self.insert(id, ttl, deadline, Record::Clear);
        self.schedule_record(id, now);
        first
    }

    /// A lease was revoked, by a client or by expiry.
    pub(super) fn revoked(&mut self, id: LeaseId) {
        if let Some(revoked) = &mut self.revoked_while_arming {
            revoked.insert(id);
        }
        self.to_record.remove(&id);
        // Dropping the waiters wakes them, too.
        self.leases.remove(&id);
        if self.expiries.len() > 2 * self.leases.len() + 1024 {
            let leases = &self.leases;
            let alive =
                |id: &LeaseId, serial: u64| leases.get(id).is_some_and(|entry| entry.serial == serial);
            self.expiries.retain(|Reverse((_, serial, id))| alive(id, *serial));
            self.records.retain(|Reverse((_, serial, id))| alive(id, *serial));
        }
    }

    /// Renews a lease.
    pub(super) fn renew(&mut self, id: LeaseId, now: Moment) -> Turn {
        let Some(entry) = self.leases.get_mut(&id) else { return Turn::Missing };
        if entry.revoking || entry.deadline <= now {
            return Turn::Wait(entry.wait());
        }
        entry.deadline = now + seconds(entry.ttl);
        match entry.record {
            Record::Clear => Turn::Renewed(entry.ttl),
            Record::Clearing => Turn::Wait(entry.wait()),
            Record::Set | Record::Setting => {
                entry.record = Record::Clearing;
                let waiting = entry.wait();
                self.to_record.insert(id, None);
                Turn::Clear(waiting)
            }
        }
    }

    /// The result of a renewal that had to wait and was woken. If it succeeds, its time counts from `now`: only now is
    /// it promised.
    pub(super) fn outcome(&mut self, id: LeaseId, now: Moment) -> Outcome {
        match self.leases.get_mut(&id) {
            None => Outcome::Gone,
            Some(entry) if entry.revoking => Outcome::Wait(entry.wait()),
            Some(entry) => match entry.record {
                Record::Clear => {
                    entry.deadline = entry.deadline.max(now + seconds(entry.ttl));
                    Outcome::Renewed(entry.ttl)
                }
                Record::Clearing => Outcome::Wait(entry.wait()),
                Record::Set | Record::Setting => Outcome::Unrecorded,
            },
        }
    }

    /// Whole seconds that remain, and the seconds granted.
    pub(super) fn time_to_live(&self, id: LeaseId, now: Moment) -> Option<(i64, i64)> {
        let entry = self.leases.get(&id)?;
        Some((entry.deadline.saturating_sub(now).as_secs() as i64, entry.ttl))
    }

    /// All leases, the one that expires first in front.
    pub(super) fn by_expiry(&self) -> Vec<LeaseId> {
        let mut leases: Vec<(Moment, LeaseId)> =
            self.leases.iter().map(|(id, entry)| (entry.deadline, *id)).collect();
        leases.sort_unstable();
        leases.into_iter().map(|(_, id)| id).collect()
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Moment> {
        let first = |heap: &Heap| heap.peek().map(|Reverse((at, ..))| *at);
        [first(&self.expiries), first(&self.records)].into_iter().flatten().min()
    }

    /// Up to `most` leases that have expired and must be revoked now.
    pub(super) fn take_expired(&mut self, now: Moment, most: usize) -> Vec<LeaseId> {
        let mut expired = Vec::new();
        while expired.len() < most
            && let Some(Reverse((at, serial, id))) = self.expiries.peek().copied()
            && at <= now
        {
            self.expiries.pop();
            let Some(entry) = self.leases.get_mut(&id) else { continue };
            if entry.serial != serial {
                continue;
            }
            if entry.deadline > now {
                self.expiries.push(Reverse((entry.deadline, serial, id)));
                continue;
            }
            entry.revoking = true;
            expired.push(id);
        }
        expired
    }

    /// A revocation failed: it is tried again at `again`.
    pub(super) fn retry_revoke(&mut self, id: LeaseId, again: Moment) {
        if let Some(entry) = self.leases.get_mut(&id) {
            self.expiries.push(Reverse((again, entry.serial, id)));
        }
    }

    fn schedule_record(&mut self, id: LeaseId, now: Moment) {
        if let Some(entry) = self.leases.get_mut(&id)
            && seconds(entry.ttl) > RECORD_INTERVAL
            && !entry.record_due
        {
            entry.record_due = true;
            self.records.push(Reverse((now + RECORD_INTERVAL, entry.serial, id)));
        }
    }

    /// Queues a record for every lease whose remaining time is due to be recorded.
    pub(super) fn note_due_records(&mut self, now: Moment) {
        while self.to_record.len() < MAX_RECORDS
            && let Some(Reverse((at, serial, id))) = self.records.peek().copied()
            && at <= now
        {
            self.records.pop();
            let Some(entry) = self.leases.get_mut(&id) else { continue };
            if entry.serial != serial {
                continue;
            }
            entry.record_due = false;
            let is_long = entry.deadline.saturating_sub(now) > RECORD_INTERVAL;
            match entry.record {
                Record::Clear | Record::Set if is_long => {
                    entry.record = Record::Setting;
                    self.to_record.insert(id, Some(entry.deadline));
                }
                // Too short now, or a command for it is under way: check again later, because a renewal can make it
                // long again.
                _ => self.schedule_record(id, now),
            }
        }
    }

    /// Takes the records for the next command.
    pub(super) fn take_records(&mut self) -> Vec<(LeaseId, Option<Moment>)> {
        if self.to_record.len() <= MAX_RECORDS {
            return self.to_record.drain().collect();
        }
        let ids: Vec<LeaseId> = self.to_record.keys().take(MAX_RECORDS).copied().collect();
        ids.into_iter().filter_map(|id| self.to_record.remove_entry(&id)).collect()
    }

    /// The records that were taken have been written, or (`done` false) perhaps not.
    pub(super) fn recorded(&mut self, records: &[(LeaseId, Option<Moment>)], done: bool, now: Moment) {
        for (id, deadline) in records {
            let queued = self.to_record.contains_key(id);
            let Some(entry) = self.leases.get_mut(id) else { continue };
            match (entry.record, deadline) {
                (Record::Setting, Some(_)) => {
                    entry.record = Record::Set;
                    self.schedule_record(*id, now);
                }
                (Record::Clearing, None) if !queued => {
                    entry.record = if done { Record::Clear } else { Record::Set };
                    entry.waiters.clear();
                    if done {
                        self.schedule_record(*id, now);
                    }
                }
                // The lease was renewed while its deadline was being recorded: the clearing is queued.
                _ => {}
            }
        }
    }

    /// How many entries the heaps hold.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.expiries.len() + self.records.len()
    }

    /// How many leases there are.
    pub(super) fn len(&self) -> usize {
        self.leases.len()
    }
}

impl Entry {
    fn wait(&mut self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiters.push(sender);
        receiver
    }
}

/// A time to live as a duration; never negative, never beyond what a `Moment` can hold.
pub(super) fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(ttl.clamp(0, super::MAX_TTL) as u64)
}
