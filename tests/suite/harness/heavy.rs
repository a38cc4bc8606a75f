//! Two cores carry one heavy test at a time.

use tokio::sync::{Mutex, MutexGuard};

static HEAVY: Mutex<()> = Mutex::const_new(());

/// Waits for the turn of a test that keeps both cores busy; the turn ends with the guard.
pub async fn heavy() -> MutexGuard<'static, ()> {
    HEAVY.lock().await
}
