//! The directories of a new member.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OfflineError;
use crate::files;
use crate::join::bootstrap::Plan;
use crate::join::identity::{self, Identity};
use crate::log::{self, Log, RealDisk};
use crate::member;
use crate::member::directory::{self, Directories, RESTORING};
use crate::model::{ClusterId, Entropy};
use crate::raft::{self, Standing, StartError};
use crate::store::{self, CheckpointPolicy, Store};

/// A new member's directories. If it is dropped before [`Place::keep`], everything in them is removed.
pub struct Place {
    data_dir: PathBuf,
    wal_dir: Option<PathBuf>,
    /// The directories that were there before.
    existed: Vec<PathBuf>,
    directories: Directories,
    kept: bool,
}

/// The directory of its own that the root of a file system has.
const LOST_AND_FOUND: &str = "lost+found";

/// Salts for the log.
pub struct Dice;

impl Entropy for Dice {
    fn next(&self) -> u64 {
        rand::random()
    }
}

impl Place {
    /// Makes the directories, whose disk must have room for about `needed` bytes.
    ///
    /// # Errors
    /// If one of them exists and is not empty, or cannot be made.
    pub fn make(data_dir: &Path, wal_dir: Option<&Path>, needed: u64) -> Result<Self, OfflineError> {
        directory::refuse_unfinished(data_dir).map_err(OfflineError::io(data_dir))?;
        if !is_free(data_dir) {
            return Err(OfflineError::DataDir(data_dir.to_path_buf()));
        }
        if let Some(wal_dir) = wal_dir.filter(|dir| !is_free(dir)) {
            return Err(OfflineError::WalDir(wal_dir.to_path_buf()));
        }
        let existed = [Some(data_dir), wal_dir].into_iter().flatten().filter(|dir| dir.exists());
        let existed = existed.map(Path::to_path_buf).collect();
        let stage = data_dir.join(RESTORING);
        let member = stage.join("member");
        let log = wal_dir.map_or_else(|| member.join("log"), Path::to_path_buf);
        let place = Self {
            data_dir: data_dir.to_path_buf(),
            wal_dir: wal_dir.map(Path::to_path_buf),
            existed,
            directories: Directories { log, store: member.join("store"), member },
            kept: false,
        };
        directory::prepare(&stage, wal_dir).map_err(OfflineError::io(data_dir))?;
        let available = files::available(data_dir).map_err(OfflineError::io(data_dir))?;
        if available < needed {
            return Err(OfflineError::NoRoom { path: data_dir.to_path_buf(), available, needed });
        }
        Ok(place)
    }

    /// An empty store.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub fn store(&self) -> Result<Store, OfflineError> {
        let options =
            store::Options { checkpoint: CheckpointPolicy::Manual, quota: None, ..Default::default() };
        Ok(Store::open(&self.directories.store, options)?)
    }

    /// Copies the store of another member, which nobody uses.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn copy_store(&self, from: &Path) -> Result<(), OfflineError> {
        copy_all(from, &self.directories.store).map_err(OfflineError::io(from))
    }

    /// Makes the member of `plan` of a store's content, and gives everything its final name. Members of the clusters in
    /// `former` are refused as long as it lives.
    ///
    /// # Errors
    /// Those of the file system.
    pub async fn found(
        mut self,
        store: Store,
        plan: &Plan,
        epoch: u64,
        former: &[ClusterId],
    ) -> Result<Identity, OfflineError> {
        store.begin_anew(epoch)?;
        let dir = &self.directories.log;
        let size = files::disk_size(dir).map_err(OfflineError::io(dir))?;
        let open = || {
            let options = log::Options::on_disk_of(size, Arc::new(Dice));
            Log::open(Arc::new(RealDisk::open(dir)?), options)
        };
        raft::found_with_state(&open()?, &store, plan.identity.member, &plan.members).await?;
        let standing = Standing::of(&open()?, store.applied());
        standing.check().map_err(|misfit| StartError::Storage(misfit.to_string()))?;
        if standing.log.purged.is_none() {
            return Err(StartError::Storage("the log still begins with the first entries".into()).into());
        }
        store.close()?;
        drop(store);
        let identity = Identity { epoch, ..plan.identity };
        if !former.is_empty() {
            identity::record_former(&self.directories.member, former)?;
        }
        member::mark(&self.directories, &identity)?;
        identity::create(&self.directories.member, &identity)?;
        self.publish().map_err(OfflineError::io(&self.data_dir))?;
        self.kept = true;
        Ok(identity)
    }

    fn publish(&self) -> io::Result<()> {
        let stage = self.data_dir.join(RESTORING);
        fs::rename(stage.join("member"), self.data_dir.join("member"))?;
        fs::remove_dir(stage)?;
        files::sync_names(&self.data_dir)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let _ = fs::remove_dir_all(self.data_dir.join(RESTORING));
        let _ = fs::remove_dir_all(self.data_dir.join("member"));
        for dir in [Some(&self.data_dir), self.wal_dir.as_ref()].into_iter().flatten() {
            if self.existed.contains(dir) {
                // It was empty, but for what the file system keeps there.
                let entries = fs::read_dir(dir).into_iter().flatten().flatten();
                for entry in entries.filter(|entry| entry.file_name() != LOST_AND_FOUND) {
                    let path = entry.path();
                    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                }
            } else {
                let _ = fs::remove_dir_all(dir);
            }
        }
    }
}

/// Copies files and directories, but for LMDB's lock of a process that is gone.
fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    files::make_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            copy_all(&path, &to.join(&name))?;
        } else if name != "lock.mdb" {
            let copied = to.join(&name);
            fs::copy(&path, &copied)?;
            // The mode is copied, too, and what is left may not be writable.
            fs::set_permissions(&copied, fs::Permissions::from_mode(0o600))?;
            fs::File::open(&copied)?.sync_all()?;
        }
    }
    files::sync_names(to)
}

/// True if nothing is at `dir`, or an empty directory. The root of a file system has a directory of its own.
fn is_free(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOST_AND_FOUND)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_restore_has_left_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join(RESTORING).join("member")).expect("made");
        let refused = Place::make(dir.path(), None, 0).err().expect("refused").to_string();
        assert!(refused.contains("a restore did not end: remove "), "{refused}");
        assert!(dir.path().join(RESTORING).join("member").exists(), "it is not this one's to remove");
    }

    #[test]
    fn what_a_file_system_keeps_for_itself_stays_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = dir.path().join(LOST_AND_FOUND).join("#12");
        fs::create_dir(dir.path().join(LOST_AND_FOUND)).expect("made");
        fs::write(&kept, "a file that was found").expect("written");
        drop(Place::make(dir.path(), None, 0).expect("a place"));
        assert!(kept.exists());
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1);
    }
}
