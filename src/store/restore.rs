//! Replaces the state by that of a snapshot stream.
//!
//! While the stream arrives it is written into a new environment next to the one in use, which continues to be used.
//! The file CURRENT names the new environment only after the stream was read to its end, checked and made durable.
//! After an earlier crash the old state is in use, and the new environment is removed when the store is opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use heed::{PutFlags, RwTxn};
use parking_lot::MutexGuard;

use super::core::{Inner, Shared};
use super::format::{self, varint};
use super::lmdb::Tables;
use super::seams::{self, Point};
use super::snapshot::{BLOCK, BLOCK_HEAD, Header, MAGIC, SNAPSHOT_VERSION, SnapshotHeader, contents};
use super::states::{not_written, set_current, state_dir};
use super::{CheckpointPolicy, Options, StoreError, condemned, remains};

/// Bytes written in one transaction: few, because the stream waits while they are committed.
const COMMIT_BYTES: usize = 4 << 20;
/// Bytes that are flushed to the disk at a time, while the next ones are being written.
const SYNC_BYTES: usize = 64 << 20;

/// Pause before a disk that was full is tried again.
const FULL: Duration = Duration::from_millis(100);

/// The longest header block: it holds raft's configuration.
const MAX_HEADER: usize = 16 << 20;

/// The longest key or value of a table.
const MAX_FIELD: usize = 1 << 30;

/// A state that was loaded from a snapshot, durable but not in use. Dropping it removes it.
pub struct Prepared {
    path: PathBuf,
    /// `None` if it is in use, or may be after a restart.
    loaded: Option<Shared>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if self.loaded.take().is_some() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Inner {
    /// See [`super::Store::prepare`].
    pub fn prepare(&self, stream: Stream<'_>, is_expected: Expectation<'_>) -> Result<Prepared, StoreError> {
        self.prepare_by(|path| load(path, &self.options, stream, is_expected))
    }

    /// The same for a state that `load` writes to a new environment.
    pub fn prepare_by(
        &self,
        load: impl FnOnce(&Path) -> Result<Shared, StoreError>,
    ) -> Result<Prepared, StoreError> {
        self.health()?;
        let number = self.last_state.fetch_add(1, Ordering::Relaxed) + 1;
        let path = state_dir(&self.dir, number);
        let _ = fs::remove_dir_all(&path);
        let loaded = load(&path).map_err(|error| {
            let full = error.ran_out_in(&self.dir);
            let _ = fs::remove_dir_all(&path);
            if full { StoreError::Full { what: error.to_string() } } else { error }
        })?;
        Ok(Prepared { path, loaded: Some(loaded) })
    }

    /// Makes CURRENT name a state that is ready, as soon as there is room for that, and nobody writes to the one before
    /// until the guard is dropped.
    fn switch(&self, name: &str) -> Result<MutexGuard<'_, ()>, StoreError> {
        // A simulation lets time pass outside of the store only.
        let can_wait = matches!(self.options.checkpoint, CheckpointPolicy::Background { .. });
        let before = self.options.before_commit.as_ref().filter(|_| can_wait);
        loop {
            let writing = self.writing.lock();
            // It appears with the state, and not before: a crash between the two must not lose it.
            let noted = || match self.condemned.is_set() {
                true => condemned::note_replaced(&self.dir.join(name)),
                false => Ok(()),
            };
            let written = before.map_or(Ok(()), |before| before());
            let written = written.and_then(|()| noted()).and_then(|()| set_current(&self.dir, name));
            match written.map_err(|error| not_written(&self.dir, error)) {
                Ok(()) => {
                    self.space.found();
                    return Ok(writing);
                }
                Err(error) if can_wait && error.ran_out_in(&self.dir) => self.found_none(&error),
                Err(error) => return Err(self.fail(error)),
            }
            drop(writing);
            self.waiting.store(true, Ordering::Relaxed);
            std::thread::sleep(FULL);
            self.waiting.store(false, Ordering::Relaxed);
            if self.stopping.load(Ordering::Relaxed) {
                return Err(StoreError::Failed("it is being stopped".into()));
            }
        }
    }

