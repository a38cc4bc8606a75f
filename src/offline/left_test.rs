//! What is made of members whose logs and states have different ends.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::left::{Condition, Opened, Source};
use super::place::{Dice, Place};
use super::recover::{Recovery, plan, recover};
use super::{OfflineError, Plan};
use crate::files;
use crate::join::bootstrap::{self, InitialMember};
use crate::join::identity::{self, Identity};
use crate::log::{Entry, Log, Mode, Options as LogOptions, Payload, RealDisk};
use crate::model::{Caller, ClusterId, Command, LogPosition, MemberId, Proposal, Put, Stamp};
use crate::raft::replay_all;
use crate::store::{CheckpointPolicy, Condemned, Options, Store};

/// Members of a cluster of five that do not run.
pub(super) struct Left(TempDir);

fn store(dir: PathBuf) -> Store {
    let options = Options { checkpoint: CheckpointPolicy::Manual, ..Options::default() };
    Store::open(&dir, options).expect("a store")
}

impl Left {
    /// The first so many of them, each with the same beginning.
    pub(super) async fn new(count: usize) -> Self {
        let left = Self(TempDir::new().expect("a directory"));
        let url = |n: usize| vec![format!("http://10.0.0.{n}:2380")];
        let initial: Vec<InitialMember> =
            (0..5).map(|n| InitialMember { name: format!("m{n}"), peer_urls: url(n) }).collect();
        for n in 0..count {
            let founding = bootstrap::plan(&format!("m{n}"), &initial, "token").expect("a plan");
            let place = Place::make(&left.dir(n), None, 0).expect("a place");
            let state = place.store().expect("a store");
            place.found(state, &founding, 1, &[]).await.expect("founded");
        }
        left
    }

    pub(super) fn dir(&self, n: usize) -> PathBuf {
        self.0.path().join(format!("m{n}"))
    }

    pub(super) fn source(&self, n: usize) -> Source {
        Source { data_dir: self.dir(n), wal_dir: None }
    }

    pub(super) fn store(&self, n: usize) -> Store {
        store(self.dir(n).join("member/store"))
    }

    /// A log, for writing.
    pub(super) fn open_log(&self, n: usize) -> Log {
        let dir = self.dir(n).join("member/log");
        let size = files::disk_size(&dir).expect("a disk");
        let options = LogOptions { mode: Mode::Inline, ..LogOptions::on_disk_of(size, Arc::new(Dice)) };
        Log::open(Arc::new(RealDisk::open(&dir).expect("not in use")), options).expect("a log")
    }

    /// Entries of a term that put these keys, at the end of a log.
    pub(super) fn log(&self, n: usize, term: u64, keys: &[&str]) {
        let log = self.open_log(n);
        for key in keys {
            let index = log.bounds().next;
            let put = Put { key: key.to_string().into(), value: "v".into(), ..Put::default() };
            let proposal =
                Proposal { stamp: Stamp::default(), caller: Caller::System, command: Command::Put(put) };
            let payload = Payload::Group(Arc::new(vec![proposal].into()));
            let position = LogPosition { term, leader: 0, index };
            log.append(vec![Entry { position, payload }], Box::new(|done| done.expect("written")))
                .expect("appended");
        }
        log.close();
    }

    /// What the log holds goes to the state; with `purged` the log begins after it.
    pub(super) fn apply(&self, n: usize, purged: bool) {
        let (state, log) = (self.store(n), self.open_log(n));
        replay_all(&log, &state).expect("applied");
        state.close().expect("closed");
        if let (true, Some(last)) = (purged, log.bounds().last) {
            log.purge(last, Some(last)).expect("purged");
        }
        log.close();
    }

    /// The first frame of each segment is not as it was written.
    fn damage_log(&self, n: usize) {
        let log = self.dir(n).join("member/log");
        let segments = fs::read_dir(&log).expect("readable").map(|entry| entry.expect("an entry").path());
        for segment in segments.filter(|path| path.extension().is_some_and(|end| end == "seg")) {
            let mut bytes = fs::read(&segment).expect("readable");
            bytes.iter_mut().skip(4096).take(64).for_each(|byte| *byte ^= 0x55);
            fs::write(&segment, bytes).expect("written");
        }
    }

    fn condemn(&self, n: usize, what: &Condemned) {
        let state = self.store(n);
        state.condemn(what).expect("marked");
        state.close().expect("closed");
    }

    fn plan(&self, members: &[usize]) -> Plan {
        plan(&members.iter().map(|n| self.source(*n)).collect::<Vec<_>>()).expect("a plan")
    }

