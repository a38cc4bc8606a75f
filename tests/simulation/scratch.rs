//! Where the files of a run are that need not outlive it, and what killed runs have left there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

const PREFIX: &str = "kvd-simulation-";
/// The file in a directory that is locked as long as its run lasts.
const LOCK: &str = "lock";
/// A directory that is younger may not be locked yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A directory for a run, in memory if the system supports that.
pub struct Scratch {
    dir: TempDir,
    _lock: File,
}

impl Scratch {
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&place, YOUNG));
        Self::made_in(&place).or_else(|_| Self::made_in(&std::env::temp_dir())).expect("a directory")
    }

    fn made_in(place: &Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
        let lock = File::create(dir.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { dir, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes the directories whose run was killed.
fn sweep(place: &Path, young: Duration) {
    let is_left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let age = path.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
        if !name.starts_with(PREFIX) || age.is_none_or(|age| age < young) {
            return false;
        }
        let lock = File::open(path.join(LOCK));
        lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
    };
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    for left in entries.map(|entry| entry.path()).filter(is_left) {
        let _ = fs::remove_dir_all(left);
    }
}

#[test]
fn what_killed_runs_have_left_is_removed_and_what_runs_use_stays() {
    let place = tempfile::tempdir().expect("a directory");
    let runs = Scratch::made_in(place.path()).expect("made");
    let killed = place.path().join(format!("{PREFIX}killed"));
    fs::create_dir_all(killed.join("1/store")).expect("made");
    File::create(killed.join(LOCK)).expect("made");
    let other = place.path().join("another-program");
    fs::create_dir(&other).expect("made");
    File::create(other.join(LOCK)).expect("made");
    sweep(place.path(), YOUNG);
    assert!(killed.exists(), "it may have been made just now");
    sweep(place.path(), Duration::ZERO);
    assert!(!killed.exists() && other.exists() && runs.path().exists());
}
