//! Replacing the state by that of a snapshot stream.
//!
//! The stream is written into a new environment beside the one in use. Only when it was read to its end, checked and
//! made durable does the file CURRENT name the new one; a crash before leaves the old state, and what was
//! written is removed when the store is opened.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use heed::{PutFlags, RwTxn};

use super::core::{Inner, Shared};
use super::format::{self, varint};
use super::registry::Registry;
use super::snapshot::{BLOCK, Header, MAGIC, SNAPSHOT_VERSION, SnapshotHeader};
use super::tables::{Table, Tables, private_dir};
use super::{Options, StoreError};

const CURRENT: &str = "CURRENT";
const PREFIX: &str = "state-";

/// Rows written in one transaction.
const BATCH_BYTES: usize = 64 << 20;

/// A header block may be this long: it holds raft's configuration.
const MAX_HEADER: usize = 16 << 20;

/// A key or a value of a table is never longer than this.
const MAX_FIELD: u64 = 1 << 30;

/// The environment in use, by what CURRENT says; a new directory gets its first one. Others are removed.
pub(super) fn open_current(dir: &Path, options: &Options) -> Result<Tables, StoreError> {
    private_dir(dir)?;
    let name = match fs::read_to_string(dir.join(CURRENT)) {
        Ok(name) => Some(name.trim_end().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(StoreError::io(format!("reading {}", dir.join(CURRENT).display()), error)),
    };
    let refuse = |what: String| StoreError::NotAStore { dir: dir.to_path_buf(), what };
    let name = match name {
        Some(name) if number(&name).is_none() => return Err(refuse(format!("CURRENT names {name:?}"))),
        Some(name) if !dir.join(&name).join("data.mdb").is_file() => {
            return Err(refuse(format!("CURRENT names {name}, which is missing")));
        }
        Some(name) => name,
        None => first_name(dir)?,
    };
    remove_others(dir, &name);
    let tables = Tables::open(&dir.join(&name), options)?;
    set_current(dir, &name)?;
    Ok(tables)
}

/// The name of the first environment in a directory that has none yet. Without CURRENT a directory with data lost its
/// most important file, and guessing would be worse than stopping.
fn first_name(dir: &Path) -> Result<String, StoreError> {
    let first = format!("{PREFIX}1");
    let fail = |error| StoreError::io(format!("reading {}", dir.display()), error);
    for entry in fs::read_dir(dir).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
        if number(&name).is_some() && name != first {
            let what = format!("there is {name} but no file CURRENT");
            return Err(StoreError::NotAStore { dir: dir.to_path_buf(), what });
        }
    }
    Ok(first)
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Removes environments that are not in use; a failure leaves rubbish only.
fn remove_others(dir: &Path, keep: &str) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != keep
            && number(&name).is_some()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "a replaced state could not be removed");
        }
    }
}

/// Makes CURRENT name an environment, durably.
fn set_current(dir: &Path, name: &str) -> Result<(), StoreError> {
    let path = dir.join(CURRENT);
    if fs::read_to_string(&path).is_ok_and(|current| current.trim_end() == name) {
        return Ok(());
    }
    let write = || -> io::Result<()> {
        let new = dir.join("CURRENT.new");
        fs::write(&new, format!("{name}\n"))?;
        File::open(&new)?.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| StoreError::io(format!("writing {}", path.display()), error))
}

impl Inner {
    /// See [`super::Store::restore`].
    pub fn restore(&self, stream: &mut dyn Read) -> Result<SnapshotHeader, StoreError> {
        self.health()?;
        let _writing = self.writing.lock();
        let old = self.shared.read().tables.dir().to_path_buf();
        let name = next_name(&old)?;
        let path = self.dir.join(&name);
        let loaded = self.load(&path, stream).inspect_err(|_| {
            let _ = fs::remove_dir_all(&path);
        })?;
        set_current(&self.dir, &name).map_err(|error| self.fail(error))?;
        let header = SnapshotHeader::of(&loaded.meta);
        let revision = header.revision;
        let (replaced, idle) = {
            let _applying = self.applying.lock();
            let mut shared = self.shared.write();
            let generation = shared.generation;
            let replaced = std::mem::replace(&mut *shared, loaded);
            shared.generation = generation;
            let idle = self.next_generation(&mut shared);
            (replaced, idle)
        };
        drop((replaced, idle));
        // Readers may still be in it: the files go when the last one closes them.
        let _ = fs::remove_dir_all(&old);
        for observer in self.observers.read().clone().iter() {
            observer.on_restored(revision);
        }
        self.signal.request_prune();
        self.signal.progressed();
        Ok(header)
    }

    fn load(&self, path: &Path, stream: &mut dyn Read) -> Result<Shared, StoreError> {
        let _ = fs::remove_dir_all(path);
        let mut blocks = Blocks { stream, crc: 0, payload: Vec::new(), used: 0, ended: false };
        let Header { meta } = blocks.header()?;
        let tables = Tables::open(path, &self.options)?;
        load_rows(&tables, &mut blocks)?;
        let mut txn = tables.write()?;
        tables.put_meta(&mut txn, &meta)?;
        txn.commit().map_err(StoreError::lmdb("committing a snapshot"))?;
        let sync = |error| StoreError::io(format!("syncing {}", path.display()), error);
        File::open(path).and_then(|dir| dir.sync_all()).map_err(sync)?;
        let txn = tables.read()?;
        let registry = Registry::load(&tables, &txn, &meta)?;
        drop(txn);
        Ok(Shared::new(Arc::new(tables), meta, registry))
    }
}

