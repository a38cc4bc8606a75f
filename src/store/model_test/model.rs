//! A multi-version key space in the simplest form: every state is kept as a whole.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{
    Command, Compare, CompareOp, CompareTarget, Event, EventKind, KeyRange, KeyValue, LeaseId, Op, OpReply,
    Put, RangeQuery, RangeResult, Refusal, Reply, SortTarget, Txn,
};

type State = BTreeMap<Bytes, KeyValue>;

pub struct Model {
    /// The state after each revision, from 1 on.
    states: Vec<State>,
    events: Vec<Vec<Event>>,
    pub revision: i64,
    pub compacted: i64,
    pub leases: BTreeMap<LeaseId, i64>,
    /// The change in progress.
    pending: State,
    changes: Vec<Event>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            states: vec![State::new(), State::new()],
            events: vec![Vec::new(), Vec::new()],
            revision: 1,
            compacted: -1,
            leases: BTreeMap::new(),
            pending: State::new(),
            changes: Vec::new(),
        }
    }
}

impl Model {
    pub fn now(&self) -> &State {
        &self.states[self.revision as usize]
    }

    pub fn lease_keys(&self, id: LeaseId) -> Vec<Bytes> {
        self.now().values().filter(|kv| kv.lease == id).map(|kv| kv.key.clone()).collect()
    }

    pub fn events(&self, range: &KeyRange, from: i64, prev_kv: bool) -> Vec<(i64, Vec<Event>)> {
        let from = from.max(0);
        let revisions = (from..).zip(self.events[from as usize..].iter());
        let pick = |events: &Vec<Event>| {
            let mut events: Vec<_> =
                events.iter().filter(|event| range.contains(&event.kv.key)).cloned().collect();
            events.iter_mut().filter(|_| !prev_kv).for_each(|event| event.prev_kv = None);
            events
        };
        revisions
            .map(|(revision, events)| (revision, pick(events)))
            .filter(|(_, events)| !events.is_empty())
            .collect()
    }

    pub fn apply(&mut self, command: &Command) -> Reply {
        self.pending = self.now().clone();
        let reply = self.execute(command);
        if !self.changes.is_empty() {
            self.revision += 1;
            self.states.push(std::mem::take(&mut self.pending));
            self.events.push(std::mem::take(&mut self.changes));
        }
        reply.unwrap_or_else(Reply::Refused)
    }

