use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::copy::Order;
use super::*;
use crate::member::Member;
use crate::member::lab::{StoppedClock, lone_leader};
use crate::model::{Caller, ClusterId, Command, MemberId, Put};
use crate::offline;
use crate::store::{Condemned, Store};

const SOURCE: Source = Source { cluster: ClusterId(0xabc), host: None };
/// What [`StoppedClock`] shows, in seconds.
const NOW: i64 = 1_700_000_000;
const HOUR: Duration = Duration::from_secs(3600);

/// A member with some keys, and a directory.
struct Bench {
    member: Member,
    root: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let options = crate::store::Options { map_size: 1 << 30, ..Default::default() };
        let store = Store::open(&root.path().join("store"), options).expect("a store");
        let member = lone_leader(store, Default::default()).await;
        for number in 0..300 {
            let put =
                Put { key: format!("key/{number}").into(), value: vec![b'v'; 1000].into(), ..Put::default() };
            member.services.propose(Caller::System, Command::Put(put)).await.expect("put");
        }
        Self { member, root }
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("backups")
    }

    fn folder(&self) -> Folder {
        Folder::new(self.directory(), SOURCE, MemberId(7))
    }

    fn take(&self, now: i64, compress: bool, keep: usize) -> Result<Made, BackupError> {
        self.take_until(now, compress, keep, false)
    }

    fn take_until(&self, now: i64, compress: bool, keep: usize, stop: bool) -> Result<Made, BackupError> {
        self.take_in(&self.folder(), now, compress, keep, stop)
    }

    fn take_in(
        &self,
        folder: &Folder,
        now: i64,
        compress: bool,
        keep: usize,
        stop: bool,
    ) -> Result<Made, BackupError> {
        let (written, stopped) = (AtomicU64::new(0), AtomicBool::new(stop));
        let store = &self.member.store;
        let (written, stopped) = (&written, &stopped);
        Order { store, folder, now, compress, keep, written, stopped }.take()
    }

    /// The backups of the running member, with the outcomes that they report.
    fn scheduled(&self, every: Duration, keep: usize) -> (Backups, Arc<Mutex<Vec<String>>>) {
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let seen = outcomes.clone();
        let on_end = move |outcome: &Result<Made, BackupError>| {
            seen.lock().push(match outcome {
                Ok(made) => made.name.to_string(),
                Err(error) => error.to_string(),
            });
        };
        let options = Options { directory: self.directory(), every, keep, compress: false };
        let (node, store) = (self.member.node.clone(), self.member.store.clone());
        answer(&node, Arc::new(StoppedClock)).expect("no other handler");
        (Backups::new(options, node, store, Arc::new(StoppedClock), Box::new(on_end)), outcomes)
    }
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_is_whole_closed_and_alone_under_its_name() {
    let bench = Bench::new().await;
    for compress in [false, true] {
        let made = bench.take(NOW, compress, 9).expect("a backup");
        assert_eq!(made.name, Name { source: SOURCE, at: NOW, revision: 301, compressed: compress });
        assert_eq!(fs::metadata(&made.path).expect("there").permissions().mode() & 0o7777, 0o600);
        let checked = offline::check(&made.path, &offline::Meter::default()).expect("it can be restored");
        assert_eq!((checked.revision, checked.changes), (301, 300));
        assert_eq!(offline::status(&made.path, &offline::Meter::default()).expect("a status").keys, 300);
        assert_eq!(made.bytes, fs::metadata(&made.path).expect("there").len());
    }
    let [plain, compressed] = ["db", "db.gz"].map(|end| format!("kvd-abc-20231114T221320Z-301.{end}"));
    assert_eq!(names(&bench.directory()), [plain.clone(), compressed.clone()]);
    let size = |name: &str| fs::metadata(bench.directory().join(name)).expect("there").len();
    assert!(size(&compressed) * 10 < size(&plain), "a thousand times the same letter");
}

