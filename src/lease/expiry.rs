//! The task that acts in time: revokes what has run out, records deadlines, makes sure that this member leads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Fuse, FutureExt};
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::lessor::Lessor;
use super::{Answering, Proposer};
use crate::model::{Command, LeaseId, Refusal, Reply};

/// Most revocations in flight. They share log entries, so this is many a second and yet leaves room for others.
const MAX_REVOKING: usize = 128;
/// A revocation that failed is tried again after this.
const RETRY: Duration = Duration::from_millis(500);
/// Longest sleep where this member is not primary.
const IDLE: Duration = Duration::from_secs(3600);

type Records = Vec<(LeaseId, Option<Instant>)>;
type Boxed<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// The term it was asked in, the lease, and what came of it.
type Revoked = (u64, LeaseId, Result<Reply, Refusal>);

/// What is in flight.
struct Expiry {
    lessor: Arc<Lessor>,
    proposer: Arc<dyn Proposer>,
    revoking: FuturesUnordered<Boxed<Revoked>>,
    /// One command at a time, so that the log has them in order.
    recording: Fuse<Boxed<(u64, Records, bool)>>,
    is_recording: bool,
    confirming: Fuse<Boxed<(u64, bool)>>,
    is_confirming: bool,
    /// Not before this is it asked again whether this member leads.
    confirm_again: Instant,
}

impl Lessor {
    /// Acts for this lessor, for ever. Dropping the future stops it.
    pub async fn run(self: Arc<Self>, proposer: Arc<dyn Proposer>) {
        let mut expiry = Expiry {
            lessor: self.clone(),
            proposer,
            revoking: FuturesUnordered::new(),
            recording: Fuse::terminated(),
            is_recording: false,
            confirming: Fuse::terminated(),
            is_confirming: false,
            confirm_again: Instant::now(),
        };
        loop {
            let next = expiry.act();
            tokio::select! {
                // In one order, so that simulations repeat; nothing starves, for all of it ends by itself.
                biased;
                Some((term, id, result)) = expiry.revoking.next(), if !expiry.revoking.is_empty() => {
                    expiry.revoked(term, id, result);
                }
                (term, records, done) = &mut expiry.recording, if expiry.is_recording => {
                    expiry.is_recording = false;
                    expiry.recorded(term, &records, done);
                }
                (term, confirmed) = &mut expiry.confirming, if expiry.is_confirming => {
                    expiry.is_confirming = false;
                    expiry.confirmed(term, confirmed);
                }
                () = self.changed.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }
}

impl Expiry {
    /// Starts what is due; answers with when to look again.
    fn act(&mut self) -> Instant {
        let lessor = self.lessor.clone();
        let rearm = {
            let mut state = lessor.state.lock();
            let due = std::mem::take(&mut state.rearm);
            state.primary.as_ref().filter(|_| due).map(|primary| primary.term)
        };
        if let Some(term) = rearm {
            lessor.promote(term);
        }
        let mut state = lessor.state.lock();
        let state = &mut *state;
        let now = Instant::now();
        let Some(primary) = state.primary.as_mut() else { return now + IDLE };
        if now.duration_since(primary.last_tick) > lessor.options.heartbeat * 3 {
            // It may have slept long enough to lose its leadership without having heard of it.
            primary.confirmed = false;
        }
        primary.last_tick = now;
        let term = primary.term;
        if primary.arming {
            return now + lessor.options.heartbeat;
        }
        if !primary.confirmed {
            if !self.is_confirming && now >= self.confirm_again {
                self.confirm(term);
            }
            return now + lessor.options.heartbeat;
        }
        let room = MAX_REVOKING - self.revoking.len().min(MAX_REVOKING);
        for id in state.book.take_expired(now, room) {
            self.revoke(term, id);
        }
        if !self.is_recording {
            state.book.note_due_records(now);
            let records = state.book.take_records();
            if !records.is_empty() {
                self.record(term, records, now);
            }
        }
        let tick = now + lessor.options.heartbeat;
        // With no room left, the end of a revocation is what wakes; not the next lease that has run out.
        if self.revoking.len() < MAX_REVOKING && !self.is_recording {
            state.book.next_due().map_or(tick, |due| due.clamp(now + Duration::from_millis(1), tick))
        } else {
            tick
        }
    }

    fn revoke(&mut self, term: u64, id: LeaseId) {
        self.lessor.figures.expired.fetch_add(1, Ordering::Relaxed);
        let proposing = self.proposer.propose(term, Command::LeaseRevoke { id });
        self.revoking.push(Box::pin(async move { (term, id, proposing.await) }));
    }

    fn revoked(&mut self, term: u64, id: LeaseId, result: Result<Reply, Refusal>) {
        let mut state = self.lessor.state.lock();
        if state.primary.as_ref().is_none_or(|primary| primary.term != term) {
            return;
        }
        match result {
            // The observer has heard of it already; after a restore it may have not.
            Ok(_) | Err(Refusal::LeaseNotFound) => state.book.revoked(id),
            Err(refusal) => {
                tracing::debug!(%refusal, lease = id, "a lease that ran out could not be revoked; trying again");
                state.book.retry_revoke(id, Instant::now() + RETRY);
            }
        }
    }

    fn record(&mut self, term: u64, records: Records, now: Instant) {
        let now_ms = self.lessor.clock.now_ms();
        let in_ms = |deadline: Instant| deadline.saturating_duration_since(now).as_millis() as i64;
        let deadlines = records
            .iter()
            .map(|(id, deadline)| (*id, deadline.map(|deadline| now_ms.saturating_add(in_ms(deadline)))))
            .collect();
        let proposing: Answering<Reply> = self.proposer.propose(term, Command::LeaseCheckpoint { deadlines });
        let recording: Boxed<(u64, Records, bool)> =
            Box::pin(async move { (term, records, proposing.await.is_ok()) });
        self.recording = recording.fuse();
        self.is_recording = true;
    }

    fn recorded(&mut self, term: u64, records: &Records, done: bool) {
        let mut state = self.lessor.state.lock();
        if state.primary.as_ref().is_some_and(|primary| primary.term == term) {
            state.book.recorded(records, done, Instant::now());
        }
    }

    fn confirm(&mut self, term: u64) {
        let confirming = self.proposer.confirm();
        let confirming: Boxed<(u64, bool)> = Box::pin(async move { (term, confirming.await.is_ok()) });
        self.confirming = confirming.fuse();
        self.is_confirming = true;
        self.confirm_again = Instant::now() + self.lessor.options.heartbeat;
    }

    fn confirmed(&mut self, term: u64, confirmed: bool) {
        let mut state = self.lessor.state.lock();
        if let Some(primary) = state.primary.as_mut().filter(|primary| primary.term == term)
            && confirmed
        {
            primary.confirmed = true;
            primary.last_tick = Instant::now();
            // Dropping them tells them.
            primary.waiters.clear();
        }
    }
}
