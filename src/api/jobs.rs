//! Blocking work, on threads for it. Each kind has a limit, so that no kind takes all threads (or all of LMDB's
//! readers) from the others. Work beyond the limit waits for its turn, which costs no thread.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::model::Refusal;

/// The kind of a piece of work.
#[derive(Clone, Copy, Debug)]
pub enum Job {
    /// Reads for a client.
    Read,
    /// Reads the whole store.
    Whole,
    /// Waits for work of the store's thread.
    Wait,
    /// Reads and checks a request of very many parts.
    Check,
}

/// Reads at a time: more of them do not get more done, and all of them together hold the threads up that serve clients.
const READS: usize = 16;
/// A request of at least this many bytes, which may consist of very many parts, is read and checked as a [`Job::Check`].
pub const WORTH_A_CHECK: usize = 32 << 10;
/// Checks at a time: they need nothing but a core, and the threads that serve clients need some, too.
const CHECKS: usize = 2;

/// The limits of all kinds. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    reads: Arc<Semaphore>,
    whole: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    checks: Arc<Semaphore>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            reads: Arc::new(Semaphore::new(READS)),
            whole: Arc::new(Semaphore::new(4)),
            waits: Arc::new(Semaphore::new(16)),
            checks: Arc::new(Semaphore::new(CHECKS)),
        }
    }
}

impl Jobs {
    /// Runs blocking work when its turn has come. Once begun it keeps its turn to its end, even if the caller stops
    /// waiting.
    ///
    /// # Errors
    /// The error of `work`; [`Refusal::Stopped`] if the server stops before it is done.
    pub async fn run<T, E, F>(&self, job: Job, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        E: Into<Refusal> + Send + 'static,
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        let turns = match job {
            Job::Read => &self.reads,
            Job::Whole => &self.whole,
            Job::Wait => &self.waits,
            Job::Check => &self.checks,
        };
        let turn = turns.clone().acquire_owned().await.map_err(|_| Refusal::Stopped)?;
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(Refusal::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_kind_of_work_takes_the_turns_of_another() {
        for (job, most, other) in [(Job::Wait, 16, Job::Read), (Job::Check, CHECKS, Job::Wait)] {
            let jobs = Arc::new(Jobs::default());
            let (release, released) = std::sync::mpsc::channel::<()>();
            let released = Arc::new(std::sync::Mutex::new(released));
            let running = Arc::new(AtomicUsize::new(0));
            let mut waiting = tokio::task::JoinSet::new();
            for _ in 0..1000 {
                let (jobs, released, running) = (jobs.clone(), released.clone(), running.clone());
                waiting.spawn(async move {
                    let work = move || {
                        running.fetch_add(1, Ordering::SeqCst);
                        // Ends with the sender.
                        let _ = released.lock().map(|released| released.recv());
                        Ok::<_, Refusal>(())
                    };
                    jobs.run(job, work).await
                });
            }
            while running.load(Ordering::SeqCst) < most {
                tokio::task::yield_now().await;
            }
            assert_eq!(jobs.run(other, || Ok::<_, Refusal>(7)).await, Ok(7));
            assert_eq!(running.load(Ordering::SeqCst), most);
            drop(release);
            while let Some(done) = waiting.join_next().await {
                assert_eq!(done.expect("no panic"), Ok(()));
            }
            assert_eq!(running.load(Ordering::SeqCst), 1000);
        }
    }
}
