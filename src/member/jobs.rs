//! The lists of a member's jobs.

use futures_util::future::join_all;

use super::parts::{Job, Member};
use super::{compaction, leases, token_keys, tree};
use crate::api::page::keep_history;

/// The jobs that the leader does for all members. They run everywhere, so that the next leader is prepared, and change
/// something only on the leader.
const OF_THE_LEADER: &[fn(&Member) -> Job] = &[leases::job, compaction::job, token_keys::job, tree::job];

/// The jobs that each member does for itself.
const OF_EACH: &[fn(&Member) -> Job] = &[space_alarm, history, comparisons];

impl Member {
    /// The jobs of the leader.
    pub fn leaders_jobs(&self) -> Job {
        together(OF_THE_LEADER.iter().map(|job| job(self)).collect())
    }

    /// All jobs.
    pub fn all_jobs(&self) -> Job {
        together(OF_THE_LEADER.iter().chain(OF_EACH).map(|job| job(self)).collect())
    }
}

fn together(jobs: Vec<Job>) -> Job {
    Box::pin(async { _ = join_all(jobs).await })
}

/// Compares this member's state with the leader's.
fn comparisons(member: &Member) -> Job {
    let states = member.states.clone();
    Box::pin(async move { states.run().await })
}

/// Raises the alarm when applying takes this member above its own quota.
fn space_alarm(member: &Member) -> Job {
    let (space, node, store) = (member.space.clone(), member.node.clone(), member.store.clone());
    Box::pin(async move { space.run(&node, &store).await })
}

/// Keeps the last minutes for the status page.
fn history(member: &Member) -> Job {
    Box::pin(keep_history(member.services.clone()))
}
