//! Shared by all parts of the store: the locks, the layers, the pool of read transactions.
//!
//! # Locks, in the order they are taken
//! 1. `writing`: held while LMDB is written: by a checkpoint, a pruning slice, the adoption of a snapshot.
//! 2. `applying`: held while an entry is applied, and briefly by a checkpoint (to freeze a layer) and when a snapshot
//!    is adopted. So a layer always holds whole entries.
//! 3. `shared`: the layers and figures; held briefly, never across disk access.
//! 4. a layer's own lock, `pool`, `failure`, `unfinished`, `stretch`, `verified`: leaves.
//!
//! # Consistency of reads
//! A reader takes, under one read lock of `shared`, the published revision, both layers and a read transaction of LMDB.
//! A checkpoint first commits to LMDB and then, under the write lock, drops the frozen layer and increments
//! `generation`. So a transaction begun under the lock holds everything that the layers do not. Between commit and drop
//! it may also hold what the frozen layer holds; merging removes such duplicates.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use heed::RoTxn;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::condemned::Mark;
use super::digest::Digests;
use super::effort::Pace;
use super::figures::Figures;
use super::format::meta::Meta;
use super::head::LayerRef;
use super::lmdb::{ReadTxn, Tables};
use super::mvcc::remembered::Remembered;
use super::mvcc::revision::Revision;
use super::mvcc::ring::Ring;
use super::mvcc::stretch::Stretch;
use super::present::Present;
use super::registry::{Registry, Rows};
use super::room::Space;
use super::seams::Point;
use super::signal::Signal;
use super::states::state_number;
use super::tables::{Id, Kept, TABLES};
use super::tree::{self, Tree};
use super::{Condemned, OnDamage, Options, Sizes, StoreError, seams};
use crate::model::{Budget, LogPosition, Observer, StateDigest};

/// Everything behind a [`super::Store`].
pub(super) struct Inner {
    pub dir: PathBuf,
    pub options: Options,
    pub shared: RwLock<Shared>,
    pub writing: Mutex<()>,
    pub applying: Mutex<()>,
    /// The number of the newest environment, in use or being loaded.
    pub last_state: AtomicU64,
    pub signal: Arc<Signal>,
    pub figures: Figures,
    pub pace: Pace,
    pub space: Space,
    /// A checkpoint that found no room on the disk; only used by the holder of `writing`.
    pub unfinished: Mutex<Option<Folding>>,
    /// What a compaction works through; only used by the holder of `writing`.
    pub stretch: Mutex<Option<Stretch>>,
    /// An entry waits for room in the head.
    pub waiting: AtomicBool,
    /// Entries must not wait any more.
    pub stopping: AtomicBool,
    /// When the running compaction began to remove versions, for metrics.
    pub compaction_begun: Mutex<Option<Instant>>,
    pub observers: RwLock<Arc<[Arc<dyn Observer>]>>,
    /// The users of the published state, for checks that take no lock.
    pub present: Present,
    /// The number of the state of which all pages were checked, or written, by this process.
    pub verified: Mutex<Option<u64>>,
    /// Whether the state in use is known to be wrong.
    pub condemned: Arc<Mark>,
    pool: Mutex<Pool>,
    quota: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<Arc<str>>>,
}

/// The state that readers combine; see the module.
pub(super) struct Shared {
    pub tables: Arc<Tables>,
    /// Incremented by every commit to LMDB.
    pub generation: u64,
    pub active: LayerRef,
    pub frozen: Option<LayerRef>,
    pub ring: Ring,
    pub applied: Option<LogPosition>,
    pub digests: Digests,
    /// The published revision.
    pub revision: i64,
    pub compacted: i64,
    pub remembered: Remembered,
    pub registry: Arc<Registry>,
    /// v2's tree.
    pub tree: Tree,
    /// The meta record of the last commit to LMDB.
    pub meta: Meta,
    /// The registry in LMDB.
    pub durable_registry: Arc<Registry>,
    pub allocated: u64,
}

impl Shared {
    /// The number of the environment in use.
    pub fn number(&self) -> u64 {
        // It was checked when the store was opened.
        state_number(self.tables.dir()).unwrap_or_default()
    }

