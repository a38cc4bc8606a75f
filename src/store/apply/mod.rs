//! Applying log entries: one command after another, deterministically.
//!
//! Nothing here sees a clock, a random number or anything that differs between members. A refusal is a reply, given
//! everywhere alike before anything was changed; every other error stops the store. (One reply is local on purpose, as
//! in etcd: a command that found this member over its space quota is applied and answered with `NoSpace`.)
//!
//! - `keys`: put and delete
//! - `txn`: transactions: evaluation, checks before, execution
//! - `lease`: leases
//! - `member`: members, alarms, the cluster's version

mod keys;
mod lease;
mod member;
mod txn;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::core::{Inner, Reader};
use super::figures::Work;
use super::head::{Layer, Version};
use super::registry::Registry;
use super::revision::Revision;
use super::{CheckpointPolicy, StoreError, quota};
use crate::model::{
    AlarmKind, Command, Event, LeaseChange, LogPosition, OpReply, Proposal, Refusal, Reply, RevisionEvents,
    Stamp,
};

pub(super) use txn::{ReadStop, run_read_only};

/// What stops a command: a refusal, which is an answer, or an error, which is fatal.
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

/// An entry under way.
pub(super) struct Applying<'s> {
    inner: &'s Inner,
    reader: Reader<'s>,
    position: LogPosition,
    stamp: Stamp,
    /// After the commands so far.
    revision: i64,
    compacted: i64,
    registry: Arc<Registry>,
    /// What the present command has done.
    events: Vec<Event>,
    batch: Vec<RevisionEvents>,
    lease_changes: Vec<LeaseChange>,
    compaction: Option<i64>,
    /// What the present command did, for metrics.
    work: Work,
}

impl Inner {
    /// Applies one entry: `raft_membership` where it is a membership entry, and its commands.
    pub fn apply_entry(
        &self,
        position: LogPosition,
        raft_membership: Option<Bytes>,
        proposals: &[Proposal],
    ) -> Result<Vec<Reply>, StoreError> {
        self.health()?;
        self.wait_for_room()?;
        let _applying = self.applying.lock();
        let mut entry = Applying::begin(self, position)?;
        if let Some(membership) = raft_membership {
            Arc::make_mut(&mut entry.registry).raft_membership = Some((position, membership));
        }
        let mut replies = Vec::with_capacity(proposals.len());
        for proposal in proposals {
            replies.push(entry.run(proposal).map_err(|error| self.fail(error))?);
        }
        entry.publish();
        Ok(replies)
    }

    /// Waits while the head is full and the checkpoint before is still under way.
    fn wait_for_room(&self) -> Result<(), StoreError> {
        let CheckpointPolicy::Background { bytes, operations, .. } = self.options.checkpoint else {
            return Ok(());
        };
        let is_full = || {
            let shared = self.shared.read();
            let active = shared.active.read();
            shared.frozen.is_some() && (active.bytes > 4 * bytes || active.operations() > 4 * operations)
        };
        self.signal.wait_while(is_full, || self.health().is_err());
        self.health()
    }
}

impl<'s> Applying<'s> {
    fn begin(inner: &'s Inner, position: LogPosition) -> Result<Self, StoreError> {
        let shared = inner.shared.read();
        if let Some(applied) = shared.applied.filter(|applied| position.index <= applied.index) {
            return Err(StoreError::OutOfOrder { position, applied });
        }
        Ok(Self {
            inner,
            reader: inner.reader_of(&shared)?,
            position,
            stamp: Stamp::default(),
            revision: shared.revision,
            compacted: shared.compacted,
            registry: shared.registry.clone(),
            events: Vec::new(),
            batch: Vec::new(),
            lease_changes: Vec::new(),
            compaction: None,
            work: Work::default(),
        })
    }

