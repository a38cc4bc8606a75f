//! Waking many streams at once.
//!
//! Waking a task from another thread costs a system call. So if a batch of events concerns many streams, their wakers
//! go to the queue of the runtime they run on. One task of that runtime reads it; it is woken once and wakes all
//! the others from within.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;

/// Up to this many streams are woken directly.
const DIRECT: usize = 2;

/// The waker of one runtime's streams.
pub(super) struct Queue {
    wakers: Mutex<Vec<Waker>>,
    posted: Notify,
    stopped: AtomicBool,
}

impl Queue {
    fn post(&self, wakers: &mut Vec<Waker>) {
        self.wakers.lock().append(wakers);
        self.posted.notify_one();
        // If the runtime stopped in between, nobody else would wake the streams that were posted.
        if self.stopped.load(Ordering::SeqCst) {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.wakers.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Ends a queue with its runtime.
struct Stop(Arc<Queue>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        self.0.wake_all();
    }
}

/// All queues of a hub, one per runtime.
#[derive(Default)]
pub(super) struct Queues(Mutex<HashMap<Id, Arc<Queue>>>);

impl Queues {
    /// The queue of the current runtime; `None` outside of any runtime.
    pub(super) fn here(&self) -> Option<Arc<Queue>> {
        let runtime = Handle::try_current().ok()?;
        let mut queues = self.0.lock();
        if let Some(queue) = queues.get(&runtime.id())
            && !queue.stopped.load(Ordering::SeqCst)
        {
            return Some(queue.clone());
        }
        queues.retain(|_, queue| !queue.stopped.load(Ordering::SeqCst));
        let queue = Arc::new(Queue {
            wakers: Mutex::default(),
            posted: Notify::new(),
            stopped: AtomicBool::new(false),
        });
        queues.insert(runtime.id(), queue.clone());
        let stop = Stop(queue.clone());
        runtime.spawn(async move {
            loop {
                stop.0.posted.notified().await;
                stop.0.wake_all();
            }
        });
        Some(queue)
    }
}

/// The streams that a batch of events wakes.
#[derive(Default)]
pub(super) struct Wakes(SmallVec<[(Waker, Option<Arc<Queue>>); DIRECT]>);

impl Wakes {
    pub(super) fn push(&mut self, waker: Waker, queue: Option<&Arc<Queue>>) {
        self.0.push((waker, queue.cloned()));
    }

    /// Wakes all of them. Call it without holding a lock.
    pub(super) fn fire(self) {
        if self.0.len() <= DIRECT {
            self.0.into_iter().for_each(|(waker, _)| waker.wake());
            return;
        }
        let mut queues: Vec<(Arc<Queue>, Vec<Waker>)> = Vec::new();
        for (waker, queue) in self.0 {
            let Some(queue) = queue else {
                waker.wake();
                continue;
            };
            match queues.iter_mut().rev().find(|(other, _)| Arc::ptr_eq(other, &queue)) {
                Some((_, wakers)) => wakers.push(waker),
                None => queues.push((queue, vec![waker])),
            }
        }
        for (queue, mut wakers) in queues {
            queue.post(&mut wakers);
        }
    }
}