    /// The state in LMDB, with an empty head.
    pub fn load(tables: Tables) -> Result<Self, StoreError> {
        let txn = tables.read()?;
        let meta = tables.meta(&txn)?;
        let last = tables[Id::History].last(&txn).map_err(StoreError::lmdb("reading history"))?;
        let last = last.and_then(|(at, _)| Revision::from_bytes(at)).map(|at| at.main);
        seams::whole(&meta).and_then(|()| seams::newest(&meta, last)).map_err(StoreError::Damaged)?;
        let registry = load_registry(&tables, &txn, &meta)?;
        let tree = load_tree(&tables, &txn)?;
        drop(txn);
        let registry = Arc::new(registry);
        Ok(Self {
            tables: Arc::new(tables),
            generation: 0,
            active: LayerRef::default(),
            frozen: None,
            ring: Ring::default(),
            applied: meta.applied,
            digests: Digests::of(&meta),
            revision: meta.revision,
            compacted: meta.compacted,
            remembered: Remembered::default(),
            durable_registry: registry.clone(),
            registry,
            tree,
            allocated: meta.allocated,
            meta,
        })
    }

    /// Bytes of all stored versions, and of v2's tree.
    pub fn in_use(&self) -> u64 {
        self.meta.in_use
            + self.tree.bytes()
            + self.frozen.as_ref().map_or(0, |layer| layer.read().keys.growth)
            + self.active.read().keys.growth
    }

    /// The sizes, for a quota.
    pub fn sizes(&self, quota: Option<u64>) -> Sizes {
        Sizes { allocated: self.allocated, in_use: self.in_use(), quota }
    }

    /// The digest of it, if it is known.
    pub fn digest(&self) -> Option<StateDigest> {
        self.digests.at(self.applied?.index)
    }

    /// Its position, revision and compacted revision.
    pub fn point(&self) -> Point {
        let index = self.applied.map(|applied| applied.index);
        Point { index, revision: self.revision, compacted: self.compacted }
    }

    /// True if a checkpoint has something to do.
    pub fn is_dirty(&self) -> bool {
        self.frozen.is_some() || self.applied != self.meta.applied || self.allocated != self.meta.allocated
    }
}

/// The registry in LMDB.
pub(super) fn load_registry(tables: &Tables, txn: &RoTxn<'_>, meta: &Meta) -> Result<Registry, StoreError> {
    let mut registry = Registry::of(meta);
    for row in &TABLES {
        let Kept::Whole { take, .. } = row.kept else { continue };
        let read = StoreError::lmdb("reading a table that is kept in memory");
        for item in tables[row.id].iter(txn).map_err(&read)? {
            let (key, value) = item.map_err(&read)?;
            take(&mut registry, key, value).ok_or_else(|| StoreError::Damaged(row.complaint()))?;
        }
    }
    Ok(registry)
}

/// v2's tree in LMDB.
fn load_tree(tables: &Tables, txn: &RoTxn<'_>) -> Result<Tree, StoreError> {
    let read = StoreError::lmdb("reading v2's tree");
    let mut tree = Tree::default();
    for (id, is_event) in [(Id::Tree, false), (Id::TreeEvents, true)] {
        for item in tables[id].iter(txn).map_err(&read)? {
            let (key, value) = item.map_err(&read)?;
            let complaint = || StoreError::Damaged(TABLES[id as usize].complaint());
            tree::load(&mut tree, is_event, key, value).ok_or_else(complaint)?;
        }
    }
    Ok(tree)
}

/// A frozen layer that is being written to LMDB, with the state that belongs to it.
pub(super) struct Folding {
    pub tables: Arc<Tables>,
    pub layer: LayerRef,
    pub applied: Option<LogPosition>,
    pub digest: Option<StateDigest>,
    pub revision: i64,
    pub compacted: i64,
    pub allocated: u64,
    pub registry: Arc<Registry>,
    pub registry_changed: bool,
}

/// A read transaction with its revision.
pub(super) struct DiskRead {
    pub txn: ReadTxn,
    /// No version in LMDB is above this one.
    pub revision: i64,
}

#[derive(Default)]
struct Pool {
    generation: u64,
    idle: Vec<DiskRead>,
}

/// Means no quota.
const UNLIMITED: u64 = u64::MAX;

/// Idle read transactions that are kept; each keeps its generation's pages from being reused, until the next commit.
const POOL: usize = 64;

/// The layers and LMDB at one moment. The active layer continues to be written, above the published revision; a reader
/// is not affected if it is frozen or folded in the meantime. The transaction returns to the pool when the reader is
/// dropped.
pub(super) struct Reader<'s> {
    /// Private: it gives access to the options, which `apply` must not use.
    inner: &'s Inner,
    pub tables: Arc<Tables>,
    pub active: LayerRef,
    pub frozen: Option<LayerRef>,
    pub generation: u64,
    /// The published revision.
    pub revision: i64,
    pub compacted: i64,
    disk: Option<DiskRead>,
    /// It reads for a client; see [`Reader::room`].
    for_client: bool,
}

