//! Waking many streams at once.
//!
//! Waking a task from another thread costs a system call. So if a batch of events concerns many streams, their wakers
//! go to the lane of the runtime they run on: a queue with one task in that runtime, which is woken once and wakes all
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
pub(super) struct Lane {
    wakers: Mutex<Vec<Waker>>,
    posted: Notify,
    stopped: AtomicBool,
}

impl Lane {
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

/// Ends a lane with its runtime.
struct Stop(Arc<Lane>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        self.0.wake_all();
    }
}

/// All lanes of a hub, one per runtime.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<Id, Arc<Lane>>>);

impl Lanes {
    /// The lane of the current runtime; `None` outside of any runtime.
    pub(super) fn here(&self) -> Option<Arc<Lane>> {
        let runtime = Handle::try_current().ok()?;
        let mut lanes = self.0.lock();
        if let Some(lane) = lanes.get(&runtime.id())
            && !lane.stopped.load(Ordering::SeqCst)
        {
            return Some(lane.clone());
        }
        lanes.retain(|_, lane| !lane.stopped.load(Ordering::SeqCst));
        let lane = Arc::new(Lane {
            wakers: Mutex::default(),
            posted: Notify::new(),
            stopped: AtomicBool::new(false),
        });
        lanes.insert(runtime.id(), lane.clone());
        let stop = Stop(lane.clone());
        runtime.spawn(async move {
            loop {
                stop.0.posted.notified().await;
                stop.0.wake_all();
            }
        });
        Some(lane)
    }
}

/// The streams that a batch of events wakes.
#[derive(Default)]
pub(super) struct Wakes(SmallVec<[(Waker, Option<Arc<Lane>>); DIRECT]>);

impl Wakes {
    pub(super) fn push(&mut self, waker: Waker, lane: Option<&Arc<Lane>>) {
        self.0.push((waker, lane.cloned()));
    }

    /// Wakes all of them. Call it without holding a lock.
    pub(super) fn fire(self) {
        if self.0.len() <= DIRECT {
            self.0.into_iter().for_each(|(waker, _)| waker.wake());
            return;
        }
        let mut lanes: Vec<(Arc<Lane>, Vec<Waker>)> = Vec::new();
        for (waker, lane) in self.0 {
            let Some(lane) = lane else {
                waker.wake();
                continue;
            };
            match lanes.iter_mut().rev().find(|(other, _)| Arc::ptr_eq(other, &lane)) {
                Some((_, wakers)) => wakers.push(waker),
                None => lanes.push((lane, vec![waker])),
            }
        }
        for (lane, mut wakers) in lanes {
            lane.post(&mut wakers);
        }
    }
}