    /// Runs one command.
    fn run(&mut self, proposal: &Proposal) -> Result<Reply, StoreError> {
        self.stamp = proposal.stamp;
        if let Some(refusal) = self.alarm_refusal(&proposal.command) {
            return Ok(Reply::Refused(refusal));
        }
        let cost = quota::cost(&proposal.command);
        let over = cost > 0 && self.inner.shared.read().sizes(self.inner.options.quota).exceeded_by(cost);
        let reply = match self.execute(&proposal.command) {
            Ok(_) if over => Reply::Refused(Refusal::NoSpace),
            Ok(reply) => reply,
            Err(Stop::Refused(refusal)) => {
                debug_assert!(self.events.is_empty(), "a refusal comes before any change");
                Reply::Refused(refusal)
            }
            Err(Stop::Failed(error)) => return Err(error),
        };
        self.inner.figures.worked(std::mem::take(&mut self.work));
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
            Command::LeaseCheckpoint { deadlines } => self.checkpoint_leases(deadlines),
            Command::AlarmRaise(alarm) => Ok(self.raise(*alarm)),
            Command::AlarmClear(alarm) => Ok(self.clear(*alarm)),
            Command::AlarmList { kind } => Ok(self.list_alarms(*kind)),
            Command::Member(change) => self.change_member(change),
            Command::ClusterVersion(version) => {
                Arc::make_mut(&mut self.registry).cluster_version = Some(version.clone());
                Ok(self.done())
            }
            Command::Noop => Ok(self.done()),
        }
    }

    /// Refuses what an alarm forbids; a corrupt cluster's alarm comes first.
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
        self.compacted = revision;
        self.compaction = Some(revision);
        self.inner.figures.last_compaction_ms.store(self.stamp.time_ms, Ordering::Relaxed);
        Ok(self.done())
    }

    fn done(&self) -> Reply {
        Reply::Done { revision: self.now() }
    }

    /// The revision that the present command writes.
    fn next_main(&self) -> i64 {
        self.revision + 1
    }

    /// The store's revision after what the present command has done so far.
    fn now(&self) -> i64 {
        if self.events.is_empty() { self.revision } else { self.next_main() }
    }

    /// Where the present command reads: all before it and what it has done itself.
    fn here(&self) -> Revision {
        Revision::last_of(self.next_main())
    }

    /// Writes a version of a key: the next sub revision.
    fn write(&mut self, key: &Bytes, live: Option<super::head::Live>, event: impl FnOnce(&Version) -> Event) {
        let at = Revision { main: self.next_main(), sub: self.events.len() as u32 };
        let version = Version { at, live };
        let mut event = event(&version);
        // What an event tells of the state before is the state of the revision before: not what an earlier operation of
        // the same transaction left.
        if event.prev_kv.as_ref().is_some_and(|prev| prev.mod_revision == at.main) {
            let first = self.events.iter().find(|earlier| earlier.kv.key == *key);
            event.prev_kv = first.and_then(|first| first.prev_kv.clone());
        }
        self.events.push(event);
        self.reader.active.write().push(key.clone(), version);
    }

    fn finish_command(&mut self) {
        if self.events.is_empty() {
            return;
        }
        self.revision += 1;
        let events = std::mem::take(&mut self.events);
        self.batch.push(RevisionEvents { revision: self.revision, position: self.position, events });
    }

    /// Makes the entry readable, then tells the observers.
    fn publish(self) {
        let Self {
            inner,
            reader,
            position,
            revision,
            compacted,
            registry,
            batch,
            lease_changes,
            compaction,
            ..
        } = self;
        drop(reader);
        let batch = Arc::new(batch);
        let full = {
            let mut shared = inner.shared.write();
            shared.applied = Some(position);
            shared.revision = revision;
            shared.compacted = compacted;
            shared.registry = registry;
            shared.allocated = shared.allocated.max(shared.in_use());
            if !batch.is_empty() {
                shared.ring.push(batch.clone(), inner.options.recent_revisions, inner.options.recent_bytes);
            }
            inner.is_full(&shared.active.read())
        };
        let observers = inner.observers.read().clone();
        for observer in observers.iter() {
            if !batch.is_empty() {
                observer.on_events(&batch);
            }
            if !lease_changes.is_empty() {
                observer.on_leases(&lease_changes);
            }
            if let Some(revision) = compaction {
                observer.on_compacted(revision);
            }
        }
        if compaction.is_some() {
            inner.signal.request_prune();
        } else if full {
            inner.signal.request_checkpoint();
        }
    }
}

impl Inner {
    fn is_full(&self, layer: &Layer) -> bool {
        match self.options.checkpoint {
            CheckpointPolicy::Background { bytes, operations, .. } => {
                layer.bytes >= bytes || layer.operations() >= operations
            }
            CheckpointPolicy::Manual => false,
        }
    }
}

/// The answer of an operation as a reply's.
impl From<OpReply> for Reply {
    fn from(reply: OpReply) -> Self {
        Reply::Op(reply)
    }
}
