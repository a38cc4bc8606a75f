//! Waking many streams at once.
//!
//! Waking a task from another thread costs a system call. So if a batch of events concerns many streams, their wakers
//! go to the queue of the runtime they run on. One task of that runtime reads it; it is woken once and wakes the others
//! from within, some at a time: a request that comes meanwhile waits for a few streams, not for a hundred thousand.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::vec::IntoIter;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::task::yield_now;

/// Up to this many streams are woken directly.
const DIRECT: usize = 2;
/// So many streams are woken before the runtime's other tasks get their turn. Their connections send what they have
/// before the next ones come: the library keeps the room for the most that ever waited on a connection.
const AT_ONCE: usize = 8;

/// The waker of one runtime's streams.
pub(super) struct Queue {
    /// As they were posted: whatever was woken keeps no room.
    wakers: Mutex<VecDeque<IntoIter<Waker>>>,
    posted: Notify,
    stopped: AtomicBool,
}

impl Queue {
    fn post(&self, wakers: Vec<Waker>) {
        self.wakers.lock().push_back(wakers.into_iter());
        self.posted.notify_one();
        // If the runtime stopped in between, nobody else would wake the streams that were posted.
        if self.stopped.load(Ordering::SeqCst) {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        while self.wake_some() {}
    }

    /// Wakes some; false if none is left.
    fn wake_some(&self) -> bool {
        let (some, is_more) = {
            let mut wakers = self.wakers.lock();
            let mut some: SmallVec<[Waker; AT_ONCE]> = SmallVec::new();
            while some.len() < AT_ONCE
                && let Some(first) = wakers.front_mut()
            {
                some.extend(first.by_ref().take(AT_ONCE - some.len()));
                if first.len() == 0 {
                    wakers.pop_front();
                }
            }
            (some, !wakers.is_empty())
        };
        some.into_iter().for_each(Waker::wake);
        is_more
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
                while stop.0.wake_some() {
                    yield_now().await;
                }
            }
        });
        Some(queue)
    }
}

/// The streams that a batch of events wakes.
#[derive(Default)]
pub(super) struct Wakes {
    /// The first ones, and those of no runtime.
    first: SmallVec<[(Waker, Option<Arc<Queue>>); DIRECT]>,
    /// The others, by queue.
    posts: SmallVec<[(Arc<Queue>, Vec<Waker>); DIRECT]>,
}

impl Wakes {
    pub(super) fn push(&mut self, waker: Waker, queue: Option<&Arc<Queue>>) {
        match queue {
            Some(queue) if self.first.len() >= DIRECT => self.post(waker, queue),
            _ => self.first.push((waker, queue.cloned())),
        }
    }

    fn post(&mut self, waker: Waker, queue: &Arc<Queue>) {
        match self.posts.iter_mut().find(|(other, _)| Arc::ptr_eq(other, queue)) {
            Some((_, wakers)) => wakers.push(waker),
            None => self.posts.push((queue.clone(), vec![waker])),
        }
    }

    /// Wakes all of them. Call it without holding a lock.
    pub(super) fn fire(mut self) {
        let are_few = self.posts.is_empty();
        for (waker, queue) in std::mem::take(&mut self.first) {
            match queue {
                Some(queue) if !are_few => self.post(waker, &queue),
                _ => waker.wake(),
            }
        }
        self.posts.into_iter().for_each(|(queue, wakers)| queue.post(wakers));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn fire(count: usize, queue: &Arc<Queue>, woken: &Arc<Woken>) {
        let mut wakes = Wakes::default();
        (0..count).for_each(|_| wakes.push(woken.clone().into(), Some(queue)));
        wakes.fire();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_task_gets_its_turn_while_many_streams_are_woken() {
        let (queues, woken) = (Queues::default(), Arc::<Woken>::default());
        let queue = queues.here().expect("a runtime");
        let all = 20 * AT_ONCE;
        fire(all, &queue, &woken);
        let mut seen = BTreeSet::new();
        while seen.last() != Some(&all) {
            yield_now().await;
            seen.insert(woken.0.load(Ordering::SeqCst));
        }
        assert!(seen.len() >= 10, "{seen:?}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn few_streams_are_woken_at_once() {
        let (queues, woken) = (Queues::default(), Arc::<Woken>::default());
        let queue = queues.here().expect("a runtime");
        fire(DIRECT, &queue, &woken);
        assert_eq!(woken.0.load(Ordering::SeqCst), DIRECT);
    }

    #[test]
    fn streams_of_a_runtime_that_stopped_are_woken_nevertheless() {
        let (queues, woken) = (Queues::default(), Arc::<Woken>::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let queue = runtime.block_on(async { queues.here().expect("a runtime") });
        drop(runtime);
        fire(3 * AT_ONCE, &queue, &woken);
        assert_eq!(woken.0.load(Ordering::SeqCst), 3 * AT_ONCE);
    }
}
