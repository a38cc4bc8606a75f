//! Tests of the whole store.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::format::meta::EMPTY_SIZE;
use super::*;
use crate::model::{
    Alarm, AlarmKind, Caller, Command, Delete, Event, KeyRange, LeaseChange, LogPosition, Member,
    MemberChange, MemberId, Observer, Op, Proposal, Put, RangeQuery, Refusal, Reply, RevisionEvents, Stamp,
    Txn,
};

/// Options without a thread.
pub(super) fn manual() -> Options {
    Options { checkpoint: CheckpointPolicy::Manual, map_size: 4 << 30, ..Options::default() }
}

/// A store in its own directory, which applies commands one after another.
pub(super) struct Bench {
    pub dir: tempfile::TempDir,
    pub store: Store,
    /// Entries that were applied.
    pub index: u64,
}

impl Bench {
    pub fn new(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), options).unwrap();
        Self { dir, store, index: 0 }
    }

    /// The position of the last one.
    pub fn position(&self) -> LogPosition {
        LogPosition { term: 1, leader: 1, index: self.index - 1 }
    }

    pub fn run(&mut self, command: Command) -> Reply {
        self.index += 1;
        let proposal =
            Proposal { stamp: Stamp::at(1000 * self.index as i64), caller: Caller::Anonymous, command };
        self.store.apply(self.position(), &[proposal]).unwrap().pop().unwrap()
    }

    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Reply {
        self.run(Command::Put(Put { key: key.into(), value: value.into(), ..Put::default() }))
    }

    pub fn delete(&mut self, range: KeyRange) -> Reply {
        self.run(Command::Delete(Delete { range, prev_kv: false }))
    }

    pub fn values(&self, range: KeyRange, revision: i64) -> Vec<(Bytes, Bytes)> {
        let query = RangeQuery { revision, ..RangeQuery::current(range) };
        let found = self.store.range(&query).unwrap();
        found.kvs.into_iter().map(|kv| (kv.key, kv.value)).collect()
    }

    /// Drops the store as in a crash, and opens it again. The store's thread is waited for: while it works it keeps the
    /// environment open, which one process cannot open twice.
    pub fn crash(self, options: Options) -> Self {
        let Self { dir, store, .. } = self;
        store.0.signal.request_stop();
        store.0.signal.join();
        drop(store);
        let store = Store::open(dir.path(), options).unwrap();
        let index = store.applied().map_or(0, |applied| applied.index + 1);
        Self { dir, store, index }
    }
}

fn text(pairs: &[(&str, &str)]) -> Vec<(Bytes, Bytes)> {
    let owned = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    pairs.iter().map(|(key, value)| (owned(key), owned(value))).collect()
}

#[test]
fn versions_are_read_from_head_and_tables_alike() {
    let mut bench = Bench::new(manual());
    bench.put("a", "1");
    bench.put("b", "2");
    bench.store.checkpoint().unwrap();
    bench.put("a", "3");
    bench.delete(KeyRange::single("b"));
    bench.put("c", "4");
    for _ in 0..2 {
        assert_eq!(bench.values(KeyRange::all(), 0), text(&[("a", "3"), ("c", "4")]));
        assert_eq!(bench.values(KeyRange::all(), 2), text(&[("a", "1")]));
        assert_eq!(bench.values(KeyRange::all(), 3), text(&[("a", "1"), ("b", "2")]));
        assert_eq!(bench.values(KeyRange::all(), 4), text(&[("a", "3"), ("b", "2")]));
        assert_eq!(bench.values(KeyRange::single("b"), 4), text(&[("b", "2")]));
        assert_eq!(bench.store.get(b"b").unwrap(), None);
        let a = bench.store.get(b"a").unwrap().unwrap();
        assert_eq!((a.create_revision, a.mod_revision, a.version), (2, 4, 2));
        bench.store.checkpoint().unwrap();
    }
}

#[test]
fn a_crash_takes_back_what_was_not_checkpointed() {
    let mut bench = Bench::new(manual());
    bench.put("a", "1");
    bench.store.checkpoint().unwrap();
    let durable = bench.store.checkpointed();
    bench.put("a", "2");
    let bench = bench.crash(manual());
    assert_eq!(bench.store.applied(), durable);
    assert_eq!(bench.store.revision(), 2);
    assert_eq!(bench.values(KeyRange::all(), 0), text(&[("a", "1")]));
}

