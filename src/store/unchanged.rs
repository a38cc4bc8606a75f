//! A store of which nothing is changed: for whoever wants to know what a member has.
//!
//! A start removes marks and unused environments and commits, and LMDB writes to its table of readers. None of that happens
//! here. While nobody uses the directory, LMDB opens the file for reading, without locks ([`Store::open_unchanged`]): what
//! is applied stays in memory. While a member uses it, LMDB would have to register as a reader, which is a change, or
//! could see pages that are being used again, which may end the process. So [`glimpse`](Store::glimpse) reads its last
//! commit without LMDB.

use std::path::Path;
use std::sync::Arc;

use super::core::{Inner, Shared};
use super::registry::Registry;
use super::tables::{Kept, TABLES};
use super::{Condemned, Options, Store, StoreError, condemned, pages, states};
use crate::model::{LogPosition, Member};

/// How often a file is read again that has changed meanwhile.
const TRIES: usize = 20;

/// What a state in use has at its last checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// The last entry in it.
    pub applied: Option<LogPosition>,
    /// Its revision.
    pub revision: i64,
    /// The members of the cluster.
    pub members: Vec<Member>,
    /// Whether it is known to be wrong.
    pub condemned: Option<Condemned>,
}

impl Store {
    /// Opens the store in `dir`, which nobody may use until this one is dropped, without changing anything there. Entries
    /// can be applied; a checkpoint fails. `None` if nothing was ever written. The policy for checkpoints must be
    /// [`super::CheckpointPolicy::Manual`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_unchanged(dir: &Path, options: Options) -> Result<Option<Store>, StoreError> {
        let Some(tables) = states::open_unchanged(dir, &options)? else { return Ok(None) };
        let txn = tables.read()?;
        let is_new = tables.is_new(&txn)?;
        drop(txn);
        if is_new {
            return Ok(None);
        }
        let inner = Inner::new(dir.to_path_buf(), options, Shared::load(tables)?)?;
        Ok(Some(Store(Arc::new(inner))))
    }

    /// What the state in `dir` has, which a member may be using: nothing is opened for writing, and it waits for nobody.
    /// `None` if it cannot be told: it is damaged, has no checksums, or changes too quickly.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn glimpse(dir: &Path) -> Result<Option<Glimpse>, StoreError> {
        let failed = |error| StoreError::io(format!("reading {}", dir.display()), error);
        for _ in 0..TRIES {
            let Ok(state) = states::current(dir) else { return Ok(None) };
            let condemned = condemned::Mark::load(&state)?.get();
            // The pages of a commit are used for something else after the next one, which the meta pages show.
            let before = pages::last_commit(&state).map_err(failed)?;
            let found = pages::remains(&state).map_err(failed)?;
            if before.is_none() || before != pages::last_commit(&state).map_err(failed)? {
                continue;
            }
            let Some(found) = found else { return Ok(None) };
            let mut registry = Registry::of(&found.meta);
            for (id, key, value) in found.rows {
                if let Kept::Whole { take, .. } = TABLES[id as usize].kept {
                    let _ = take(&mut registry, &key, &value);
                }
            }
            return Ok(Some(Glimpse {
                applied: found.meta.applied,
                revision: found.meta.revision,
                members: registry.members.into_values().collect(),
                condemned,
            }));
        }
        Ok(None)
    }
}
