//! The lists of a member's jobs.

use futures_util::future::join_all;

use super::parts::{Job, Member};
use super::{compaction, leases, repair, scrub, token_keys, tree};
use crate::api::page::keep_history;

/// The jobs that the leader does for all members. They run everywhere, so that the next leader is prepared, and change
/// something only on the leader.
const OF_THE_LEADER: &[fn(&Member) -> Job] =
    &[leases::job, compaction::job, token_keys::job, tree::job, versions];

/// The jobs that each member does for itself.
const OF_EACH: &[fn(&Member) -> Job] =
    &[space_alarm, history, repair::job, scrub::job, stalled_log, version_reports];

impl Member {
    /// The jobs of the leader.
    pub fn leaders_jobs(&self) -> Job {
        together(OF_THE_LEADER.iter().map(|job| job(self)).collect())
    }

    /// The comparisons of this member's state with the others', and what follows.
    pub fn comparisons(&self) -> Job {
        repair::job(self)
    }

    /// All jobs.
    pub fn all_jobs(&self) -> Job {
        together(OF_THE_LEADER.iter().chain(OF_EACH).map(|job| job(self)).collect())
    }
}

fn together(jobs: Vec<Job>) -> Job {
    Box::pin(async { _ = join_all(jobs).await })
}

/// Decides the cluster's version.
fn versions(member: &Member) -> Job {
    let versions = member.versions.clone();
    Box::pin(async move { versions.lead().await })
}

/// Reports this member's version to the leader.
fn version_reports(member: &Member) -> Job {
    let versions = member.versions.clone();
    Box::pin(async move { versions.report().await })
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

/// Logs that the disk of this member's log stands still.
fn stalled_log(member: &Member) -> Job {
    let node = member.node.clone();
    Box::pin(async move { node.tell_stalled_disk().await })
}
