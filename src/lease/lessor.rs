//! The lessor: the one place that counts down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::book::{Book, Moment, Outcome, Turn, Waiter, seconds};
use super::{Claim, IdSource, Leases};
use crate::model::{
    Clock, Histogram, Lease, LeaseChange, LeaseId, MemberId, Observer, Refusal, RevisionEvents,
};

/// Times that the lessor goes by.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The election timeout: after a change of leader every lease lives so much longer, since for so long the one before
    /// may have renewed it without knowing of the change.
    pub election_timeout: Duration,
    /// The heartbeat interval: how often a primary looks whether something is due.
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
    /// What was counted.
    pub(super) figures: Figures,
    /// Wakes the task in `expiry.rs`.
    pub(super) changed: Notify,
}

pub(super) struct State {
    pub(super) primary: Option<Primary>,
    pub(super) book: Book,
    /// The leases have been replaced and must be read again.
    pub(super) rearm: bool,
}

/// What only a primary has.
pub(super) struct Primary {
    pub(super) term: u64,
    /// Whether this member may still claim to lead. Asked before anything is promised or begun.
    pub(super) claim: Claim,
    /// True while the leases are being read.
    pub(super) arming: bool,
    /// Told once the leases are read; then they ask again.
    pub(super) waiters: Vec<Waiter>,
}

/// Counters since the start.
#[derive(Debug)]
pub struct Figures {
    /// Leases granted, and how long they were to live in seconds.
    pub granted: Histogram,
    /// Leases revoked, expired ones among them.
    pub revoked: AtomicU64,
    /// Leases that ran out while this member counted.
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

/// What came of a renewal.
#[derive(Debug)]
pub enum Renewal {
    /// The lease lives for so many seconds from now.
    Renewed(i64),
    /// There is no such lease here. Where the store may lag, catch up and ask again.
    Missing,
    /// This member is not the one that counts.
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

    /// This member leads from `term` on, as long as `claim` holds: reads all leases from the store and counts for them.
    /// What was recorded of their time is what remains, all others get their full time; each gets an election timeout on
    /// top. Takes a while where there are many leases; renewals wait for it.
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
        state.book.arm(leases, now, |lease| remaining(lease) + grace);
        primary.arming = false;
        // Dropping them tells them.
        primary.waiters.clear();
        tracing::debug!(term, leases = state.book.len(), "counting for leases");
        self.changed.notify_one();
    }

    /// This member does not lead any more, or cannot claim to: forgets everything. Renewals that wait are answered so.
    pub fn demote(&self) {
        let mut state = self.state.lock();
        state.primary = None;
        state.book = Book::default();
        state.rearm = false;
        self.changed.notify_one();
    }

    /// What was counted.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// True where this member counts.
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

    /// How long a lease still lives: `None` where there is none. Refused where this member does not count.
    pub fn time_to_live(&self, id: LeaseId) -> Result<Option<TimeToLive>, Refusal> {
        let state = self.state.lock();
        if !state.counts() {
            return Err(Refusal::NotPrimaryLessor);
        }
        let found = state.book.time_to_live(id, self.now());
        Ok(found.map(|(remaining, granted)| TimeToLive { remaining, granted }))
    }

    /// Every lease, the one that runs out first in front. `None` where this member does not count.
    pub fn by_expiry(&self) -> Option<Vec<LeaseId>> {
        let state = self.state.lock();
        state.counts().then(|| state.book.by_expiry())
    }

    /// An id for a lease that comes without one.
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
    /// True where this member counts and may still claim to lead.
    fn counts(&self) -> bool {
        self.primary.as_ref().is_some_and(|primary| (primary.claim)())
    }
}

/// What a lease has left after a change of leader, without the grace.
fn remaining(lease: &Lease) -> Duration {
    let full = seconds(lease.ttl);
    lease.remaining_ms.map_or(full, |ms| Duration::from_millis(ms.max(0) as u64).min(full))
}

#[derive(Clone, Copy, Debug)]
enum For {
    /// That the leases are read.
    Leases,
    /// That the record is cleared, or the lease gone.
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
    /// The answer: the time to live in seconds, `None` where there is no such lease. Refused where this member
    /// stopped to count meanwhile, or where what makes the renewal last could not be recorded.
    pub async fn wait(mut self) -> Result<Option<i64>, Refusal> {
        loop {
            // The sender is dropped to tell; nothing is ever sent.
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
    fn on_events(&self, _: &[RevisionEvents]) {}

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

    fn on_compacted(&self, _: i64) {}

    fn on_restored(&self, _: i64) {
        let mut state = self.state.lock();
        if state.primary.is_some() {
            state.rearm = true;
            self.changed.notify_one();
        }
    }
}
