//! The directory of the backups. Members may share one, on a network file system; clusters, too.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::BackupError;
use super::name::{Name, Source};
use crate::files;
use crate::model::MemberId;

/// Bytes that a backup leaves free.
const SPARE: u64 = 16 << 20;

/// The bits of a mode that let others replace files.
const OTHERS_WRITE: u32 = 0o022;

/// The directory, as a member uses it.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    source: Source,
    member: MemberId,
}

/// A backup in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// What its name says.
    pub name: Name,
    /// Its size.
    pub bytes: u64,
}

impl Folder {
    /// The directory at `path`, which need not exist.
    pub fn new(path: PathBuf, source: Source, member: MemberId) -> Self {
        Self { path, source, member }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose backups are made in it.
    pub fn source(&self) -> Source {
        self.source
    }

    /// All backups in a directory, of any cluster, the oldest first.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn list(path: &Path) -> Result<Vec<Entry>, BackupError> {
        let failed = BackupError::io(path);
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let Some(name) = entry.file_name().to_str().and_then(Name::parse) else { continue };
            // The type is that of the entry itself: a link is none of kvd's files.
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => {
                    found.push(Entry { path: entry.path(), name, bytes: metadata.len() });
                }
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(BackupError::io(&entry.path())(error));
                }
                _ => {}
            }
        }
        found.sort_by_key(|entry| (entry.name.at, entry.name.revision, entry.path.clone()));
        Ok(found)
    }

    /// The backups of this cluster, the oldest first.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn own(&self) -> Result<Vec<Entry>, BackupError> {
        let mut all = Self::list(&self.path)?;
        all.retain(|entry| entry.name.source == self.source);
        Ok(all)
    }

    /// Refuses a directory in which other users could replace backups; one that is missing may be made.
    ///
    /// # Errors
    /// [`BackupError::Io`] and [`BackupError::Open`].
    pub fn judge(path: &Path) -> Result<(), BackupError> {
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            found => found.map_err(BackupError::io(path))?,
        };
        if !found.is_dir() {
            return Err(BackupError::io(path)(ErrorKind::NotADirectory.into()));
        }
        let mode = found.permissions().mode() & 0o7777;
        if mode & OTHERS_WRITE != 0 {
            return Err(BackupError::Open { path: path.to_path_buf(), mode });
        }
        Ok(())
    }

    /// Makes the directory if it is missing, and removes what a backup of this member that was cut short has left.
    ///
    /// # Errors
    /// As [`judge`](Self::judge), and if this process may not write to it.
    pub fn prepare(&self) -> Result<(), BackupError> {
        Self::judge(&self.path)?;
        files::make_dir(&self.path).map_err(BackupError::io(&self.path))?;
        let part = self.begin()?;
        drop(part);
        Ok(())
    }

    /// A new file that has no final name yet; it is removed when it is dropped.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn begin(&self) -> Result<Part, BackupError> {
        let path = self.path.join(format!(".kvd-{}-{}.part", self.source, self.member));
        let failed = BackupError::io(&path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        Ok(Part { file: file.map_err(failed)?, path, named: false })
    }

    /// Checks that there is room for a backup of so many bytes. A compressed one is expanded while it is read again.
    ///
    /// # Errors
    /// [`BackupError::NoRoom`], [`BackupError::Io`].
    pub fn check_room(&self, bytes: u64, compressed: bool) -> Result<(), BackupError> {
        let written = match compressed {
            false => 0,
            // As large as the last one, with a fifth more.
            true => {
                let last = self.own()?.into_iter().rev().find(|entry| entry.name.compressed);
                last.map_or(bytes, |last| bytes.min(last.bytes + last.bytes / 5))
            }
        };
        let needed = bytes.saturating_add(written).saturating_add(SPARE);
        let available = files::available(&self.path).map_err(BackupError::io(&self.path))?;
        if needed > available {
            return Err(BackupError::NoRoom { path: self.path.clone(), available, needed });
        }
        Ok(())
    }

    /// Removes the oldest backups of this cluster, so that `keep` are left; returns those that were removed. The one that
    /// was just made stays: names of a later time come from a clock that was wrong, and count as the oldest.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn prune(&self, keep: usize, made: &Name) -> Result<Vec<PathBuf>, BackupError> {
        let mut others = self.own()?;
        others.retain(|entry| entry.name != *made);
        // Stable, so that both groups stay in order.
        others.sort_by_key(|entry| entry.name.at <= made.at);
        others.truncate((others.len() + 1).saturating_sub(keep.max(1)));
        for entry in &others {
            match fs::remove_file(&entry.path) {
                // Another member has removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                done => done.map_err(BackupError::io(&entry.path))?,
            }
        }
        Ok(others.into_iter().map(|entry| entry.path).collect())
    }
}

/// A file that is not whole yet.
pub struct Part {
    pub file: File,
    pub path: PathBuf,
    named: bool,
}

impl Part {
    /// Gives it its final name, durably. Its content must be durable already.
    ///
    /// # Errors
    /// [`BackupError::Io`].
    pub fn finish(mut self, folder: &Folder, name: &Name) -> Result<PathBuf, BackupError> {
        let path = folder.path.join(name.to_string());
        fs::rename(&self.path, &path).map_err(BackupError::io(&path))?;
        self.named = true;
        files::sync_names(&folder.path).map_err(BackupError::io(&folder.path))?;
        Ok(path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.named {
            // If it cannot be removed now, the next backup removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