fn next_name(current: &Path) -> Result<String, StoreError> {
    let name = current.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number =
        number(&name).ok_or_else(|| StoreError::Damaged(format!("the state's directory is {name:?}")))?;
    Ok(format!("{PREFIX}{}", number + 1))
}

fn load_rows(tables: &Tables, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
    let write = StoreError::lmdb("writing a snapshot");
    let contents = tables.contents();
    let mut txn: Option<RwTxn<'_>> = None;
    let mut pending = 0;
    while let Some(number) = blocks.table()? {
        let known = contents.iter().find(|(known, _)| *known == number);
        let (_, table) = known.ok_or_else(|| bad(format!("it has a table {number}")))?;
        let table: Table = *table;
        let key = blocks.field()?;
        let value = blocks.field()?;
        let open = match &mut txn {
            Some(open) => open,
            None => txn.insert(tables.write()?),
        };
        table.put_with_flags(open, PutFlags::APPEND, &key, &value).map_err(&write)?;
        pending += key.len() + value.len();
        if pending >= BATCH_BYTES {
            pending = 0;
            if let Some(open) = txn.take() {
                open.commit().map_err(&write)?;
            }
        }
    }
    txn.map_or(Ok(()), RwTxn::commit).map_err(write)
}

fn bad(what: impl Into<String>) -> StoreError {
    StoreError::Snapshot(what.into())
}

/// The stream, block by block.
struct Blocks<'s> {
    stream: &'s mut dyn Read,
    crc: u32,
    payload: Vec<u8>,
    used: usize,
    ended: bool,
}

impl Blocks<'_> {
    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.stream.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => bad("the stream ends before its end mark"),
            _ => StoreError::io("reading a snapshot", error),
        })
    }

    fn header(&mut self) -> Result<Header, StoreError> {
        let mut head = [0; MAGIC.len() + 6];
        self.exact(&mut head)?;
        let (magic, versions) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(bad("this is no kvd snapshot"));
        }
        let version = u16::from_be_bytes([versions[0], versions[1]]);
        let rows = u32::from_be_bytes([versions[2], versions[3], versions[4], versions[5]]);
        if version != SNAPSHOT_VERSION || rows != format::VERSION {
            return Err(bad(format!(
                "it has snapshot version {version} with store format {rows}; this kvd reads version \
                 {SNAPSHOT_VERSION} with store format {}",
                format::VERSION
            )));
        }
        self.next_block(MAX_HEADER)?;
        let header =
            postcard::from_bytes(&self.payload).map_err(|error| bad(format!("the header: {error}")))?;
        self.used = self.payload.len();
        Ok(header)
    }

    fn next_block(&mut self, max: usize) -> Result<(), StoreError> {
        let mut head = [0; 8];
        self.exact(&mut head)?;
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let crc = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        if len > max {
            return Err(bad(format!("a block of {len} bytes")));
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(len, 0);
        self.exact(&mut payload)?;
        self.crc = crc32c::crc32c_append(self.crc, &payload);
        if self.crc != crc {
            return Err(bad("a block's checksum is wrong: the stream is damaged"));
        }
        self.payload = payload;
        self.used = 0;
        self.ended = len == 0;
        Ok(())
    }

    fn byte(&mut self) -> Result<Option<u8>, StoreError> {
        while self.used == self.payload.len() {
            if self.ended {
                return Ok(None);
            }
            self.next_block(BLOCK)?;
        }
        let byte = self.payload[self.used];
        self.used += 1;
        Ok(Some(byte))
    }

    /// The table of the next row; `None` at the end of the stream.
    fn table(&mut self) -> Result<Option<u8>, StoreError> {
        self.byte()
    }

    fn field(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut number = Vec::new();
        let len = loop {
            number.push(self.byte()?.ok_or_else(|| bad("a row is cut"))?);
            match varint::take(&mut number.as_slice()) {
                Some(len) => break len,
                None if number.len() < 10 => {}
                None => return Err(bad("a length that is none")),
            }
        };
        if len > MAX_FIELD {
            return Err(bad(format!("a field of {len} bytes")));
        }
        let mut field = Vec::new();
        while (field.len() as u64) < len {
            if self.used == self.payload.len() {
                if self.ended {
                    return Err(bad("a row is cut"));
                }
                self.next_block(BLOCK)?;
                continue;
            }
            let wanted = usize::try_from(len).unwrap_or(usize::MAX) - field.len();
            let end = self.payload.len().min(self.used.saturating_add(wanted));
            field.extend_from_slice(&self.payload[self.used..end]);
            self.used = end;
        }
        Ok(field)
    }
}

/// Where the state of a store in `dir` lies at present; for messages and tests.
#[cfg(test)]
pub(super) fn current_dir(dir: &Path) -> Option<std::path::PathBuf> {
    Some(dir.join(fs::read_to_string(dir.join(CURRENT)).ok()?.trim_end()))
}