    /// Whose state and whose log are kept.
    fn kept(&self, plan: &Plan) -> (PathBuf, PathBuf) {
        let (state, log) = (plan.state().expect("a state"), plan.log().expect("a log"));
        (state.source.data_dir.clone(), log.source.data_dir.clone())
    }

    /// Which of the keys the new cluster has.
    async fn recovered(&self, members: &[usize], forced: bool) -> Result<String, OfflineError> {
        let data_dir = self.0.path().join("new");
        let _ = fs::remove_dir_all(&data_dir);
        let sources = members.iter().map(|n| self.source(*n)).collect();
        recover(&Recovery { sources, data_dir: data_dir.clone(), wal_dir: None, bump: 1000, forced }).await?;
        let state = store(data_dir.join("member/store"));
        assert!(!state.is_condemned());
        let has = |key: &&str| state.get(key.as_bytes()).expect("read").is_some();
        Ok(["a", "b", "c", "x"].into_iter().filter(has).collect())
    }
}

fn wrong() -> Condemned {
    Condemned { why: "it differs".into(), replace: true, told: true }
}

#[tokio::test]
async fn the_log_of_a_member_whose_state_is_wrong_goes_on_after_a_state_that_is_right() {
    let left = Left::new(2).await;
    left.log(0, 2, &["a"]);
    left.log(1, 2, &["a", "b", "c"]);
    left.apply(0, false);
    // What nobody else has any more does not stand against the longer log.
    left.log(0, 2, &["b"]);
    left.condemn(1, &wrong());
    let plan = left.plan(&[0, 1]);
    assert_eq!(left.kept(&plan), (left.dir(0), left.dir(1)));
    let kept = plan.kept.as_ref().expect("something is kept");
    assert!(Some(kept.revision) > plan.state().expect("a state").revision);
    assert!(!plan.is_majority && plan.missing.len() == 3 && plan.longer().is_empty());
    assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "abc");
    // Of two entries at one place that of the later term counts.
    left.log(0, 3, &["x"]);
    assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "abx");
}

#[tokio::test]
async fn a_log_that_begins_after_a_state_needs_what_lies_between() {
    let left = Left::new(2).await;
    left.log(0, 2, &["a"]);
    left.apply(0, false);
    left.log(1, 2, &["a", "b"]);
    left.apply(1, true);
    left.log(1, 2, &["c"]);
    left.condemn(1, &wrong());
    let plan = left.plan(&[0, 1]);
    assert_eq!(left.kept(&plan), (left.dir(0), left.dir(0)));
    assert_eq!(
        plan.longer().iter().map(|one| one.source.data_dir.clone()).collect::<Vec<_>>(),
        [left.dir(1)]
    );
    assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "a");
    // With it, in the log of the member whose state is right, all of it is there.
    left.log(0, 2, &["b"]);
    assert_eq!(left.kept(&left.plan(&[0, 1])), (left.dir(0), left.dir(1)));
    assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "abc");
}

#[tokio::test]
async fn without_a_right_state_the_best_of_what_is_left_is_kept() {
    let left = Left::new(3).await;
    for n in 0..3 {
        left.log(n, 2, &["a"]);
        left.apply(n, false);
    }
    left.log(2, 2, &["b"]);
    left.condemn(1, &wrong());
    left.condemn(2, &wrong());
    left.condemn(0, &Condemned::wish());
    // Three of five, but none of them would lead.
    let plan = left.plan(&[1, 2, 0]);
    assert_eq!(left.kept(&plan), (left.dir(0), left.dir(2)));
    assert!(!plan.is_majority);
    assert_eq!(plan.state().expect("a state").condition, Condition::Unwanted);
    assert_eq!(left.recovered(&[1, 2, 0], false).await.expect("recovered"), "ab");
    let refused = left.recovered(&[1, 2], false).await.expect_err("refused").to_string();
    assert!(refused.contains("known to be wrong") && refused.contains("--force"), "{refused}");
    assert_eq!(left.kept(&left.plan(&[1, 2])), (left.dir(2), left.dir(2)));
    assert_eq!(left.recovered(&[1, 2], true).await.expect("recovered"), "ab");
}

