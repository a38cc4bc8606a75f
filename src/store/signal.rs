//! Signals between the store's thread, the applying thread and waiting threads.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// See the module.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    /// Work for the store's thread.
    work: Condvar,
    /// A checkpoint or a compaction has finished, or the store has failed.
    progress: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    checkpoint: bool,
    prune: bool,
    stop: bool,
}

/// Longest wait without checking again: a waiter misses a change for at most this time.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Signal {
    /// A layer is full.
    pub fn request_checkpoint(&self) {
        self.request(|state| state.checkpoint = true);
    }

    /// A compaction was applied.
    pub fn request_prune(&self) {
        self.request(|state| state.prune = true);
    }

    /// The thread must end.
    pub fn request_stop(&self) {
        self.request(|state| state.stop = true);
        self.progress.notify_all();
    }

    fn request(&self, set: impl FnOnce(&mut State)) {
        set(&mut self.state.lock());
        self.work.notify_one();
    }

    /// The thread has started.
    pub fn started(&self, thread: JoinHandle<()>) {
        *self.thread.lock() = Some(thread);
    }

    /// Waits until the thread has ended.
    pub fn join(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            // A panic of the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }

    /// True after the thread was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }

    /// Some work has finished.
    pub fn progressed(&self) {
        self.progress.notify_all();
    }

    /// Wakes all waiting threads, so that they notice that the store has failed.
    pub fn wake_all(&self) {
        self.progress.notify_all();
        self.work.notify_all();
    }

    /// Waits while `condition` holds and nobody has `given_up`.
    pub fn wait_while(&self, condition: impl Fn() -> bool, given_up: impl Fn() -> bool) {
        while condition() && !given_up() {
            let mut state = self.state.lock();
            self.progress.wait_for(&mut state, LOOK_AGAIN);
        }
    }

    /// Waits for a request, at most this long. True if the thread must end.
    pub fn wait_for_work(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.checkpoint && !state.prune && !state.stop {
            self.work.wait_for(&mut state, timeout);
        }
        state.checkpoint = false;
        state.prune = false;
        state.stop
    }

    /// Waits this long, or until the thread must end.
    pub fn wait_for_stop(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.stop && !self.work.wait_until(&mut state, until).timed_out() {}
    }

    /// Pauses; true if before the end of the pause the thread must end, or a checkpoint is wanted.
    pub fn pause(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.stop && !state.checkpoint {
            self.work.wait_for(&mut state, time);
        }
        state.stop || state.checkpoint
    }
}
