//! Errors of the store, by what the caller does next.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files;
use crate::model::{LogPosition, Refusal};

/// How the text of damage begins.
pub(super) const DAMAGED: &str = "the store is damaged";

/// LMDB reports an incomplete write as an io error; if fewer bytes than this are left on the disk, a full disk was the
/// cause.
const NOTHING: u64 = 1 << 20;

/// An error of the store. All except [`StoreError::Full`], [`StoreError::Snapshot`], [`StoreError::Format`] and, for a
/// client's read, [`StoreError::Busy`] mean that the process must end: a member that continues by guessing is worse
/// than one that has stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory was written by another version of kvd.
    #[error(
        "the data in {} have store format {found}, this kvd reads and writes format {supported}; {}",
        .dir.display(), advice(*.found, *.supported)
    )]
    Format {
        /// The directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The format of this version.
        supported: u32,
    },
    /// The directory holds something that is not a store.
    #[error("{} holds no kvd store: {what}", .dir.display())]
    NotAStore {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        what: String,
    },
    /// A file could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// The action, with the path.
        what: String,
        /// The system's error.
        source: Arc<std::io::Error>,
    },
    /// LMDB failed, for example with an io error.
    #[error("store: {what}: {source}")]
    Lmdb {
        /// The action.
        what: &'static str,
        /// LMDB's error.
        source: Arc<heed::Error>,
    },
    /// The resources for reads are used up at present, by other readers.
    #[error("the store is short of {0} for one more reader")]
    Busy(&'static str),
    /// The disk, or the map, is full. The data stay in memory and in the log, and are written later.
    #[error("there is no room on the store's disk: {what}")]
    Full {
        /// The write that found no room.
        what: String,
    },
    /// Stored bytes differ from what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// Two parts of the store contradict each other: a fault of kvd, or of the memory it runs in.
    #[error("the store contradicts itself: {0}")]
    Broken(String),
    /// An entry at or below the applied position was applied again.
    #[error("log entry {position:?} is not after the applied one, {applied:?}")]
    OutOfOrder {
        /// The entry.
        position: LogPosition,
        /// The last one applied.
        applied: LogPosition,
    },
    /// A snapshot stream is incomplete, damaged or of another version; the store is unchanged.
    #[error("snapshot: {0}")]
    Snapshot(String),
    /// The store failed before; nothing is served any more.
    #[error("the store has failed: {0}")]
    Failed(Arc<str>),
}

fn advice(found: u32, supported: u32) -> &'static str {
    if found > supported {
        "use the newer kvd that wrote them"
    } else {
        "start the older kvd and take a snapshot to move them"
    }
}

impl StoreError {
    /// A file error, with the action.
    pub(super) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source: Arc::new(source) }
    }

    /// An LMDB error, with the action: for `map_err`.
    pub(super) fn lmdb(what: &'static str) -> impl Fn(heed::Error) -> Self {
        move |source| match &source {
            heed::Error::Decoding(damaged) => Self::Damaged(format!("{what}: {damaged}")),
            // Pages that LMDB itself finds impossible.
            heed::Error::Mdb(
                heed::MdbError::Corrupted | heed::MdbError::PageNotFound | heed::MdbError::CursorFull,
            ) => Self::Damaged(format!("{what}: {source}")),
            _ => Self::Lmdb { what, source: Arc::new(source) },
        }
    }

    /// True for stored bytes that are not as they were written.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }

    /// True for a failure of writing in `dir` that came of a full disk.
    pub(super) fn ran_out_in(&self, dir: &Path) -> bool {
        let error = match self {
            StoreError::Lmdb { source, .. } => match &**source {
                heed::Error::Mdb(heed::MdbError::MapFull) => return true,
                heed::Error::Io(error) => error,
                _ => return false,
            },
            StoreError::Io { source, .. } => source,
            _ => return false,
        };
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => true,
            Some(libc::EIO) => files::available(dir).is_ok_and(|bytes| bytes < NOTHING),
            _ => false,
        }
    }

    /// True if a read or a write failed, or LMDB could not write everything.
    pub(super) fn is_io(&self) -> bool {
        let StoreError::Lmdb { source, .. } = self else { return false };
        matches!(&**source, heed::Error::Io(error) if error.raw_os_error() == Some(libc::EIO))
    }

    /// An error of LMDB at the beginning of a read transaction: a shortage is not a fault of the store.
    pub(super) fn at_reading(source: heed::Error) -> Self {
        match &source {
            heed::Error::Mdb(heed::MdbError::ReadersFull) => Self::Busy("readers"),
            heed::Error::Io(error) if matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::EAGAIN)) => {
                Self::Busy("memory")
            }
            _ => Self::lmdb("beginning to read")(source),
        }
    }
}

/// A failed read is answered with an internal error, a shortage with an error that names it, damage as etcd answers a
/// member whose data are corrupt.
impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(_) => Refusal::TooManyRequests,
            StoreError::Full { .. } => Refusal::NoSpace,
            StoreError::Damaged(_) => Refusal::Corrupt,
            error => Refusal::Internal(error.to_string()),
        }
    }
}
