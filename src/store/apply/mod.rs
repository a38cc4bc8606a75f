//! Applies log entries: one command after another, deterministically.
//!
//! Nothing here uses a clock, a random number or anything that differs between members: this module only gets
//! [`Before`], which is made of replicated state and never of a configuration. Whatever depends on a setting (the
//! quota, the most learners, the most operations) is decided before a command is proposed. A refusal is a reply, the
//! same on every member, and comes before any change; every other error stops the store.
//!
//! - `keys`: put and delete
//! - `txn`: transactions: evaluation, checks, execution
//! - `lease`: leases
//! - `member`: members, alarms, the cluster's version
//! - `auth`: users and roles, and what a caller may do
//! - `tree`: v2's tree

mod auth;
mod keys;
mod lease;
mod member;
mod tree;
mod txn;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::core::Reader;
use super::digest::Changes;
use super::figures::{Figures, Work};
use super::mvcc::read::ScanError;
use super::mvcc::revision::Revision;
use super::mvcc::written::{Live, Version};
use super::registry::Registry;
use super::tables::Id;
use super::tree::Tree;
use super::{StoreError, quota, seams};
use crate::model::{
    AlarmKind, Command, Event, LeaseChange, LogPosition, OpReply, Proposal, Refusal, Reply, RevisionEvents,
    Stamp, TreeChange,
};

pub(super) use txn::{ReadStop, run_read_only};

/// Why a command stops: a refusal, which is a reply, or an error, which is fatal.
#[derive(Debug)]
pub(super) enum Stop {
    Refused(Refusal),
    Failed(StoreError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// The error of a scan by the applying thread: one that holds its reader cannot be overtaken by a compaction, and what
/// it reads takes no room.
/// Bytes of values that the events of a revision have of the states before them: a command may delete the whole store.
const FORMER: usize = 4 << 20;

fn unhindered(error: ScanError) -> StoreError {
    match error {
        ScanError::Store(error) => error,
        ScanError::Overtaken => StoreError::Broken("a held scan was overtaken".into()),
        ScanError::Refused(refusal) => StoreError::Broken(format!("a scan was refused: {refusal}")),
    }
}

/// The replicated state before an entry, and the counters for its work.
pub(super) struct Before<'s> {
    pub reader: Reader<'s>,
    pub registry: Arc<Registry>,
    /// The digest of it, if it is known.
    pub digest: Option<u128>,
    /// For metrics; nothing here reads them.
    pub figures: &'s Figures,
}

/// The changes of an entry, in addition to the versions that are in the head already.
pub(super) struct Applied {
    pub revision: i64,
    pub compacted: i64,
    pub registry: Arc<Registry>,
    /// v2's tree, if it has changed.
    pub tree: Option<Tree>,
    pub tree_changes: Vec<TreeChange>,
    pub batch: Vec<RevisionEvents>,
    pub lease_changes: Vec<LeaseChange>,
    /// Compactions in their order, each with the compacted revision before it.
    pub compactions: Vec<(i64, i64)>,
    /// True if a command that costs space (see [`quota::cost`]) was applied.
    pub took_space: bool,
    /// The digest of the state after the entry.
    pub digest: Option<u128>,
}

/// An entry in progress.
pub(super) struct Applying<'s> {
    reader: Reader<'s>,
    figures: &'s Figures,
    position: LogPosition,
    stamp: Stamp,
    /// The revision after the commands so far.
    revision: i64,
    compacted: i64,
    registry: Arc<Registry>,
    /// v2's tree from the first command on it on.
    tree: Option<Tree>,
    tree_changes: Vec<TreeChange>,
    /// The registry before the entry.
    registry_before: Arc<Registry>,
    changes: Changes,
    /// The events of the present command.
    events: Vec<Event>,
    /// Bytes of the values before them, and whether some were left out.
    former: usize,
    is_bare: bool,
    batch: Vec<RevisionEvents>,
    lease_changes: Vec<LeaseChange>,
    /// Compactions in their order, each with the compacted revision before it.
    compactions: Vec<(i64, i64)>,
    took_space: bool,
    /// The work of the present command, for metrics.
    work: Work,
}

