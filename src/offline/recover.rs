//! A new cluster from what is left of one that has lost its majority for good.
//!
//! [`plan`] says what each data directory has, and what would be lost; it changes nothing, and shows members that run, too,
//! as far as that can be seen beside them. [`recover`] makes a single member of a new cluster of the state and the log that
//! have most ([`super::left`]). The sources stay as they are. The new cluster has another id, so that members of the former
//! one are refused for ever; its member knows the former id, and says so. Revisions go on far above all that the former
//! cluster may have given out, and everything before counts as compacted, so that watchers notice.
//!
//! Entries that are not known to be committed are kept: the one that has them may be the only one left that holds the
//! last acknowledged writes. That is also what `--force-new-cluster` does.

use std::fs;
use std::path::{Path, PathBuf};

use super::OfflineError;
use super::left::{Condition, Found, Looked, Opened, Source, choose, order};
use super::place::Place;
use crate::join::bootstrap::{self, InitialMember};
use crate::join::identity::{self, Identity};
use crate::log::LogError;
use crate::model::{LogPosition, Member, MemberId};

/// What is left of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The data directories, the one that has most first, and behind them those of members that run.
    pub found: Vec<Found>,
    /// What the new cluster would be made of; none if nothing can be kept.
    pub kept: Option<Kept>,
    /// The voters of which nothing was found.
    pub missing: Vec<Member>,
    /// True if the voters that were found are a majority, one of which can lead: then they need no recovery.
    pub is_majority: bool,
}

/// What a new cluster is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose state it is, by its place in [`Plan::found`].
    pub state: usize,
    /// Whose log goes on after it; its own, if nothing of any log can be used.
    pub log: usize,
    /// The last entry of both.
    pub last: Option<LogPosition>,
    /// The revision after both.
    pub revision: i64,
    /// The members after both.
    pub members: Vec<Member>,
}

impl Plan {
    /// The member whose state is kept.
    pub fn state(&self) -> Option<&Found> {
        self.kept.as_ref().map(|kept| &self.found[kept.state])
    }

    /// The member whose log goes on after it.
    pub fn log(&self) -> Option<&Found> {
        self.kept.as_ref().map(|kept| &self.found[kept.log])
    }

    /// True if the state that is kept is so without any log.
    pub fn is_without_log(&self) -> bool {
        let own = self.kept.as_ref().filter(|kept| kept.state == kept.log).map(|kept| &self.found[kept.log]);
        own.is_some_and(|found| !found.can_run())
    }

    /// Entries of the log that is kept which nobody here knows to be committed.
    pub fn undecided(&self) -> u64 {
        let Some(kept) = &self.kept else { return 0 };
        let end = |at: Option<LogPosition>| at.map_or(0, |at| at.index + 1);
        let known = self.found.iter().map(|found| end(found.committed)).max().unwrap_or(0);
        end(kept.last).saturating_sub(known)
    }

    /// Members whose log has more than what is kept, because no state goes on in it, or because the member runs.
    pub fn longer(&self) -> Vec<&Found> {
        let Some(kept) = &self.kept else { return Vec::new() };
        self.found.iter().filter(|found| found.end() > order(kept.last)).collect()
    }
}

/// The new member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// What is left.
    pub sources: Vec<Source>,
    /// The new data directory; it must not exist, or be empty.
    pub data_dir: PathBuf,
    /// Its log's directory, if it is not in the data directory.
    pub wal_dir: Option<PathBuf>,
    /// By how much the revision is raised.
    pub bump: i64,
    /// Go on although a majority was found, or although the state that is kept is wrong.
    pub forced: bool,
}

/// What was recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What was found.
    pub plan: Plan,
    /// The member of the new cluster.
    pub identity: Identity,
    /// Its name.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
    /// Its revision.
    pub revision: i64,
}

/// What is left of a cluster. Nothing in the directories is changed.
///
/// # Errors
/// If a directory holds no member, or one of another cluster than the others; if it cannot be read.
pub fn plan(sources: &[Source]) -> Result<Plan, OfflineError> {
    let (mut stopped, mut running) = (Vec::new(), Vec::new());
    for source in sources {
        match Opened::lock(source) {
            Err(OfflineError::Log(LogError::InUse { .. })) => running.push(Found::running(source)?),
            opened => stopped.push(opened?),
        }
    }
    look(stopped, running).map(|(plan, _)| plan)
}

/// The plan, and what it speaks of, in the same order, but for members that run.
fn look(stopped: Vec<Opened>, running: Vec<Found>) -> Result<(Plan, Vec<Looked>), OfflineError> {
    let mut looked = stopped.into_iter().map(Opened::look).collect::<Result<Vec<_>, _>>()?;
    looked.sort_by_key(|looked| {
        let found = &looked.found;
        std::cmp::Reverse((found.condition.may_be_right(), found.end(), found.committed))
    });
    let found: Vec<Found> = looked.iter().map(|looked| looked.found.clone()).chain(running).collect();
    belong_together(&found)?;
    let mut kept = None;
    if let Some((state, log)) = choose(&looked) {
        let (revision, members) = looked[state].outcome(&looked[log])?;
        let last = looked[state].last_with(&looked[log]);
        kept = Some(Kept { state, log, last, revision, members });
    }
    Ok((judge(found, kept), looked))
}

