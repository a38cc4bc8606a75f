//! What room the store's disk has, as far as it can be measured; [`super::space`] says what follows from it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, fallocate};

use super::StoreError;
use super::lmdb::Tables;
use crate::files;

/// The reserve is this part of the data,
const SHARE: u64 = 16;
/// at least this,
const LEAST: u64 = 4 << 20;
/// and at most this.
const MOST: u64 = 64 << 20;

/// Room as it was seen last.
pub(super) struct Space {
    /// Bytes that LMDB can still write, the reserve included.
    pub left: AtomicU64,
    pub reserve: AtomicU64,
    /// The last commit did not find room.
    pub failed: AtomicBool,
    /// Something was refused since there was room enough for anything.
    pub refused: AtomicBool,
}

impl Default for Space {
    fn default() -> Self {
        Self {
            left: AtomicU64::new(u64::MAX),
            reserve: AtomicU64::new(0),
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
    /// Bytes that can still be written, and how many of them are the reserve, which is taken if it can be had.
    pub fn room(&self) -> Result<(u64, u64), StoreError> {
        let path = self.dir().join("data.mdb");
        let fail = |error| StoreError::io(format!("measuring {}", path.display()), error);
        let used = self.figures()?.iter().map(|table| table.bytes).sum::<u64>();
        let reserve = (used / SHARE).clamp(LEAST, MOST);
        let file = File::options().write(true).open(&path).map_err(fail)?;
        let mut held = file.metadata().map_err(fail)?.blocks() * 512;
        if held < used + reserve {
            let length = file.metadata().map_err(fail)?.len();
            // A disk that is full, or a file system that cannot, leaves things as they are.
            let take = |bytes| fallocate(&file, FallocateFlags::KEEP_SIZE, 0, length + bytes);
            let _ = take(2 * reserve).or_else(|_| take(reserve));
            held = file.metadata().map_err(fail)?.blocks() * 512;
        }
        let left = held.saturating_sub(used).saturating_add(files::available(self.dir()).map_err(fail)?);
        Ok((left.min(self.map_size().saturating_sub(used)), reserve))
    }
}
