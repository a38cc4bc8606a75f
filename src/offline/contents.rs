//! The keys of a backup in their order, without a member.

use std::path::{Path, PathBuf};

use super::file::Backup;
use super::scratch::Scratch;
use super::{Meter, OfflineError};
use crate::files;
use crate::model::{KeyRange, KeyValue, RangeQuery};
use crate::store::{self, CheckpointPolicy, Store};

/// Bytes of a page, and the most keys.
const PAGE: usize = 1 << 20;
const KEYS: i64 = 5000;

/// A backup's last state. A backup is in the order of its revisions, so it is first loaded into a store in a directory of
/// its own, which goes away with this.
pub struct Contents {
    path: PathBuf,
    store: Store,
    _directory: Scratch,
}

impl Contents {
    /// Opens a backup, with its hash if it has one, and loads it into a new directory in `scratch`.
    ///
    /// # Errors
    /// See [`OfflineError`]; nothing remains in `scratch`.
    pub fn open(path: &Path, scratch: &Path, meter: &Meter) -> Result<Self, OfflineError> {
        let backup = match Backup::open(path, false, meter) {
            Err(OfflineError::NoHash) => Backup::open(path, true, meter)?,
            opened => opened?,
        };
        let available = files::available(scratch).map_err(OfflineError::io(scratch))?;
        if available < backup.length {
            let path = scratch.to_path_buf();
            return Err(OfflineError::NoRoom { path, available, needed: backup.length });
        }
        let directory = Scratch::directory(scratch).map_err(OfflineError::io(scratch))?;
        let options =
            store::Options { checkpoint: CheckpointPolicy::Manual, quota: None, ..Default::default() };
        let store = Store::open(directory.path(), options)?;
        backup.load(&store, 0)?;
        Ok(Self { path: path.to_path_buf(), store, _directory: directory })
    }

    /// The keys at the beginning of a range, and whether more are behind them.
    ///
    /// # Errors
    /// If the loaded state cannot be read.
    pub fn page(&self, range: KeyRange) -> Result<(Vec<KeyValue>, bool), OfflineError> {
        let query = RangeQuery { limit: KEYS, ..RangeQuery::current(range) };
        let found = self.store.page(&query, PAGE);
        let found = found.map_err(|refusal| OfflineError::damaged(&self.path, refusal.to_string()))?;
        Ok((found.kvs, found.more))
    }
}
