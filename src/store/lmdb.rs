//! The LMDB environment: opening it, its tables, its meta record. The one file of the store with unsafe code.

use std::ops::Index;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, RoTxn, RwTxn, WithoutTls};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use super::format::meta::Meta;
use super::format::{self, FORMAT, STATE};
use super::sealed::{self, Table};
use super::tables::{Id, Row, TABLES};
use super::{BeforeCommit, Options, StoreError, TableFigures};
use crate::files;

/// A read transaction that keeps its environment open.
pub(super) type ReadTxn = RoTxn<'static, WithoutTls>;

/// An open environment with its tables.
pub(super) struct Tables {
    env: Env<WithoutTls>,
    dir: PathBuf,
    before_commit: Option<BeforeCommit>,
    /// The version of its format.
    version: u32,
    tables: [Table; TABLES.len()],
}

impl Tables {
    /// Opens the environment in `dir`, or creates it.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, StoreError> {
        private_dir(dir)?;
        allocate_lock_file(dir, options)?;
        let env = open_env(dir, options, EnvFlags::empty())?;
        // LMDB flushes its file, but not the file's name.
        files::sync_names(dir)
            .map_err(|error| StoreError::io(format!("flushing {}", dir.display()), error))?;
        env.clear_stale_readers().map_err(StoreError::lmdb("clearing stale readers"))?;
        let open = StoreError::lmdb("opening the tables");
        let version = find_version(&env, dir)?.unwrap_or(format::VERSION);
        let txn = env.write_txn().map_err(&open)?;
        let tables = env
            .create_databases_and_commit(txn, |opener, txn| {
                let mut tables = Vec::with_capacity(TABLES.len());
                for row in &TABLES {
                    let rows = opener.create_database::<Bytes, Bytes>(txn, Some(row.name))?;
                    tables.push(rows);
                }
                let tables: [_; TABLES.len()] =
                    tables.try_into().unwrap_or_else(|_| unreachable!("one table a row"));
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
            })
            .map_err(open)?;
        let Some(tables) = tables.commit() else {
            return Err(StoreError::Damaged("the tables could not be opened".into()));
        };
        Ok(Self::of(env, dir, options, version, tables))
    }

    /// Opens the environment in `dir`, which nobody may use meanwhile, and changes nothing in it: there is no table of
    /// readers either. `None` if it was never written.
    pub fn open_unchanged(dir: &Path, options: &Options) -> Result<Option<Self>, StoreError> {
        let env = open_env(dir, options, EnvFlags::READ_ONLY | EnvFlags::NO_LOCK)?;
        let Some(version) = find_version(&env, dir)? else { return Ok(None) };
        let open = StoreError::lmdb("opening the tables");
        let txn = env.read_txn().map_err(&open)?;
        let opened = env.open_databases_and_commit(txn, |opener, txn| {
            let mut tables = Vec::with_capacity(TABLES.len());
            for row in &TABLES {
                tables.extend(opener.open_database::<Bytes, Bytes>(txn, Some(row.name))?);
            }
            Ok::<_, heed::Error>(match <[_; TABLES.len()]>::try_from(tables) {
                Ok(tables) => CommitOrAbort::Commit(tables),
                Err(fewer) => CommitOrAbort::Abort(fewer.len()),
            })
        });
        match opened.map_err(&open)? {
            CommitOrAbort::Commit(tables) => Ok(Some(Self::of(env, dir, options, version, tables))),
            CommitOrAbort::Abort(count) => {
                let what = format!("it has {count} of {} tables: an older kvd has written it", TABLES.len());
                Err(StoreError::NotAStore { dir: dir.to_path_buf(), what })
            }
        }
    }

    fn of(
        env: Env<WithoutTls>,
        dir: &Path,
        options: &Options,
        version: u32,
        tables: [Database<'static, Bytes, Bytes>; TABLES.len()],
    ) -> Self {
        let is_sealed = version >= format::SEALED;
        let mut ids = TABLES.iter().map(|row| row.id);
        let tables = tables.map(|rows| Table::new(rows, ids.next().unwrap_or(Id::Meta), is_sealed));
        Self { env, dir: dir.to_path_buf(), before_commit: options.before_commit.clone(), version, tables }
    }

    /// The directory of the environment.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// True if its rows have checksums.
    pub fn is_sealed(&self) -> bool {
        self.version >= format::SEALED
    }

    /// The size of each table.
    pub fn figures(&self) -> Result<Vec<TableFigures>, StoreError> {
        let txn = self.read()?;
        let figures = |row: &Row| {
            let stat = self[row.id].stat(&txn).map_err(StoreError::lmdb("measuring the tables"))?;
            let pages = stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
            let bytes = pages as u64 * u64::from(stat.page_size);
            Ok(TableFigures { name: row.name, rows: stat.entries as u64, bytes })
        };
        TABLES.iter().map(figures).collect()
    }

    /// Bytes that the data file can grow to.
    pub fn map_size(&self) -> u64 {
        self.env.info().map_size as u64
    }

    /// Begins a read transaction; [`StoreError::Busy`] if there are too many.
    pub fn read(&self) -> Result<ReadTxn, StoreError> {
        self.env.clone().static_read_txn().map_err(StoreError::at_reading)
    }

    /// Begins the write transaction; waits for another one.
    pub fn write(&self) -> Result<RwTxn<'_>, StoreError> {
        self.env.write_txn().map_err(StoreError::lmdb("beginning to write"))
    }

    /// Commits; an error names the action.
    pub fn commit(&self, txn: RwTxn<'_>, what: &'static str) -> Result<(), StoreError> {
        let before = self.before_commit.as_ref().map_or(Ok(()), |before| before());
        before.map_err(heed::Error::Io).and_then(|()| txn.commit()).map_err(StoreError::lmdb(what))
    }

    /// Whether a commit waits until it is on the disk; the default is that it does. Without it a crash may leave
    /// nothing readable until [`Tables::sync`] has returned: only for an environment that is thrown away in that case.
    pub fn wait_for_disk(&self, wait: bool) -> Result<(), StoreError> {
        let mode = if wait { FlagSetMode::Disable } else { FlagSetMode::Enable };
        // SAFETY: The flag removes durability, and the caller does not need it. Flags may be set by one thread at a
        // time: an environment that is being loaded is known to one thread only.
        #[allow(unsafe_code, reason = "heed has no safe way to load in bulk; argued above")]
        unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode) }
            .map_err(StoreError::lmdb("setting the way to commit"))
    }

    /// Writes everything that was committed before to the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.env.force_sync().map_err(StoreError::lmdb("syncing"))
    }

    /// True in an environment that was just created.
    pub fn is_new(&self, txn: &RoTxn<'_>) -> Result<bool, StoreError> {
        let found = self[Id::Meta].get_bare(txn, FORMAT).map_err(StoreError::lmdb("reading the format"))?;
        Ok(found.is_none())
    }

    /// The meta record.
    pub fn meta(&self, txn: &RoTxn<'_>) -> Result<Meta, StoreError> {
        let bytes = self[Id::Meta].get(txn, STATE).map_err(StoreError::lmdb("reading meta"))?;
        let bytes = bytes.ok_or_else(|| StoreError::Damaged("the meta record is missing".into()))?;
        postcard::from_bytes(bytes).map_err(|error| StoreError::Damaged(format!("the meta record: {error}")))
    }

    /// Writes another format version, to test that it is refused.
    #[cfg(test)]
    pub fn put_version(&self, txn: &mut RwTxn<'_>, bytes: &[u8]) -> Result<(), StoreError> {
        self[Id::Meta].put_bare(txn, FORMAT, bytes).map_err(StoreError::lmdb("writing meta"))
    }

    /// Turns it into an environment of the first format.
    #[cfg(test)]
    pub fn unseal(&self) {
        let mut txn = self.write().unwrap();
        for row in &TABLES {
            let table = self[row.id];
            let item =
                |row: heed::Result<(&[u8], &[u8])>| row.map(|(key, value)| (key.to_vec(), value.to_vec()));
            let is_bare =
                |row: &heed::Result<(Vec<u8>, Vec<u8>)>| row.as_ref().is_ok_and(|(key, _)| key != FORMAT);
            let rows: Vec<_> = table.bare(&txn).unwrap().map(item).filter(is_bare).collect();
            for (key, stored) in rows.into_iter().map(Result::unwrap) {
                let value = sealed::open(row.id, &key, &stored).unwrap();
                table.put_bare(&mut txn, &key, value).unwrap();
            }
        }
        self.put_version(&mut txn, &format::encode_version(format::FIRST)).unwrap();
        txn.commit().unwrap();
    }

    /// Writes format version and meta record.
    pub fn put_meta(&self, txn: &mut RwTxn<'_>, meta: &Meta) -> Result<(), StoreError> {
        let encode = |error| StoreError::Damaged(format!("encoding the meta record: {error}"));
        let bytes = postcard::to_stdvec(meta).map_err(encode)?;
        let write = StoreError::lmdb("writing meta");
        self[Id::Meta].put_bare(txn, FORMAT, &format::encode_version(self.version)).map_err(&write)?;
        self[Id::Meta].put(txn, STATE, &bytes).map_err(&write)
    }
}

