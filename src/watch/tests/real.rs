//! The random histories over the real store, read from its ring and from its tables.

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::model::Change;
use super::random::{self, Subject};
use crate::model::{Caller, Command, Delete, LogPosition, Op, Proposal, Put, Reply, Stamp, Txn};
use crate::store::{self, CheckpointPolicy, Store};
use crate::watch::{Hub, Options};

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
        let options = Options { memory: if seed % 2 == 0 { 4 << 20 } else { 1 << 30 }, page_bytes: 200_000 };
        let hub = Hub::new(Arc::new(store.clone()), options);
        store.set_observers(vec![hub.clone()]);
        random::run(seed, hub, Real { store, index: 0, _dir: dir });
    }
}
