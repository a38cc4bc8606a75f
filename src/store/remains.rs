//! A member whose state is damaged so that LMDB must not open it: what is left of it takes part without data.
//!
//! The log and the votes of the member are right, so it can follow, vote and acknowledge entries until it has the leader's
//! state ([`super::Store::prepare`], [`super::Store::adopt`]). All it needs for that are the meta record and the tables
//! that are kept in memory. They go to a new environment, which is condemned from the beginning; the damaged one is
//! renamed, for an examination, and removed as soon as another state is in use.

use std::fs;
use std::path::{Path, PathBuf};

use super::format::meta::Meta;
use super::lmdb::Tables;
use super::pages::{self, Remains};
use super::states::{self, not_written, set_current, state_dir, state_number};
use super::tables::Id;
use super::{Condemned, Options, StoreError, condemned, registry};
use crate::files;

/// What the name of a damaged environment begins with.
const DAMAGED: &str = "damaged-";

/// What is left of the environment in use, with its path; `None` if the meta record is lost, or not a state of which a
/// member without data may be made.
///
/// # Errors
/// Those of the file system.
pub(super) fn find(
    dir: &Path,
    may: impl FnOnce(&Meta) -> bool,
) -> Result<Option<(PathBuf, Remains)>, StoreError> {
    let current = states::current(dir)?;
    let failed = |error| StoreError::io(format!("reading {}", current.display()), error);
    let found = pages::remains(&current).map_err(failed)?;
    Ok(found.filter(|found| may(&found.meta)).map(|found| (current, found)))
}

/// Puts an environment without data in the place of the one in use; false if [`find`] finds nothing for it. Nothing is
/// changed then.
///
/// # Errors
/// Those of the file system.
pub(super) fn take_place(
    dir: &Path,
    options: &Options,
    condemned: &Condemned,
    may: impl FnOnce(&Meta) -> bool,
) -> Result<bool, StoreError> {
    let Some((current, Remains { meta, rows, auth_is_lost })) = find(dir, may)? else { return Ok(false) };
    let number = state_number(&current)?;
    let path = state_dir(dir, number + 1);
    let _ = fs::remove_dir_all(&path);
    let tables = Tables::open(&path, options)?;
    let mut txn = tables.write()?;
    for (id, key, value) in rows {
        tables[id].put(&mut txn, &key, &value).map_err(StoreError::lmdb("writing what is left"))?;
    }
    if auth_is_lost {
        // Even without data a member does what it is told.
        registry::give_lost_auth(&mut |key, value| {
            tables[Id::Auth].put(&mut txn, key, value).map_err(StoreError::lmdb("writing what is left"))
        })?;
    }
    // Its digest would be taken for that of its data.
    tables.put_meta(&mut txn, &Meta { digest: None, ..meta })?;
    tables.commit(txn, "writing what is left")?;
    drop(tables);
    condemned::Mark::default().write(&path, condemned)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    set_current(dir, &name).map_err(|error| not_written(dir, error))?;
    remove(dir);
    let kept = dir.join(format!("{DAMAGED}{number}"));
    let renamed = fs::rename(&current, &kept).and_then(|()| files::sync_names(dir));
    if let Err(error) = renamed {
        tracing::warn!(path = %current.display(), %error, "the damaged state could not be kept");
    }
    Ok(true)
}

/// Removes damaged environments; a failure only leaves garbage.
pub(super) fn remove(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(DAMAGED) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
