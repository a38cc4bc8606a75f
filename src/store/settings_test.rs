//! Members with different settings apply one log: their answers and their final states must be the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tests::manual;
use super::*;
use crate::model::{
    Alarm, AlarmKind, Caller, Command, Delete, KeyRange, LogPosition, Member, MemberChange, MemberId,
    Observer, Op, Proposal, Put, Reply, Stamp, Txn,
};

/// Settings that differ as much as possible.
fn different() -> Vec<Options> {
    let background = CheckpointPolicy::Background {
        interval: std::time::Duration::from_millis(1),
        bytes: 20_000,
        operations: 10,
    };
    vec![
        Options { quota: None, ..manual() },
        Options { quota: Some(1), recent_revisions: 1, recent_bytes: 1, ..manual() },
        Options { quota: Some(60_000), checkpoint: background, compaction_batch: 1, ..manual() },
    ]
}

fn put(key: &str, length: usize) -> Put {
    Put { key: key.to_string().into(), value: vec![7; length].into(), lease: 9, ..Put::default() }
}

fn learner(id: u64) -> Member {
    let url = format!("http://10.0.0.{id}:2380");
    Member { learner: true, ..Member::founder(MemberId(id), vec![url]) }
}

/// Commands that depend on some setting.
fn commands() -> Vec<Command> {
    let mut all = vec![Command::LeaseGrant { id: 9, ttl: 3600 }];
    all.extend((1..=5).map(|id| Command::Member(MemberChange::Add(learner(id)))));
    for round in 0..30 {
        all.push(Command::Put(put(&format!("k{}", round % 7), 4096)));
        let many = (0..200).map(|n| Op::Put(put(&format!("t{round}/{n}"), 10))).collect();
        all.push(Command::Txn(Txn { success: many, ..Txn::default() }));
        all.push(Command::Delete(Delete { range: KeyRange::single(format!("t{round}/1")), prev_kv: true }));
        all.push(Command::LeaseGrant { id: 100 + round, ttl: round });
        if round % 10 == 9 {
            all.push(Command::Compact { revision: 1 + 2 * round });
        }
    }
    let alarm = Alarm { member: MemberId(2), kind: AlarmKind::NoSpace };
    all.extend([Command::AlarmRaise(alarm), Command::Put(put("k", 1)), Command::AlarmClear(alarm)]);
    all.extend([Command::Put(put("k", 1)), Command::LeaseRevoke { id: 9 }]);
    all
}

#[test]
fn members_with_different_settings_answer_and_end_alike() {
    let dirs: Vec<_> = different().iter().map(|_| tempfile::tempdir().unwrap()).collect();
    let stores: Vec<Store> = different()
        .into_iter()
        .zip(&dirs)
        .map(|(options, dir)| Store::open(dir.path(), options).unwrap())
        .collect();
    for (index, command) in (0..).zip(commands()) {
        let position = LogPosition { term: 1, leader: 1, index };
        let proposal = [Proposal { stamp: Stamp::default(), caller: Caller::Anonymous, command }];
        let replies: Vec<_> = stores.iter().map(|store| store.apply(position, &proposal).unwrap()).collect();
        for reply in &replies {
            assert_eq!(*reply, replies[0], "{:?}", proposal[0].command);
        }
    }
    let end = |store: &Store| {
        let state = (store.revision(), store.compacted_revision(), store.members(), store.alarms());
        (state, store.leases().unwrap(), store.hash_kv(0).unwrap())
    };
    for store in &stores {
        assert_eq!(end(store), end(&stores[0]));
        assert_eq!(store.members().len(), 5, "the leader has decided how many learners there may be");
    }
}

/// Counts how often a member is notified that it is above its quota.
#[derive(Default)]
struct Alarmed(AtomicU64);

impl Observer for Alarmed {
    fn on_quota_exceeded(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn on_restored(&self, _: i64) {}
}

#[test]
fn a_write_above_the_quota_is_done_answered_so_and_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options { quota: Some(30_000), ..manual() }).unwrap();
    let alarmed = Arc::new(Alarmed::default());
    store.set_observers(vec![alarmed.clone()]);
    let noticed = || alarmed.0.load(Ordering::Relaxed);
    let mut index = 0;
    let mut run = |command: Command| {
        let position = LogPosition { term: 1, leader: 1, index };
        index += 1;
        store
            .apply(position, &[Proposal { stamp: Stamp::default(), caller: Caller::Anonymous, command }])
            .unwrap()
            .remove(0)
    };
    let large = || Command::Put(Put { key: "k".into(), value: vec![0; 8000].into(), ..Put::default() });
    assert!(matches!(run(large()), Reply::Op(_)));
    assert_eq!(noticed(), 0);
    assert!(matches!(run(large()), Reply::Op(_)), "it was proposed, so it is done");
    assert_eq!(noticed(), 1);
    // A command that takes no space causes no notification.
    run(Command::Delete(Delete { range: KeyRange::single("x"), prev_kv: false }));
    assert_eq!(noticed(), 1);
    // A raised quota counts at once.
    store.set_quota(Some(1 << 30));
    assert!(matches!(run(large()), Reply::Op(_)));
    assert_eq!(noticed(), 1);
    assert_eq!(store.revision(), 4);
}
