//! The status of a backup, as `etcdutl snapshot status` shows it.

use std::collections::HashSet;
use std::path::Path;

use prost::Message;
use sha2::{Digest, Sha256};

use super::file::{Backup, Kind};
use super::{Meter, OfflineError};
use crate::api::proto::mvccpb::KeyValue;

/// The status of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// CRC32C of all buckets and their rows.
    pub hash: u32,
    /// The last revision.
    pub revision: i64,
    /// The number of live keys.
    pub keys: u64,
    /// Bytes of all pages.
    pub bytes: u64,
    /// The storage version; empty for an etcd before 3.6.
    pub version: String,
}

/// Reads a whole backup. A hash at its end is compared, which etcdutl does not do.
///
/// # Errors
/// See [`OfflineError`].
pub fn status(path: &Path, meter: &Meter) -> Result<Status, OfflineError> {
    let backup = match Backup::open(path, false, meter) {
        Err(OfflineError::NoHash) => Backup::open(path, true, meter)?,
        opened => opened?,
    };
    if backup.kind == Kind::Kvd {
        let what = "a snapshot in kvd's own format has no such status; `kvctl snapshot restore` takes it";
        return Err(OfflineError::damaged(path, what));
    }
    let check = "snapshot file integrity check failed. 1 errors found.";
    let damaged = |error: crate::bbolt::FileError| OfflineError::damaged(path, format!("{check}\n{error}"));
    let mut pages = backup.pages()?;
    let mut status = Status { bytes: pages.bytes(), ..Status::default() };
    // Digests of keys: they need less memory than the keys.
    let mut live: HashSet<[u8; 16]> = HashSet::new();
    for bucket in pages.buckets().map_err(damaged)? {
        status.hash = crc32c::crc32c_append(status.hash, &bucket.name);
        let mut rows = pages.rows(&bucket).map_err(damaged)?;
        while let Some((key, value)) = rows.next().map_err(damaged)? {
            status.hash = crc32c::crc32c_append(status.hash, key);
            status.hash = crc32c::crc32c_append(status.hash, value);
            if bucket.name == b"meta" && key == b"storageVersion" {
                status.version = String::from_utf8_lossy(value).into_owned();
            }
            if bucket.name != b"key" {
                continue;
            }
            let wrong = |what: &str| {
                OfflineError::damaged(
                    path,
                    format!("the row {} of bucket \"key\" {what}", key.escape_ascii()),
                )
            };
            let main = key.first_chunk().filter(|_| matches!(key.len(), 17 | 18));
            status.revision = i64::from_be_bytes(*main.ok_or_else(|| wrong("is no revision"))?);
            let version = KeyValue::decode(value).map_err(|_| wrong("has no version of a key"))?;
            let mut digest = [0; 16];
            digest.copy_from_slice(&Sha256::digest(&version.key)[..16]);
            if key.len() == 18 {
                live.remove(&digest)
            } else {
                live.insert(digest)
            };
        }
    }
    status.keys = live.len() as u64;
    Ok(status)
}