impl<'s> Reader<'s> {
    /// The same reader for a client: what it returns takes room.
    pub fn for_client(mut self) -> Self {
        self.for_client = true;
        self
    }

    /// The memory for what is read. `None` for applying, which is limited by what was proposed.
    pub fn room(&self) -> Option<&'s Arc<Budget>> {
        self.for_client.then_some(&self.inner.options.answers)
    }
}

impl Reader<'_> {
    /// Reads a row of a table in [`Kept::Rows`], head and LMDB combined.
    pub fn row<T>(
        &self,
        table: Id,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, StoreError> {
        if let Some(value) = self.active.read().row(table, key) {
            return Ok(value.as_deref().map(read));
        }
        if let Some(frozen) = &self.frozen
            && let Some(value) = frozen.read().row(table, key)
        {
            return Ok(value.as_deref().map(read));
        }
        let found = self.tables[table].get(&self.disk().txn, key);
        Ok(found.map_err(StoreError::lmdb("reading a row"))?.map(read))
    }

    /// Visits the rows of such a table whose keys begin with `prefix`, ascending.
    pub fn each_row(&self, table: Id, prefix: &[u8], visit: &mut Rows<'_>) -> Result<(), StoreError> {
        // Copied, because no lock is held while LMDB is read; the active layer has priority.
        let mut head = BTreeMap::new();
        for layer in self.frozen.iter().chain([&self.active]) {
            let layer = layer.read();
            head.extend(layer.rows_at(table, prefix).map(|(key, value)| (key.clone(), value.clone())));
        }
        let mut head = head.into_iter().peekable();
        let failed = StoreError::lmdb("reading rows");
        // LMDB has no empty keys.
        let from = if prefix.is_empty() { Bound::Unbounded } else { Bound::Included(prefix) };
        let rows = self.tables[table].range(&self.disk().txn, &(from, Bound::Unbounded)).map_err(&failed)?;
        for row in rows {
            let (key, value) = row.map_err(&failed)?;
            if !key.starts_with(prefix) {
                break;
            }
            while let Some((before, value)) = head.next_if(|(before, _)| before.as_ref() < key) {
                value.map_or(Ok(()), |value| visit(&before, &value))?;
            }
            match head.next_if(|(same, _)| same.as_ref() == key) {
                Some((_, value)) => value.map_or(Ok(()), |value| visit(key, &value))?,
                None => visit(key, value)?,
            }
        }
        head.try_for_each(|(key, value)| value.map_or(Ok(()), |value| visit(&key, &value)))
    }

    /// v2's tree as it is published; for the applying thread, which alone changes it.
    pub fn tree(&self) -> Tree {
        self.inner.shared.read().tree.clone()
    }

    /// Writes or removes a row of such a table; for the applying thread only.
    pub fn put_row(&self, table: Id, key: Bytes, value: Option<Bytes>) {
        self.active.write().put_row(table, key, value);
    }

    /// Moves on to the state that is published now.
    pub fn renew(&mut self) -> Result<(), StoreError> {
        let for_client = self.for_client;
        *self = self.inner.reader()?;
        self.for_client = for_client;
        Ok(())
    }

    /// The LMDB side.
    pub fn disk(&self) -> &DiskRead {
        self.disk.as_ref().expect("taken in drop only")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(disk) = self.disk.take() {
            self.inner.put_back(disk, self.generation);
        }
    }
}

impl Inner {
    pub fn new(dir: PathBuf, options: Options, shared: Shared) -> Result<Self, StoreError> {
        let last_state = AtomicU64::new(state_number(shared.tables.dir())?);
        let condemned = Arc::new(Mark::load(shared.tables.dir())?);
        Ok(Self {
            dir,
            quota: AtomicU64::new(options.quota.unwrap_or(UNLIMITED)),
            options,
            present: Present::new(shared.registry.users.clone()),
            condemned,
            verified: Mutex::default(),
            shared: RwLock::new(shared),
            writing: Mutex::new(()),
            applying: Mutex::new(()),
            last_state,
            signal: Arc::default(),
            figures: Figures::default(),
            pace: Pace::default(),
            space: Space::default(),
            unfinished: Mutex::new(None),
            stretch: Mutex::new(None),
            waiting: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            compaction_begun: Mutex::default(),
            observers: RwLock::new(Arc::new([])),
            pool: Mutex::default(),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        })
    }

