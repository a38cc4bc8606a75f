//! Whether a backup can be restored: it is read as a restore reads it, and nothing is made of it.

use std::path::Path;

use prost::Message;

use super::file::{Backup, Kind};
use super::{Meter, OfflineError};
use crate::api::proto::mvccpb::KeyValue;
use crate::bbolt::FileError;

/// A backup that was read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The last revision.
    pub revision: i64,
    /// The number of changes.
    pub changes: u64,
    /// Bytes of the content, expanded and without the hash.
    pub bytes: u64,
    /// The SHA-256 of the content.
    pub digest: [u8; 32],
}

/// Bytes of a key of the bucket of changes: a revision, and a mark behind that of a deletion.
const PUT: usize = 17;
const DELETION: usize = 18;

/// Reads a whole backup in etcd's format, compares its hash, and visits every page and row.
///
/// # Errors
/// See [`OfflineError`]: what is damaged, with its place.
pub fn check(path: &Path, meter: &Meter) -> Result<Checked, OfflineError> {
    let backup = Backup::open(path, false, meter)?;
    if backup.kind == Kind::Kvd {
        let what = "a snapshot in kvd's own format is checked by `kvctl snapshot restore` only";
        return Err(OfflineError::damaged(path, what));
    }
    let damaged = |error: FileError| OfflineError::damaged(path, error.to_string());
    let mut pages = backup.pages()?;
    // A store that never changed is at revision 1.
    let mut checked = Checked { revision: 1, changes: 0, bytes: backup.length, digest: backup.digest };
    let buckets = pages.buckets().map_err(damaged)?;
    for name in [&b"key"[..], b"meta"] {
        if !buckets.iter().any(|bucket| bucket.name == name) {
            let what = format!("it has no bucket {:?}", String::from_utf8_lossy(name));
            return Err(OfflineError::damaged(path, what));
        }
    }
    for bucket in &buckets {
        let mut rows = pages.rows(bucket).map_err(damaged)?;
        while let Some((key, value)) = rows.next().map_err(damaged)? {
            if bucket.name == b"key" {
                checked.revision = change(key, value).ok_or_else(|| {
                    let what = format!("the row {} of bucket \"key\" is not a change", key.escape_ascii());
                    OfflineError::damaged(path, what)
                })?;
                checked.changes += 1;
            }
        }
    }
    Ok(checked)
}

/// The revision of a change that agrees with itself.
fn change(key: &[u8], value: &[u8]) -> Option<i64> {
    let revision = i64::from_be_bytes(*key.first_chunk()?);
    let version = KeyValue::decode(value).ok()?;
    let agrees = match key.len() {
        PUT => version.mod_revision == revision && version.version > 0,
        DELETION => true,
        _ => false,
    };
    (agrees && revision > 0 && !version.key.is_empty()).then_some(revision)
}
