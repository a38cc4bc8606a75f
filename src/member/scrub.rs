//! The scrub of this member's data, at its pace; see `store/scrub.rs`. What it finds is mended by `repair.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::parts::{Job, Member};
use super::seams::Scrub;
use super::states::States;
use crate::raft::offload;
use crate::store::{ScrubPlace, StoreError};

/// Bytes of a part: few enough that nothing waits for it, and many more than the pages on the way to it.
const PART: u64 = 512 << 10;
/// Pause after a part, at least.
const LEAST: Duration = Duration::from_millis(50);
/// Pause after a part that could not be read.
const AGAIN: Duration = Duration::from_secs(10);

/// Checks at once what the start has not checked; false if the process ends.
async fn verified(states: &States) -> bool {
    while !states.store.is_verified() && !states.store.is_condemned() {
        let store = states.store.clone();
        match offload(move || store.verify()).await {
            Ok(Ok(read)) => {
                states.scrubs.read(read);
                tracing::info!(
                    bytes = read.bytes,
                    is_complete = read.is_complete,
                    "the data were checked after the start"
                );
            }
            Ok(Err(StoreError::Damaged(_))) => {
                states.scrubs.found();
                states.wake.notify_one();
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the data could not be checked after the start; trying again");
                tokio::time::sleep(AGAIN).await;
            }
            Err(_) => return false,
        }
        // Nothing else ends this if the store is closed.
        tokio::time::sleep(LEAST).await;
    }
    true
}

/// Scrubs as the options say.
pub fn job(member: &Member) -> Job {
    let states = member.states.clone();
    Box::pin(async move {
        match states.checks.scrub {
            Some(scrub) => run(states, scrub).await,
            None => std::future::pending().await,
        }
    })
}

async fn run(states: Arc<States>, scrub: Scrub) {
    // All but the roots of the tables, if the start has left that to this.
    if !verified(&states).await {
        return;
    }
    let mut begins = tokio::time::interval(scrub.every);
    begins.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    begins.tick().await;
    loop {
        begins.tick().await;
        let mut place = ScrubPlace::default();
        while !states.store.is_condemned() {
            let (store, mut at) = (states.store.clone(), place.clone());
            let part = offload(move || (store.scrub(&mut at, PART), at)).await;
            let pause = match part {
                Ok((Ok(part), at)) => {
                    place = at;
                    states.scrubs.read(part);
                    if part.is_complete {
                        break;
                    }
                    let pause = part.bytes as f64 / scrub.bytes_per_second.max(1) as f64;
                    Duration::from_secs_f64(pause).max(LEAST)
                }
                Ok((Err(StoreError::Damaged(_)), _)) => {
                    states.scrubs.found();
                    states.wake.notify_one();
                    break;
                }
                Ok((Err(error), _)) => {
                    tracing::warn!(%error, "a part of the data could not be scrubbed; trying again");
                    AGAIN
                }
                // The process ends.
                Err(_) => return,
            };
            tokio::time::sleep(pause).await;
        }
    }
}
