//! The processor of a simulated machine. Simulated time stands still while a task runs. So that work can take time as
//! it does on a real thread, running code reports its cost ([`spend`]), and until that time has passed nothing else on
//! the same thread continues. Outside of a simulation none of this has any effect.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};

thread_local! {
    /// The processor on which the current task runs.
    static HERE: RefCell<Option<Processor>> = const { RefCell::new(None) };
    /// Time spent on work outside the processor, while there is such work.
    static BESIDE: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// One simulated thread. Clones share it.
#[derive(Clone, Default)]
pub struct Processor(Arc<Mutex<Option<Instant>>>);

impl Processor {
    /// Runs `work` on it, with everything that a node in it spawns.
    pub fn run<F: Future>(&self, work: F) -> OnProcessor<F> {
        OnProcessor { processor: self.clone(), work: Box::pin(work), pause: None }
    }

    /// From now on nothing continues for this long, in addition to the work it is already busy with.
    pub fn stop_for(&self, time: Duration) {
        let mut busy = self.0.lock();
        *busy = Some(busy.unwrap_or_else(Instant::now).max(Instant::now()) + time);
    }

    /// True while nothing continues.
    pub fn is_stopped(&self) -> bool {
        self.busy_until().is_some()
    }

    /// The processor of the current task; `None` outside of a simulation.
    pub(super) fn here() -> Option<Self> {
        HERE.with_borrow(Clone::clone)
    }

    fn busy_until(&self) -> Option<Instant> {
        self.0.lock().filter(|until| *until > Instant::now())
    }
}

/// The current work of a simulation costs this much time: of the thread it runs on, or, inside [`super::offload`], of
/// the task that waits for it.
pub fn spend(time: Duration) {
    match BESIDE.get() {
        Some(before) => BESIDE.set(Some(before + time)),
        None => {
            if let Some(here) = Processor::here() {
                here.stop_for(time);
            }
        }
    }
}

/// Does work outside the processor; returns its result and the time spent.
pub(super) fn beside<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    BESIDE.set(Some(Duration::ZERO));
    let done = work();
    (done, BESIDE.take().unwrap_or_default())
}

/// Work on a [`Processor`].
pub struct OnProcessor<F> {
    processor: Processor,
    work: Pin<Box<F>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for OnProcessor<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        while let Some(until) = self.processor.busy_until() {
            let pause = self.pause.insert(Box::pin(sleep_until(until)));
            if pause.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        self.pause = None;
        let _here = Here(HERE.replace(Some(self.processor.clone())));
        self.work.as_mut().poll(cx)
    }
}

/// Restores the previous processor.
struct Here(Option<Processor>);

impl Drop for Here {
    fn drop(&mut self) {
        HERE.set(self.0.take());
    }
}
