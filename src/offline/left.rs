//! What is left of a cluster: the data directories of its stopped members, and what a new cluster can be made of.
//!
//! A log and a state need not be one member's. The log of a member whose state is wrong is right, and it may hold the
//! last acknowledged entries; they go on after the state of another member, if the two have an entry in common.

use std::path::PathBuf;
use std::sync::Arc;

use super::OfflineError;
use super::place::Dice;
use crate::files;
use crate::join::identity::{self, Identity};
use crate::log::{self, Log, Mode, RealDisk};
use crate::model::{LogPosition, Member};
use crate::raft::{Standing, replay_all, replay_to};
use crate::store::{self, CheckpointPolicy, Store, StoreError};

/// The data directory of a member that does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its log's directory, if it is not in the data directory.
    pub wal_dir: Option<PathBuf>,
}

/// How much a state can be trusted; the best comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Nothing is known against it.
    Right,
    /// An operator had it replaced, which did not come to its end. Nothing is known against it either.
    Unwanted,
    /// Something in it is wrong, and nobody knows what.
    Wrong(String),
    /// There is nothing that could be kept.
    Lost(String),
}

impl Condition {
    fn of(store: &Store) -> Self {
        match store.condemned() {
            None => Condition::Right,
            Some(condemned) if condemned.is_wish() => Condition::Unwanted,
            Some(condemned) if condemned.is_damage() => Condition::Lost(condemned.why),
            Some(condemned) => Condition::Wrong(condemned.why),
        }
    }

    /// True if the state may be a right one.
    pub fn may_be_right(&self) -> bool {
        matches!(self, Condition::Right | Condition::Unwanted)
    }
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
    /// The revision after all entries of its log; none if there is no state.
    pub revision: Option<i64>,
    /// The members of the cluster, as far as it knows.
    pub members: Vec<Member>,
    /// Whether its state can be used.
    pub condition: Condition,
    /// Why its log cannot be used: then its state counts alone, and it cannot start.
    pub log_damage: Option<String>,
}

impl Found {
    /// For the order of logs: the one that has most is the greatest.
    pub(super) fn end(&self) -> Option<(u64, u64)> {
        self.last.map(|last| (last.term, last.index))
    }
}

/// The directories of a member that does not run, and cannot start as long as this lives.
pub(super) struct Opened {
    pub source: Source,
    identity: Identity,
    disk: Arc<RealDisk>,
    pub log_dir: PathBuf,
    pub store: PathBuf,
}