#[tokio::test]
async fn of_a_member_whose_state_is_damaged_the_log_counts() {
    let left = Left::new(2).await;
    for n in 0..2 {
        left.log(n, 2, &["a"]);
        left.apply(n, false);
    }
    left.log(1, 2, &["b"]);
    let data = left.dir(1).join("member/store/state-1/data.mdb");
    let mut bytes = fs::read(&data).expect("readable");
    bytes.iter_mut().skip(4096 * 2).for_each(|byte| *byte ^= 0x55);
    fs::write(&data, bytes).expect("written");
    let plan = left.plan(&[0, 1]);
    let damaged = plan.found.iter().find(|found| found.source.data_dir == left.dir(1)).expect("it is there");
    assert!(matches!(damaged.condition, Condition::Lost(_)), "{damaged:?}");
    assert_eq!(left.kept(&plan), (left.dir(0), left.dir(1)));
    assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "ab");
    assert!(left.plan(&[1]).kept.is_none());
    let nothing = left.recovered(&[1], true).await.expect_err("nothing is left").to_string();
    assert!(nothing.contains("lost") && !nothing.contains("--force"), "{nothing}");
}

#[tokio::test]
async fn of_a_member_whose_state_is_gone_the_log_counts() {
    for gone in ["store/state-1", "store"] {
        let left = Left::new(2).await;
        for n in 0..2 {
            left.log(n, 2, &["a"]);
            left.apply(n, n == 1);
        }
        left.log(1, 2, &["b"]);
        fs::remove_dir_all(left.dir(1).join("member").join(gone)).expect("removed");
        let plan = left.plan(&[0, 1]);
        let lost = plan.found.iter().find(|found| found.source.data_dir == left.dir(1)).expect("it is there");
        assert!(matches!(lost.condition, Condition::Lost(_)) && lost.log_damage.is_none(), "{lost:?}");
        assert_eq!(left.kept(&plan), (left.dir(0), left.dir(1)));
        assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "ab");
        // No empty cluster comes of it.
        assert!(left.plan(&[1]).kept.is_none() && left.recovered(&[1], true).await.is_err());
    }
}

#[tokio::test]
async fn of_a_member_whose_state_is_gone_and_whose_log_has_nothing_no_empty_cluster_comes() {
    type Spoil = fn(&Left);
    let spoils: [Spoil; 2] = [
        |left| left.damage_log(1),
        |left| {
            let log = left.dir(1).join("member/log");
            fs::remove_dir_all(&log).and_then(|()| fs::create_dir(&log)).expect("emptied");
        },
    ];
    for spoil in spoils {
        let left = Left::new(2).await;
        for n in 0..2 {
            left.log(n, 2, &["a"]);
            left.apply(n, false);
        }
        fs::remove_dir_all(left.dir(1).join("member/store")).expect("removed");
        spoil(&left);
        assert!(left.plan(&[1]).kept.is_none() && left.recovered(&[1], true).await.is_err());
        // A state that is wrong is more than none.
        left.condemn(0, &wrong());
        assert_eq!(left.kept(&left.plan(&[0, 1])), (left.dir(0), left.dir(0)));
        assert!(left.recovered(&[0, 1], false).await.is_err());
        assert_eq!(left.recovered(&[0, 1], true).await.expect("recovered"), "a");
    }
}

/// Three of five are a majority as long as the third one starts.
#[tokio::test]
async fn a_member_that_does_not_start_is_none_of_a_majority() {
    let left = Left::new(3).await;
    for n in 0..3 {
        left.log(n, 2, &["a"]);
        left.apply(n, n == 2);
    }
    let is_majority = || left.plan(&[0, 1, 2]).is_majority;
    assert!(is_majority());
    let data = left.dir(2).join("member/store/state-1/data.mdb");
    let pristine = fs::read(&data).expect("readable");
    let damage = |skip: usize, count: usize| {
        let mut bytes = pristine.clone();
        bytes.iter_mut().skip(skip).take(count).for_each(|byte| *byte ^= 0x55);
        fs::write(&data, bytes).expect("written");
    };
    // One of LMDB's two meta pages is enough to take part without data.
    damage(4096 + 16, 64);
    assert!(is_majority());
    damage(4096 * 2, usize::MAX);
    assert!(!is_majority(), "nothing is left of the state");
    for gone in ["store/state-1", "store"] {
        fs::remove_dir_all(left.dir(2).join("member").join(gone)).expect("removed");
        assert!(!is_majority(), "{gone} is gone");
        assert_eq!(left.recovered(&[0, 1, 2], false).await.expect("recovered"), "a");
    }
}

