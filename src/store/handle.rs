//! The store's handle for the other rooms. All functions here are short and call the files that do the work.

use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::apply::{ReadStop, run_read_only};
use super::core::{Inner, Reader, Shared};
use super::figures::timed;
use super::format::meta::{EMPTY_SIZE, Meta};
use super::mvcc::events::Wanted;
use super::mvcc::range;
use super::mvcc::read::{Hold, ScanError};
use super::mvcc::revision::Revision;
use super::{
    BackupReader, Condemned, Figures, HashKv, Imported, Options, Prepared, Sizes, SnapshotHeader,
    SnapshotReader, StoreError, TableFigures, Tree, effort, remains, states, worker,
};
use crate::bbolt::File;
use crate::model::{
    Alarm, Budget, KeyValue, Lease, LeaseId, LogPosition, Member, MemberId, Observer, OpReply, Proposal,
    RangeQuery, RangeResult, Refusal, Reply, RevisionEvents, Txn, Version,
};

/// The store of one member. Clones share it.
#[derive(Clone)]
pub struct Store(pub(super) Arc<Inner>);

impl Store {
    /// Opens the store in `dir`, or creates it if the directory is empty. The time does not depend on the number of
    /// keys, unless all data are checked ([`super::CheckAtStart`]); the log is to be applied from [`Store::applied`] on.
    ///
    /// # Errors
    /// [`StoreError::Format`] for data of another format, [`StoreError::NotAStore`] for other files in its place, and
    /// errors of LMDB and the file system.
    pub fn open(dir: &Path, options: Options) -> Result<Store, StoreError> {
        let (tables, is_verified) = states::open_current(dir, &options)?;
        let txn = tables.read()?;
        let is_new = tables.is_new(&txn)?;
        let meta = if is_new { empty_meta() } else { tables.meta(&txn)? };
        drop(txn);
        tables.confirm(&meta, is_new)?;
        if !tables.is_sealed() {
            tracing::info!(
                dir = %dir.display(),
                "the data were written without checksums and stay so; `kvctl rebuild` replaces them by those of the leader"
            );
        }
        let shared = Shared::load(tables)?;
        let inner = Arc::new(Inner::new(dir.to_path_buf(), options, shared)?);
        if is_verified {
            inner.set_verified(inner.shared.read().tables.dir());
        }
        if inner.measures_room() {
            inner.look_at_space();
        }
        worker::start(&inner)?;
        if inner.must_prune() {
            inner.signal.request_prune();
        }
        Ok(Store(inner))
    }

    /// Opens a store that [`Store::open`] refuses because it is damaged, without its data: a condemned state that the
    /// leader's replaces. `None`, and nothing is changed, if too much of it is lost, or `may` says no to raft's
    /// configuration.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_remains(
        dir: &Path,
        options: Options,
        condemned: &Condemned,
        may: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Option<Store>, StoreError> {
        match remains::take_place(dir, &options, condemned, |meta| is_member(meta, may))? {
            true => Store::open(dir, options).map(Some),
            false => Ok(None),
        }
    }

