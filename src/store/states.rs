//! Several environments in one directory, and the file CURRENT, which names the one in use.
//!
//! After a crash CURRENT names the old state or a complete new one; all other environments are removed when the store
//! is opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::lmdb::{Tables, private_dir};
use super::pages::{self, Reading};
use super::{CheckAtStart, Options, StoreError, clean, condemned};
use crate::files;

const CURRENT: &str = "CURRENT";
const PREFIX: &str = "state-";

/// Findings that are named at a start.
const NAMED: usize = 100;

/// The environment that CURRENT names, and true if all its pages were checked; a new directory gets its first one. All
/// others are removed.
pub(super) fn open_current(dir: &Path, options: &Options) -> Result<(Tables, bool), StoreError> {
    private_dir(dir)?;
    let name = name_of_current(dir)?;
    let own = number(&name);
    // Later ones were never in use. On a full disk their space may be what is missing.
    remove_states(dir, |found| Some(found) > own);
    let is_verified = check(&dir.join(&name), options.check_at_start)?;
    let tables = Tables::open(&dir.join(&name), options)?;
    // Earlier ones are removed only when it is certain that CURRENT names none of them.
    if confirm_current(dir, &name)? {
        remove_states(dir, |found| Some(found) < own);
    }
    Ok((tables, is_verified))
}

/// The same environment for somebody who changes nothing in the directory, after all its pages were checked; `None` if
/// nothing was ever written.
pub(super) fn open_unchanged(dir: &Path, options: &Options) -> Result<Option<Tables>, StoreError> {
    if !dir.try_exists().map_err(|error| StoreError::io(format!("reading {}", dir.display()), error))? {
        return Ok(None);
    }
    let state = dir.join(name_of_current(dir)?);
    if !is_written(&state) {
        return Ok(None);
    }
    read(&state, if condemned::is_marked(&state) { Reading::Everything } else { Reading::Pages })?;
    Tables::open_unchanged(&state, options)
}

/// The name of the environment in use, or of the first one, if there is none yet.
fn name_of_current(dir: &Path) -> Result<String, StoreError> {
    let name = current_name(dir)?;
    let refuse = |what: String| StoreError::NotAStore { dir: dir.to_path_buf(), what };
    match name {
        Some(name) if number(&name).is_none() => Err(refuse(format!("CURRENT names {name:?}"))),
        Some(name) if !dir.join(&name).join("data.mdb").is_file() => {
            Err(refuse(format!("CURRENT names {name}, which is missing")))
        }
        // LMDB makes a new environment of it, but CURRENT names only those that are complete.
        Some(name) if dir.join(&name).join("data.mdb").metadata().is_ok_and(|data| data.len() == 0) => {
            Err(StoreError::Damaged(format!("{name}/data.mdb in {} is empty", dir.display())))
        }
        Some(name) => Ok(name),
        None => first_name(dir),
    }
}

/// What CURRENT says.
fn current_name(dir: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(dir.join(CURRENT)) {
        Ok(name) => Ok(Some(name.trim_end().to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(format!("reading {}", dir.join(CURRENT).display()), error)),
    }
}

/// The directory of the environment in use.
pub(super) fn current(dir: &Path) -> Result<PathBuf, StoreError> {
    let name = current_name(dir)?.filter(|name| number(name).is_some());
    let what = "CURRENT names no state".to_string();
    Ok(dir.join(name.ok_or(StoreError::NotAStore { dir: dir.to_path_buf(), what })?))
}

/// Refuses an environment that is damaged, before LMDB sees it. One that was found wrong before is read completely. True
/// if all pages were checked.
fn check(state: &Path, when: CheckAtStart) -> Result<bool, StoreError> {
    if !is_written(state) {
        return Ok(true);
    }
    let was_left_clean = clean::take(state);
    let reading = match when {
        CheckAtStart::Never => return Ok(false),
        _ if condemned::is_marked(state) => Reading::Everything,
        CheckAtStart::AfterCrash if was_left_clean => Reading::Roots,
        _ => Reading::Pages,
    };
    read(state, reading).map(|()| reading != Reading::Roots)
}

/// True if LMDB has an environment in `state`.
fn is_written(state: &Path) -> bool {
    state.join("data.mdb").metadata().is_ok_and(|data| data.len() > 0)
}

/// Refuses an environment in which something that is read is damaged.
fn read(state: &Path, reading: Reading) -> Result<(), StoreError> {
    let data = state.join("data.mdb");
    let begun = Instant::now();
    let failed = |error| StoreError::io(format!("checking {}", data.display()), error);
    let report = pages::check(state, reading, &mut |_| true).map_err(failed)?;
    let Some(complaint) = report.complaint() else {
        let (bytes, took) = (report.bytes, begun.elapsed());
        tracing::info!(data = %data.display(), ?reading, bytes, ?took, "the data were checked before they are opened");
        return Ok(());
    };
    for finding in report.findings.iter().take(NAMED) {
        tracing::error!(data = %data.display(), "damage on the disk: {finding}");
    }
    Err(StoreError::Damaged(format!("{}: {complaint}", data.display())))
}

/// The name of the first environment in a directory that has none yet. A directory with data but without CURRENT has
/// lost its most important file, and guessing would be worse than stopping.
fn first_name(dir: &Path) -> Result<String, StoreError> {
    let first = format!("{PREFIX}1");
    let fail = |error| StoreError::io(format!("reading {}", dir.display()), error);
    for entry in fs::read_dir(dir).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
        if number(&name).is_some() && name != first {
            let what = format!("there is {name} but no file CURRENT");
            return Err(StoreError::NotAStore { dir: dir.to_path_buf(), what });
        }
    }
    Ok(first)
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Removes environments that are not in use; a failure only leaves garbage.
fn remove_states(dir: &Path, is_unused: impl Fn(u64) -> bool) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if number(&entry.file_name().to_string_lossy()).is_some_and(&is_unused)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "a replaced state could not be removed");
        }
    }
}

/// Makes CURRENT name an environment, durably.
pub(super) fn set_current(dir: &Path, name: &str) -> io::Result<()> {
    files::replace(&dir.join(CURRENT), format!("{name}\n").as_bytes())
}

/// The same at a start, even if CURRENT names it already: the process that wrote it may have died after a failed flush,
/// and then the file is in memory only. False if there is no room to write it again; the store continues in that case,
/// too.
fn confirm_current(dir: &Path, name: &str) -> Result<bool, StoreError> {
    match set_current(dir, name) {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) && dir.join(CURRENT).exists() => {
            files::sync_names(dir).map(|()| false).map_err(|error| not_written(dir, error))
        }
        Err(error) => Err(not_written(dir, error)),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) fn not_written(dir: &Path, error: io::Error) -> StoreError {
    StoreError::io(format!("writing {}", dir.join(CURRENT).display()), error)
}

/// The directory of the environment with this number.
pub(super) fn state_dir(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{number}"))
}

/// The number of the environment in `dir`, by its name.
pub(super) fn state_number(dir: &Path) -> Result<u64, StoreError> {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    number(&name).ok_or_else(|| StoreError::Damaged(format!("the state's directory is {name:?}")))
}