    /// See [`super::Store::adopt`].
    pub fn adopt(&self, mut prepared: Prepared) -> Result<SnapshotHeader, StoreError> {
        self.health()?;
        let in_use = || StoreError::Damaged("a state that is in use cannot be taken over".into());
        let name = prepared.path.file_name().ok_or_else(in_use)?;
        let other = prepared.loaded.as_ref().map(|loaded| Point::of(&loaded.meta)).ok_or_else(in_use)?;
        let own = self.shared.read().point();
        // What a condemned state says of itself may be wrong, but for its place in the log.
        let own = if self.condemned.is_set() { Point { index: own.index, ..other } } else { own };
        seams::adopted(own, other).map_err(|error| self.fail(error))?;
        // From now on it is not removed: if naming it fails halfway, CURRENT may name it all the same. The next start
        // removes whatever CURRENT does not name.
        let loaded = prepared.loaded.take().ok_or_else(in_use)?;
        let _writing = self.switch(&name.to_string_lossy())?;
        let header = SnapshotHeader::of(&loaded.meta);
        let revision = header.revision;
        let (replaced, idle) = {
            let _applying = self.applying.lock();
            let mut shared = self.shared.write();
            let generation = shared.generation;
            self.present.set(loaded.registry.users.clone());
            let mut replaced = std::mem::replace(&mut *shared, loaded);
            *self.unfinished.lock() = None;
            shared.generation = generation;
            if !self.condemned.is_set() {
                shared.remembered = std::mem::take(&mut replaced.remembered).carried();
            }
            self.condemned.clear();
            let idle = self.next_generation(&mut shared);
            (replaced, idle)
        };
        let old = replaced.tables.dir().to_path_buf();
        drop((replaced, idle));
        // It may still have readers: the files disappear when the last one closes them.
        let _ = fs::remove_dir_all(&old);
        remains::remove(&self.dir);
        self.set_verified(&prepared.path);
        for observer in self.observers.read().clone().iter() {
            observer.on_restored(revision);
        }
        self.signal.request_prune();
        self.signal.progressed();
        Ok(header)
    }
}

/// Checks that a header is the one that was announced.
pub(super) type Expectation<'e> = Box<dyn FnOnce(&SnapshotHeader) -> bool + 'e>;

fn load(
    path: &Path,
    options: &Options,
    stream: Stream<'_>,
    is_expected: Expectation<'_>,
) -> Result<Shared, StoreError> {
    let mut blocks = Blocks { stream, piece: Bytes::new(), crc: 0, payload: Bytes::new(), ended: false };
    let Header { meta } = blocks.header()?;
    if !is_expected(&SnapshotHeader::of(&meta)) {
        return Err(bad(format!("it holds another state than was announced, up to {:?}", meta.applied)));
    }
    seams::whole(&meta).map_err(bad)?;
    let tables = Tables::open(path, options)?;
    // Nothing refers to it yet, so it need not be consistent before it is complete.
    tables.wait_for_disk(false)?;
    load_rows(&tables, &mut blocks)?;
    let mut txn = tables.write()?;
    tables.put_meta(&mut txn, &meta)?;
    tables.commit(txn, "committing a snapshot")?;
    tables.wait_for_disk(true)?;
    tables.sync()?;
    Shared::load(tables).map_err(|error| match error {
        StoreError::Damaged(what) => bad(what),
        error => error,
    })
}

fn load_rows(tables: &Tables, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
    let write = StoreError::lmdb("writing a snapshot");
    std::thread::scope(|scope| {
        let mut txn: Option<RwTxn<'_>> = None;
        let mut syncing = None;
        let (mut uncommitted, mut unsynced) = (0, 0);
        let mut last: Option<(u8, Bytes)> = None;
        while let Some(number) = blocks.table()? {
            let known = contents().find(|(known, _)| *known == number);
            let (_, table) = known.ok_or_else(|| bad(format!("it has a table {number}")))?;
            let key = blocks.field()?;
            let value = blocks.field()?;
            if !table.reads(&key, &value) {
                return Err(bad(table.complaint()));
            }
            if last.as_ref().is_some_and(|(before, last)| (*before, last) >= (number, &key)) {
                return Err(bad(format!("the rows of {} are not in order", table.name)));
            }
            last = Some((number, key.clone()));
            let open = match &mut txn {
                Some(open) => open,
                None => txn.insert(tables.write()?),
            };
            tables[table.id].put_with_flags(open, PutFlags::APPEND, &key, &value).map_err(&write)?;
            uncommitted += key.len() + value.len();
            if uncommitted >= COMMIT_BYTES {
                unsynced += std::mem::take(&mut uncommitted);
                txn.take().map_or(Ok(()), RwTxn::commit).map_err(&write)?;
            }
            if unsynced >= SYNC_BYTES {
                unsynced = 0;
                ended(syncing.take())?;
                syncing = Some(scope.spawn(|| tables.sync()));
            }
        }
        txn.map_or(Ok(()), RwTxn::commit).map_err(write)?;
        // An error is reported once: a later flush may succeed.
        ended(syncing)
    })
}

