//! The store compared with a naive model, at random: commands, reads with every option at any revision, and between
//! them checkpoints, removals, crashes, snapshots.
//!
//! A failure prints its seed; `KVD_SEED=N cargo test --lib store::model_test` replays it, and `KVD_ROUNDS=N` sets the
//! number of rounds.

mod model;
pub(super) mod random;

use bytes::Bytes;

use self::model::Model;
use self::random::Random;
use super::tests::manual;
use super::*;
use crate::model::{
    Caller, Command, Compare, CompareOp, CompareTarget, Delete, KeyRange, LogPosition, Op, Proposal, Put,
    RangeEnd, RangeQuery, Refusal, Reply, RevisionBounds, Sort, SortTarget, Stamp, Txn,
};

const STEPS: usize = 300;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn the_store_is_like_the_model() {
    let first = env("KVD_SEED");
    let rounds = if first.is_some() { 1 } else { env("KVD_ROUNDS").unwrap_or(4) };
    for round in 0..rounds {
        let seed = first.unwrap_or(round + 1);
        let outcome = std::panic::catch_unwind(|| Run::new(seed).go());
        if let Err(panic) = outcome {
            eprintln!("replay with: KVD_SEED={seed} cargo test --lib store::model_test");
            std::panic::resume_unwind(panic);
        }
    }
}

/// A member under test: its store and the log it was given.
struct Member {
    dir: tempfile::TempDir,
    store: Option<Store>,
    options: Options,
}

impl Member {
    fn new(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Some(Store::open(dir.path(), options.clone()).unwrap());
        Self { dir, store, options }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Loses the changes without a checkpoint, and applies the log again from there.
    fn crash(&mut self, log: &[(Proposal, Reply)]) {
        self.store = None;
        self.store = Some(Store::open(self.dir.path(), self.options.clone()).unwrap());
        let from = self.store().applied().map_or(0, |position| position.index + 1);
        for (index, (proposal, reply)) in (1..).zip(log).skip(from as usize) {
            let replies = self.store().apply(position(index), std::slice::from_ref(proposal)).unwrap();
            assert_eq!(replies.as_slice(), std::slice::from_ref(reply), "again: entry {index}, {proposal:?}");
        }
    }
}

fn position(index: u64) -> LogPosition {
    LogPosition { term: 1, leader: 1, index: index - 1 }
}

struct Run {
    random: Random,
    model: Model,
    members: [Member; 2],
    log: Vec<(Proposal, Reply)>,
    keys: Vec<Bytes>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let options = |ring| Options { compaction_batch: 5, recent_revisions: ring, quota: None, ..manual() };
        Self {
            random: Random::new(seed),
            model: Model::default(),
            members: [Member::new(options(10)), Member::new(options(1000))],
            log: Vec::new(),
            keys: random::keys(),
        }
    }

    fn go(&mut self) {
        for _ in 0..STEPS {
            for _ in 0..self.random.below(4) {
                self.command();
            }
            self.upkeep();
            self.look();
        }
        self.compare_hashes();
    }

    fn command(&mut self) {
        let command = self.any_command();
        let stamp = Stamp::at(self.log.len() as i64);
        let expected = self.model.apply(&command);
        let proposal = Proposal { stamp, caller: Caller::Anonymous, command };
        self.log.push((proposal.clone(), expected.clone()));
        for member in &self.members {
            let replies = member
                .store()
                .apply(position(self.log.len() as u64), std::slice::from_ref(&proposal))
                .unwrap();
            assert_eq!(replies.as_slice(), std::slice::from_ref(&expected), "{proposal:?}");
        }
    }

    fn upkeep(&mut self) {
        let which = self.random.below(2);
        match self.random.below(16) {
            0..=3 => self.members[which].store().checkpoint().unwrap(),
            4 => self.members[which].store().prune().unwrap(),
            5 => {
                self.members[which].store().0.prune_slice().unwrap();
            }
            6 => self.members[which].crash(&self.log),
            7 => self.exchange_snapshot(which),
            _ => {}
        }
    }

