//! Checks of a start before anything relies on the data: what it reads must be on the disk, and not only in the memory
//! of a system whose last flush has failed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::tests::{Bench, manual};
use super::{Options, Store, StoreError};

/// A directory of a store with one key, and the previous state that a crash has left next to it.
fn left_by_a_crash() -> tempfile::TempDir {
    let mut source = Bench::new(manual());
    source.put("new", "x");
    source.store.checkpoint().unwrap();
    let Bench { dir, store, .. } = Bench::new(manual());
    let prepared = store.prepare(source.store.snapshot().unwrap(), |_| true).unwrap();
    store.adopt(prepared).unwrap();
    drop(store);
    fs::create_dir(dir.path().join("state-1")).unwrap();
    dir
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn current_is_written_anew_before_the_state_it_replaces_is_removed() {
    let dir = left_by_a_crash();
    let (current, older) = (dir.path().join("CURRENT"), dir.path().join("state-1"));
    // Blocks the new file.
    let blocked = dir.path().join("CURRENT.new");
    fs::create_dir(&blocked).unwrap();
    assert!(matches!(Store::open(dir.path(), manual()), Err(StoreError::Io { .. })));
    assert!(older.exists(), "CURRENT may still name it on the disk");
    fs::remove_dir(&blocked).unwrap();
    let before = inode(&current);
    let store = Store::open(dir.path(), manual()).unwrap();
    assert_ne!(inode(&current), before);
    assert!(!older.exists());
    assert_eq!(store.get(b"new").unwrap().unwrap().value, "x");
}

/// Opens the store with commits that end with this result; returns how many there were.
fn opened(dir: &Path, end: Option<i32>) -> (Result<Store, StoreError>, usize) {
    let commits = Arc::new(AtomicUsize::new(0));
    let seen = commits.clone();
    let before_commit = move || {
        seen.fetch_add(1, Ordering::Relaxed);
        end.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
    };
    let options = Options { before_commit: Some(Arc::new(before_commit)), ..manual() };
    (Store::open(dir, options), commits.load(Ordering::Relaxed))
}

#[test]
fn the_last_commit_is_confirmed_by_one_of_the_start() {
    let mut bench = Bench::new(manual());
    bench.put("a", "1");
    bench.store.checkpoint().unwrap();
    let position = bench.position();
    let Bench { dir, store, .. } = bench;
    drop(store);
    let (failed, _) = opened(dir.path(), Some(libc::EIO));
    assert!(matches!(failed, Err(StoreError::Lmdb { .. })), "the disk does not hold what it says");
    // A full disk is not a failure.
    for end in [Some(libc::ENOSPC), None] {
        let (store, commits) = opened(dir.path(), end);
        let store = store.unwrap();
        assert_eq!(commits, 1);
        assert_eq!(store.checkpointed(), Some(position));
        assert_eq!(store.get(b"a").unwrap().unwrap().value, "1");
        store.health().unwrap();
    }
}