#[test]
fn an_entry_is_applied_once() {
    let mut bench = Bench::new(manual());
    bench.put("a", "1");
    let again = bench.store.apply(bench.position(), &[]);
    assert!(matches!(again, Err(StoreError::OutOfOrder { .. })));
    assert!(bench.store.health().is_ok());
}

#[test]
fn long_keys_and_large_values() {
    let mut bench = Bench::new(manual());
    let long = |byte: u8, len: usize| Bytes::from(vec![byte; len]);
    let keys = [
        long(b'a', 900),
        long(b'a', 901),
        long(b'a', 1800),
        long(b'a', 5000),
        long(b'b', 1),
        long(b'b', 100_000),
    ];
    for (n, key) in keys.iter().enumerate() {
        bench.put(key.clone(), vec![n as u8; 70_000 * n]);
    }
    bench.store.checkpoint().unwrap();
    let found = |bench: &Bench, revision| -> Vec<(Bytes, usize)> {
        let values = bench.values(KeyRange::all(), revision);
        values.into_iter().map(|(key, value)| (key, value.len())).collect()
    };
    let expected: Vec<_> = keys.iter().cloned().zip((0..).map(|n| n * 70_000)).collect();
    assert_eq!(found(&bench, 0), expected);
    for key in &keys {
        bench.delete(KeyRange::single(key.clone()));
    }
    bench.store.checkpoint().unwrap();
    assert_eq!(found(&bench, 0), Vec::new());
    assert_eq!(found(&bench, 7), expected);
    bench.run(Command::Compact { revision: bench.store.revision() });
    bench.store.prune().unwrap();
    bench.run(Command::Put(Put { key: "x".into(), ..Put::default() }));
    bench.run(Command::Compact { revision: bench.store.revision() });
    bench.store.prune().unwrap();
    assert_eq!(bench.store.sizes().in_use, EMPTY_SIZE + 1 + 40);
    let reader = bench.store.0.reader().unwrap();
    let rows = |table: sealed::Table| table.len(&reader.disk().txn).unwrap();
    assert_eq!(rows(reader.tables[tables::Id::Old]), 0);
    assert_eq!(rows(reader.tables[tables::Id::Current]), 1);
    assert_eq!(rows(reader.tables[tables::Id::Chunks]), 0);
    assert_eq!(rows(reader.tables[tables::Id::History]), 1);
}

#[derive(Default)]
struct Listener {
    events: Mutex<Vec<Event>>,
    leases: Mutex<Vec<LeaseChange>>,
}

impl Observer for Listener {
    fn on_events(&self, revisions: &[RevisionEvents]) {
        for revision in revisions {
            self.events.lock().extend(revision.events.iter().cloned());
        }
    }
    fn on_leases(&self, changes: &[LeaseChange]) {
        self.leases.lock().extend(changes);
    }
    fn on_restored(&self, _: i64) {}
}

#[test]
fn observers_hear_what_history_tells() {
    let mut bench = Bench::new(Options { recent_revisions: 0, ..manual() });
    let listener = Arc::new(Listener::default());
    bench.store.set_observers(vec![listener.clone()]);
    bench.run(Command::LeaseGrant { id: 7, ttl: 10 });
    for n in 0..4 {
        bench.run(Command::Put(Put { key: format!("k{n}").into(), lease: 7, ..Put::default() }));
        bench.put("k1", format!("{n}"));
        if n == 1 {
            bench.store.checkpoint().unwrap();
        }
    }
    // Deleted and created by one revision.
    let delete = Op::Delete(Delete { range: KeyRange::single("k1"), prev_kv: false });
    let create = Op::Put(Put { key: "k1".into(), ..Put::default() });
    bench.run(Command::Txn(Txn { success: vec![delete, create], ..Txn::default() }));
    bench.run(Command::LeaseRevoke { id: 7 });
    let told = listener.events.lock().clone();
    assert_eq!(told.len(), 8 + 2 + 3);
    assert_eq!(listener.leases.lock().len(), 2);
    for _ in 0..2 {
        let (revisions, next) = bench.store.events(&Wanted::since(&KeyRange::all(), 1)).unwrap();
        let past: Vec<_> = revisions.into_iter().flat_map(|revision| revision.events).collect();
        assert_eq!(past, told);
        assert_eq!(next, bench.store.revision() + 1);
        bench.store.checkpoint().unwrap();
    }
}