    /// True if [`Store::open_remains`] opens a damaged store. Changes nothing.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn has_remains(dir: &Path, may: impl FnOnce(&[u8]) -> bool) -> Result<bool, StoreError> {
        Ok(remains::find(dir, |meta| is_member(meta, may))?.is_some())
    }

    /// Replaces the observers of what is applied.
    pub fn set_observers(&self, observers: Vec<Arc<dyn Observer>>) {
        *self.0.observers.write() = observers.into();
    }

    /// Applies one log entry, a group of commands; when this returns it is readable and the observers have been
    /// notified. One reply per command. For the applying thread only, in the order of the log.
    ///
    /// # Errors
    /// All are fatal; [`StoreError::OutOfOrder`] for an entry that is not after the last one applied.
    pub fn apply(&self, position: LogPosition, proposals: &[Proposal]) -> Result<Vec<Reply>, StoreError> {
        let begun = Instant::now();
        let replies = self.0.apply_entry(position, None, proposals)?;
        let (took, limit) = (begun.elapsed(), self.0.options.slow_apply);
        self.0.figures.applied(took, limit, position, proposals.len());
        if effort::effort(proposals) <= effort::CHEAP {
            self.0.pace.applied(took);
        }
        Ok(replies)
    }

    /// Applies a membership entry: raft's own configuration (opaque here) and the member change that goes with it.
    ///
    /// # Errors
    /// As [`Store::apply`].
    pub fn apply_membership(
        &self,
        position: LogPosition,
        raft_membership: Bytes,
        change: Option<&Proposal>,
    ) -> Result<Option<Reply>, StoreError> {
        let change = change.map_or(&[][..], std::slice::from_ref);
        Ok(self.0.apply_entry(position, Some(raft_membership), change)?.pop())
    }

    /// Applies an entry that changes nothing.
    ///
    /// # Errors
    /// As [`Store::apply`].
    pub fn apply_blank(&self, position: LogPosition) -> Result<(), StoreError> {
        self.0.apply_entry(position, None, &[]).map(drop)
    }

    /// The last entry applied.
    pub fn applied(&self) -> Option<LogPosition> {
        self.0.shared.read().applied
    }

    /// Raft's configuration with the position of its entry.
    pub fn raft_membership(&self) -> Option<(LogPosition, Bytes)> {
        self.0.shared.read().registry.raft_membership.clone()
    }

    /// The last entry that is durable in LMDB: the log may be purged up to here.
    pub fn checkpointed(&self) -> Option<LogPosition> {
        self.0.shared.read().meta.applied
    }

    /// Folds everything applied so far into LMDB and returns when it is durable.
    ///
    /// # Errors
    /// [`StoreError::Full`], after which it is tried again; fatal errors.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.0.checkpoint()
    }

    /// Removes superfluous versions after compactions, at once and without pauses. In background mode the store's
    /// thread does it.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn prune(&self) -> Result<(), StoreError> {
        self.0.prune_all()
    }

    /// Makes everything durable and stops the store's thread. Without it, or on a full disk, the end is like a crash:
    /// changes without a checkpoint come back from the log.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn close(&self) -> Result<(), StoreError> {
        let done = self.0.checkpoint();
        self.0.signal.request_stop();
        self.0.signal.join();
        if done.is_ok() {
            self.0.leave_clean();
        }
        match done {
            Err(error @ StoreError::Full { .. }) => {
                tracing::warn!(%error, "the state could not be saved at the stop; its last changes are in the log, which the next start reads");
                Ok(())
            }
            done => done,
        }
    }

    /// The current revision; 1 in an empty store.
    pub fn revision(&self) -> i64 {
        self.0.shared.read().revision
    }

    /// The compacted revision: nothing below it can be read. -1 if nothing was compacted.
    pub fn compacted_revision(&self) -> i64 {
        self.0.shared.read().compacted
    }

    /// Reads a range (etcd semantics section 2). Long ranges are read in chunks at one revision.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`] and [`Refusal::Compacted`].
    pub fn range(&self, query: &RangeQuery) -> Result<RangeResult, Refusal> {
        self.query(query, range::run)
    }

    /// Reads a part of a range like [`Store::range`], in a time that depends on the limit alone: the count is that of
    /// the range only if `more` is false. It ends before the limit with the key that brings it to `bytes` bytes.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`] and [`Refusal::Compacted`].
    pub fn page(&self, query: &RangeQuery, bytes: usize) -> Result<RangeResult, Refusal> {
        let run = |reader: &mut Reader<'_>, hold, query: &RangeQuery, at, now| {
            range::page(reader, hold, query, at, now, bytes)
        };
        self.query(query, run)
    }

    /// Reads one key at the current revision.
    ///
    /// # Errors
    /// Internal errors only.
    pub fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, Refusal> {
        let version = self.0.newest(key).map_err(|error| self.read_error(error.into()))?;
        Ok(version.and_then(|version| version.to_kv(Bytes::copy_from_slice(key))))
    }

    /// Runs a read-only transaction at the current revision.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`] and [`Refusal::Compacted`], for a range of it.
    pub fn read_txn(&self, txn: &Txn) -> Result<OpReply, Refusal> {
        let run = |hold| {
            let mut reader = self.reader_at(0)?;
            let mut compares = 0;
            match run_read_only(&mut reader, hold, txn, &mut compares) {
                Ok(reply) => {
                    self.0.figures.read(compares, &reply);
                    Ok(Ok(reply))
                }
                Err(ReadStop::Refused(refusal)) => Err(refusal),
                Err(ReadStop::Scan(error)) => Ok(Err(error)),
            }
        };
        self.never_overtaken(run)?.map_err(|error| self.read_error(error))
    }

    /// The events that are wanted, and the revision at which to continue. A
    /// call returns whole revisions, up to about the given limits. It may return no events although there are later
    /// ones, after it has read enough of the history: the revision at which to continue is then not beyond `to`.
    /// `position` is the default for revisions that were read from disk.
    ///
    /// # Errors
    /// [`Refusal::Compacted`] if `from` is below the compacted revision.
    pub fn events(&self, wanted: &Wanted<'_>) -> Result<(Vec<RevisionEvents>, i64), Refusal> {
        self.0.events(wanted)
    }

    /// All leases, ascending by id.
    ///
    /// # Errors
    /// Internal errors only.
    pub fn leases(&self) -> Result<Vec<Lease>, Refusal> {
        self.read(|reader| reader.leases())
    }

    /// One lease.
    ///
    /// # Errors
    /// Internal errors only.
    pub fn lease(&self, id: LeaseId) -> Result<Option<Lease>, Refusal> {
        self.read(|reader| reader.lease(id))
    }

    /// The keys attached to a lease, ascending.
    ///
    /// # Errors
    /// Internal errors only.
    pub fn lease_keys(&self, id: LeaseId) -> Result<Vec<Bytes>, Refusal> {
        self.read(|reader| reader.lease_keys(id))
    }

    /// All members, ascending by id.
    pub fn members(&self) -> Vec<Member> {
        self.0.shared.read().registry.members.values().cloned().collect()
    }

    /// The ids of members that were removed; they are kept for ever.
    pub fn removed(&self) -> Vec<MemberId> {
        self.0.shared.read().registry.removed.iter().copied().collect()
    }

    /// The cluster's version; `None` until it is decided.
    pub fn cluster_version(&self) -> Option<String> {
        self.0.shared.read().registry.cluster_version.clone()
    }

    /// The version that the cluster goes back to.
    pub fn downgrade(&self) -> Option<Version> {
        self.0.shared.read().registry.downgrade
    }

    /// Refuses a downgrade that could not be begun now.
    ///
    /// # Errors
    /// Those of the command [`crate::model::Command::Downgrade`].
    pub fn check_downgrade(&self, target: Version) -> Result<(), Refusal> {
        let shared = self.0.shared.read();
        shared.registry.check_downgrade(target, shared.tree.is_used())
    }

    /// The version that limits which commands may be proposed (see [`crate::model::Command::since`]): the cluster's, or
    /// that of a downgrade. `None` before the cluster has one.
    pub fn version_limit(&self) -> Option<Version> {
        self.0.shared.read().registry.version_limit()
    }

    /// Which life of the cluster this is, as far as entries are applied: 0 until `--force-new-cluster` or a restore begins
    /// another one.
    pub fn epoch(&self) -> u64 {
        self.0.shared.read().registry.epoch
    }

    /// v2's tree at this moment.
    pub fn tree(&self) -> Tree {
        self.0.shared.read().tree.clone()
    }

    /// The alarms that are raised.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.0.shared.read().registry.list_alarms(None)
    }

    /// The size of the data.
    pub fn sizes(&self) -> Sizes {
        self.0.shared.read().sizes(self.0.quota())
    }

    /// Changes the space quota (bytes; `None` is unlimited). An alarm that was raised under the old one stays. Applying
    /// never checks it: the proposer of a command does, before proposing (see [`super::quota`]).
    pub fn set_quota(&self, quota: Option<u64>) {
        self.0.set_quota(quota);
    }

    /// Reduces [`Sizes::allocated`] to the size in use, after the running compaction has ended. LMDB reuses freed pages
    /// by itself, so nothing is moved and nothing else waits.
    ///
    /// # Errors
    /// As [`Store::checkpoint`], which makes it durable.
    pub fn defragment(&self) -> Result<(), StoreError> {
        let figures = &self.0.figures;
        figures.defragmenting.fetch_add(1, Ordering::Relaxed);
        let done = timed(&figures.defragment, || {
            self.0.wait_compacted(self.compacted_revision())?;
            {
                let mut shared = self.0.shared.write();
                shared.allocated = shared.in_use();
            }
            self.0.checkpoint()
        });
        figures.defragmenting.fetch_sub(1, Ordering::Relaxed);
        done
    }

    /// True if applying any entry, even a cheap one, may wait for the disk: the memory for changes that are not in LMDB
    /// yet is used up, or the disk is slow.
    pub fn may_wait(&self) -> bool {
        self.0.may_wait()
    }

    /// True while an entry that is being applied waits for the disk.
    pub fn is_waiting(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Waits until an entry can be applied without waiting; false if that takes until a full disk has room again.
    pub fn gets_room(&self) -> bool {
        self.0.gets_room()
    }

    /// From now on an entry that would have to wait for the disk fails: for the end of the process, which a full disk
    /// must not delay.
    pub fn stop_waiting(&self) {
        self.0.stop_waiting();
    }

    /// True while a compaction has versions left to remove: the size in use is about to fall.
    pub fn is_compacting(&self) -> bool {
        self.0.must_prune()
    }

    /// Has the store's thread make a checkpoint soon, since the log is to be shortened.
    pub fn hurry(&self) {
        self.0.signal.request_checkpoint();
    }

    /// The memory for what is read for clients, and for their answers.
    pub fn answers(&self) -> &Arc<Budget> {
        &self.0.options.answers
    }

    /// Counters.
    pub fn figures(&self) -> &Figures {
        &self.0.figures
    }

    /// The number of live keys. A key that is too long for one row counts once more for each row before its last.
    ///
    /// # Errors
    /// Internal errors only.
    pub fn live_keys(&self) -> Result<u64, Refusal> {
        self.read(|reader| reader.live_keys())
    }

    /// The size of each table.
    ///
    /// # Errors
    /// Internal errors only.
    pub fn table_figures(&self) -> Result<Vec<TableFigures>, Refusal> {
        let tables = self.0.shared.read().tables.clone();
        Ok(tables.figures()?)
    }

    /// CRC32C of all stored data; it differs between members that have removed more or less of the compacted versions.
    ///
    /// # Errors
    /// Internal errors only.
    pub fn hash(&self) -> Result<u32, Refusal> {
        let hash = timed(&self.0.figures.hash, || self.0.hash());
        hash.map_err(|error| self.read_error(error.into()))
    }

    /// etcd's hash of the key space up to a revision, 0 for the current one; at the revision of one of the last ten
    /// compactions it is the hash from before that compaction. Makes a checkpoint first.
    ///
    /// # Errors
    /// [`Refusal::FutureRevision`] and [`Refusal::Compacted`].
    pub fn hash_kv(&self, revision: i64) -> Result<HashKv, Refusal> {
        timed(&self.0.figures.hash_kv, || self.0.hash_kv(revision))
    }

    /// Blocks until the versions that a compaction at `revision` made superfluous are removed.
    ///
    /// # Errors
    /// The error that stopped the store.
    pub fn wait_compacted(&self, revision: i64) -> Result<(), StoreError> {
        self.0.wait_compacted(revision)
    }

    /// A stream of the whole state at the last checkpoint; call [`Store::checkpoint`] first if it must be newer.
    /// Opening it is quick, reading it needs bounded memory, and nothing waits for it.
    ///
    /// # Errors
    /// Errors of LMDB if there is no free reader.
    pub fn snapshot(&self) -> Result<SnapshotReader, StoreError> {
        self.0.snapshot().inspect_err(|error| _ = self.0.condemns(error))
    }

    /// The whole state at the last checkpoint in the form of etcd's backend, for clients: a bbolt file, without the keys
    /// that sign tokens. Opening it visits all rows; reading it needs bounded memory, and nothing waits for it.
    ///
    /// # Errors
    /// Errors of LMDB if there is no free reader.
    pub fn backup(&self) -> Result<BackupReader, StoreError> {
        self.0.backup().inspect_err(|error| _ = self.0.condemns(error))
    }

    /// Replaces the whole state by that of a snapshot stream, atomically also across a crash.
    ///
    /// # Errors
    /// [`StoreError::Snapshot`] for a stream that is incomplete, damaged or of another version, [`StoreError::Full`] if
    /// the disk has no room for both states, and the stream's own errors; the store is then unchanged.
    pub fn restore(
        &self,
        stream: impl IntoIterator<Item = io::Result<Bytes>>,
    ) -> Result<SnapshotHeader, StoreError> {
        self.adopt(self.prepare(stream, |_| true)?)
    }

    /// Replaces the whole state, but for the members, by that of a file of etcd's backend. The revision is raised by
    /// `bump`, and then everything before it counts as compacted.
    ///
    /// # Errors
    /// [`StoreError::Snapshot`], with the place, for a file that is damaged or no etcd's, [`StoreError::Full`]; the store
    /// is then unchanged.
    pub fn load_backup<R: Read + Seek>(&self, file: &mut File<R>, bump: i64) -> Result<Imported, StoreError> {
        self.0.load_backup(file, bump)
    }

    /// Turns the state into that of a new cluster, durably: without members, and as before the first log entry. `epoch`
    /// is the one of the new cluster's life.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn begin_anew(&self, epoch: u64) -> Result<(), StoreError> {
        self.0.begin_anew(epoch)
    }

    /// Loads a snapshot stream next to the state in use, which continues to be used. Returns when it is durable. A
    /// stream whose header is not the expected one is not loaded.
    ///
    /// # Errors
    /// As [`Store::restore`].
    pub fn prepare(
        &self,
        stream: impl IntoIterator<Item = io::Result<Bytes>>,
        is_expected: impl FnOnce(&SnapshotHeader) -> bool,
    ) -> Result<Prepared, StoreError> {
        self.0.prepare(&mut stream.into_iter(), Box::new(is_expected))
    }

    /// Replaces the store's state by one that it has prepared, atomically also across a crash.
    ///
    /// # Errors
    /// The error that stopped the store.
    pub fn adopt(&self, prepared: Prepared) -> Result<SnapshotHeader, StoreError> {
        self.0.adopt(prepared)
    }

    /// Ok, or the error that stopped the store.
    ///
    /// # Errors
    /// That error.
    pub fn health(&self) -> Result<(), StoreError> {
        self.0.health()
    }

    fn query(
        &self,
        query: &RangeQuery,
        run: impl Fn(&mut Reader<'_>, Hold, &RangeQuery, Revision, i64) -> Result<RangeResult, ScanError>,
    ) -> Result<RangeResult, Refusal> {
        let run = |hold| {
            let mut reader = self.reader_at(query.revision)?;
            let now = reader.revision;
            let at = if query.revision > 0 { query.revision } else { now };
            Ok(run(&mut reader, hold, query, Revision::last_of(at), now))
        };
        self.never_overtaken(run)?.map_err(|error| self.read_error(error))
    }

    pub(super) fn reader_at(&self, revision: i64) -> Result<Reader<'_>, Refusal> {
        let reader = self.0.reader().map_err(|error| self.read_error(error.into()))?;
        if revision > reader.revision {
            return Err(Refusal::FutureRevision);
        }
        let at = if revision > 0 { revision } else { reader.revision };
        if at < reader.compacted {
            return Err(Refusal::Compacted { compacted: reader.compacted });
        }
        Ok(reader.for_client())
    }

    /// Runs a read in chunks, and again in one piece if a compaction has overtaken it.
    #[allow(clippy::type_complexity, reason = "a refusal ends it, an error of a scan may not")]
    fn never_overtaken<T>(
        &self,
        run: impl Fn(Hold) -> Result<Result<T, ScanError>, Refusal>,
    ) -> Result<Result<T, ScanError>, Refusal> {
        match run(Hold::Chunk)? {
            Err(ScanError::Overtaken) => run(Hold::Whole),
            done => Ok(done),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Reader<'_>) -> Result<T, StoreError>) -> Result<T, Refusal> {
        let done = self.0.reader().and_then(|reader| read(&reader));
        done.map_err(|error| self.read_error(error.into()))
    }

    pub(super) fn read_error(&self, error: ScanError) -> Refusal {
        match error {
            ScanError::Store(error) => self.0.fail_reading(error).into(),
            ScanError::Refused(refusal) => refusal,
            ScanError::Overtaken => Refusal::Compacted { compacted: self.compacted_revision() },
        }
    }
}

/// True if `may` agrees with raft's configuration in a state.
fn is_member(meta: &Meta, may: impl FnOnce(&[u8]) -> bool) -> bool {
    meta.raft_membership.as_ref().is_some_and(|(_, config)| may(config))
}

/// The meta record of a new store.
fn empty_meta() -> Meta {
    Meta {
        revision: 1,
        compacted: -1,
        pruned: -1,
        in_use: EMPTY_SIZE,
        allocated: EMPTY_SIZE,
        ..Meta::default()
    }
}