impl Opened {
    /// Finds the directories, and locks them.
    ///
    /// # Errors
    /// If they are in use, or not those of one member.
    pub fn lock(source: &Source) -> Result<Self, OfflineError> {
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

    /// Its log, or what is damaged in it.
    ///
    /// # Errors
    /// See [`Log::open`], but for damage.
    fn log_or_damage(&self) -> Result<Result<Log, String>, OfflineError> {
        match self.log() {
            Err(OfflineError::Log(error)) if error.is_damage() => Ok(Err(error.to_string())),
            opened => opened.map(Ok),
        }
    }

    /// Its log.
    ///
    /// # Errors
    /// See [`Log::open`].
    pub fn log(&self) -> Result<Log, OfflineError> {
        let size = files::disk_size(&self.log_dir).map_err(OfflineError::io(&self.log_dir))?;
        let options = log::Options { mode: Mode::Inline, ..log::Options::on_disk_of(size, Arc::new(Dice)) };
        Ok(Log::open(self.disk.clone(), options)?)
    }

    fn state(&self) -> Result<Store, StoreError> {
        let options =
            store::Options { checkpoint: CheckpointPolicy::Manual, quota: None, ..Default::default() };
        Store::open(&self.store, options)
    }

    /// Everything in it, and its log. The entries of the log are applied in memory only.
    ///
    /// # Errors
    /// If they cannot be read. A damaged state is [`Condition::Lost`]; a log that is damaged, or not of the state's
    /// history, is [`Found::log_damage`].
    pub fn look(self) -> Result<Looked, OfflineError> {
        let mut log = self.log_or_damage()?;
        let bounds = log.as_ref().map(Log::bounds).unwrap_or_default();
        let mut found = Found {
            source: self.source.clone(),
            identity: self.identity,
            name: String::new(),
            term: log.as_ref().ok().and_then(Log::vote).map_or(0, |vote| vote.term),
            last: bounds.last.max(bounds.purged),
            committed: log.as_ref().ok().and_then(Log::committed).max(bounds.purged),
            revision: None,
            members: Vec::new(),
            condition: Condition::Right,
            log_damage: None,
        };
        let mut store = match self.state() {
            Err(StoreError::Damaged(what) | StoreError::NotAStore { what, .. }) => {
                found.condition = Condition::Lost(what);
                None
            }
            opened => Some(opened?),
        };
        let applied = store.as_ref().and_then(Store::applied);
        if let (Ok(read), Some(_)) = (&log, &store)
            && let Err(misfit) = Standing::of(read, applied).check()
        {
            match applied {
                // Nothing was there, and an empty one was made in its place: that is none of the cluster's.
                None => (store, found.condition) = (None, Condition::Lost(misfit.to_string())),
                Some(_) => log = Err(misfit.to_string()),
            }
        }
        if log.is_err() {
            // What was applied was committed.
            (found.last, found.committed) = (applied, applied);
        }
        found.last = found.last.max(applied);
        if let Some(store) = store {
            found.condition = Condition::of(&store);
            if !matches!(found.condition, Condition::Lost(_)) {
                if let Ok(log) = &log {
                    replay_all(log, &store).map_err(OfflineError::io(&self.log_dir))?;
                }
                found.revision = Some(store.revision());
            }
            found.members = store.members();
            let own = found.members.iter().find(|member| member.id == self.identity.member);
            found.name = own.map(|member| member.name.clone()).unwrap_or_default();
        }
        let (log, damage) = log.map_or_else(|damage| (None, Some(damage)), |log| (Some(log), None));
        found.log_damage = damage;
        Ok(Looked { opened: self, log, applied, found })
    }
}

/// A data directory that was looked at.
pub(super) struct Looked {
    pub opened: Opened,
    /// None if it cannot be used.
    log: Option<Log>,
    /// The last entry in the state on the disk.
    applied: Option<LogPosition>,
    pub found: Found,
}

impl Looked {
    /// True if the entries of `other`'s log go on after this state, perhaps after some of its own log. A state goes on in
    /// its own log, even if nothing of that can be used.
    fn goes_on_in(&self, other: &Looked) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        let (Some(applied), Some(log)) = (self.applied, &other.log) else { return false };
        match log.bounds().purged {
            // Whatever both have at one place is equal up to there.
            Some(purged) if purged.index > applied.index => {
                self.log.as_ref().is_some_and(|own| own.position_at(purged.index) == Some(purged))
            }
            _ => log.holds(applied),
        }
    }

    /// Applies to a copy of this state what the other log holds.
    ///
    /// # Errors
    /// Those of logs and store.
    pub fn replay(&self, other: &Looked, store: &Store) -> Result<(), OfflineError> {
        let Some(log) = &other.log else { return Ok(()) };
        if let (false, Some(purged), Some(own)) = (std::ptr::eq(self, other), log.bounds().purged, &self.log)
        {
            replay_to(own, store, purged).map_err(OfflineError::io(&self.opened.log_dir))?;
        }
        replay_all(log, store).map_err(OfflineError::io(&other.opened.log_dir))
    }

    /// Revision and members after that.
    ///
    /// # Errors
    /// Those of logs and store.
    pub fn outcome(&self, other: &Looked) -> Result<(i64, Vec<Member>), OfflineError> {
        let store = self.opened.state()?;
        self.replay(other, &store)?;
        Ok((store.revision(), store.members()))
    }
}

/// The state and the log of which most can be made: the longest log that goes on after a state that may be right, and
/// only if there is none, after one that is wrong.
pub(super) fn choose(looked: &[Looked]) -> Option<(usize, usize)> {
    let mut logs: Vec<usize> = (0..looked.len()).collect();
    logs.sort_by_key(|at| std::cmp::Reverse(looked[*at].found.end()));
    let choose = |is_usable: fn(&Condition) -> bool| {
        logs.iter().find_map(|log| {
            let goes_on = |state: &usize| {
                is_usable(&looked[*state].found.condition) && looked[*state].goes_on_in(&looked[*log])
            };
            let states = (0..looked.len()).filter(goes_on);
            // Its own state needs nothing of another member.
            let state = states.min_by_key(|state| (looked[*state].found.condition.clone(), state != log));
            state.map(|state| (state, *log))
        })
    };
    choose(Condition::may_be_right).or_else(|| choose(|condition| matches!(condition, Condition::Wrong(_))))
}