#[tokio::test]
async fn of_a_member_whose_log_is_damaged_the_state_counts() {
    let left = Left::new(2).await;
    for n in 0..2 {
        left.log(n, 2, &["a"]);
        left.apply(n, false);
    }
    left.log(1, 2, &["b"]);
    left.apply(1, false);
    left.log(1, 2, &["x"]);
    left.damage_log(1);
    // It has more than the other one all the same, and is no voter that could be started.
    let plan = left.plan(&[0, 1]);
    let damaged = plan.state().expect("a state");
    assert!(damaged.log_damage.as_ref().is_some_and(|why| why.contains("damaged at offset")), "{damaged:?}");
    assert_eq!(left.kept(&plan), (left.dir(1), left.dir(1)));
    assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "ab");
    assert_eq!(left.recovered(&[1], false).await.expect("recovered"), "ab");
    // The other log goes on after its state.
    left.log(0, 2, &["b", "c"]);
    left.condemn(0, &wrong());
    let plan = left.plan(&[0, 1]);
    assert_eq!(left.kept(&plan), (left.dir(1), left.dir(0)));
    assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "abc");
}

/// What is at each place below a directory: content, mode, times.
fn everything(dir: &Path, into: &mut BTreeMap<PathBuf, (Vec<u8>, u32, i64, i64)>) {
    let add = |path: &Path, content: Vec<u8>, into: &mut BTreeMap<_, _>| {
        let found = path.metadata().expect("there");
        let times = (found.mtime_nsec(), found.ctime_nsec());
        into.insert(path.to_path_buf(), (content, found.mode(), times.0, times.1));
    };
    add(dir, Vec::new(), into);
    for entry in fs::read_dir(dir).expect("readable").flatten() {
        match entry.path().is_dir() {
            true => everything(&entry.path(), into),
            false => add(&entry.path(), fs::read(entry.path()).expect("readable"), into),
        }
    }
}

/// Nobody but root can write to it.
fn close(dir: &Path) {
    for entry in fs::read_dir(dir).expect("readable").flatten() {
        match entry.path().is_dir() {
            true => close(&entry.path()),
            false => {
                fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o444)).expect("closed");
            }
        }
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).expect("closed");
}

fn open(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("opened");
    for entry in fs::read_dir(dir).expect("readable").flatten().filter(|entry| entry.path().is_dir()) {
        open(&entry.path());
    }
}

#[tokio::test]
async fn a_plan_and_a_recovery_change_nothing_of_what_is_left() {
    let left = Left::new(4).await;
    for n in 0..4 {
        left.log(n, 2, &["a"]);
        left.apply(n, n == 1);
        // Only in the log.
        left.log(n, 2, &["b"]);
    }
    left.log(1, 2, &["c"]);
    left.condemn(1, &wrong());
    // What a start removes: a state that was never in use, a part of a segment, and the mark of an orderly end.
    let state = left.dir(0).join("member/store");
    assert!(state.join("state-1/CLEAN").exists());
    fs::create_dir(state.join("state-9")).expect("made");
    fs::write(left.dir(0).join("member/log/00000000000000ff.tmp"), "a part").expect("written");
    // A copy without what belongs to a process, and a member whose state is gone.
    for file in ["log/LOCK", "store/state-1/lock.mdb"] {
        fs::remove_file(left.dir(2).join("member").join(file)).expect("removed");
    }
    fs::remove_dir_all(left.dir(3).join("member/store")).expect("removed");
    let all = || {
        let mut all = BTreeMap::new();
        (0..4).for_each(|n| everything(&left.dir(n), &mut all));
        all
    };
    for closed in [false, true] {
        if closed {
            (0..4).for_each(|n| close(&left.dir(n)));
        }
        let before = all();
        let plan = left.plan(&[0, 1, 2, 3]);
        assert_eq!(plan.kept.as_ref().map(|kept| kept.state != kept.log), Some(true), "{plan:?}");
        assert_eq!(left.kept(&plan).1, left.dir(1));
        // One may be a copy of the other without its own log's last entries: nothing was taken for written.
        assert_eq!(left.plan(&[0, 2]).found.iter().map(|found| found.last).collect::<Vec<_>>(), {
            let found = &plan.found;
            [0, 2].map(|n| found.iter().find(|one| one.source.data_dir == left.dir(n)).expect("there").last)
        });
        assert_eq!(left.recovered(&[0, 1, 2, 3], true).await.expect("recovered"), "abc");
        let after = all();
        for (path, before) in &before {
            assert!(after.get(path) == Some(before), "{} has changed", path.display());
        }
        assert_eq!(before.len(), after.len());
    }
    (0..4).for_each(|n| open(&left.dir(n)));
}

