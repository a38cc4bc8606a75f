//! What is left of a cluster: the data directories of its members, and what a new cluster can be made of.
//!
//! A log and a state need not be one member's. The log of a member whose state is wrong is right, and it may hold the
//! last acknowledged entries; they go on after the state of another member, if the two have an entry in common. So may the
//! log of a member whose state is an older copy.
//!
//! Nothing of all that is changed: the log's writes stay in memory, and so does what is applied to the state. Of a member
//! that runs only what can be seen without LMDB is shown, for it goes on writing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::OfflineError;
use super::place::Dice;
use super::scratch::Scratch;
use crate::files;
use crate::join::identity::{self, Identity};
use crate::log::{self, Log, Mode, UnchangedDisk};
use crate::model::{LogPosition, Member};
use crate::raft::{Misfit, Standing, has_several_voters, replay_all, replay_to};
use crate::store::{self, CheckpointPolicy, Condemned, Store, StoreError};

/// How often the log of a member that runs is read again that has changed meanwhile.
const TRIES: usize = 5;

/// The data directory of a member.
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
    fn of(condemned: Option<Condemned>) -> Self {
        match condemned {
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
    /// The revision after all entries of its log, without them if they do not go on there, and that of its last checkpoint
    /// if it runs; none if there is no state.
    pub revision: Option<i64>,
    /// The members of the cluster, as far as it knows.
    pub members: Vec<Member>,
    /// Whether its state can be used.
    pub condition: Condition,
    /// Whether it starts with that state, or takes part without data until it has the leader's.
    pub starts: bool,
    /// Why its log cannot be used: then its state counts alone, and it cannot start.
    pub log_damage: Option<String>,
    /// Why its log does not go on after its state, which is an older copy: then both count, with what others have, and it
    /// cannot start.
    pub gap: Option<String>,
    /// It runs: this was so at some moment, and nothing can be made of it before it is stopped.
    pub runs: bool,
}

impl Found {
    /// For the order of logs: the one that has most is the greatest.
    pub(super) fn end(&self) -> Option<(u64, u64)> {
        order(self.last)
    }

    /// True if the member runs, or does after a start.
    pub(super) fn can_run(&self) -> bool {
        self.starts && self.log_damage.is_none() && self.gap.is_none()
    }

    /// What can be seen of a member that runs, without waiting for it or changing anything.
    ///
    /// # Errors
    /// If its directories are not those of one member, or cannot be read.
    pub(super) fn running(source: &Source) -> Result<Self, OfflineError> {
        let Directories { identity, log_dir, store } = Directories::of(source)?;
        let options = log_options(&log_dir)?;
        let read = || Log::open(Arc::new(UnchangedDisk::glimpse(&log_dir)?), options.clone());
        let log = (0..TRIES).find_map(|_| read().ok());
        let bounds = log.as_ref().map(Log::bounds).unwrap_or_default();
        let state = Store::glimpse(&store)?;
        let applied = state.as_ref().and_then(|state| state.applied);
        let members = state.as_ref().map(|state| state.members.clone()).unwrap_or_default();
        Ok(Self {
            source: source.clone(),
            identity,
            name: name_of(&identity, &members),
            term: log.as_ref().and_then(Log::vote).map_or(0, |vote| vote.term),
            last: bounds.last.max(bounds.purged).max(applied),
            committed: log.as_ref().and_then(Log::committed).max(bounds.purged).max(applied),
            revision: state.as_ref().map(|state| state.revision),
            members,
            condition: Condition::of(state.and_then(|state| state.condemned)),
            starts: true,
            log_damage: None,
            gap: None,
            runs: true,
        })
    }
}

/// For the order of logs.
pub(super) fn order(last: Option<LogPosition>) -> Option<(u64, u64)> {
    last.map(|last| (last.term, last.index))
}

fn name_of(identity: &Identity, members: &[Member]) -> String {
    let own = members.iter().find(|member| member.id == identity.member);
    own.map(|member| member.name.clone()).unwrap_or_default()
}

fn log_options(dir: &Path) -> Result<log::Options, OfflineError> {
    let size = files::disk_size(dir).map_err(OfflineError::io(dir))?;
    Ok(log::Options { mode: Mode::Inline, ..log::Options::on_disk_of(size, Arc::new(Dice)) })
}

/// Where a member has what, and whose it is.
struct Directories {
    identity: Identity,
    log_dir: PathBuf,
    store: PathBuf,
}

impl Directories {
    /// Finds them.
    ///
    /// # Errors
    /// If they are not those of one member.
    fn of(source: &Source) -> Result<Self, OfflineError> {
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
        Ok(Self { identity, log_dir, store })
    }
}

/// The directories of a member that does not run, and cannot start as long as this lives.
pub(super) struct Opened {
    pub source: Source,
    identity: Identity,
    disk: Arc<UnchangedDisk>,
    pub log_dir: PathBuf,
    pub store: PathBuf,
    /// The place of an empty state, if the member has none.
    empty: OnceLock<Scratch>,
}

impl Opened {
    /// Finds the directories, and locks them.
    ///
    /// # Errors
    /// If they are in use, or not those of one member.
    pub fn lock(source: &Source) -> Result<Self, OfflineError> {
        let Directories { identity, log_dir, store } = Directories::of(source)?;
        let disk = Arc::new(UnchangedDisk::open(&log_dir)?);
        Ok(Self { source: source.clone(), identity, disk, log_dir, store, empty: OnceLock::new() })
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

    /// Its log. What is written to it is in memory only.
    ///
    /// # Errors
    /// See [`Log::open`].
    pub fn log(&self) -> Result<Log, OfflineError> {
        Ok(Log::open(self.disk.clone(), log_options(&self.log_dir)?)?)
    }

    /// Its state, or an empty one if nothing was ever written: the log of such a member may have everything.
    fn state(&self) -> Result<Store, OfflineError> {
        let options =
            store::Options { checkpoint: CheckpointPolicy::Manual, quota: None, ..Default::default() };
        if let Some(store) = Store::open_unchanged(&self.store, options.clone())? {
            return Ok(store);
        }
        if self.empty.get().is_none() {
            let place = std::env::temp_dir();
            let _ = self.empty.set(Scratch::directory(&place).map_err(OfflineError::io(&place))?);
        }
        let place = self.empty.get().map_or(self.store.as_path(), Scratch::path);
        Ok(Store::open(place, options)?)
    }

    /// Everything in it, and its log. The entries of the log are applied in memory only.
    ///
    /// # Errors
    /// If they cannot be read. A damaged state is [`Condition::Lost`]; a log that is damaged, or has lost what the state
    /// knows of, is [`Found::log_damage`], and a state that has lost what the log no longer has is [`Found::gap`].
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
            starts: true,
            log_damage: None,
            gap: None,
            runs: false,
        };
        let mut store = match self.state() {
            Err(OfflineError::Store(StoreError::Damaged(what))) => {
                found.starts = Store::has_remains(&self.store, has_several_voters).unwrap_or(false);
                found.condition = Condition::Lost(what);
                None
            }
            Err(OfflineError::Store(StoreError::NotAStore { what, .. })) => {
                (found.starts, found.condition) = (false, Condition::Lost(what));
                None
            }
            opened => Some(opened?),
        };
        let applied = store.as_ref().and_then(Store::applied);
        if store.is_some() && applied.is_none() {
            // There is none, and an empty one is none of the cluster's.
            if let Some(why) = lost_with_state(&log) {
                (store, found.condition) = (None, Condition::Lost(why));
                // Before it has heard of anything, a member has no more than a vote.
                found.starts =
                    log.as_ref().is_ok_and(|log| log.bounds().last.is_none() && log.vote().is_some());
            }
        } else if let (Ok(read), Some(_)) = (&log, &store)
            && let Err(misfit) = Standing::of(read, applied).check()
        {
            match misfit {
                // Its log is as right as if it had no state.
                Misfit::StoreBehind { .. } => found.gap = Some(misfit.to_string()),
                Misfit::LogBehind { .. } => log = Err(misfit.to_string()),
            }
        }
        if log.is_err() {
            // What was applied was committed.
            (found.last, found.committed) = (applied, applied);
        }
        found.last = found.last.max(applied);
        if let Some(store) = store {
            found.condition = Condition::of(store.condemned());
            if !matches!(found.condition, Condition::Lost(_)) {
                if let (Ok(log), None) = (&log, &found.gap) {
                    replay_all(log, &store).map_err(OfflineError::io(&self.log_dir))?;
                }
                found.revision = Some(store.revision());
            }
            found.members = store.members();
            found.name = name_of(&self.identity, &found.members);
        }
        let (log, damage) = log.map_or_else(|damage| (None, Some(damage)), |log| (Some(log), None));
        found.log_damage = damage;
        Ok(Looked { opened: self, log, applied, found })
    }
}

