//! A backup: which kind it is, and whether it is whole.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Meter, OfflineError, compressed};
use crate::bbolt::{self, FileError};
use crate::files;
use crate::store::{SnapshotReader, Store};

/// A client's copy ends with its SHA-256, which makes its length this much more than a multiple of a sector.
const SECTOR: u64 = 512;
const HASH: u64 = 32;
/// Bytes that are read together.
const PIECE: usize = 1 << 20;

/// What a backup was written by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An etcd, or a kvd for its clients: a bbolt file.
    Etcd,
    /// A kvd, in its own format.
    Kvd,
}

/// A backup that can be read.
pub struct Backup {
    path: PathBuf,
    file: File,
    /// Bytes of the content, without the hash.
    pub length: u64,
    pub kind: Kind,
    /// The SHA-256 of the content.
    pub digest: [u8; 32],
    meter: Meter,
    /// Bytes that were read after the hash was computed.
    read: AtomicU64,
}

impl Backup {
    /// Opens a file and compares its content with the hash at its end. A copy of an etcd's own database has none, and
    /// is accepted with `skip_hash_check`, as in etcdutl.
    ///
    /// # Errors
    /// See [`OfflineError`].
    pub fn open(path: &Path, skip_hash_check: bool, meter: &Meter) -> Result<Self, OfflineError> {
        let failed = OfflineError::io(path);
        let file = files::open(path).map_err(&failed)?;
        let mut file = compressed::expanded(file, path).map_err(&failed)?;
        let whole = file.metadata().map_err(&failed)?.len();
        let has_hash = whole % SECTOR == HASH;
        let length = if has_hash { whole - HASH } else { whole };
        let mut start = Vec::new();
        (&file).take(SnapshotReader::MAGIC.len() as u64).read_to_end(&mut start).map_err(&failed)?;
        let kind = if start == SnapshotReader::MAGIC { Kind::Kvd } else { Kind::Etcd };
        if !has_hash && !skip_hash_check {
            return Err(OfflineError::NoHash);
        }
        let digest = digest(&mut file, length, meter).map_err(&failed)?;
        let (path, meter, read) = (path.to_path_buf(), meter.clone(), AtomicU64::new(0));
        let mut backup = Self { path, file, length, kind, digest, meter, read };
        if has_hash && !skip_hash_check {
            let mut expected = [0; HASH as usize];
            backup.file.read_exact(&mut expected).map_err(&failed)?;
            if expected != digest {
                let (expected, found) = (hex(&expected), hex(&digest));
                let place = backup.find_damage();
                return Err(OfflineError::Hash { path: backup.path, expected, found, place });
            }
        }
        Ok(backup)
    }

    /// The pages of an etcd's backup.
    ///
    /// # Errors
    /// If it is not one.
    pub fn pages(&self) -> Result<bbolt::File<BufReader<Metered<'_>>>, OfflineError> {
        // Pages are read whole, so a small buffer is enough.
        let source = BufReader::with_capacity(8 << 10, Metered(self));
        bbolt::File::open(source, self.length).map_err(|error| self.damaged(&error))
    }

    /// The number of members in an etcd's database.
    ///
    /// # Errors
    /// If it is damaged, or none of an etcd.
    pub fn members(&self) -> Result<usize, OfflineError> {
        let mut pages = self.pages()?;
        let mut count = 0;
        for bucket in pages.buckets().map_err(|error| self.damaged(&error))? {
            if bucket.name == b"members" {
                let mut rows = pages.rows(&bucket).map_err(|error| self.damaged(&error))?;
                while rows.next().map_err(|error| self.damaged(&error))?.is_some() {
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// Loads it into a store.
    ///
    /// # Errors
    /// If it is damaged, or the store's.
    pub fn load(&self, store: &Store, bump: i64) -> Result<crate::store::Imported, OfflineError> {
        match self.kind {
            Kind::Etcd => {
                let imported = store.load_backup(&mut self.pages()?, bump);
                imported.map_err(|error| self.of_store(error))
            }
            Kind::Kvd if bump != 0 => {
                let what =
                    "--bump-revision needs a backup in etcd's format: take one with `kvctl snapshot save`";
                Err(OfflineError::damaged(&self.path, what))
            }
            Kind::Kvd => {
                (&self.file).seek(SeekFrom::Start(0)).map_err(OfflineError::io(&self.path))?;
                let pieces = Pieces { backup: self, left: self.length };
                store.restore(pieces).map_err(|error| self.of_store(error))?;
                Ok(crate::store::Imported::default())
            }
        }
    }

    /// More was read. Everything is read twice, first for the hash.
    fn has_read(&self, bytes: usize) {
        let read = self.read.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        self.meter.at(self.length + read, 2 * self.length);
    }

    /// The path with what is wrong.
    pub fn damaged(&self, error: &FileError) -> OfflineError {
        OfflineError::damaged(&self.path, error.to_string())
    }

    fn of_store(&self, error: crate::store::StoreError) -> OfflineError {
        match error {
            crate::store::StoreError::Snapshot(what) => OfflineError::damaged(&self.path, what),
            error => error.into(),
        }
    }

    /// The place of the damage in a file whose hash is wrong, if its structure shows it.
    fn find_damage(&self) -> Option<String> {
        if self.kind == Kind::Kvd {
            return None;
        }
        let found = self.pages().map_err(|error| match error {
            OfflineError::Damaged { what, .. } => what,
            error => error.to_string(),
        });
        let mut pages = match found {
            Ok(pages) => pages,
            Err(what) => return Some(what),
        };
        read_all(&mut pages).err().map(|error| error.to_string())
    }
}

/// The file, with how much of it is read.
pub struct Metered<'b>(&'b Backup);

impl Read for Metered<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = (&self.0.file).read(into)?;
        self.0.has_read(read);
        Ok(read)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        (&self.0.file).seek(to)
    }
}

/// Reads every row.
fn read_all<R: Read + Seek>(pages: &mut bbolt::File<R>) -> Result<(), FileError> {
    for bucket in pages.buckets()? {
        let mut rows = pages.rows(&bucket)?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}

fn digest(file: &mut File, length: u64, meter: &Meter) -> std::io::Result<[u8; 32]> {
    file.seek(SeekFrom::Start(0))?;
    let (mut hash, mut left, mut piece) = (Sha256::new(), length, vec![0; PIECE]);
    while left > 0 {
        let part = &mut piece[..left.min(PIECE as u64) as usize];
        file.read_exact(part)?;
        hash.update(&*part);
        left -= part.len() as u64;
        meter.at(length - left, 2 * length);
    }
    Ok(hash.finalize().into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file as a stream.
struct Pieces<'b> {
    backup: &'b Backup,
    left: u64,
}

impl Iterator for Pieces<'_> {
    type Item = std::io::Result<Bytes>;

    fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        if self.left == 0 {
            return None;
        }
        let mut piece = vec![0; self.left.min(PIECE as u64) as usize];
        self.left -= piece.len() as u64;
        self.backup.has_read(piece.len());
        Some((&self.backup.file).read_exact(&mut piece).map(|()| piece.into()))
    }
}
