//! A new member from the data directory of an etcd that is stopped: its database, and the committed entries of its log
//! that are not in the database yet. An etcd writes its database some time after it has acknowledged.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};

use super::file::Backup;
use super::place::Place;
use super::restore::{NewMember, Restored, epoch};
use super::tail::proposal;
use super::wal::LogEnd;
use super::{Meter, OfflineError};
use crate::files;
use crate::model::LogPosition;
use crate::store::Store;

/// Entries between two checkpoints of the new store.
const CHECKPOINT: u64 = 1000;

/// What to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The etcd's data directory.
    pub etcd_data: PathBuf,
    /// The directory of its log, if it is not in the data directory.
    pub etcd_wal: Option<PathBuf>,
    /// The member.
    pub member: NewMember,
}

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The member.
    pub restored: Restored,
    /// Entries that were in the log only.
    pub entries: u64,
    /// Entries behind them, of which this member does not know whether they were committed: they stay behind.
    pub unknown: u64,
}

/// Makes a new member of an etcd's data.
///
/// # Errors
/// See [`OfflineError`]; nothing of the member remains, and nothing of the etcd is changed.
pub async fn migrate(wanted: &Migration, meter: &Meter) -> Result<Migrated, OfflineError> {
    let plan = wanted.member.plan()?;
    let database = wanted.etcd_data.join("member").join("snap").join("db");
    let wal = wanted.etcd_wal.clone().unwrap_or_else(|| wanted.etcd_data.join("member").join("wal"));
    let locked = files::open(&database).map_err(OfflineError::io(&database))?;
    // bbolt locks its file while it is open.
    flock(&locked, FlockOperation::NonBlockingLockShared).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => OfflineError::StillRuns(database.clone()),
        error => OfflineError::io(&database)(error.into()),
    })?;
    let backup = Backup::open(&database, true, meter)?;
    let place = Place::make(&wanted.member.data_dir, wanted.member.wal_dir.as_deref(), backup.length)?;
    let store = place.store()?;
    let imported = backup.load(&store, 0)?;
    let (entries, unknown) = committed(&wal, imported.index, backup.members()? == 1)?;
    let count = entries.len() as u64;
    apply(&store, &wal, &entries)?;
    let revision = store.revision();
    let identity = place.found(store, &plan, epoch(&backup.digest, count as i64), &[]).await?;
    Ok(Migrated { restored: Restored { identity, revision }, entries: count, unknown })
}

/// The committed entries of a log after `index`, and the number of those behind them; see [`LogEnd::committed`].
fn committed(wal: &Path, index: u64, alone: bool) -> Result<(Vec<super::wal::Entry>, u64), OfflineError> {
    let failed = OfflineError::io(wal);
    let mut names = Vec::new();
    for entry in fs::read_dir(wal).map_err(&failed)? {
        let name = entry.map_err(&failed)?.file_name().to_string_lossy().into_owned();
        if let Some(sequence) = sequence(&name) {
            names.push((sequence, name));
        }
    }
    names.sort_unstable();
    let (Some((first, _)), Some((_, last))) = (names.first().cloned(), names.last().cloned()) else {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no file of an etcd's log");
        return Err(failed(source));
    };
    let mut end = LogEnd::new(index);
    for ((sequence, name), expected) in names.iter().zip(first..) {
        let path = wal.join(name);
        if *sequence != expected {
            let what = format!("the file before it, with the number {expected:016x}, is missing");
            return Err(OfflineError::damaged(&path, what));
        }
        let bytes = Bytes::from(fs::read(&path).map_err(OfflineError::io(&path))?);
        end.read(&bytes, *name == last).map_err(|what| OfflineError::damaged(&path, what))?;
    }
    end.committed(alone).map_err(|what| OfflineError::damaged(wal, what))
}

/// The number of a file of the log: `SEQUENCE-INDEX.wal`, in hexadecimal.
fn sequence(name: &str) -> Option<u64> {
    let (sequence, index) = name.strip_suffix(".wal")?.split_once('-')?;
    u64::from_str_radix(index, 16).ok()?;
    u64::from_str_radix(sequence, 16).ok()
}

/// Applies what the entries ask for, as a member does. What an etcd refused when it applied it is refused here as well.
fn apply(store: &Store, wal: &Path, entries: &[super::wal::Entry]) -> Result<(), OfflineError> {
    for (index, entry) in (0..).zip(entries) {
        let position = LogPosition { term: 1, leader: 0, index };
        match proposal(entry).map_err(|what| OfflineError::damaged(wal, what))? {
            Some(proposal) => drop(store.apply(position, &[proposal])?),
            None => store.apply_blank(position)?,
        }
        if index % CHECKPOINT == CHECKPOINT - 1 {
            store.checkpoint()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_log_are_known_by_their_names() {
        assert_eq!(sequence("000000000000000a-0000000000001388.wal"), Some(10));
        for other in ["0.tmp", "a.wal", "x-1.wal", "1-x.wal", "000000000000000a-0000000000001388.wal.broken"]
        {
            assert_eq!(sequence(other), None, "{other}");
        }
    }
}
