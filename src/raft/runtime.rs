//! The runtime under raft: tokio, with random numbers that a simulation can seed. Everything else that would differ
//! between two runs of the same simulation (the order of threads) is kept out here, too.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::time::Duration;

use openraft::OptionalSend;
use openraft_rt::AsyncRuntime;
use openraft_rt_tokio::TokioRuntime;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::processor::{Processor, beside};

thread_local! {
    /// The seed of the next random generator of a simulation; `None` if random numbers are real.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Makes this thread a simulation: nodes that run on it draw their election timeouts from `seed`, and run work on the
/// thread itself that they would otherwise give to a thread pool. The same seed then gives the same run, on a
/// current-thread runtime with a paused clock.
pub fn simulate(seed: u64) {
    SEED.set(Some(seed));
}

/// Runs slow work outside the runtime's thread; in a simulation ([`simulate`]) at once, and then waits for the time
/// that the work reported ([`super::spend`]).
///
/// # Errors
/// If `work` panics, or the runtime is shut down before it begins.
pub async fn offload<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, io::Error> {
    if SEED.get().is_some() {
        let (done, spent) = beside(work);
        if !spent.is_zero() {
            tokio::time::sleep(spent).await;
        }
        return Ok(done);
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// tokio as raft's runtime.
#[derive(Debug)]
pub struct Runtime(TokioRuntime);

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = StdRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = super::signal::Signals;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        match Processor::here() {
            None => TokioRuntime::spawn(future),
            Some(here) => TokioRuntime::spawn(here.run(future)),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    /// A new generator each time: raft uses it once per election.
    fn thread_rng() -> StdRng {
        match SEED.get() {
            None => StdRng::from_rng(&mut rand::rng()),
            Some(seed) => {
                SEED.set(Some(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)));
                StdRng::seed_from_u64(seed)
            }
        }
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}
