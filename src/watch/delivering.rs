//! Delivery of events to the watchers of a batch, some at a time: a hundred thousand watchers of one key neither keep the
//! applying thread, nor anybody else who needs the hub's lock.
//!
//! The applying thread delivers to the first ones, which nearly always are all. Another thread goes on, and meanwhile what
//! is applied waits; all that waited is delivered together. If too much of it waits, the applying thread delivers it.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::thread;

use parking_lot::MutexGuard;

use super::hub::{Hub, State};
use super::run::Budget;
use super::wake::Wakes;
use crate::model::RevisionEvents;

impl State {
    /// The last revision that was passed to the hub.
    fn known(&self) -> i64 {
        self.delivery.waiting.last().map_or(self.revision, |last| last.revision)
    }

    /// Takes what was applied. [`State::go_on`] delivers it.
    pub(super) fn publish(&mut self, revisions: &[RevisionEvents], budget: &Arc<Budget>, wakes: &mut Wakes) {
        let known = self.known();
        let news = &revisions[revisions.partition_point(|events| events.revision <= known)..];
        let (Some(first), Some(last)) = (news.first(), news.last()) else { return };
        if first.revision > known + 1 {
            // Something was applied without a call of the observer: no watcher may get the following events before the
            // missing ones.
            tracing::warn!(
                known,
                first = first.revision,
                "watchers missed revisions; they read them from history"
            );
            self.finish(budget, wakes);
            self.revision = last.revision;
            self.all_behind(known + 1, wakes);
        } else if self.delivery.is_under_way() {
            self.delivery.wait(news);
            if self.delivery.is_full() {
                self.finish(budget, wakes);
            }
        } else {
            self.begin(news, budget);
        }
    }

    /// Begins to deliver revisions.
    fn begin(&mut self, revisions: &[RevisionEvents], budget: &Arc<Budget>) {
        let Some(last) = revisions.last() else { return };
        self.revision = last.revision;
        if self.groups.is_empty() {
            return;
        }
        for events in revisions {
            self.collect(events, budget);
        }
        self.delivery.groups = self.groups.take_touched();
        // They are taken from the end.
        self.delivery.groups.reverse();
        for index in 0..self.delivery.groups.len() {
            self.prepare(self.delivery.groups[index]);
        }
    }

    /// Delivers to at most so many watchers. True if some have not got everything.
    pub(super) fn go_on(&mut self, most: usize, budget: &Arc<Budget>, wakes: &mut Wakes) -> bool {
        let mut left = most;
        loop {
            while let Some(group) = self.delivery.groups.last() {
                if left == 0 {
                    return true;
                }
                let (count, is_done) = self.deliver(*group, left, wakes);
                left = left.saturating_sub(count.max(1));
                if is_done {
                    self.delivery.groups.pop();
                }
            }
            if budget.is_exceeded() {
                self.shed(wakes);
            }
            if self.delivery.waiting.is_empty() {
                return false;
            }
            self.delivery.waiting_bytes = 0;
            let waiting = std::mem::take(&mut self.delivery.waiting);
            self.begin(&waiting, budget);
        }
    }

    /// Delivers everything.
    pub(super) fn finish(&mut self, budget: &Arc<Budget>, wakes: &mut Wakes) {
        while self.go_on(usize::MAX, budget, wakes) {}
    }
}

impl Hub {
    /// Starts the thread that delivers to those whom the applying thread leaves to it.
    pub(super) fn start_delivery(self: &Arc<Self>, rest: Receiver<()>) {
        let hub = Arc::downgrade(self);
        let thread = thread::Builder::new().name("kvd-watch".to_string());
        if let Err(error) = thread.spawn(move || run(&hub, &rest)) {
            // The channel is closed then.
            tracing::error!(%error, "cannot start the thread that delivers events; puts wait for their watchers");
        }
    }

    /// Delivers to some more watchers; true if some have not got everything.
    pub(super) fn go_on(&self) -> bool {
        let mut wakes = Wakes::default();
        let mut state = self.lock();
        let is_more = state.go_on(self.options.at_once, self.budget(), &mut wakes);
        // Whoever waits for the lock comes first.
        MutexGuard::unlock_fair(state);
        wakes.fire();
        is_more
    }
}

/// The thread: delivers what is left of each delivery, until the hub is gone.
fn run(hub: &Weak<Hub>, rest: &Receiver<()>) {
    while rest.recv().is_ok() {
        let Some(hub) = hub.upgrade() else { return };
        while hub.go_on() {}
    }
}
