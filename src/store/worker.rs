//! The store's thread: checkpoints by policy, and removal after compactions.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::core::Inner;
use super::signal::Signal;
use super::{CheckpointPolicy, StoreError};

/// Pause before a disk that was full is tried again.
const FULL: Duration = Duration::from_millis(500);

/// Starts the thread if the policy wants one.
pub(super) fn start(inner: &Arc<Inner>) -> Result<(), StoreError> {
    let CheckpointPolicy::Background { interval, .. } = inner.options.checkpoint else { return Ok(()) };
    let weak = Arc::downgrade(inner);
    let signal = inner.signal.clone();
    let thread = thread::Builder::new().name("kvd-store".into()).spawn(move || run(&weak, &signal, interval));
    let thread = thread.map_err(|error| StoreError::io("starting the store's thread", error))?;
    inner.signal.started(thread);
    Ok(())
}

fn run(inner: &Weak<Inner>, signal: &Signal, interval: Duration) {
    loop {
        if signal.wait_for_work(interval) {
            return;
        }
        let Some(inner) = inner.upgrade() else { return };
        match work(&inner, signal, interval) {
            Ok(()) => {}
            Err(StoreError::Full { .. }) => signal.wait_for_stop(FULL),
            // The error has been recorded and reported already; nothing more can be done.
            Err(_) => return,
        }
    }
}

/// Makes a checkpoint and then removes slices until nothing is left or there is other work.
fn work(inner: &Inner, signal: &Signal, interval: Duration) -> Result<(), StoreError> {
    let folded = inner.checkpoint();
    inner.look_at_space();
    // On a full disk, removing may make room.
    if !matches!(folded, Ok(()) | Err(StoreError::Full { .. })) {
        return folded;
    }
    let begun = Instant::now();
    while inner.must_prune() {
        inner.prune_slice()?;
        inner.look_at_space();
        if signal.pause(inner.options.compaction_sleep) || begun.elapsed() >= interval {
            signal.request_prune();
            break;
        }
    }
    folded
}
