//! The random histories over the real store, read from its ring and from its tables.

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::model::Change;
use super::random::{self, Subject};
use crate::model::{Caller, Command, Delete, LogPosition, Op, Proposal, Put, Reply, Stamp, Txn};
use crate::model::{KeyRange, RevisionEvents};
use crate::store::{self, CheckpointPolicy, Store};
use crate::watch::{FeedItem, Hub, Options, Want, WatchSpec};

struct Real {
    store: Store,
    index: u64,
    _dir: TempDir,
}

impl Real {
    fn propose(&mut self, commands: Vec<Command>) {
        let position = LogPosition { term: 1, leader: 1, index: self.index };
        self.index += 1;
        let proposal = |command| Proposal { stamp: Stamp::default(), caller: Caller::Anonymous, command };
        let proposals: Vec<Proposal> = commands.into_iter().map(proposal).collect();
        for reply in self.store.apply(position, &proposals).expect("applied") {
            assert!(!matches!(reply, Reply::Refused(_)), "{reply:?}");
        }
        if self.index.is_multiple_of(64) {
            self.store.checkpoint().expect("a checkpoint");
            self.store.prune().expect("pruned");
        }
    }
}

fn operation(change: &Change) -> Op {
    match change.clone() {
        Change::Put(key, value) => Op::Put(Put { key, value: shared(&value), ..Put::default() }),
        Change::Delete(range) => Op::Delete(Delete { range, prev_kv: false }),
    }
}

fn shared(value: &Bytes) -> Bytes {
    Bytes::copy_from_slice(value)
}

impl Subject for Real {
    fn apply(&mut self, transactions: &[Vec<Change>]) {
        let commands = transactions.iter().map(|changes| match changes.as_slice() {
            [change] => match operation(change) {
                Op::Put(put) => Command::Put(put),
                Op::Delete(delete) => Command::Delete(delete),
                other => panic!("{other:?}"),
            },
            changes => {
                let success = changes.iter().map(operation).collect();
                Command::Txn(Txn { success, ..Txn::default() })
            }
        });
        self.propose(commands.collect());
    }

    fn compact(&mut self, revision: i64) {
        self.propose(vec![Command::Compact { revision }]);
    }
}

#[test]
fn over_the_store() {
    for seed in random::seeds().into_iter().take(4) {
        let dir = TempDir::new().unwrap();
        let options = store::Options {
            map_size: 1 << 30,
            quota: None,
            checkpoint: CheckpointPolicy::Manual,
            recent_revisions: if seed % 2 == 0 { 8192 } else { 50 },
            ..store::Options::default()
        };
        let store = Store::open(dir.path(), options).unwrap();
        let memory = if seed % 2 == 0 { 4 << 20 } else { 1 << 30 };
        let options = Options { memory, page_bytes: 200_000, at_once: if seed % 3 == 0 { 1024 } else { 1 } };
        let hub = Hub::new(Arc::new(store.clone()), options);
        store.set_observers(vec![hub.clone()]);
        random::run(seed, hub, Real { store, index: 0, _dir: dir });
    }
}

/// Holds the bytes that events have of former values.
#[derive(Default)]
struct Former(parking_lot::Mutex<Vec<usize>>);

impl crate::model::Observer for Former {
    fn on_events(&self, revisions: &[RevisionEvents]) {
        let former = |revision: &RevisionEvents| {
            let before = revision.events.iter().filter_map(|event| event.prev_kv.as_ref());
            before.map(|kv| kv.value.len()).sum::<usize>()
        };
        self.0.lock().extend(revisions.iter().map(former));
    }

    fn on_restored(&self, _: i64) {}
}

/// A deletion of more than is held in memory, by a range and with a lease: its events have no former values, and a watcher
/// that wants them reads them from the history, in order with what comes before and after.
#[tokio::test]
async fn former_values_of_a_huge_deletion_come_from_the_history() {
    const VALUES: usize = 12;
    const SIZE: usize = 1_000_000;
    for (is_on_disk, by_lease) in [(true, false), (false, false), (true, true)] {
        let dir = TempDir::new().unwrap();
        let options = store::Options {
            map_size: 1 << 30,
            quota: None,
            checkpoint: CheckpointPolicy::Manual,
            ..store::Options::default()
        };
        let store = Store::open(dir.path(), options).unwrap();
        let hub = Hub::new(Arc::new(store.clone()), Options::default());
        let former = Arc::new(Former::default());
        store.set_observers(vec![hub.clone(), former.clone()]);
        let mut real = Real { store, index: 0, _dir: dir };
        real.propose(vec![Command::LeaseGrant { id: 7, ttl: 60 }]);
        let put = |key: String, size: usize| {
            let (key, value, lease) = (key.into(), vec![b'x'; size].into(), if by_lease { 7 } else { 0 });
            Command::Put(Put { key, value, lease, ..Put::default() })
        };
        for number in 0..VALUES {
            real.propose(vec![put(format!("k{number:02}"), SIZE)]);
        }
        if is_on_disk {
            real.store.checkpoint().expect("a checkpoint");
        }
        let watch = |prev_kv| {
            let want = Want { prev_kv, ..Want::default() };
            hub.watch(WatchSpec { tag: 0, range: KeyRange::all(), start_revision: 0, want })
        };
        let feeds = [watch(false), watch(true)];
        former.0.lock().clear();
        real.propose(vec![put("a".into(), 1)]);
        let range = KeyRange { start: "k".into(), end: crate::model::RangeEnd::Open };
        real.propose(vec![match by_lease {
            true => Command::LeaseRevoke { id: 7 },
            false => Command::Delete(Delete { range, prev_kv: false }),
        }]);
        real.propose(vec![Command::Put(Put { key: "b".into(), ..Put::default() })]);
        let held = former.0.lock().clone();
        assert!(held.iter().all(|held| *held <= 5 * SIZE), "{held:?}");
        for (feed, prev_kv) in feeds.iter().zip([false, true]) {
            let mut events = Vec::new();
            while events.last().is_none_or(|event: &crate::model::Event| event.kv.key != "b") {
                let FeedItem::Events { runs, .. } = feed.next().await else { panic!("events") };
                events.extend(runs.iter().flat_map(|run| run.events()).cloned());
            }
            // With the lease goes the first key, too.
            assert_eq!(events.len(), VALUES + 2 + usize::from(by_lease));
            let values = events.iter().filter_map(|event| event.prev_kv.as_ref()).map(|kv| kv.value.len());
            if prev_kv {
                assert_eq!(values.filter(|len| *len == SIZE).count(), VALUES, "{is_on_disk} {by_lease}");
            }
        }
    }
}