impl Tables {
    /// Commits the meta record at a start, even if it exists: the process that wrote it may have died after a failed
    /// write of LMDB's own page. Then the record is in memory only, while the log is purged according to it.
    pub fn confirm(&self, meta: &Meta, is_new: bool) -> Result<(), StoreError> {
        let mut txn = self.write()?;
        let written = self.put_meta(&mut txn, meta);
        match written.and_then(|()| self.commit(txn, "confirming the state")) {
            // If there is no room for it, the store continues with the existing record.
            Err(error) if !is_new && error.ran_out_in(&self.dir) => Ok(()),
            done => done,
        }
    }
}

impl Index<Id> for Tables {
    type Output = Table;

    fn index(&self, id: Id) -> &Table {
        &self.tables[id as usize]
    }
}

/// The version of an environment's format; another one than this kvd's is refused before anything is written. A new
/// environment has none yet.
fn find_version(env: &Env<WithoutTls>, dir: &Path) -> Result<Option<u32>, StoreError> {
    let read = StoreError::lmdb("reading the format");
    let txn = env.read_txn().map_err(&read)?;
    let opened = env.open_databases_and_commit(txn, |opener, txn| {
        let meta = opener.open_database::<Bytes, Bytes>(txn, Some(TABLES[Id::Meta as usize].name))?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(meta))
    });
    let Some(Some(meta)) = opened.map_err(&read)?.commit() else { return Ok(None) };
    let txn = env.read_txn().map_err(&read)?;
    let Some(bytes) = meta.get(&txn, FORMAT).map_err(&read)? else { return Ok(None) };
    let state = meta.get(&txn, STATE).map_err(&read)?;
    match format::decode_version(bytes) {
        // The one row without a checksum, so that every kvd can read it: the meta record's says whether it is right.
        Some(format::FIRST) if state.is_some_and(|state| sealed::open(Id::Meta, STATE, state).is_some()) => {
            Err(StoreError::Damaged(format!("the version of the format of {}", dir.display())))
        }
        Some(found @ format::FIRST..=format::VERSION) => Ok(Some(found)),
        Some(found) => Err(StoreError::Format { dir: dir.to_path_buf(), found, supported: format::VERSION }),
        None => Err(StoreError::NotAStore {
            dir: dir.to_path_buf(),
            what: "it has LMDB tables of something else".into(),
        }),
    }
}