fn belong_together(found: &[Found]) -> Result<(), OfflineError> {
    let Some(first) = found.first() else { return Ok(()) };
    for other in found {
        let (one, two) = (first.identity, other.identity);
        if one.cluster != two.cluster {
            let what = format!(
                "it is of cluster {}, and {} of {}",
                two.cluster,
                first.source.data_dir.display(),
                one.cluster
            );
            return Err(OfflineError::damaged(&other.source.data_dir, what));
        }
        let same = |found: &&Found| found.identity.member == two.member;
        if found.iter().filter(same).count() > 1 {
            let what = format!("it is one of two directories of member {}", two.member);
            return Err(OfflineError::damaged(&other.source.data_dir, what));
        }
    }
    Ok(())
}

fn judge(found: Vec<Found>, kept: Option<Kept>) -> Plan {
    let is_here = |id: MemberId| found.iter().any(|found| found.identity.member == id);
    // If nothing can be kept, those that run know best.
    let newest = || found.iter().filter(|found| found.runs).max_by_key(|found| found.end());
    let members = match &kept {
        Some(kept) => kept.members.clone(),
        None => newest().map(|found| found.members.clone()).unwrap_or_default(),
    };
    let voters: Vec<Member> =
        members.into_iter().filter(|member| !member.learner && !member.pending).collect();
    let can_vote = |id| found.iter().any(|found| found.identity.member == id && found.can_run());
    let here = voters.iter().filter(|member| can_vote(member.id)).count();
    // A member whose state is not right leads nobody for long.
    let can_lead = kept
        .as_ref()
        .is_some_and(|kept| found[kept.state].condition == Condition::Right && found[kept.log].can_run())
        || found.iter().any(|found| found.runs && found.condition == Condition::Right);
    let is_majority = can_lead && here > voters.len() / 2;
    let missing = voters.into_iter().filter(|member| !is_here(member.id)).collect();
    Plan { found, kept, missing, is_majority }
}

/// Makes the only member of a new cluster of what is left.
///
/// # Errors
/// As [`plan`]; [`OfflineError::Majority`]; [`OfflineError::NothingRight`]; if the new directories are not empty, or
/// cannot be written.
pub async fn recover(wanted: &Recovery) -> Result<Recovered, OfflineError> {
    // What was looked at stays locked: nobody starts it in the meantime.
    let stopped = wanted.sources.iter().map(Opened::lock).collect::<Result<Vec<_>, _>>()?;
    let (plan, looked) = look(stopped, Vec::new())?;
    if plan.is_majority && !wanted.forced {
        return Err(OfflineError::Majority);
    }
    let nothing = || OfflineError::NothingRight { hint: "" };
    let (kept, best) = plan.kept.as_ref().zip(plan.state()).ok_or_else(nothing)?;
    if !best.condition.may_be_right() && !wanted.forced {
        let hint = "; --force makes a new cluster of the best one all the same";
        return Err(OfflineError::NothingRight { hint });
    }
    let (state, log) = (&looked[kept.state], &looked[kept.log]);
    let source = Some(&state.opened.store).filter(|store| store.exists());
    let size = source.map_or(Ok(0), |source| size_of(source).map_err(OfflineError::io(source)))?;
    let place = Place::make(&wanted.data_dir, wanted.wal_dir.as_deref(), size)?;
    source.map_or(Ok(()), |source| place.copy_store(source))?;
    let store = place.store()?;
    store.absolve()?;
    state.replay(log, &store)?;
    let own = kept.members.iter().find(|member| member.id == best.identity.member);
    let peer_urls = own.map(|member| member.peer_urls.clone()).unwrap_or_default();
    let name = own.map(|member| member.name.clone()).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "default".to_string());
    let epoch = 1 + (rand::random::<u64>() >> 16);
    let initial = InitialMember { name: name.clone(), peer_urls: peer_urls.clone() };
    // The ids follow from it: they are new whatever the cluster was begun with.
    let token = format!("recovered from {} as {epoch:x}", best.identity.cluster);
    let founding = bootstrap::plan(&name, &[initial], &token)?;
    let revision = store.raise_revision(wanted.bump)?;
    let mut former = identity::former(&best.source.data_dir.join("member"))?;
    former.push(best.identity.cluster);
    let identity = place.found(store, &founding, epoch, &former).await?;
    Ok(Recovered { identity, name, peer_urls, revision, plan: plan.clone() })
}

/// Bytes of all files below a directory, on the disk.
pub(super) fn size_of(dir: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
