//! What a command makes for its own use. It goes away with the command, also if a signal ends that: see [`discard`].

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::files;

/// All that this process has made and not removed.
static MADE: Mutex<Made> = Mutex::new(Made { paths: BTreeSet::new(), is_closed: false });

struct Made {
    paths: BTreeSet<PathBuf>,
    /// The process is about to end.
    is_closed: bool,
}

/// A file, or a directory with all that is in it, which goes away with this.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a directory in `place`.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn directory(place: &Path) -> io::Result<Self> {
        let name = format!("kvctl-{}-{:016x}", std::process::id(), rand::random::<u64>());
        let path = place.join(name);
        Self::make(&path, || files::make_dir(&path)).map(|(scratch, ())| scratch)
    }

    /// Makes a file.
    ///
    /// # Errors
    /// Those of the file system; one that is there already belongs to somebody else, and stays.
    pub(super) fn file(path: &Path) -> io::Result<(Self, File)> {
        Self::make(path, || files::create(path))
    }

    fn make<T>(path: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<(Self, T)> {
        let mut made = MADE.lock();
        if made.is_closed {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let done = make()?;
        made.paths.insert(path.to_path_buf());
        Ok((Self(path.to_path_buf()), done))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut made = MADE.lock();
        remove(&self.0);
        made.paths.remove(&self.0);
    }
}

/// Removes all that is there, whoever uses it: for a process that is about to end.
pub fn discard() {
    let mut made = MADE.lock();
    made.is_closed = true;
    std::mem::take(&mut made.paths).iter().for_each(|path| remove(path));
}

fn remove(path: &Path) {
    // What is not there any more has its last name by now.
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_away_and_what_somebody_else_has_made_stays() {
        let root = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(root.path()).unwrap().count();
        let other = root.path().join("other");
        fs::write(&other, "somebody's own").unwrap();
        assert!(Scratch::file(&other).is_err());
        let directory = Scratch::directory(root.path()).unwrap();
        fs::write(directory.path().join("row"), "").unwrap();
        let (file, _) = Scratch::file(&root.path().join("part")).unwrap();
        assert_eq!(names(), 3);
        fs::rename(file.path(), root.path().join("whole")).unwrap();
        drop((directory, file));
        assert_eq!(names(), 2);
    }
}
