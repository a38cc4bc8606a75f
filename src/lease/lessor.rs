//! The lessor: the only place that counts lease time down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::book::{Book, Moment, Outcome, Turn, Waiter, seconds};
use super::{Claim, IdSource, Leases};
use crate::model::{
    Clock, Histogram, Lease, LeaseChange, LeaseId, MemberId, Observer, Planted, Refusal, is_planted,
};

/// Intervals the lessor works with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The election timeout. After a change of leader every lease lives longer by this time: the previous leader may
    /// have renewed it that long without noticing the change.
    pub election_timeout: Duration,
    /// The heartbeat interval: how often a primary checks whether something is due.
    pub heartbeat: Duration,
}

impl Options {
    /// The smallest time to live that is granted, in seconds: one and a half election timeouts, rounded up.
    pub fn min_ttl(&self) -> i64 {
        (self.election_timeout * 3 / 2).as_millis().div_ceil(1000) as i64
    }
}

/// See the room's page.
pub struct Lessor {
    pub(super) state: Mutex<State>,
    source: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    ids: IdSource,
    pub(super) options: Options,
    /// Counters for metrics.
    pub(super) figures: Figures,
    /// Wakes the task in `expiry.rs`.
    pub(super) changed: Notify,
}

pub(super) struct State {
    pub(super) primary: Option<Primary>,
    pub(super) book: Book,
    /// The leases were replaced and must be read again.
    pub(super) rearm: bool,
}

/// State that only a primary has.
pub(super) struct Primary {
    pub(super) term: u64,
    /// Whether this member may still claim to lead. Asked before anything is promised or started.
    pub(super) claim: Claim,
    /// True while the leases are being read.
    pub(super) arming: bool,
    /// Woken when the leases have been read; each waiter then asks again.
    pub(super) waiters: Vec<Waiter>,
}

/// Counters since the start.
#[derive(Debug)]
pub struct Figures {
    /// Leases granted, by their time to live in seconds.
    pub granted: Histogram,
    /// Leases revoked, including expired ones.
    pub revoked: AtomicU64,
    /// Leases that expired while this member was primary.
    pub expired: AtomicU64,
    /// Renewals.
    pub renewed: AtomicU64,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            // etcd's bounds: from a second to eight million.
            granted: Histogram::doubling(1.0, 24),
            revoked: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
        }
    }
}

/// The result of a renewal.
#[derive(Debug)]
pub enum Renewal {
    /// The lease lives for this many seconds from now.
    Renewed(i64),
    /// There is no such lease here. If the store may lag behind, catch up and ask again.
    Missing,
    /// This member is not the primary.
    NotPrimary,
    /// The answer takes a while: see [`Waiting::wait`].
    Wait(Waiting),
}

/// A lease's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive {
    /// Seconds that remain, rounded down.
    pub remaining: i64,
    /// Seconds granted.
    pub granted: i64,
}

impl Lessor {
    /// A lessor that is not primary. Make it the store's observer, and spawn [`Lessor::run`].
    pub fn new(
        source: Arc<dyn Leases>,
        clock: Arc<dyn Clock>,
        member: MemberId,
        options: Options,
    ) -> Arc<Self> {
        let ids = IdSource::new(member, clock.now_ms());
        let state = State { primary: None, book: Book::default(), rearm: false };
        Arc::new(Self {
            state: Mutex::new(state),
            source,
            clock,
            ids,
            options,
            figures: Figures::default(),
            changed: Notify::new(),
        })
    }

    /// This member leads from `term` on, as long as `claim` holds: it reads all leases from the store and counts their
    /// time. A lease gets its recorded remaining time, or else its full time, and one election timeout on top. This
    /// takes a while if there are many leases; renewals wait for it.
    pub fn promote(&self, term: u64, claim: Claim) {
        {
            let mut state = self.state.lock();
            let waiters = state.primary.take().map(|primary| primary.waiters).unwrap_or_default();
            state.primary = Some(Primary { term, claim, arming: true, waiters });
            state.rearm = false;
            state.book.begin_arming();
        }
        let leases = self.source.leases();
        if let Err(refusal) = &leases {
            tracing::error!(%refusal, "leases cannot be read; trying again");
        }
        let now = self.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(primary) = state.primary.as_mut().filter(|primary| primary.term == term) else { return };
        let Ok(leases) = leases else {
            state.rearm = true;
            return;
        };
        let grace = self.options.election_timeout;
        let left = |lease: &Lease| match is_planted(Planted::ShortLeases) {
            true => grace,
            false => remaining(lease) + grace,
        };
        state.book.arm(leases, now, left);
        primary.arming = false;
        // Dropping the waiters wakes them.
        primary.waiters.clear();
        tracing::debug!(term, leases = state.book.len(), "counting for leases");
        self.changed.notify_one();
    }

    /// This member no longer leads, or cannot claim to: it forgets everything. Waiting renewals are answered that way.
    pub fn demote(&self) {
        let mut state = self.state.lock();
        state.primary = None;
        state.book = Book::default();
        state.rearm = false;
        self.changed.notify_one();
    }

    /// Counters for metrics.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// True if this member is the primary.
    pub fn is_primary(&self) -> bool {
        self.state.lock().counts()
    }