#[test]
fn a_snapshot_carries_everything() {
    let mut bench = Bench::new(manual());
    bench.run(Command::LeaseGrant { id: 7, ttl: 10 });
    for n in 0..500 {
        bench.run(Command::Put(Put {
            key: format!("key-{n:04}").into(),
            value: vec![n as u8; n * 300].into(),
            lease: 7 * i64::from(n % 2 == 0),
            ..Put::default()
        }));
    }
    bench.put(vec![9; 3000], "long");
    bench.delete(KeyRange::single("key-0003"));
    let member = Member::founder(MemberId(5), vec!["http://a:1".into()]);
    bench.run(Command::Member(MemberChange::Add(member)));
    bench.run(Command::AlarmRaise(Alarm { member: MemberId(5), kind: AlarmKind::NoSpace }));
    bench.run(Command::Compact { revision: 100 });
    bench.store.checkpoint().unwrap();
    let mut snapshot = bench.store.snapshot().unwrap();
    let stream = whole(&mut snapshot);

    let mut other = Bench::new(manual());
    other.put("what was there before", "x");
    for cut in [0, 5, 20, 1000, stream.len() / 2, stream.len() - 1] {
        assert!(
            matches!(other.store.restore(pieces(&stream[..cut], cut / 3 + 1)), Err(StoreError::Snapshot(_))),
            "cut at {cut}"
        );
        let mut damaged = stream.clone();
        damaged[cut.min(stream.len() - 2)] ^= 1;
        assert!(other.store.restore(pieces(&damaged, 1000)).is_err(), "damaged at {cut}");
    }
    assert_eq!(other.values(KeyRange::all(), 0).len(), 1);
    let header = other.store.restore(pieces(&stream, 777)).unwrap();
    assert_eq!(&header, snapshot.header());
    for _ in 0..2 {
        assert_eq!(other.values(KeyRange::all(), 0), bench.values(KeyRange::all(), 0));
        assert_eq!(other.values(KeyRange::all(), 300), bench.values(KeyRange::all(), 300));
        assert_eq!(other.store.hash_kv(0).unwrap(), bench.store.hash_kv(0).unwrap());
        assert_eq!(other.store.members(), bench.store.members());
        assert_eq!(other.store.alarms(), bench.store.alarms());
        assert_eq!(other.store.lease_keys(7).unwrap(), bench.store.lease_keys(7).unwrap());
        assert_eq!(other.store.applied(), bench.store.applied());
        assert_eq!(other.store.sizes(), bench.store.sizes());
        other = other.crash(manual());
    }
    assert!(states::current(other.dir.path()).is_ok_and(|dir| !dir.ends_with("state-1")));
}

#[test]
fn a_prepared_state_is_nothing_until_it_is_adopted() {
    let mut source = Bench::new(manual());
    // More entries than its target has applied.
    for _ in 0..3 {
        source.put("new", "x");
    }
    source.store.checkpoint().unwrap();
    let prepare = |store: &Store| store.prepare(source.store.snapshot().unwrap(), |_| true).unwrap();
    let mut bench = Bench::new(manual());
    bench.put("old", "x");
    let states = |bench: &Bench| {
        let entries = std::fs::read_dir(bench.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("state-")).collect();
        names.sort();
        names
    };
    let (one, two) = (prepare(&bench.store), prepare(&bench.store));
    // The present state is still used and written.
    bench.put("older", "x");
    bench.store.checkpoint().unwrap();
    assert_eq!(bench.values(KeyRange::all(), 0).len(), 2);
    assert_eq!(states(&bench), ["state-1", "state-2", "state-3"]);
    drop(one);
    assert_eq!(states(&bench), ["state-1", "state-3"]);
    bench.store.adopt(two).unwrap();
    assert_eq!(states(&bench), ["state-3"]);
    assert_eq!(bench.values(KeyRange::all(), 0), source.values(KeyRange::all(), 0));
    // An environment that a crash left behind is removed when the store is opened.
    std::fs::create_dir(bench.dir.path().join("state-4")).unwrap();
    std::fs::write(bench.dir.path().join("state-4/data.mdb"), "half of it").unwrap();
    let bench = bench.crash(manual());
    assert_eq!(states(&bench), ["state-3"]);
    assert_eq!(bench.values(KeyRange::all(), 0), source.values(KeyRange::all(), 0));
}

