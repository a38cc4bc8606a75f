//! A machine with many cores starts many tests at once; at most two of those that keep a core busy run at a time.

use tokio::sync::{Semaphore, SemaphorePermit};

static HEAVY: Semaphore = Semaphore::const_new(2);

/// Waits for the turn of a test that keeps a core busy; the turn ends when the guard is dropped.
pub async fn heavy() -> SemaphorePermit<'static> {
    HEAVY.acquire().await.expect("nobody closes it")
}