    /// The present space quota in bytes.
    pub fn quota(&self) -> Option<u64> {
        Some(self.quota.load(Ordering::Relaxed)).filter(|quota| *quota != UNLIMITED)
    }

    /// Changes the space quota.
    pub fn set_quota(&self, quota: Option<u64>) {
        self.quota.store(quota.unwrap_or(UNLIMITED), Ordering::Relaxed);
    }

    /// A reader of the present state.
    pub fn reader(&self) -> Result<Reader<'_>, StoreError> {
        self.reader_of(&self.shared.read())
    }

    /// A reader of the state under the lock that the caller holds.
    pub fn reader_of(&self, shared: &RwLockReadGuard<'_, Shared>) -> Result<Reader<'_>, StoreError> {
        let disk = Some(self.disk_read(shared)?);
        Ok(Reader {
            inner: self,
            tables: shared.tables.clone(),
            active: shared.active.clone(),
            frozen: shared.frozen.clone(),
            generation: shared.generation,
            revision: shared.revision,
            compacted: shared.compacted,
            disk,
            for_client: false,
        })
    }

    /// A read transaction that belongs to the state under the lock.
    pub fn disk_read(&self, shared: &Shared) -> Result<DiskRead, StoreError> {
        if self.failed.load(Ordering::Relaxed) {
            self.health()?;
        }
        {
            let mut pool = self.pool.lock();
            if pool.generation == shared.generation
                && let Some(disk) = pool.idle.pop()
            {
                return Ok(disk);
            }
        }
        let txn = shared.tables.read()?;
        let revision = shared.tables.meta(&txn)?.revision;
        seams::readable(shared.revision, revision)?;
        Ok(DiskRead { txn, revision })
    }

    /// Returns a read transaction that was taken at `generation`.
    pub fn put_back(&self, disk: DiskRead, generation: u64) {
        let mut pool = self.pool.lock();
        if pool.generation == generation && pool.idle.len() < POOL {
            pool.idle.push(disk);
        }
    }

    /// Begins the next generation: called under the write lock of `shared` after a commit. Returns the idle
    /// transactions, to be dropped without the lock.
    pub fn next_generation(&self, shared: &mut Shared) -> Vec<DiskRead> {
        shared.generation += 1;
        let mut pool = self.pool.lock();
        pool.generation = shared.generation;
        std::mem::take(&mut pool.idle)
    }

    /// A read has failed. Damage condemns the state, and the store continues until another state takes its place; all
    /// other errors are fatal.
    pub fn fail_reading(&self, error: StoreError) -> StoreError {
        if self.condemns(&error) { error } else { self.fail(error) }
    }

    /// Condemns the state for good if the error is damage of it, and a state can be condemned.
    pub fn condemns(&self, error: &StoreError) -> bool {
        let OnDamage::Condemn { replace } = self.options.on_damage else { return false };
        if !error.is_damage() {
            return false;
        }
        if !self.condemned.is_set() {
            let dir = self.shared.read().tables.dir().to_path_buf();
            tracing::error!(%error, dir = %dir.display(), "damage on the disk: nothing of this state is served any more");
            let what = Condemned { why: error.to_string(), replace, told: false };
            self.condemned.set(&what);
            if let Err(error) = self.condemned.write(&dir, &what) {
                tracing::error!(%error, "a later start would not know that this state is damaged");
            }
        }
        true
    }

    /// Records that the store cannot continue, and returns the error. A shortage of resources for a read only concerns
    /// the reader.
    pub fn fail(&self, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Busy(_)) {
            return error;
        }
        // The next start knows it then.
        self.condemns(&error);
        let mut failure = self.failure.lock();
        if failure.is_none() {
            *failure = Some(error.to_string().into());
            self.failed.store(true, Ordering::Relaxed);
            drop(failure);
            tracing::error!(%error, "the store cannot go on");
            if let Some(on_fatal) = &self.options.on_fatal {
                on_fatal(&error);
            }
            self.signal.wake_all();
        }
        error
    }

    /// Ok, or the error that stopped the store.
    pub fn health(&self) -> Result<(), StoreError> {
        match &*self.failure.lock() {
            None => Ok(()),
            Some(failure) => Err(StoreError::Failed(failure.clone())),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.signal.request_stop();
    }
}
