//! Why nothing was restored.

use std::io;
use std::path::{Path, PathBuf};

use crate::join::bootstrap::BootstrapError;
use crate::join::identity::IdentityError;
use crate::log::LogError;
use crate::raft::StartError;
use crate::store::StoreError;

/// Why a backup cannot be read or restored. Nothing is left behind. Texts that etcdutl has are etcdutl's.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// A file or directory could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A directory of the new member is in use.
    #[error("data-dir {:?} not empty or could not be read", .0.display().to_string())]
    DataDir(PathBuf),
    /// The log's directory of the new member is in use.
    #[error("wal-dir {:?} exists and is not empty", .0.display().to_string())]
    WalDir(PathBuf),
    /// The file has no checksum.
    #[error("snapshot missing hash but --skip-hash-check=false")]
    NoHash,
    /// The file is not what was written.
    #[error("{}: expected sha256 {expected}, got {found}{}", .path.display(), behind(.place))]
    Hash {
        /// The file.
        path: PathBuf,
        /// The checksum at its end, in hexadecimal.
        expected: String,
        /// That of its content.
        found: String,
        /// The damage, if it can be located.
        place: Option<String>,
    },
    /// The file contradicts itself, or is none that can be restored.
    #[error("{}: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// The file to be made is there already.
    #[error("{}: it exists", .0.display())]
    Exists(PathBuf),
    /// There is not enough room.
    #[error("{} has {available} bytes free, and about {needed} are needed", .path.display())]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// Free bytes.
        available: u64,
        /// Bytes that may be needed.
        needed: u64,
    },
    /// The member's own URLs differ.
    #[error(
        "--initial-cluster has {name}={} but --initial-advertise-peer-urls={}", .listed.join(","), .advertised.join(",")
    )]
    Advertised {
        /// The member.
        name: String,
        /// Its URLs in the initial cluster.
        listed: Vec<String>,
        /// Its URLs to advertise.
        advertised: Vec<String>,
    },
    /// A cluster that has its majority is not recovered.
    #[error(
        "a majority of the voters is here: start them, and nothing is lost; --force makes a new cluster all the same"
    )]
    Majority,
    /// Every state that is left is known to be wrong.
    #[error("every state that was found is known to be wrong, or lost{hint}")]
    NothingRight {
        /// What can be done.
        hint: &'static str,
    },
    /// The etcd whose data are to be moved still runs.
    #[error("an etcd uses {}: stop it first, so that nothing is written that would not be moved", .0.display())]
    StillRuns(PathBuf),
    /// The members are not a cluster.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The new state could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new log could not be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The new member's first entries could not be written.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The new member's identity could not be written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl OfflineError {
    /// An error of the file system: for `map_err`.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    /// What is wrong with a file.
    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), what: what.into() }
    }
}

fn behind(place: &Option<String>) -> String {
    place.as_ref().map(|place| format!("; {place}")).unwrap_or_default()
}