#[test]
fn other_formats_and_other_files_are_refused() {
    let bench = Bench::new(manual());
    let Bench { dir, store, .. } = bench;
    {
        let tables = store.0.shared.read().tables.clone();
        let mut txn = tables.write().unwrap();
        let newer = [b"kvd-store".as_slice(), &9u32.to_be_bytes()].concat();
        tables.put_version(&mut txn, &newer).unwrap();
        txn.commit().unwrap();
    }
    drop(store);
    let error = Store::open(dir.path(), manual()).err().unwrap().to_string();
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
    assert!(error.contains("format 9") && error.contains("format 2"), "{error}");
    std::fs::write(dir.path().join("CURRENT"), "state-3\n").unwrap();
    assert!(matches!(Store::open(dir.path(), manual()), Err(StoreError::NotAStore { .. })));
    std::fs::write(dir.path().join("CURRENT"), "elsewhere\n").unwrap();
    assert!(matches!(Store::open(dir.path(), manual()), Err(StoreError::NotAStore { .. })));
}

fn whole(snapshot: &mut SnapshotReader) -> Vec<u8> {
    snapshot.flat_map(Result::unwrap).collect()
}

fn pieces(stream: &[u8], length: usize) -> Vec<io::Result<Bytes>> {
    stream.chunks(length).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect()
}

#[test]
fn the_directory_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new(manual());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(bench.dir.path()), 0o700);
    assert_eq!(mode(&states::current(bench.dir.path()).unwrap()), 0o700);
}

#[test]
fn the_thread_makes_checkpoints_and_removes() {
    let policy = CheckpointPolicy::Background {
        interval: std::time::Duration::from_millis(5),
        bytes: 1000,
        operations: 10,
    };
    let mut bench = Bench::new(Options { checkpoint: policy, compaction_batch: 7, ..manual() });
    for n in 0..300 {
        bench.put("k", format!("{n}"));
    }
    let revision = bench.store.revision();
    bench.run(Command::Compact { revision });
    bench.store.wait_compacted(revision).unwrap();
    assert_eq!(bench.store.sizes().in_use, EMPTY_SIZE + 1 + 3 + 40);
    bench.store.close().unwrap();
    assert_eq!(bench.store.checkpointed(), Some(bench.position()));
    let bench = bench.crash(manual());
    assert_eq!(bench.values(KeyRange::all(), 0), text(&[("k", "299")]));
}

#[test]
fn no_snapshot_is_ahead_of_what_counts_as_durable() {
    let policy = CheckpointPolicy::Background {
        interval: std::time::Duration::from_secs(3600),
        bytes: 1 << 30,
        operations: 1 << 30,
    };
    let mut bench = Bench::new(Options { checkpoint: policy, ..manual() });
    bench.put("k", "first");
    bench.store.checkpoint().unwrap();
    let (store, ended) = (bench.store.clone(), Arc::new(AtomicBool::new(false)));
    let seen = ended.clone();
    let reader = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            let snapshot = store.snapshot().unwrap().header().position.map(|position| position.index);
            let durable = store.checkpointed().map(|position| position.index);
            assert!(
                durable >= snapshot,
                "the snapshot ends with {snapshot:?}, the durable state with {durable:?}"
            );
        }
    });
    for n in 0..500 {
        bench.put("k", format!("{n}"));
        bench.store.checkpoint().unwrap();
        if reader.is_finished() {
            break;
        }
    }
    ended.store(true, Ordering::Relaxed);
    reader.join().unwrap();
}