    fn execute(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::Put(put) => {
                self.check(&Op::Put(put.clone()))?;
                Ok(Reply::Op(self.put(put)))
            }
            Command::Delete(delete) => Ok(Reply::Op(self.delete(&delete.range, delete.prev_kv))),
            Command::Txn(txn) => {
                let chosen = self.choose(txn);
                self.check_all(&chosen)?;
                Ok(Reply::Op(self.run(&chosen)))
            }
            Command::Compact { revision } if *revision <= self.compacted => {
                Err(Refusal::Compacted { compacted: self.compacted })
            }
            Command::Compact { revision } if *revision > self.revision => Err(Refusal::FutureRevision),
            Command::Compact { revision } => {
                self.compacted = *revision;
                Ok(Reply::Done { revision: self.revision })
            }
            Command::LeaseGrant { id, .. } if self.leases.contains_key(id) => Err(Refusal::LeaseExists),
            Command::LeaseGrant { id, ttl } => {
                self.leases.insert(*id, *ttl);
                Ok(Reply::Lease { revision: self.revision, id: *id, ttl: *ttl })
            }
            Command::LeaseRevoke { id } => {
                self.leases.remove(id).ok_or(Refusal::LeaseNotFound)?;
                for key in self.lease_keys(*id) {
                    self.delete(&KeyRange::single(key), false);
                }
                Ok(Reply::Done { revision: self.after() })
            }
            _ => Ok(Reply::Done { revision: self.revision }),
        }
    }

    fn after(&self) -> i64 {
        self.revision + i64::from(!self.changes.is_empty())
    }

    fn put(&mut self, put: &Put) -> OpReply {
        let prev = self.pending.get(&put.key).cloned();
        let mut kv = prev.clone().unwrap_or(KeyValue {
            key: put.key.clone(),
            create_revision: self.revision + 1,
            ..KeyValue::default()
        });
        kv.mod_revision = self.revision + 1;
        kv.version += 1;
        if !put.ignore_value {
            kv.value = put.value.clone();
        }
        if !put.ignore_lease {
            kv.lease = put.lease;
        }
        self.pending.insert(put.key.clone(), kv.clone());
        // Events show the state before the revision, whatever else the transaction did.
        let before = self.now().get(&put.key).filter(|_| kv.create_revision <= self.revision).cloned();
        self.changes.push(Event { kind: EventKind::Put, kv, prev_kv: before });
        OpReply::Put { revision: self.after(), prev_kv: prev.filter(|_| put.prev_kv) }
    }

    fn delete(&mut self, range: &KeyRange, prev_kv: bool) -> OpReply {
        let prev_kvs: Vec<_> = self.pending.values().filter(|kv| range.contains(&kv.key)).cloned().collect();
        for prev in &prev_kvs {
            self.pending.remove(&prev.key);
            let kv =
                KeyValue { key: prev.key.clone(), mod_revision: self.revision + 1, ..KeyValue::default() };
            let before = self.now().get(&prev.key).cloned();
            self.changes.push(Event { kind: EventKind::Delete, kv, prev_kv: before });
        }
        let deleted = prev_kvs.len() as i64;
        OpReply::Delete {
            revision: self.after(),
            deleted,
            prev_kvs: if prev_kv { prev_kvs } else { Vec::new() },
        }
    }

    /// The transaction with only the branches that run: the others are empty, and the compares removed.
    fn choose(&self, txn: &Txn) -> Chosen {
        let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.success } else { &txn.failure };
        let ops = ops.iter().map(|op| match op {
            Op::Txn(nested) => Step::Txn(self.choose(nested)),
            op => Step::Op(op.clone()),
        });
        Chosen { succeeded, ops: ops.collect() }
    }

    fn check_all(&self, chosen: &Chosen) -> Result<(), Refusal> {
        for step in &chosen.ops {
            match step {
                Step::Op(op) => self.check(op)?,
                Step::Txn(nested) => self.check_all(nested)?,
            }
        }
        Ok(())
    }

    fn check(&self, op: &Op) -> Result<(), Refusal> {
        match op {
            Op::Range(query) if query.revision == 0 => Ok(()),
            Op::Range(query) if query.revision > self.revision => Err(Refusal::FutureRevision),
            Op::Range(query) if query.revision < self.compacted => {
                Err(Refusal::Compacted { compacted: self.compacted })
            }
            Op::Put(put) if put.lease != 0 && !self.leases.contains_key(&put.lease) => {
                Err(Refusal::LeaseNotFound)
            }
            Op::Put(put) if (put.ignore_value || put.ignore_lease) && !self.now().contains_key(&put.key) => {
                Err(Refusal::KeyNotFound)
            }
            _ => Ok(()),
        }
    }

    fn run(&mut self, chosen: &Chosen) -> OpReply {
        let mut replies = Vec::new();
        for step in &chosen.ops {
            replies.push(match step {
                Step::Op(Op::Range(query)) => OpReply::Range(self.range(query, true).unwrap()),
                Step::Op(Op::Put(put)) => self.put(put),
                Step::Op(Op::Delete(delete)) => self.delete(&delete.range, delete.prev_kv),
                Step::Op(Op::Txn(_)) => unreachable!("chosen"),
                Step::Txn(nested) => self.run(nested),
            });
        }
        OpReply::Txn { revision: self.after(), succeeded: chosen.succeeded, replies }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let mut kvs: Vec<_> =
            self.now().values().filter(|kv| compare.range.contains(&kv.key)).cloned().collect();
        if kvs.is_empty() {
            if matches!(compare.target, CompareTarget::Value(_)) {
                return false;
            }
            kvs.push(KeyValue::default());
        }
        kvs.iter().all(|kv| {
            let order = match &compare.target {
                CompareTarget::Version(operand) => kv.version.cmp(operand),
                CompareTarget::Create(operand) => kv.create_revision.cmp(operand),
                CompareTarget::Mod(operand) => kv.mod_revision.cmp(operand),
                CompareTarget::Value(operand) => kv.value.cmp(operand),
                CompareTarget::Lease(operand) => kv.lease.cmp(operand),
                CompareTarget::Unknown => Ordering::Equal,
            };
            match compare.op {
                CompareOp::Equal => order.is_eq(),
                CompareOp::NotEqual => order.is_ne(),
                CompareOp::Greater => order.is_gt(),
                CompareOp::Less => order.is_lt(),
                CompareOp::Unknown => true,
            }
        })
    }

    /// `inside` a change: its own state is the current one.
    pub fn range(&self, query: &RangeQuery, inside: bool) -> Result<RangeResult, Refusal> {
        let at = if query.revision > 0 { query.revision } else { self.revision };
        if at > self.revision {
            return Err(Refusal::FutureRevision);
        }
        if at < self.compacted {
            return Err(Refusal::Compacted { compacted: self.compacted });
        }
        let state = if inside && query.revision <= 0 { &self.pending } else { &self.states[at as usize] };
        let mut kvs: Vec<_> = state.values().filter(|kv| query.range.contains(&kv.key)).cloned().collect();
        let count = kvs.len() as i64;
        let revision = if inside { self.after() } else { self.revision };
        if query.count_only {
            return Ok(RangeResult { revision, kvs: Vec::new(), more: false, count });
        }
        kvs.retain(|kv| query.bounds.admit(kv.create_revision, kv.mod_revision));
        let limit = if query.limit > 0 { query.limit as usize } else { usize::MAX };
        if query.sort.after_limit && query.bounds.is_unbounded() {
            kvs.truncate(limit.saturating_add(1));
        }
        let order = |a: &KeyValue, b: &KeyValue| match query.sort.target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        };
        kvs.sort_by(|a, b| if query.sort.descending { order(b, a) } else { order(a, b) });
        let more = kvs.len() > limit;
        kvs.truncate(limit);
        if query.keys_only {
            for kv in &mut kvs {
                kv.value = Bytes::new();
                if query.sort.target != SortTarget::Value {
                    kv.lease = 0;
                }
            }
        }
        Ok(RangeResult { revision, kvs, more, count })
    }
}

struct Chosen {
    succeeded: bool,
    ops: Vec<Step>,
}

enum Step {
    Op(Op),
    Txn(Chosen),
}
