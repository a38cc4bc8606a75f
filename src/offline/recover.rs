//! A new cluster from what is left of one that has lost its majority for good.
//!
//! [`plan`] says what each data directory of a stopped member has, and what would be lost; it changes nothing but what
//! any start of that member changes. [`recover`] makes a single member of a new cluster of the one that has most. The
//! source stays as it is. The new cluster has another id, so that members of the former one are refused for ever; its
//! member knows the former id, and says so. Revisions go on far above all that the former cluster may have given out,
//! and everything before counts as compacted, so that watchers notice.
//!
//! Entries that are not known to be committed are kept: the one that has them may be the only one left that holds the
//! last acknowledged writes. That is also what `--force-new-cluster` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OfflineError;
use super::place::{Dice, Place};
use crate::files;
use crate::join::bootstrap::{self, InitialMember};
use crate::join::identity::{self, Identity};
use crate::log::{self, Log, Mode, RealDisk};
use crate::model::{LogPosition, Member, MemberId};
use crate::raft::{Standing, replay_all};
use crate::store::{self, CheckpointPolicy, Store};

/// The data directory of a member that does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its log's directory, if it is not in the data directory.
    pub wal_dir: Option<PathBuf>,
}

/// What a data directory has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose data they are.
    pub source: Source,
    /// The member.
    pub identity: Identity,
    /// Its name; empty if it is not known there.
    pub name: String,
    /// The highest term in which it has voted.
    pub term: u64,
    /// The last entry of its log.
    pub last: Option<LogPosition>,
    /// The last entry that it knows to be committed.
    pub committed: Option<LogPosition>,
    /// The revision after all entries of its log.
    pub revision: i64,
    /// The members of the cluster, as far as it knows.
    pub members: Vec<Member>,
    /// Why its state cannot be used, if it was found wrong.
    pub condemned: Option<String>,
}

/// What is left of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The data directories, the one that has most first.
    pub found: Vec<Found>,
    /// The voters of which nothing was found.
    pub missing: Vec<Member>,
    /// True if the voters that were found are a majority: then they need no recovery.
    pub is_majority: bool,
}

impl Plan {
    /// The data that are kept.
    ///
    /// # Errors
    /// [`OfflineError::Damaged`] if all that was found is known to be wrong.
    pub fn best(&self) -> Result<&Found, OfflineError> {
        let usable = self.found.iter().find(|found| found.condemned.is_none());
        usable.ok_or_else(|| {
            let dir = self.found.first().map(|found| found.source.data_dir.clone()).unwrap_or_default();
            OfflineError::damaged(
                &dir,
                "the state was found to differ from the majority's: it cannot be kept",
            )
        })
    }