#[test]
fn sizes_follow_quota_compaction_and_defragmentation() {
    let mut bench = Bench::new(Options { quota: Some(53_248), ..manual() });
    let fits = |bench: &Bench| {
        let put = Put { key: "k".into(), value: vec![0; 4096].into(), ..Put::default() };
        !bench.store.sizes().exceeded_by(quota::cost(&Command::Put(put)))
    };
    let put = |bench: &mut Bench| bench.put("k", vec![0; 4096]);
    let mut taken = 0;
    while fits(&bench) {
        assert!(matches!(put(&mut bench), Reply::Op(_)));
        taken += 1;
    }
    assert!((4..20).contains(&taken), "{taken}");
    // Commands that were proposed before it was full are applied and answered.
    assert!(matches!(put(&mut bench), Reply::Op(_)));
    let alarm = Alarm { member: MemberId(1), kind: AlarmKind::NoSpace };
    bench.run(Command::AlarmRaise(alarm));
    assert_eq!(put(&mut bench), Reply::Refused(Refusal::NoSpace));
    assert!(matches!(bench.delete(KeyRange::single("none")), Reply::Op(_)));
    let write = Txn { failure: vec![Op::Put(Put { key: "k".into(), ..Put::default() })], ..Txn::default() };
    assert_eq!(bench.run(Command::Txn(write)), Reply::Refused(Refusal::NoSpace));
    bench.run(Command::Compact { revision: bench.store.revision() });
    bench.store.prune().unwrap();
    bench.store.defragment().unwrap();
    bench.run(Command::AlarmClear(alarm));
    assert!(fits(&bench) && matches!(put(&mut bench), Reply::Op(_)));
}

#[test]
fn what_a_compaction_frees_counts_as_free() {
    let mut bench = Bench::new(Options { quota: Some(53_248), ..manual() });
    while !bench.store.sizes().exceeded_by(4096) {
        bench.put("k", vec![0; 4096]);
    }
    bench.run(Command::Compact { revision: bench.store.revision() });
    assert!(bench.store.is_compacting());
    bench.store.prune().unwrap();
    assert!(!bench.store.is_compacting());
    assert!(!bench.store.sizes().exceeded_by(4096), "{:?}", bench.store.sizes());
    assert!(matches!(bench.put("k", vec![0; 4096]), Reply::Op(_)));
}

#[test]
fn a_defragmentation_waits_for_the_compaction_under_way() {
    let policy = CheckpointPolicy::Background {
        interval: std::time::Duration::from_secs(3600),
        bytes: 1 << 20,
        operations: 1000,
    };
    let sleep = std::time::Duration::from_millis(5);
    let options = Options { checkpoint: policy, compaction_batch: 1, compaction_sleep: sleep, ..manual() };
    let mut bench = Bench::new(options);
    for _ in 0..50 {
        bench.put("k", vec![0; 4096]);
    }
    bench.run(Command::Compact { revision: bench.store.revision() });
    bench.store.defragment().unwrap();
    let sizes = bench.store.sizes();
    assert!(sizes.allocated < EMPTY_SIZE + 2 * 4096, "{sizes:?}");
    assert_eq!(sizes.allocated, sizes.in_use);
}