    /// One member gets the other's snapshot and the log entries after it.
    fn exchange_snapshot(&mut self, from: usize) {
        let snapshot = self.members[from].store().snapshot().unwrap();
        let to = &mut self.members[1 - from];
        if snapshot.header().position < to.store().applied() {
            // A store refuses a state that is older than its own; an empty one accepts it.
            to.store = None;
            to.dir = tempfile::tempdir().unwrap();
            to.store = Some(Store::open(to.dir.path(), to.options.clone()).unwrap());
        }
        let header = to.store().restore(snapshot).unwrap();
        assert_eq!(to.store().applied(), header.position);
        assert_eq!(to.store().digest().is_some(), header.position.is_some());
        to.crash(&self.log);
    }

    fn look(&mut self) {
        let which = self.random.below(2);
        let query = self.any_query();
        let found = self.members[which].store().range(&query);
        assert_eq!(found, self.model.range(&query, false), "{query:?}");
        let key = self.any_key();
        let expected = self.model.now().get(&key).cloned();
        assert_eq!(self.members[which].store().get(&key), Ok(expected), "{key:?}");
        if self.random.below(4) == 0 {
            self.look_at_events(which);
        }
        if self.random.below(8) == 0 {
            let store = self.members[which].store();
            let leases: Vec<_> = self.model.leases.keys().copied().collect();
            let found: Vec<_> = store.leases().unwrap().iter().map(|lease| lease.id).collect();
            assert_eq!(found, leases);
            for id in leases {
                assert_eq!(store.lease_keys(id), Ok(self.model.lease_keys(id)));
            }
        }
        if self.random.below(40) == 0 {
            self.compare_hashes();
        }
    }

    fn look_at_events(&mut self, which: usize) {
        let range = self.any_range();
        let from = match self.random.below(3) {
            0 => self.model.compacted.max(1),
            _ => self.random.between(self.model.compacted.max(1) - 1, self.model.revision + 1),
        };
        let prev_kv = self.random.below(2) == 0;
        let bound = self.random.below(10) + 1;
        let mut next = from;
        let mut events = Vec::new();
        let store = self.members[which].store();
        if from < self.model.compacted {
            let compacted = self.model.compacted;
            let refused = store.events(&Wanted::since(&range, from)).err();
            assert_eq!(refused, Some(Refusal::Compacted { compacted }));
            return;
        }
        while next <= self.model.revision {
            let (to, max_bytes) = (self.model.revision, 1 << 20);
            let wanted = Wanted { range: &range, from: next, to, max_revisions: bound, max_bytes, prev_kv };
            let (page, after) = store.events(&wanted).unwrap();
            assert!(after > next, "events go on");
            next = after;
            events.extend(page.into_iter().map(|revision| (revision.revision, revision.events)));
        }
        // The previous state exists as long as its revision is not compacted.
        let expected = self.model.events(&range, from, prev_kv).into_iter().map(|(revision, mut events)| {
            for event in events.iter_mut().filter(|_| revision <= self.model.compacted) {
                event.prev_kv = None;
            }
            (revision, events)
        });
        assert_eq!(events, expected.collect::<Vec<_>>(), "{range:?} from {from}");
    }

    fn compare_hashes(&mut self) {
        let revision = self.random.between(self.model.compacted.max(1), self.model.revision);
        let hashes = [0, 1].map(|which| self.members[which].store().hash_kv(revision).unwrap());
        // At the compaction itself a member has the hash from before, unless it has crashed since.
        for hash in &hashes {
            let is_before = revision == self.model.compacted && hash.compact_revision < revision;
            assert!(is_before || hash.compact_revision == self.model.compacted, "{hash:?}");
        }
        if hashes[0].compact_revision == hashes[1].compact_revision {
            assert_eq!(hashes[0], hashes[1]);
        }
        for member in &self.members {
            let used = member.store().sizes();
            assert!(used.in_use <= used.allocated);
        }
    }

    fn any_key(&mut self) -> Bytes {
        // Some keys are changed often, so that they have long histories.
        let among = if self.random.below(2) == 0 { 4 } else { self.keys.len() };
        let index = self.random.below(among);
        self.keys[index].clone()
    }