/// Why an empty state is not what its log begins with; `None` if the log has everything.
fn lost_with_state(log: &Result<Log, String>) -> Option<String> {
    match log {
        Err(_) => Some("it is empty, and the log that may say what it had cannot be used".to_string()),
        Ok(log) if log.bounds().last.is_none() => Some("it is empty, and so is the log".to_string()),
        Ok(log) => Standing::of(log, None).check().err().map(|misfit| misfit.to_string()),
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
    /// Its log, if it goes on after its state.
    fn own_log(&self) -> Option<&Log> {
        self.log.as_ref().filter(|_| self.found.gap.is_none())
    }

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
                self.own_log().is_some_and(|own| own.position_at(purged.index) == Some(purged))
            }
            _ => log.holds(applied),
        }
    }

    /// The last entry after what is applied to this state.
    pub fn last_with(&self, other: &Looked) -> Option<LogPosition> {
        let is_alone = std::ptr::eq(self, other) && self.own_log().is_none();
        if is_alone { self.applied } else { other.found.last }
    }

    /// Applies to a copy of this state what the other log holds.
    ///
    /// # Errors
    /// Those of logs and store.
    pub fn replay(&self, other: &Looked, store: &Store) -> Result<(), OfflineError> {
        let own = self.own_log();
        let log = if std::ptr::eq(self, other) { own } else { other.log.as_ref() };
        let Some(log) = log else { return Ok(()) };
        if let (false, Some(purged), Some(own)) = (std::ptr::eq(self, other), log.bounds().purged, own) {
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
    let all = || (0..looked.len()).flat_map(|log| (0..looked.len()).map(move |state| (state, log)));
    let choose = |is_usable: fn(&Condition) -> bool| {
        let goes_on = |(state, log): &(usize, usize)| {
            is_usable(&looked[*state].found.condition) && looked[*state].goes_on_in(&looked[*log])
        };
        all().filter(goes_on).min_by_key(|(state, log)| {
            let last = looked[*state].last_with(&looked[*log]);
            // Its own state needs nothing of another member.
            (std::cmp::Reverse(order(last)), looked[*state].found.condition.clone(), state != log)
        })
    };
    choose(Condition::may_be_right).or_else(|| choose(|condition| matches!(condition, Condition::Wrong(_))))
}
