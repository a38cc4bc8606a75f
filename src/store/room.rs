//! What room the store's disk has, as far as it can be measured; [`super::space`] says what follows from it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::StoreError;
use super::lmdb::Tables;
use crate::files;

/// The reserve is this part of the data,
const SHARE: u64 = 16;
/// at least this,
const LEAST: u64 = 4 << 20;
/// and at most this.
const MOST: u64 = 64 << 20;

/// Room, in bytes.
pub(super) struct Room {
    /// What LMDB can still write, the reserve included.
    pub left: u64,
    /// The part of it for which the data file has blocks.
    pub spare: u64,
    /// What is kept for deletions and compactions.
    pub reserve: u64,
}

/// Room as it was seen last.
pub(super) struct Space {
    /// See [`Room`].
    pub left: AtomicU64,
    /// See [`Room`].
    pub spare: AtomicU64,
    /// See [`Room`].
    pub reserve: AtomicU64,
    /// There were no blocks for the commit that is being made, or was made last.
    pub short: AtomicBool,
    /// The last commit did not find room.
    pub failed: AtomicBool,
    /// Something was refused since there was room enough for anything.
    pub refused: AtomicBool,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            left: AtomicU64::new(u64::MAX),
            spare: AtomicU64::new(0),
            reserve: AtomicU64::new(0),
            short: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }
}

impl Space {
    /// A commit has found room.
    pub fn found(&self) {
        self.failed.store(false, Ordering::Relaxed);
    }

    /// True if the last commit did not.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Tables {
    /// How much room there is; the reserve is taken if it can be had.
    pub fn room(&self) -> Result<Room, StoreError> {
        let fail = |error| self.not_measured(error);
        let used = self.used()?;
        let reserve = (used / SHARE).clamp(LEAST, MOST);
        let file = self.data_file().map_err(fail)?;
        let mut held = held(&file).map_err(fail)?;
        if held < used + reserve {
            // A disk that is full, or a file system that cannot, leaves things as they are.
            let missing = used + reserve - held;
            let _ = grow(&file, missing + reserve).or_else(|_| grow(&file, missing));
            held = self::held(&file).map_err(fail)?;
        }
        let spare = held.saturating_sub(used);
        let left = spare.saturating_add(files::available(self.dir()).map_err(fail)?);
        Ok(Room { left: left.min(self.map_size().saturating_sub(used)), spare, reserve })
    }

    /// Takes the blocks for a commit that writes so many bytes, and for the reserve if there are enough. False if the
    /// file cannot grow by those bytes: pages that are free in it may be enough, but nobody knows how many of them can be
    /// used at present.
    pub fn hold(&self, bytes: u64, reserve: u64) -> Result<bool, StoreError> {
        let fail = |error| self.not_measured(error);
        let available = || files::available(self.dir()).map_err(fail);
        let file = self.data_file().map_err(fail)?;
        let spare = held(&file).map_err(fail)?.saturating_sub(self.used()?);
        let free = available()?;
        for wanted in [bytes.saturating_add(reserve), bytes] {
            let missing = wanted.saturating_sub(spare);
            // Some file systems leave a part behind if there is not enough.
            if missing == 0 || (missing <= free && grow(&file, missing).is_ok()) {
                break;
            }
        }
        let length = file.metadata().map_err(fail)?.len();
        let behind = held(&file).map_err(fail)?.saturating_sub(length);
        Ok(bytes <= behind.saturating_add(available()?))
    }

    fn data_file(&self) -> io::Result<File> {
        File::options().write(true).open(self.dir().join("data.mdb"))
    }

    /// Bytes of the pages that hold data.
    fn used(&self) -> Result<u64, StoreError> {
        Ok(self.figures()?.iter().map(|table| table.bytes).sum())
    }

    fn not_measured(&self, error: io::Error) -> StoreError {
        StoreError::io(format!("measuring {}", self.dir().join("data.mdb").display()), error)
    }
}

/// Bytes of the blocks that belong to the file.
fn held(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.blocks() * 512)
}

/// Adds blocks behind all that the file has.
fn grow(file: &File, bytes: u64) -> rustix::io::Result<()> {
    let found = file.metadata().map_err(|_| Errno::IO)?;
    let end = found.len().max(found.blocks() * 512);
    fallocate(file, FallocateFlags::KEEP_SIZE, 0, end + bytes)
}