#[tokio::test]
async fn a_member_that_runs_is_shown_and_nothing_is_made_of_it() {
    let left = Left::new(3).await;
    for n in 0..3 {
        left.log(n, 2, &["a"]);
        left.apply(n, false);
    }
    left.log(1, 2, &["b"]);
    // As a member has them that runs.
    let (log, state) = (left.open_log(1), left.store(1));
    let plan = left.plan(&[0, 1]);
    let runs = plan.found.last().expect("two");
    assert!(runs.runs && !plan.found[0].runs && runs.source == left.source(1), "{plan:?}");
    assert_eq!((runs.last, runs.term), (log.bounds().last, log.vote().map_or(0, |vote| vote.term)));
    assert_eq!(
        runs.identity.member,
        identity::load(&left.dir(1).join("member")).expect("read").expect("one").member
    );
    assert_eq!((runs.revision, runs.members.len()), (Some(state.revision()), 5));
    // It has more, but it is not kept as it is now.
    assert_eq!(left.kept(&plan), (left.dir(0), left.dir(0)));
    assert!(!plan.is_majority && plan.missing.len() == 3);
    assert_eq!(plan.longer(), [runs]);
    let refused = left.recovered(&[0, 1], false).await.expect_err("refused").to_string();
    assert!(refused.contains("in use"), "{refused}");
    // Nothing of it alone, and a majority with the others.
    let plan = left.plan(&[1]);
    assert!(plan.kept.is_none() && plan.missing.len() == 4, "{plan:?}");
    assert!(left.plan(&[0, 1, 2]).is_majority);
    // It goes on: nothing was locked.
    state.checkpoint().expect("written");
    log.close();
}

#[tokio::test]
async fn the_log_of_a_member_whose_state_is_an_older_copy_goes_on_after_another_state() {
    let left = Left::new(2).await;
    for n in 0..2 {
        left.log(n, 2, &["a"]);
        left.apply(n, false);
    }
    let (store, older) = (left.dir(1).join("member/store"), left.0.path().join("older"));
    fs::rename(&store, &older).expect("moved");
    copy(&older, &store);
    left.log(0, 2, &["b"]);
    left.apply(0, false);
    left.log(1, 2, &["b"]);
    left.apply(1, true);
    left.log(1, 2, &["c"]);
    fs::remove_dir_all(&store).expect("removed");
    fs::rename(&older, &store).expect("put back");
    let plan = left.plan(&[0, 1]);
    let gap = plan.found.iter().find(|found| found.source == left.source(1)).expect("there");
    assert!(gap.gap.as_ref().is_some_and(|why| why.contains("older date")), "{gap:?}");
    assert!(gap.log_damage.is_none() && gap.revision < plan.kept.as_ref().map(|kept| kept.revision));
    assert_eq!(left.kept(&plan), (left.dir(0), left.dir(1)));
    assert_eq!(left.recovered(&[0, 1], false).await.expect("recovered"), "abc");
    // Alone it is what it was, and its log is of no use.
    let plan = left.plan(&[1]);
    assert_eq!(left.kept(&plan), (left.dir(1), left.dir(1)));
    assert!(plan.is_without_log() && plan.longer().len() == 1 && plan.undecided() == 0);
    assert_eq!(left.recovered(&[1], false).await.expect("recovered"), "a");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("readable").flatten() {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => _ = fs::copy(entry.path(), to.join(entry.file_name())).expect("copied"),
        }
    }
}

#[test]
fn the_log_and_the_state_of_another_member_are_refused_and_not_opened() {
    let root = tempfile::tempdir().expect("a directory");
    let (data, wal) = (root.path().join("data"), root.path().join("wal"));
    let store = data.join("member/store");
    for dir in [&store, &wal] {
        fs::create_dir_all(dir).expect("made");
    }
    let own = Identity { member: MemberId(0xa), cluster: ClusterId(0xc), epoch: 0 };
    identity::create(&data.join("member"), &own).expect("made");
    let source = Source { data_dir: data, wal_dir: Some(wal.clone()) };
    let other = Identity { cluster: ClusterId(0xd), ..own };
    for dir in [&wal, &store] {
        identity::create(dir, &other).expect("made");
        let refused = Opened::lock(&source).err().expect("another cluster's").to_string();
        assert!(refused.contains("belongs to member a of cluster d"), "{refused}");
        assert!(!wal.join("LOCK").exists());
        identity::create(dir, &own).expect("made");
    }
    assert!(Opened::lock(&source).is_ok());
}