fn ended(thread: Option<ScopedJoinHandle<'_, Result<(), StoreError>>>) -> Result<(), StoreError> {
    let Some(thread) = thread else { return Ok(()) };
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn bad(what: impl Into<String>) -> StoreError {
    StoreError::Snapshot(what.into())
}

/// The source of a snapshot.
pub(super) type Stream<'s> = &'s mut dyn Iterator<Item = io::Result<Bytes>>;

/// The stream, block by block. Rows are slices of the pieces that came, where they lie in one.
struct Blocks<'s> {
    stream: Stream<'s>,
    /// What has come and was not looked at.
    piece: Bytes,
    crc: u32,
    /// What is left of the present block.
    payload: Bytes,
    ended: bool,
}

impl Blocks<'_> {
    /// The next so many bytes of the stream.
    fn exact(&mut self, length: usize) -> Result<Bytes, StoreError> {
        let mut parts = BytesMut::new();
        loop {
            let missing = length - parts.len();
            if parts.is_empty() && self.piece.len() >= missing {
                return Ok(self.piece.split_to(missing));
            }
            parts.extend_from_slice(&self.piece.split_to(missing.min(self.piece.len())));
            if parts.len() == length {
                return Ok(parts.freeze());
            }
            self.piece = match self.stream.next() {
                Some(piece) => piece.map_err(|error| StoreError::io("reading a snapshot", error))?,
                None => return Err(bad("the stream ends before its end mark")),
            };
        }
    }

    fn header(&mut self) -> Result<Header, StoreError> {
        let mut head = self.exact(MAGIC.len() + 6)?;
        if head.split_to(MAGIC.len()) != MAGIC.as_slice() {
            return Err(bad("this is no kvd snapshot"));
        }
        let (version, rows) = (head.get_u16(), head.get_u32());
        if version != SNAPSHOT_VERSION || rows != format::STREAMED {
            return Err(bad(format!(
                "it has snapshot version {version} with store format {rows}; this kvd reads version \
                 {SNAPSHOT_VERSION} with store format {}",
                format::STREAMED
            )));
        }
        self.next_block(MAX_HEADER)?;
        let header = std::mem::take(&mut self.payload);
        postcard::from_bytes(&header).map_err(|error| bad(format!("the header: {error}")))
    }

    fn next_block(&mut self, max: usize) -> Result<(), StoreError> {
        let mut head = self.exact(BLOCK_HEAD)?;
        let (length, crc) = (head.get_u32() as usize, head.get_u32());
        if length > max {
            return Err(bad(format!("a block of {length} bytes")));
        }
        let payload = self.exact(length)?;
        self.crc = crc32c::crc32c_append(self.crc, &payload);
        if self.crc != crc {
            return Err(bad("a block's checksum is wrong: the stream is damaged"));
        }
        self.payload = payload;
        self.ended = length == 0;
        Ok(())
    }

    /// Makes sure that something is left of the present block; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, StoreError> {
        while self.payload.is_empty() && !self.ended {
            self.next_block(BLOCK)?;
        }
        Ok(!self.ended)
    }

    /// The table of the next row; `None` at the end of the stream.
    fn table(&mut self) -> Result<Option<u8>, StoreError> {
        Ok(if self.fill()? { Some(self.payload.get_u8()) } else { None })
    }

    /// The same inside a row.
    fn more(&mut self) -> Result<(), StoreError> {
        if self.fill()? { Ok(()) } else { Err(bad("a row is cut")) }
    }

    fn field(&mut self) -> Result<Bytes, StoreError> {
        let length = self.length()?;
        if length > MAX_FIELD {
            return Err(bad(format!("a field of {length} bytes")));
        }
        if length <= self.payload.len() {
            return Ok(self.payload.split_to(length));
        }
        let mut field = BytesMut::new();
        while field.len() < length {
            self.more()?;
            let wanted = (length - field.len()).min(self.payload.len());
            field.extend_from_slice(&self.payload.split_to(wanted));
        }
        Ok(field.freeze())
    }

    fn length(&mut self) -> Result<usize, StoreError> {
        let (mut number, mut used) = ([0; 10], 0);
        loop {
            self.more()?;
            let slot = number.get_mut(used).ok_or_else(|| bad("a length that is none"))?;
            *slot = self.payload.get_u8();
            used += 1;
            if let Some(length) = varint::take(&mut &number[..used]) {
                return usize::try_from(length).map_err(|_| bad(format!("a field of {length} bytes")));
            }
        }
    }
}
