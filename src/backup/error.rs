//! Why there is no backup.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Refusal;
use crate::offline::OfflineError;
use crate::store::StoreError;

/// Why a backup was not taken. Nothing of it is left behind, and the earlier ones are still there.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The directory or the file could not be used.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Others could replace the backups.
    #[error("{}: other users may write to it (mode {mode:04o}): chmod go-w it", .path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is not enough room.
    #[error("{}: {available} bytes are free, and a backup needs {needed}", .path.display())]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// Free bytes.
        available: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// What was written is not what can be read again.
    #[error("the new backup cannot be restored: {0}")]
    NotReadable(#[from] OfflineError),
    /// What was read again is not what was written.
    #[error("{}: the disk has not kept what was written to it", .0.display())]
    Unlike(PathBuf),
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cluster does not confirm that the state is up to date.
    #[error("the state cannot be brought up to date: {0}")]
    Behind(Refusal),
    /// The state is known to be wrong.
    #[error("the state of this member is not that of the majority: a backup of it would be worth nothing")]
    Wrong,
    /// The member stops.
    #[error("the member stops")]
    Stopped,
}

impl BackupError {
    /// An error of the file system: for `map_err`.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }
}