impl<'s> Applying<'s> {
    /// An entry before its first command.
    pub(super) fn begin(before: Before<'s>, position: LogPosition) -> Self {
        let Before { reader, registry, digest, figures } = before;
        Self {
            revision: reader.revision,
            compacted: reader.compacted,
            reader,
            figures,
            position,
            stamp: Stamp::default(),
            registry_before: registry.clone(),
            registry,
            tree: None,
            tree_changes: Vec::new(),
            changes: Changes::after(digest),
            events: Vec::new(),
            former: 0,
            is_bare: false,
            batch: Vec::new(),
            lease_changes: Vec::new(),
            compactions: Vec::new(),
            took_space: false,
            work: Work::default(),
        }
    }

    /// The entry carries raft's configuration.
    pub(super) fn set_raft_membership(&mut self, membership: Bytes) {
        Arc::make_mut(&mut self.registry).raft_membership = Some((self.position, membership));
    }

    /// Runs one command.
    pub(super) fn run(&mut self, proposal: &Proposal) -> Result<Reply, StoreError> {
        self.stamp = proposal.stamp;
        let not_admitted =
            self.admission_refusal(proposal).or_else(|| self.version_refusal(&proposal.command));
        if let Some(refusal) = not_admitted.or_else(|| self.alarm_refusal(&proposal.command)) {
            return Ok(Reply::Refused(refusal));
        }
        let done = self.check_keys(proposal).and_then(|()| self.execute(&proposal.command));
        let reply = match done {
            Ok(reply) => {
                self.took_space |= quota::cost(&proposal.command) > 0;
                reply
            }
            Err(Stop::Refused(refusal)) => {
                seams::refused(self.position, &refusal, self.events.len())?;
                Reply::Refused(refusal)
            }
            Err(Stop::Failed(error)) => return Err(error),
        };
        self.figures.worked(std::mem::take(&mut self.work));
        self.finish_command();
        Ok(reply)
    }

    fn execute(&mut self, command: &Command) -> Result<Reply, Stop> {
        match command {
            Command::Put(put) => {
                self.check_put(put)?;
                Ok(Reply::Op(self.put(put)?))
            }
            Command::Delete(delete) => Ok(Reply::Op(self.delete(delete)?)),
            Command::Txn(txn) => Ok(Reply::Op(self.txn(txn)?)),
            Command::Compact { revision } => self.compact(*revision),
            Command::LeaseGrant { id, ttl } => self.grant(*id, *ttl),
            Command::LeaseRevoke { id } => self.revoke(*id),
            Command::LeaseCheckpoint { remaining } => self.checkpoint_leases(remaining),
            Command::AlarmRaise(alarm) => Ok(self.raise(*alarm)),
            Command::AlarmClear(alarm) => Ok(self.clear(*alarm)),
            Command::AlarmList { kind } => Ok(self.list_alarms(*kind)),
            Command::Member(change) => self.change_member(change),
            Command::ClusterVersion(version) => {
                Arc::make_mut(&mut self.registry).cluster_version = Some(version.clone());
                Ok(self.done())
            }
            Command::Auth(change) => self.change_users(change),
            Command::Tree(command) => self.change_tree(command),
            Command::Downgrade(target) => self.downgrade(*target),
        }
    }

    /// Refuses a command that came into the log just after the cluster's version fell below it.
    fn version_refusal(&self, command: &Command) -> Option<Refusal> {
        (!self.registry.allows(command)).then_some(Refusal::NotCapable)
    }