/// Allocates blocks for LMDB's table of readers, which LMDB writes through a map: without them a full disk ends the
/// process. This is done before LMDB opens the file, because closing it later would release LMDB's locks.
fn allocate_lock_file(dir: &Path, options: &Options) -> Result<(), StoreError> {
    /// Size of LMDB's header and of a reader's slot, in bytes.
    const HEAD: u64 = 8 << 10;
    const SLOT: u64 = 64;
    let path = dir.join("lock.mdb");
    let fail = |error| StoreError::io(format!("allocating {}", path.display()), error);
    let file = files::open_or_create(&path).map_err(fail)?;
    let length = HEAD + SLOT * u64::from(options.max_readers);
    match retry_on_intr(|| fallocate(&file, FallocateFlags::KEEP_SIZE, 0, length)) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => Err(fail(error.into())),
        // The file system does not support it, in whichever words.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens LMDB with the largest map, up to the wanted one, for which the address space has room.
fn open_env(dir: &Path, options: &Options, flags: EnvFlags) -> Result<Env<WithoutTls>, StoreError> {
    let page = 4096;
    let mut size = options.map_size.max(1 << 20) / page * page;
    loop {
        let mut builder = EnvOpenOptions::new().read_txn_without_tls();
        builder.map_size(size).max_dbs(TABLES.len() as u32).max_readers(options.max_readers);
        // SAFETY: LMDB maps the file, so nobody else may change it while it is open. Only this process uses the
        // directory: it has mode 0700, the daemon holds a lock on the data directory, other processes' readers would
        // respect LMDB's own lock file, and `state-*` directories are only removed after they are replaced and only
        // unlinked, never truncated. No flag is set here that weakens LMDB's guarantees; without its locks, LMDB's file is
        // opened for reading only, by a caller that lets nobody use it meanwhile.
        #[allow(unsafe_code, reason = "heed has no safe way to open an environment; argued above")]
        let opened = unsafe { builder.flags(flags).open(dir) };
        match opened {
            Err(heed::Error::Io(error)) if error.raw_os_error() == Some(libc::ENOMEM) && size > (1 << 30) => {
                size = (size / 2) / page * page;
            }
            Err(source) => {
                return Err(match source {
                    heed::Error::Mdb(heed::MdbError::Invalid | heed::MdbError::VersionMismatch) => {
                        StoreError::NotAStore { dir: dir.to_path_buf(), what: source.to_string() }
                    }
                    heed::Error::Io(error) => StoreError::io(format!("opening {}", dir.display()), error),
                    other => StoreError::lmdb("opening the environment")(other),
                });
            }
            Ok(env) => return Ok(env),
        }
    }
}

/// Makes `dir`, durably and closed to other users.
pub(super) fn private_dir(dir: &Path) -> Result<(), StoreError> {
    let fail = |error| StoreError::io(format!("making {}", dir.display()), error);
    files::make_dir(dir).map_err(fail)?;
    files::close_to_others(dir).map_err(fail)?;
    Ok(())
}