    fn any_range(&mut self) -> KeyRange {
        let start = self.any_key();
        let end = match self.random.below(5) {
            0 => RangeEnd::Single,
            1 => RangeEnd::Open,
            2 => return KeyRange::all(),
            3 => crate::model::prefix_end(&start),
            _ => RangeEnd::Before(self.any_key()),
        };
        KeyRange { start, end }
    }

    fn any_revision(&mut self) -> i64 {
        match self.random.below(3) {
            0 => self.random.between(-2, self.model.revision + 2),
            1 => self.random.between(self.model.compacted, self.model.revision),
            _ => 0,
        }
    }

    fn any_query(&mut self) -> RangeQuery {
        let targets =
            [SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value];
        let sort = match self.random.below(3) {
            0 => Sort {
                target: targets[self.random.below(5)],
                descending: self.random.below(2) == 0,
                after_limit: self.random.below(4) == 0,
            },
            _ => Sort::default(),
        };
        let mut bound =
            || if self.random.below(6) == 0 { self.random.between(0, self.model.revision) } else { 0 };
        let bounds =
            RevisionBounds { min_mod: bound(), max_mod: bound(), min_create: bound(), max_create: bound() };
        RangeQuery {
            range: self.any_range(),
            revision: self.any_revision(),
            limit: self.random.between(-1, 6),
            sort,
            bounds,
            keys_only: self.random.below(4) == 0,
            count_only: self.random.below(8) == 0,
        }
    }

    fn any_put(&mut self) -> Put {
        let ignore_value = self.random.below(10) == 0;
        let ignore_lease = self.random.below(10) == 0;
        Put {
            key: self.any_key(),
            value: if ignore_value { Bytes::new() } else { self.random.value() },
            lease: if ignore_lease || self.random.below(2) == 0 { 0 } else { self.random.between(1, 5) },
            prev_kv: self.random.below(2) == 0,
            ignore_value,
            ignore_lease,
        }
    }

    fn any_compare(&mut self) -> Compare {
        let ops =
            [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Greater, CompareOp::Less, CompareOp::Unknown];
        let revision = self.random.between(0, self.model.revision);
        let target = match self.random.below(6) {
            0 => CompareTarget::Version(self.random.between(0, 3)),
            1 => CompareTarget::Create(revision),
            2 => CompareTarget::Mod(revision),
            3 => CompareTarget::Value(self.random.value()),
            4 => CompareTarget::Lease(self.random.between(0, 3)),
            _ => CompareTarget::Unknown,
        };
        Compare { range: self.any_range(), op: ops[self.random.below(5)], target }
    }

    fn any_txn(&mut self, depth: usize) -> Txn {
        let mut txn = Txn::default();
        for _ in 0..self.random.below(3) {
            txn.compares.push(self.any_compare());
        }
        for _ in 0..self.random.below(5) {
            let op = match self.random.below(6) {
                0 if depth < 2 => Op::Txn(self.any_txn(depth + 1)),
                0 | 1 => Op::Range(self.any_query()),
                2 => Op::Delete(Delete { range: self.any_range(), prev_kv: self.random.below(2) == 0 }),
                _ => Op::Put(self.any_put()),
            };
            if self.random.below(3) == 0 { txn.failure.push(op) } else { txn.success.push(op) }
        }
        txn
    }

    fn any_command(&mut self) -> Command {
        match self.random.below(20) {
            0..=7 => Command::Put(self.any_put()),
            8..=10 => {
                let range = match self.random.below(3) {
                    0 => self.any_range(),
                    _ => KeyRange::single(self.any_key()),
                };
                Command::Delete(Delete { range, prev_kv: self.random.below(2) == 0 })
            }
            11..=14 => Command::Txn(self.any_txn(0)),
            15 => Command::Compact {
                revision: self.random.between(self.model.compacted, self.model.revision + 1),
            },
            16 | 17 => Command::LeaseGrant { id: self.random.between(1, 5), ttl: 10 },
            _ => Command::LeaseRevoke { id: self.random.between(1, 5) },
        }
    }
}