    /// Refuses commands that an alarm forbids; the alarm for a corrupt cluster comes first.
    fn alarm_refusal(&self, command: &Command) -> Option<Refusal> {
        if self.registry.alarms.is_empty() {
            return None;
        }
        let touches_data = matches!(
            command,
            Command::Put(_)
                | Command::Delete(_)
                | Command::Txn(_)
                | Command::Compact { .. }
                | Command::LeaseGrant { .. }
                | Command::LeaseRevoke { .. }
                | Command::Tree(_)
        );
        if touches_data && self.registry.alarmed(AlarmKind::Corrupt) {
            return Some(Refusal::Corrupt);
        }
        let needs_space = quota::cost(command) > 0;
        (needs_space && self.registry.alarmed(AlarmKind::NoSpace)).then_some(Refusal::NoSpace)
    }

    fn compact(&mut self, revision: i64) -> Result<Reply, Stop> {
        if revision <= self.compacted {
            return Err(Refusal::Compacted { compacted: self.compacted }.into());
        }
        if revision > self.revision {
            return Err(Refusal::FutureRevision.into());
        }
        let before = std::mem::replace(&mut self.compacted, revision);
        self.changes.compacted(revision);
        self.compactions.push((revision, before));
        self.figures.last_compaction_ms.store(self.stamp.time_ms, Ordering::Relaxed);
        Ok(self.done())
    }

    fn done(&self) -> Reply {
        Reply::Done { revision: self.now() }
    }

    /// The revision that the present command writes.
    fn next_main(&self) -> i64 {
        self.revision + 1
    }

    /// The store's revision, including the present command's changes so far.
    fn now(&self) -> i64 {
        if self.events.is_empty() { self.revision } else { self.next_main() }
    }

    /// The revision at which the present command reads: everything before it and its own changes.
    fn here(&self) -> Revision {
        Revision::last_of(self.next_main())
    }

    /// Writes a version of a key under the next sub revision.
    fn write(
        &mut self,
        key: &Bytes,
        live: Option<Live>,
        event: impl FnOnce(&Version) -> Event,
    ) -> Result<(), StoreError> {
        let at = Revision { main: self.next_main(), sub: self.events.len() as u32 };
        let version = Version { at, live };
        let mut event = event(&version);
        // The previous state in an event is that of the previous revision, not the one that an earlier operation of the
        // same transaction left.
        if event.prev_kv.as_ref().is_some_and(|prev| prev.mod_revision == at.main) {
            let before = self.reader.get(key, Revision::last_of(self.revision))?;
            event.prev_kv = before.and_then(|before| before.to_kv(key.clone()));
        }
        if let Some(prev) = &mut event.prev_kv {
            self.former += prev.value.len();
            if self.former > FORMER {
                prev.value = Bytes::new();
                self.is_bare = true;
            }
        }
        self.events.push(event);
        self.changes.version(key, &version);
        self.reader.active.write().keys.push(key.clone(), version);
        Ok(())
    }

    /// Writes or removes a row of a table that is kept row by row.
    fn put_row(&mut self, table: Id, key: &[u8], value: Option<Bytes>) {
        self.changes.row(table, key, value.as_deref());
        self.reader.put_row(table, Bytes::copy_from_slice(key), value);
    }

    fn finish_command(&mut self) {
        self.former = 0;
        let is_bare = std::mem::take(&mut self.is_bare);
        if self.events.is_empty() {
            return;
        }
        self.revision += 1;
        let events = std::mem::take(&mut self.events);
        self.batch.push(RevisionEvents { revision: self.revision, position: self.position, events, is_bare });
    }

    /// Returns the changes of the entry; its reads end here.
    pub(super) fn finish(mut self) -> Result<Applied, StoreError> {
        if !Arc::ptr_eq(&self.registry, &self.registry_before) {
            self.changes.registry(&self.registry)?;
        }
        let Self { revision, compacted, registry, tree, batch, lease_changes, compactions, .. } = self;
        let (took_space, tree_changes, digest) = (self.took_space, self.tree_changes, self.changes.finish());
        Ok(Applied {
            revision,
            compacted,
            registry,
            tree,
            tree_changes,
            batch,
            lease_changes,
            compactions,
            took_space,
            digest,
        })
    }
}

/// An operation's answer as a reply.
impl From<OpReply> for Reply {
    fn from(reply: OpReply) -> Self {
        Reply::Op(reply)
    }
}