/// Two hosts with the default URLs: the ids of their clusters and members are the same.
#[tokio::test]
async fn hosts_that_share_a_directory_leave_each_others_files_alone() {
    let bench = Bench::new().await;
    let folder = |host| Folder::new(bench.directory(), Source { host: Some(host), ..SOURCE }, MemberId(7));
    let (one, two) = (folder(1), folder(2));
    let take = |folder, now| bench.take_in(folder, now, false, 1, false).expect("a backup");
    take(&one, NOW);
    let unfinished = one.begin().expect("begun");
    take(&two, NOW);
    assert!(unfinished.path.exists(), "another member's unfinished file is not its own");
    drop(unfinished);
    assert_eq!(take(&one, NOW + 1).removed, 1);
    let names = names(&bench.directory());
    assert_eq!(
        names,
        ["kvd-abc.00000001-20231114T221321Z-301.db", "kvd-abc.00000002-20231114T221320Z-301.db"]
    );
    assert!(two.own().expect("read").iter().all(|entry| entry.name.source.host == Some(2)));
}

#[tokio::test]
async fn a_state_that_is_wrong_displaces_no_backup() {
    let bench = Bench::new().await;
    bench.take(NOW, false, 1).expect("a backup");
    let before = names(&bench.directory());
    let what = Condemned { why: "it differs".into(), replace: false, told: false };
    bench.member.store.condemn(&what).expect("marked");
    let refused = bench.take(NOW + 1, false, 1).expect_err("it is worth nothing").to_string();
    assert!(refused.contains("not that of the majority"), "{refused}");
    assert_eq!(names(&bench.directory()), before);
}

#[tokio::test]
async fn damage_anywhere_in_a_backup_is_found() {
    let bench = Bench::new().await;
    for compress in [false, true] {
        let made = bench.take(NOW, compress, 9).expect("a backup");
        let good = fs::read(&made.path).expect("read");
        for at in [good.len() / 3, good.len() / 2, good.len() - 5] {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&made.path, bad).expect("written");
            let error =
                offline::check(&made.path, &offline::Meter::default()).expect_err("damaged").to_string();
            assert!(error.contains(&made.path.display().to_string()), "{error}");
        }
        fs::write(&made.path, &good[..good.len() - 700]).expect("written");
        offline::check(&made.path, &offline::Meter::default()).expect_err("cut off");
    }
}

/// Whatever else is in the directory stays, however similar its name.
#[tokio::test]
async fn only_own_backups_are_removed_and_the_newest_are_kept() {
    let bench = Bench::new().await;
    let directory = bench.directory();
    bench.take(NOW, false, 9).expect("a backup");
    let others = [
        "kvd-def-20200101T000000Z-1.db",
        "kvd-abc-20200101T000000Z-1.db.old",
        "notes.txt",
        "kvd-abc-20200102T000000Z-1.db",
        "kvd-abc-20200103T000000Z-1.db",
    ];
    for name in &others[..3] {
        fs::write(directory.join(name), "mine").expect("written");
    }
    fs::create_dir(directory.join(others[3])).expect("made");
    symlink(directory.join("notes.txt"), directory.join(others[4])).expect("made");
    for later in 1..5 {
        let made = bench.take(NOW + later, false, 2).expect("a backup");
        assert_eq!(made.removed, usize::from(later > 1));
    }
    let found = names(&directory);
    assert!(others.iter().all(|name| found.iter().any(|found| found == name)), "{found:?}");
    let own: Vec<i64> = bench.folder().own().expect("listed").iter().map(|entry| entry.name.at).collect();
    assert_eq!(own, [NOW + 3, NOW + 4]);
}