/// Every transaction writes the same number to ten keys, so a reader sees ten equal ones at any revision.
#[test]
fn readers_see_whole_changes_while_everything_goes_on() {
    const KEYS: usize = 10;
    const WRITES: i64 = 1500;
    let policy = CheckpointPolicy::Background {
        interval: std::time::Duration::from_millis(1),
        bytes: 1 << 20,
        operations: 50,
    };
    let sleep = std::time::Duration::from_millis(0);
    let options = Options {
        checkpoint: policy,
        compaction_batch: 20,
        compaction_sleep: sleep,
        recent_revisions: 20,
        ..manual()
    };
    let mut bench = Bench::new(options);
    let write = |n: i64| {
        let put =
            |k| Op::Put(Put { key: format!("k{k}").into(), value: n.to_string().into(), ..Put::default() });
        Command::Txn(Txn { success: (0..KEYS).map(put).collect(), ..Txn::default() })
    };
    bench.run(write(0));
    let store = bench.store.clone();
    std::thread::scope(|scope| {
        let read = |back: i64| {
            let store = store.clone();
            move || {
                while store.revision() < WRITES {
                    let revision = if back == 0 { 0 } else { (store.revision() - back).max(2) };
                    let query = RangeQuery { revision, ..RangeQuery::current(KeyRange::all()) };
                    match store.range(&query) {
                        Ok(found) => {
                            assert_eq!(found.kvs.len(), KEYS);
                            assert!(found.kvs.iter().all(|kv| kv.value == found.kvs[0].value), "{found:?}");
                        }
                        Err(refusal) => {
                            assert!(matches!(refusal, Refusal::Compacted { .. }) && back > 0, "{refusal}")
                        }
                    }
                }
            }
        };
        let threads = [0, 1, 30].map(|back| scope.spawn(read(back)));
        let follower = scope.spawn(|| {
            let (mut next, all) = (2, KeyRange::all());
            while next < WRITES {
                match store.events(&Wanted {
                    max_revisions: 7,
                    max_bytes: 1 << 20,
                    ..Wanted::since(&all, next)
                }) {
                    Ok((revisions, after)) => {
                        for revision in revisions {
                            assert_eq!(revision.revision, next, "no revision is left out");
                            assert_eq!(revision.events.len(), KEYS);
                            next += 1;
                        }
                        assert_eq!(after, next);
                    }
                    Err(Refusal::Compacted { compacted }) => next = compacted,
                    Err(refusal) => panic!("{refusal}"),
                }
            }
        });
        for n in 1..=WRITES {
            bench.run(write(n));
            if n % 50 == 0 {
                bench.run(Command::Compact { revision: bench.store.revision() - 20 });
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
        follower.join().unwrap();
    });
    bench.store.close().unwrap();
}

#[test]
fn a_broken_disk_stops_the_store_and_says_so() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let on_fatal: OnFatal = Arc::new(move |error: &StoreError| heard.lock().push(error.to_string()));
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = broken.clone();
    let before_commit: BeforeCommit = Arc::new(move || match seen.load(Ordering::Relaxed) {
        true => Err(io::Error::from_raw_os_error(libc::EIO)),
        false => Ok(()),
    });
    let options = Options { before_commit: Some(before_commit), on_fatal: Some(on_fatal), ..manual() };
    let mut bench = Bench::new(options);
    bench.put("a", "1");
    bench.store.checkpoint().unwrap();
    bench.put("b", "2");
    broken.store(true, Ordering::Relaxed);
    assert!(matches!(bench.store.checkpoint(), Err(StoreError::Lmdb { .. })));
    assert_eq!(said.lock().len(), 1);
    bench.index += 1;
    assert!(matches!(bench.store.apply(bench.position(), &[]), Err(StoreError::Failed(_))));
    assert!(matches!(bench.store.checkpoint(), Err(StoreError::Failed(_))));
    assert!(bench.store.range(&RangeQuery::current(KeyRange::all())).is_err());
    assert_eq!(said.lock().len(), 1);
    // Durable data are still there.
    let bench = bench.crash(manual());
    assert_eq!(bench.values(KeyRange::all(), 0), text(&[("a", "1")]));
}

#[test]
fn a_shortage_of_readers_is_an_answer_that_passes() {
    let mut bench = Bench::new(Options { max_readers: 8, recent_revisions: 0, ..manual() });
    bench.put("a", "1");
    bench.store.checkpoint().unwrap();
    let mut held = Vec::new();
    let short = loop {
        match bench.store.snapshot() {
            Ok(snapshot) => held.push(snapshot),
            Err(error) => break error,
        }
    };
    assert!(matches!(short, StoreError::Busy(_)), "{short}");
    let all = KeyRange::all();
    let store = &bench.store;
    let busy = Some(Refusal::TooManyRequests);
    assert_eq!(store.range(&RangeQuery::current(all.clone())).err(), busy);
    assert_eq!(store.page(&RangeQuery::current(all.clone()), usize::MAX).err(), busy);
    assert_eq!(store.get(b"a").err(), busy);
    assert_eq!(store.events(&Wanted { to: 2, ..Wanted::since(&all, 2) }).err(), busy);
    assert_eq!(store.leases().err(), busy);
    assert_eq!(store.live_keys().err(), busy);
    assert_eq!(store.hash().err(), busy);
    assert_eq!(store.hash_kv(0).err(), busy);
    store.health().unwrap();
    held.pop();
    assert_eq!(bench.values(all, 0), [("a".into(), "1".into())]);
    drop(held);
    bench.put("a", "2");
    bench.store.checkpoint().unwrap();
}
