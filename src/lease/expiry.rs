//! The task that revokes expired leases and records the remaining time of the others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Fuse, FutureExt};
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

use super::book::Moment;
use super::lessor::Lessor;
use super::{Answering, Proposer};
use crate::model::{Command, LeaseId, Refusal, Reply};

/// Most revocations in flight. Revocations share log entries, so this allows many per second and leaves room for other
/// commands.
const MAX_REVOKING: usize = 128;
/// Delay before a failed revocation is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Longest sleep of the primary: what becomes due sooner wakes it, but not a clock that goes on while the machine sleeps.
const LOOK: Duration = Duration::from_secs(1);
/// Longest sleep while this member is not primary.
const IDLE: Duration = Duration::from_secs(3600);

type Records = Vec<(LeaseId, Option<Moment>)>;
type Boxed<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// The term of the request, the lease, and the result.
type Revoked = (u64, LeaseId, Result<Reply, Refusal>);

/// Commands in flight.
struct Expiry {
    lessor: Arc<Lessor>,
    proposer: Arc<dyn Proposer>,
    revoking: FuturesUnordered<Boxed<Revoked>>,
    /// One command at a time, so that the log has them in order.
    recording: Fuse<Boxed<(u64, Records, bool)>>,
    is_recording: bool,
}

impl Lessor {
    /// Runs for this lessor, for ever. Dropping the future stops it.
    pub async fn run(self: Arc<Self>, proposer: Arc<dyn Proposer>) {
        let mut expiry = Expiry {
            lessor: self.clone(),
            proposer,
            revoking: FuturesUnordered::new(),
            recording: Fuse::terminated(),
            is_recording: false,
        };
        loop {
            let pause = expiry.act();
            tokio::select! {
                // Polled in a fixed order, so that simulations are repeatable; nothing starves, because every branch
                // ends by itself.
                biased;
                Some((term, id, result)) = expiry.revoking.next(), if !expiry.revoking.is_empty() => {
                    expiry.revoked(term, id, result);
                }
                (term, records, done) = &mut expiry.recording, if expiry.is_recording => {
                    expiry.is_recording = false;
                    expiry.recorded(term, &records, done);
                }
                () = self.changed.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }
}

impl Expiry {
    /// Starts what is due and returns the time until something is due next.
    fn act(&mut self) -> Duration {
        let lessor = self.lessor.clone();
        let rearm = {
            let mut state = lessor.state.lock();
            let due = std::mem::take(&mut state.rearm);
            state.primary.as_ref().filter(|_| due).map(|primary| (primary.term, primary.claim.clone()))
        };
        if let Some((term, claim)) = rearm {
            lessor.promote(term, claim);
        }
        let tick = lessor.options.heartbeat;
        let now = lessor.now();
        let mut state = lessor.state.lock();
        let state = &mut *state;
        let Some(primary) = state.primary.as_ref() else { return IDLE };
        // A member that cannot claim to lead would only have its proposals refused.
        if primary.arming || !(primary.claim)() {
            return tick;
        }
        let term = primary.term;
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
        // If no more revocations fit, wait for one of them to end, not for the next expired lease.
        if self.revoking.len() < MAX_REVOKING && !self.is_recording {
            let pause = |due: Moment| due.saturating_sub(now).clamp(Duration::from_millis(1), LOOK);
            state.book.next_due().map_or(LOOK, pause)
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
            // As a rule the observer has removed the lease already; after a restore perhaps not.
            Ok(_) | Err(Refusal::LeaseNotFound) => state.book.revoked(id),
            Err(refusal) => {
                tracing::debug!(%refusal, lease = id, "a lease that ran out could not be revoked; trying again");
                state.book.retry_revoke(id, self.lessor.now() + RETRY);
            }
        }
    }

    fn record(&mut self, term: u64, records: Records, now: Moment) {
        let left = |deadline: Moment| deadline.saturating_sub(now).as_millis() as i64;
        let remaining = records.iter().map(|(id, deadline)| (*id, deadline.map(left))).collect();
        let proposing: Answering<Reply> = self.proposer.propose(term, Command::LeaseCheckpoint { remaining });
        let recording: Boxed<(u64, Records, bool)> =
            Box::pin(async move { (term, records, proposing.await.is_ok()) });
        self.recording = recording.fuse();
        self.is_recording = true;
    }

    fn recorded(&mut self, term: u64, records: &Records, done: bool) {
        let mut state = self.lessor.state.lock();
        if state.primary.as_ref().is_some_and(|primary| primary.term == term) {
            state.book.recorded(records, done, self.lessor.now());
        }
    }
}