#[tokio::test]
async fn a_clock_that_was_wrong_does_not_cost_the_backup_that_was_just_made() {
    let bench = Bench::new().await;
    let left = || -> Vec<i64> {
        bench.folder().own().expect("listed").iter().map(|entry| entry.name.at - NOW).collect()
    };
    for at in [1000, 2000, 3000] {
        bench.take(NOW + at, false, 3).expect("a backup");
    }
    for (at, expected) in [(0, vec![0, 2000, 3000]), (1, vec![0, 1, 3000]), (2, vec![0, 1, 2])] {
        let made = bench.take(NOW + at, false, 3).expect("a backup");
        assert!(made.path.exists() && made.removed == 1, "{at}");
        assert_eq!(left(), expected);
    }
    bench.take(NOW - 5, false, 1).expect("a backup");
    assert_eq!(left(), [-5], "one is kept: the last one");
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_and_says_why() {
    let bench = Bench::new().await;
    let directory = bench.directory();
    let error = bench.take_until(NOW, false, 9, true).expect_err("stopped");
    assert!(matches!(error, BackupError::Stopped));
    assert_eq!(names(&directory), [""; 0]);
    // As a crash would leave it.
    fs::write(directory.join(".kvd-abc-7.part"), "half").expect("written");
    bench.take(NOW, false, 9).expect("a backup");
    assert_eq!(names(&directory).len(), 1);
    let set = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).expect("set");
    for mode in [0o777, 0o770, 0o1777] {
        set(mode);
        let error = bench.take(NOW + 1, false, 9).expect_err("open").to_string();
        let expected =
            format!("{}: other users may write to it (mode {mode:04o}): chmod go-w it", directory.display());
        assert_eq!(error, expected);
    }
    set(0o755);
    let error = bench.folder().check_room(u64::MAX / 4, false).expect_err("no room").to_string();
    assert!(error.contains("bytes are free, and a backup needs 46116"), "{error}");
    let file = Folder::new(directory.join(&names(&directory)[0]), SOURCE, MemberId(7));
    let error = file.prepare().expect_err("no directory").to_string();
    assert!(error.ends_with("not a directory"), "{error}");
}

#[tokio::test]
async fn a_lone_member_takes_what_was_missed_and_no_more_than_is_due() {
    let bench = Bench::new().await;
    let cluster = bench.member.node.status().cluster;
    let source = Source::of(cluster, &bench.member.store.members(), super::name::host());
    fs::create_dir(bench.directory()).expect("made");
    let old = Name { source, at: NOW - 2 * 3600, revision: 5, compressed: false };
    fs::write(bench.directory().join(old.to_string()), "an old one").expect("written");
    let (backups, outcomes) = bench.scheduled(HOUR, 1);
    let taken = async {
        while outcomes.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = backups.run() => {}
        done = tokio::time::timeout(Duration::from_secs(60), taken) => done.expect("a backup in time"),
    }
    let name = Name { at: NOW, revision: 301, ..old }.to_string();
    assert_eq!(outcomes.lock().as_slice(), std::slice::from_ref(&name));
    assert_eq!(names(&bench.directory()), [name], "one is kept");
    let progress = backups.progress();
    assert_eq!((progress.busy, progress.ended, progress.failed), (false, 1, None));
    assert!(backups.line().contains("; last backup 2023-11-14T22:13:20Z"), "{}", backups.line());
    bench.member.node.shutdown().await;
}

/// An operator's wish is done although none is due; what fails is reported at once, and mended by the next one.
#[tokio::test]
async fn one_is_taken_now_and_a_failure_is_over_with_the_next_success() {
    let bench = Bench::new().await;
    fs::write(bench.directory(), "no directory").expect("written");
    let (backups, outcomes) = bench.scheduled(HOUR, 3);
    let story = async {
        let ended = async |count: usize| {
            while outcomes.lock().len() < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        ended(1).await;
        assert!(outcomes.lock()[0].ends_with("not a directory"), "{:?}", outcomes.lock());
        assert!(backups.line().contains("; the last backup failed: "), "{}", backups.line());
        fs::remove_file(bench.directory()).expect("removed");
        let number = backups.begin();
        while backups.progress().ended < number {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(backups.progress().failed, None);
        assert!(backups.progress().last.is_some_and(|path| path.exists()));
    };
    tokio::select! {
        () = backups.run() => {}
        done = tokio::time::timeout(Duration::from_secs(60), story) => done.expect("in time"),
    }
    bench.member.node.shutdown().await;
}
