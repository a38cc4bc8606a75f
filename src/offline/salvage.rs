//! A backup of what can be saved of a damaged member that has no others.
//!
//! What is left goes to a store in a directory beside the backup first, and the backup is made of that. If no row is lost,
//! the entries of the log that were not in the data yet are applied, too; otherwise they could lead to something else than
//! they did on the member. The member's own data stay as they are.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::OfflineError;
use super::left::{Opened, Source};
use super::recover::size_of;
use super::scratch::Scratch;
use crate::files;
use crate::log::Log;
use crate::raft::{Standing, replay_all};
use crate::store::{self, CheckpointPolicy, Salvaged, Store};

/// What is to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvage {
    /// The data of a member that does not run.
    pub source: Source,
    /// The backup to make; it must not exist.
    pub file: PathBuf,
}

/// What was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What is in the backup, and what is not.
    pub found: Salvaged,
    /// Entries of the log that were not in the data, and are saved.
    pub applied: u64,
    /// Why they are not, if that was tried.
    pub hindrance: Option<String>,
    /// Those that are not saved; `None` if that is not known.
    pub behind: Option<u64>,
    /// Bytes of the backup.
    pub bytes: u64,
}

impl Saved {
    /// True if all that the member had acknowledged is in the backup.
    pub fn is_complete(&self) -> bool {
        self.found.is_complete() && self.behind == Some(0)
    }
}

/// Saves what is left of the data of a damaged member.
///
/// # Errors
/// If the member runs, or nothing of its data is left; if the backup exists, or cannot be written.
pub fn salvage(wanted: &Salvage) -> Result<Saved, OfflineError> {
    let source = Opened::lock(&wanted.source)?;
    refuse_existing(&wanted.file)?;
    let beside = match wanted.file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The rows, and the backup of them.
    let needed = 2 * size_of(&source.store).map_err(OfflineError::io(&source.store))?;
    let available = files::available(beside).map_err(OfflineError::io(beside))?;
    if available < needed {
        return Err(OfflineError::NoRoom { path: beside.to_path_buf(), available, needed });
    }
    let log = source.log().ok();
    let rows = Rows::of(&source, beside)?;
    let (mut applied, mut hindrance) = (0, None);
    let rows = match &log {
        Some(log) if rows.go_on_in(log) => match rows.with(log) {
            Ok((rows, count)) => {
                applied = count;
                rows
            }
            // Without them what is left is as good as before.
            Err(error) => {
                hindrance = Some(error.to_string());
                Rows::of(&source, beside)?
            }
        },
        _ => rows,
    };
    let Rows { found, store, .. } = &rows;
    let end = log.map(|log| log.bounds().last.map_or(0, |last| last.index));
    // A state that names no entry is that from before the first one.
    let upto = store.applied().map(|applied| applied.index).or(found.former.map(|_| 0));
    let behind = end.zip(upto).map(|(end, upto)| end.saturating_sub(upto));
    let bytes = write(store, &wanted.file, beside)?;
    Ok(Saved { found: rows.found, applied, hindrance, behind, bytes })
}

/// What is left of the rows, in a store of its own.
struct Rows {
    found: Salvaged,
    store: Store,
    _directory: Scratch,
}

impl Rows {
    fn of(source: &Opened, beside: &Path) -> Result<Self, OfflineError> {
        let directory = Scratch::directory(beside).map_err(OfflineError::io(beside))?;
        let options =
            store::Options { checkpoint: CheckpointPolicy::Manual, quota: None, ..Default::default() };
        let store = Store::open(directory.path(), options)?;
        let found = store.salvage(&source.store)?;
        Ok(Self { found, store, _directory: directory })
    }

    /// True if the entries of the log lead from here to what they have led to on the member.
    fn go_on_in(&self, log: &Log) -> bool {
        self.found.is_whole && Standing::of(log, self.store.applied()).check().is_ok()
    }

    /// These and what the entries lead to, and how many entries those are. What failed half-way is gone: there is room for
    /// one store.
    fn with(mut self, log: &Log) -> Result<(Self, u64), std::io::Error> {
        let before = self.applied();
        replay_all(log, &self.store)?;
        self.store.checkpoint().map_err(std::io::Error::other)?;
        let tables = self.store.table_figures().map_err(std::io::Error::other)?;
        self.found.changes =
            tables.iter().find(|table| table.name == "history").map_or(0, |table| table.rows);
        self.found.revision = self.store.revision();
        let count = self.applied() - before;
        Ok((self, count))
    }

    fn applied(&self) -> u64 {
        self.store.applied().map_or(0, |applied| applied.index)
    }
}

fn refuse_existing(file: &Path) -> Result<(), OfflineError> {
    match file.symlink_metadata() {
        Ok(_) => Err(OfflineError::Exists(file.to_path_buf())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OfflineError::io(file)(error)),
    }
}

/// Writes a backup, which has its name when it is whole; returns its length.
fn write(store: &Store, path: &Path, beside: &Path) -> Result<u64, OfflineError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let (scratch, mut file) = Scratch::file(&part).map_err(OfflineError::io(&part))?;
    let bytes = fill(store, &mut file).map_err(OfflineError::io(&part))?;
    refuse_existing(path)?;
    fs::rename(scratch.path(), path).map_err(OfflineError::io(path))?;
    files::sync_names(beside).map_err(OfflineError::io(beside))?;
    Ok(bytes)
}

fn fill(store: &Store, file: &mut File) -> std::io::Result<u64> {
    let mut hash = Sha256::new();
    for piece in store.backup().map_err(std::io::Error::other)? {
        let piece = piece?;
        hash.update(&piece);
        file.write_all(&piece)?;
    }
    file.write_all(&hash.finalize())?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