    /// Renews a lease. Cheap, and never waits.
    pub fn renew(self: &Arc<Self>, id: LeaseId) -> Renewal {
        let now = self.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(primary) = state.primary.as_mut().filter(|primary| (primary.claim)()) else {
            return Renewal::NotPrimary;
        };
        let term = primary.term;
        if primary.arming {
            let (sender, receiver) = oneshot::channel();
            primary.waiters.push(sender);
            return Renewal::Wait(self.waiting(id, term, For::Leases, receiver));
        }
        match state.book.renew(id, now) {
            Turn::Renewed(ttl) => {
                self.figures.renewed.fetch_add(1, Ordering::Relaxed);
                Renewal::Renewed(ttl)
            }
            Turn::Missing => Renewal::Missing,
            Turn::Wait(receiver) => Renewal::Wait(self.waiting(id, term, For::Outcome, receiver)),
            Turn::Clear(receiver) => {
                self.changed.notify_one();
                Renewal::Wait(self.waiting(id, term, For::Outcome, receiver))
            }
        }
    }

    fn waiting(self: &Arc<Self>, id: LeaseId, term: u64, what: For, told: oneshot::Receiver<()>) -> Waiting {
        Waiting { lessor: self.clone(), id, term, what, told }
    }

    /// How long a lease still lives; `None` if it does not exist. Refused if this member is not the primary.
    pub fn time_to_live(&self, id: LeaseId) -> Result<Option<TimeToLive>, Refusal> {
        let state = self.state.lock();
        if !state.counts() {
            return Err(Refusal::NotPrimaryLessor);
        }
        let found = state.book.time_to_live(id, self.now());
        Ok(found.map(|(remaining, granted)| TimeToLive { remaining, granted }))
    }

    /// Every lease, the one that expires first in front. `None` if this member is not the primary.
    pub fn by_expiry(&self) -> Option<Vec<LeaseId>> {
        let state = self.state.lock();
        state.counts().then(|| state.book.by_expiry())
    }

    /// An id for a lease that is requested without one.
    pub fn new_id(&self) -> LeaseId {
        self.ids.next()
    }

    /// The smallest time to live that is granted, in seconds.
    pub fn min_ttl(&self) -> i64 {
        self.options.min_ttl()
    }

    /// Now, by this member's monotonic clock.
    pub(super) fn now(&self) -> Moment {
        self.clock.monotonic()
    }
}

impl State {
    /// True if this member is the primary and may still claim to lead.
    fn counts(&self) -> bool {
        self.primary.as_ref().is_some_and(|primary| (primary.claim)())
    }
}

/// The time a lease has left after a change of leader, without the election timeout on top.
fn remaining(lease: &Lease) -> Duration {
    let full = seconds(lease.ttl);
    lease.remaining_ms.map_or(full, |ms| Duration::from_millis(ms.max(0) as u64).min(full))
}

#[derive(Clone, Copy, Debug)]
enum For {
    /// Until the leases are read.
    Leases,
    /// Until the record is cleared, or the lease is gone.
    Outcome,
}

/// A renewal that is not answered yet.
pub struct Waiting {
    lessor: Arc<Lessor>,
    id: LeaseId,
    term: u64,
    what: For,
    told: oneshot::Receiver<()>,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("id", &self.id).field("what", &self.what).finish_non_exhaustive()
    }
}

impl Waiting {
    /// The answer: the time to live in seconds, `None` if there is no such lease. Refused if this member is no longer
    /// the primary, or if the record that makes the renewal durable could not be written.
    pub async fn wait(mut self) -> Result<Option<i64>, Refusal> {
        loop {
            // The sender is only ever dropped; it sends nothing.
            let _ = (&mut self.told).await;
            if let For::Leases = self.what {
                match self.lessor.renew(self.id) {
                    Renewal::Renewed(ttl) => return Ok(Some(ttl)),
                    Renewal::Missing => return Ok(None),
                    Renewal::NotPrimary => return Err(Refusal::NotPrimaryLessor),
                    Renewal::Wait(again) => self = again,
                }
                continue;
            }
            let now = self.lessor.now();
            let mut state = self.lessor.state.lock();
            if !state.counts() || state.primary.as_ref().is_none_or(|primary| primary.term != self.term) {
                return Err(Refusal::NotPrimaryLessor);
            }
            match state.book.outcome(self.id, now) {
                Outcome::Renewed(ttl) => {
                    self.lessor.figures.renewed.fetch_add(1, Ordering::Relaxed);
                    return Ok(Some(ttl));
                }
                Outcome::Gone => return Ok(None),
                Outcome::Unrecorded => return Err(Refusal::Timeout),
                Outcome::Wait(receiver) => self.told = receiver,
            }
        }
    }
}

impl Observer for Lessor {
    fn on_leases(&self, changes: &[LeaseChange]) {
        for change in changes {
            match *change {
                LeaseChange::Granted { ttl, .. } => self.figures.granted.observe(ttl as f64),
                LeaseChange::Revoked { .. } => _ = self.figures.revoked.fetch_add(1, Ordering::Relaxed),
            }
        }
        let mut state = self.state.lock();
        if state.primary.is_none() {
            return;
        }
        let now = self.now();
        let mut sooner = false;
        for change in changes {
            match *change {
                LeaseChange::Granted { id, ttl } => sooner |= state.book.granted(id, ttl, now),
                LeaseChange::Revoked { id } => state.book.revoked(id),
            }
        }
        drop(state);
        if sooner {
            self.changed.notify_one();
        }
    }

    fn on_restored(&self, _: i64) {
        let mut state = self.state.lock();
        if state.primary.is_some() {
            state.rearm = true;
            self.changed.notify_one();
        }
    }
}
