//! One backup: written beside the others under a temporary name, flushed, read again, and only then named.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::BackupError;
use super::folder::Folder;
use super::name::Name;
use crate::offline;
use crate::store::Store;

/// Bytes that are written together.
const BUFFER: usize = 1 << 20;

/// Bytes of the hash at the end.
const HASH: u64 = 32;

/// A backup that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The file.
    pub path: PathBuf,
    /// What its name says.
    pub name: Name,
    /// Its size.
    pub bytes: u64,
    /// The older backups that were removed.
    pub removed: usize,
}

/// What a backup is made of, and how.
pub struct Order<'o> {
    pub store: &'o Store,
    pub folder: &'o Folder,
    /// The present time, in seconds since the unix epoch.
    pub now: i64,
    pub compress: bool,
    /// How many files are kept.
    pub keep: usize,
    /// Counts the bytes of the state that were written.
    pub written: &'o AtomicU64,
    /// Ends it early.
    pub stopped: &'o AtomicBool,
}

impl Order<'_> {
    /// Takes the backup.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn take(&self) -> Result<Made, BackupError> {
        let folder = self.folder;
        self.is_right()?;
        folder.prepare()?;
        // A backup shows the last checkpoint, but everything that was acknowledged belongs into it.
        self.store.checkpoint()?;
        let pieces = self.store.backup()?;
        if self.store.tree().bytes() > 0 {
            tracing::warn!("what the v2 API holds is not in backups, as with etcd: copy it through the API");
        }
        let length = pieces.bytes();
        folder.check_room(length + HASH, self.compress)?;
        let part = folder.begin()?;
        let temporary = part.path.clone();
        let failed = BackupError::io(&temporary);
        let file = part.file.try_clone().map_err(&failed)?;
        let mut out = Out::new(file, self.compress);
        let mut hash = Sha256::new();
        for piece in pieces {
            let piece = piece.map_err(&failed)?;
            if self.stopped.load(Ordering::Relaxed) {
                return Err(BackupError::Stopped);
            }
            hash.update(&piece);
            out.write_all(&piece).map_err(&failed)?;
            self.written.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        let digest: [u8; HASH as usize] = hash.finalize().into();
        out.write_all(&digest).and_then(|()| out.finish()).map_err(&failed)?;
        part.file.sync_all().map_err(&failed)?;
        let checked = offline::check(&temporary, &offline::Meter::default())?;
        if (checked.bytes, checked.digest) != (length, digest) {
            return Err(BackupError::Unlike(temporary.clone()));
        }
        let bytes = part.file.metadata().map_err(&failed)?.len();
        let (source, at, compressed) = (folder.source(), self.now, self.compress);
        let name = Name { source, at, revision: checked.revision, compressed };
        // Nor if it was found wrong meanwhile: a backup displaces an older one.
        self.is_right()?;
        let path = part.finish(folder, &name)?;
        let removed = match folder.prune(self.keep, &name) {
            Ok(removed) => removed.len(),
            Err(error) => {
                tracing::warn!(%error, "an old backup could not be removed");
                0
            }
        };
        Ok(Made { path, name, bytes, removed })
    }
}

impl Order<'_> {
    fn is_right(&self) -> Result<(), BackupError> {
        if self.store.is_condemned() { Err(BackupError::Wrong) } else { Ok(()) }
    }
}

/// The file, perhaps through gzip.
enum Out {
    Plain(BufWriter<File>),
    Compressed(Box<GzEncoder<BufWriter<File>>>),
}

impl Out {
    fn new(file: File, compress: bool) -> Self {
        let file = BufWriter::with_capacity(BUFFER, file);
        match compress {
            true => Self::Compressed(Box::new(GzEncoder::new(file, Compression::fast()))),
            false => Self::Plain(file),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Compressed(out) => out.write_all(bytes),
        }
    }

    /// Writes what is buffered.
    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Compressed(out) => out.finish()?.flush(),
        }
    }
}