    /// Entries of the log that is kept which it does not know to be committed.
    pub fn undecided(&self) -> u64 {
        let Some(best) = self.found.iter().find(|found| found.condemned.is_none()) else { return 0 };
        let end = |at: Option<LogPosition>| at.map_or(0, |at| at.index + 1);
        end(best.last).saturating_sub(end(best.committed))
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
    /// Go on although a majority was found.
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

/// What is left of a cluster.
///
/// # Errors
/// If a directory is in use, holds no member, or one of another cluster than the others; if it cannot be read.
pub fn plan(sources: &[Source]) -> Result<Plan, OfflineError> {
    let mut found = Vec::new();
    for source in sources {
        found.push(Opened::open(source)?.found()?);
    }
    found.sort_by_key(|found| {
        let last = found.last.map(|last| (last.term, last.index));
        std::cmp::Reverse((found.condemned.is_none(), last, found.committed))
    });
    judge(found)
}

fn judge(found: Vec<Found>) -> Result<Plan, OfflineError> {
    let Some(first) = found.first() else {
        return Ok(Plan { found, missing: Vec::new(), is_majority: false });
    };
    for other in &found {
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
    let is_here = |id: MemberId| found.iter().any(|found| found.identity.member == id);
    let voters: Vec<&Member> =
        first.members.iter().filter(|member| !member.learner && !member.pending).collect();
    let here = voters.iter().filter(|member| is_here(member.id)).count();
    let is_majority = !voters.is_empty() && here > voters.len() / 2;
    let missing = voters.into_iter().filter(|member| !is_here(member.id)).cloned().collect();
    Ok(Plan { found, missing, is_majority })
}

/// Makes the only member of a new cluster of what is left.
///
/// # Errors
/// As [`plan`]; [`OfflineError::Majority`]; if the new directories are not empty, or cannot be written.
pub async fn recover(wanted: &Recovery) -> Result<Recovered, OfflineError> {
    let plan = plan(&wanted.sources)?;
    if plan.is_majority && !wanted.forced {
        return Err(OfflineError::Majority);
    }
    let best = plan.best()?;
    // Nobody starts it in the meantime.
    let source = Opened::lock(&best.source)?;
    let size = size_of(&source.store).map_err(OfflineError::io(&source.store))?;
    let place = Place::make(&wanted.data_dir, wanted.wal_dir.as_deref(), size)?;
    place.copy_store(&source.store)?;
    let store = place.store()?;
    let log = source.log()?;
    replay_all(&log, &store).map_err(OfflineError::io(&source.log_dir))?;
    let own = best.members.iter().find(|member| member.id == best.identity.member);
    let peer_urls = own.map(|member| member.peer_urls.clone()).unwrap_or_default();
    let name = if best.name.is_empty() { "default".to_string() } else { best.name.clone() };
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
fn size_of(dir: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// The directories of a member that does not run, and cannot start as long as this lives.
struct Opened {
    source: Source,
    identity: Identity,
    disk: Arc<RealDisk>,
    log_dir: PathBuf,
    store: PathBuf,
}

impl Opened {
    fn lock(source: &Source) -> Result<Self, OfflineError> {
        let member = source.data_dir.join("member");
        let identity = identity::load(&member)?;
        let identity = identity.ok_or_else(|| {
            OfflineError::damaged(&source.data_dir, "there is no member: its identity is missing")
        })?;
        identity::refuse_removed(&member)?;
        let log_dir = source.wal_dir.clone().unwrap_or_else(|| member.join("log"));
        if !log_dir.is_dir() {
            return Err(OfflineError::damaged(
                &log_dir,
                "the log is missing; is it in a --wal-dir of its own?",
            ));
        }
        let store = member.join("store");
        // Another member's log is not opened, and its lock would not keep anybody from these data.
        for dir in [&log_dir, &store] {
            if let Some(found) = identity::load(dir)?.filter(|found| *found != identity) {
                let what = format!(
                    "it belongs to member {} of cluster {}, and {} to member {} of cluster {}",
                    found.member,
                    found.cluster,
                    source.data_dir.display(),
                    identity.member,
                    identity.cluster
                );
                return Err(OfflineError::damaged(dir, what));
            }
        }
        let disk = Arc::new(RealDisk::open(&log_dir)?);
        Ok(Self { source: source.clone(), identity, disk, log_dir, store })
    }

    fn open(source: &Source) -> Result<Self, OfflineError> {
        Self::lock(source)
    }

    fn log(&self) -> Result<Log, OfflineError> {
        let size = files::disk_size(&self.log_dir).map_err(OfflineError::io(&self.log_dir))?;
        let options = log::Options { mode: Mode::Inline, ..log::Options::on_disk_of(size, Arc::new(Dice)) };
        Ok(Log::open(self.disk.clone(), options)?)
    }

    /// Everything in it. The entries of the log are applied in memory only.
    fn found(&self) -> Result<Found, OfflineError> {
        let options =
            store::Options { checkpoint: CheckpointPolicy::Manual, quota: None, ..Default::default() };
        let (store, log) = (Store::open(&self.store, options)?, self.log()?);
        let standing = Standing::of(&log, store.applied());
        standing
            .check()
            .map_err(|misfit| OfflineError::damaged(&self.source.data_dir, misfit.to_string()))?;
        replay_all(&log, &store).map_err(OfflineError::io(&self.log_dir))?;
        let bounds = log.bounds();
        let members = store.members();
        let own = members.iter().find(|member| member.id == self.identity.member);
        Ok(Found {
            source: self.source.clone(),
            identity: self.identity,
            name: own.map(|member| member.name.clone()).unwrap_or_default(),
            term: log.vote().map_or(0, |vote| vote.term),
            last: bounds.last.max(bounds.purged).max(store.applied()),
            committed: log.committed().max(bounds.purged),
            revision: store.revision(),
            members,
            condemned: store.condemned().map(|condemned| condemned.why),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ClusterId;

    #[test]
    fn the_log_and_the_state_of_another_member_are_refused_and_not_opened() {
        let root = tempfile::tempdir().expect("a directory");
        let (data, wal) = (root.path().join("data"), root.path().join("wal"));
        let store = data.join("member/store");
        for dir in [&store, &wal] {
            fs::create_dir_all(dir).expect("made");
        }
        let own = Identity { member: MemberId(0xa), cluster: ClusterId(0xc), epoch: 0 };
        identity::create(&data.join("member"), &own).expect("made");
        let source = Source { data_dir: data, wal_dir: Some(wal.clone()) };
        let other = Identity { cluster: ClusterId(0xd), ..own };
        for dir in [&wal, &store] {
            identity::create(dir, &other).expect("made");
            let refused = Opened::lock(&source).err().expect("another cluster's").to_string();
            assert!(refused.contains("belongs to member a of cluster d"), "{refused}");
            assert!(!wal.join("LOCK").exists());
            identity::create(dir, &own).expect("made");
        }
        assert!(Opened::lock(&source).is_ok());
    }
}
