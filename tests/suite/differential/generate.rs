//! Random steps: mostly valid ones on few keys, so that they affect each other; and every kind of invalid input.

use super::op::{CHOSEN, COMPACTED, CURRENT, EARLIER, MYSELF, Op};
use super::watches::{FUTURE, PAST, PRESENT_AND_PAST, TOO_LATE};
use crate::harness::Dice;
use kvd::api::proto::etcdserverpb::compare::TargetUnion;
use kvd::api::proto::etcdserverpb::request_op::Request;
use kvd::api::proto::etcdserverpb::{
    AlarmRequest, CompactionRequest, Compare, DeleteRangeRequest, HashKvRequest, LeaseGrantRequest,
    LeaseRevokeRequest, LeaseTimeToLiveRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    WatchCreateRequest,
};
use prost::bytes::Bytes;

/// `count` steps from `dice`, for servers of etcd `level` (major, minor) or newer.
pub fn steps(dice: Dice, count: usize, level: (u32, u32)) -> Vec<Op> {
    let mut maker = Maker { dice, chosen: 0, level };
    let mut steps = Vec::with_capacity(count + 16);
    while steps.len() < count {
        maker.step(&mut steps);
    }
    steps.push(Op::Settle);
    steps
}

struct Maker {
    dice: Dice,
    /// Number of grants so far for which the server chose the id.
    chosen: i64,
    level: (u32, u32),
}

impl Maker {
    fn step(&mut self, steps: &mut Vec<Op>) {
        let weights = [30, 20, 8, 16, 5, 2, 4, 2, 3, 2, 1, 6, 2, 1, 3, 1, 1, 1];
        match self.dice.weighted(&weights) {
            0 => steps.push(Op::Put(self.put(true))),
            1 => steps.push(Op::Range(self.range())),
            2 => steps.push(Op::Delete(self.delete())),
            3 => steps.push(Op::Txn(self.txn(2))),
            4 => steps.push(self.range_stream()),
            5 => steps.push(self.compact()),
            6 => self.grant(steps),
            7 => steps.push(Op::Revoke(LeaseRevokeRequest { id: self.lease() })),
            8 => steps.push(self.time_to_live()),
            9 => steps.push(self.keep_alive()),
            10 => steps.push(Op::Leases),
            11 => steps.push(self.watch()),
            12 => steps
                .push(Op::Cancel { stream: self.dice.below(TOO_LATE), watch_id: self.dice.within(-1, 6) }),
            13 => self.alarm(steps),
            14 => steps.push(self.hash_kv()),
            15 => steps.push(if self.dice.one_in(2) { Op::Status } else { Op::Defragment }),
            16 => steps.push(Op::Members { linearizable: self.dice.one_in(2) }),
            _ => steps.push(if self.dice.one_in(6) { Op::Restart } else { Op::Settle }),
        }
    }

    fn key(&mut self) -> Bytes {
        const KEYS: [&[u8]; 18] = [
            b"a",
            b"aa",
            b"ab",
            b"b",
            b"c",
            b"k/0",
            b"k/1",
            b"k/2",
            b"k/3",
            b"k/4",
            b"k/5",
            b"k/10",
            b"\0",
            b"\0\0",
            b"\xff",
            b"\xff\xff",
            b"\xff\0",
            b"z",
        ];
        match self.dice.below(60) {
            0 => Bytes::new(),
            1 => Bytes::from(vec![b'a'; self.dice.pick(&[480, 511, 512, 600, 1980, 2000, 5000])]),
            2 => {
                let mut long = vec![b'k'; 700];
                long.push(b'0' + self.dice.below(3) as u8);
                Bytes::from(long)
            }
            _ => Bytes::from_static(self.dice.pick(&KEYS)),
        }
    }

    fn value(&mut self) -> Bytes {
        const VALUES: [&[u8]; 6] = [b"x", b"y", b"z", b"\0\xff", b"10", b"9"];
        match self.dice.below(100) {
            0 => Bytes::from(vec![b'v'; 70_000]),
            1 => Bytes::from(vec![0; 1024]),
            2 if self.dice.one_in(4) => {
                Bytes::from(vec![b'V'; self.dice.pick(&[1_400_000, 1_600_000, 2_200_000])])
            }
            3..15 => Bytes::new(),
            _ => Bytes::from_static(self.dice.pick(&VALUES)),
        }
    }

    /// A key and a range end, in every form.
    fn span(&mut self) -> (Bytes, Bytes) {
        let key = self.key();
        let end = match self.dice.below(6) {
            0 | 1 => Bytes::new(),
            2 => Bytes::from_static(b"\0"),
            3 => prefix_end(&key),
            _ => self.key(),
        };
        match self.dice.below(8) {
            0 => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
            1 => (Bytes::from_static(b"k/"), Bytes::from_static(b"k0")),
            _ => (key, end),
        }
    }

    /// Mostly the present revision; otherwise the past, the future, a compacted one.
    fn revision(&mut self) -> i64 {
        match self.dice.below(12) {
            0 | 1 => CURRENT - self.dice.within(0, 30),
            2 => CURRENT + self.dice.within(1, 3),
            3 => COMPACTED + self.dice.within(-2, 3),
            4 if self.dice.one_in(4) => self.dice.within(-3, 1),
            _ => 0,
        }
    }

    /// A bound for a filter by revision.
    fn bound(&mut self) -> i64 {
        if self.dice.one_in(8) { CURRENT - self.dice.within(-2, 40) } else { 0 }
    }

    fn lease(&mut self) -> i64 {
        match self.dice.below(10) {
            0 => CHOSEN + self.dice.within(0, self.chosen.max(1) - 1),
            1 => 77_777,
            2 if self.dice.one_in(6) => -5,
            _ => self.dice.within(1, 6),
        }
    }

    fn put(&mut self, alone: bool) -> PutRequest {
        let mut request = PutRequest { key: self.key(), value: self.value(), ..Default::default() };
        if self.dice.one_in(4) {
            // Not a chosen lease: its id would be part of the hash of the store.
            request.lease = self.dice.pick(&[1, 1, 2, 3, 4, 5, 6, 77_777, -5]);
        }
        request.prev_kv = self.dice.one_in(4);
        if self.dice.one_in(10) {
            request.ignore_value = true;
            if !self.dice.one_in(5) {
                request.value = Bytes::new();
            }
        }
        if self.dice.one_in(10) {
            request.ignore_lease = true;
            if !self.dice.one_in(5) {
                request.lease = 0;
            }
        }
        if !alone && request.value.len() > 100_000 {
            request.value = Bytes::new();
        }
        request
    }

    fn range(&mut self) -> RangeRequest {
        let (key, range_end) = self.span();
        let mut request = RangeRequest { key, range_end, revision: self.revision(), ..Default::default() };
        request.serializable = self.dice.one_in(5);
        request.count_only = self.dice.one_in(12);
        // From 3.7 on keys_only leaves out the lease.
        request.keys_only = self.dice.one_in(8) && self.level >= (3, 7);
        if self.dice.one_in(3) {
            request.limit = self.dice.within(-1, 6);
        }
        if self.dice.one_in(4) {
            request.sort_order = self.dice.below(3) as i32;
            request.sort_target = self.dice.below(5) as i32;
            if self.dice.one_in(20) && self.level >= (3, 6) {
                request.sort_order = self.dice.pick(&[3, 9, -1]);
            }
            if self.dice.one_in(20) && self.level >= (3, 6) {
                request.sort_target = self.dice.pick(&[5, 9, -1]);
            }
        }
        if self.dice.one_in(4) {
            request.min_mod_revision = self.bound();
            request.max_mod_revision = self.bound();
            request.min_create_revision = self.bound();
            request.max_create_revision = self.bound();
        }
        request
    }

    fn range_stream(&mut self) -> Op {
        let mut request = self.range();
        if self.level < (3, 7) {
            return Op::Range(request);
        }
        // Most of the sort orders and filters are refused.
        if !self.dice.one_in(4) {
            request.sort_order = 0;
        }
        if !self.dice.one_in(4) {
            (request.min_mod_revision, request.max_mod_revision) = (0, 0);
            (request.min_create_revision, request.max_create_revision) = (0, 0);
        }
        if self.dice.one_in(3) {
            request.sort_target = self.dice.below(5) as i32;
            request.keys_only = self.dice.one_in(2);
        }
        Op::RangeStream(request)
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        let (key, mut range_end) = self.span();
        if self.dice.one_in(2) {
            range_end = Bytes::new();
        }
        DeleteRangeRequest { key, range_end, prev_kv: self.dice.one_in(3) }
    }

    fn compare(&mut self) -> Compare {
        const VALUES: [&[u8]; 4] = [b"", b"x", b"y", b"10"];
        let (key, end) = self.span();
        let range_end = if self.dice.one_in(4) { end } else { Bytes::new() };
        let target = self.dice.below(5) as i32;
        let fitting = if self.dice.one_in(20) { self.dice.below(5) as i32 } else { target };
        let target_union = match fitting {
            0 => TargetUnion::Version(self.dice.within(0, 3)),
            1 => TargetUnion::CreateRevision(self.compared_revision()),
            2 => TargetUnion::ModRevision(self.compared_revision()),
            3 => TargetUnion::Value(Bytes::from_static(self.dice.pick(&VALUES))),
            _ => TargetUnion::Lease(self.dice.within(0, 3)),
        };
        let result = if self.dice.one_in(40) { 7 } else { self.dice.below(4) as i32 };
        let target_union = (!self.dice.one_in(20)).then_some(target_union);
        Compare { result, target, key, range_end, target_union }
    }

    fn compared_revision(&mut self) -> i64 {
        if self.dice.one_in(3) { 0 } else { CURRENT - self.dice.within(0, 20) }
    }

    fn txn(&mut self, depth: usize) -> TxnRequest {
        if depth == 2 && self.dice.one_in(60) {
            return self.crowded_txn();
        }
        let compare = (0..self.dice.below(3)).map(|_| self.compare()).collect();
        let read_only = self.dice.one_in(5);
        let success = self.branch(depth, read_only);
        let failure = self.branch(depth, read_only);
        TxnRequest { compare, success, failure }
    }

    fn branch(&mut self, depth: usize, read_only: bool) -> Vec<RequestOp> {
        let mut ops: Vec<RequestOp> = Vec::new();
        for _ in 0..self.dice.below(4) {
            let request = match if read_only { 0 } else { self.dice.below(10) } {
                0..3 => Some(Request::RequestRange(self.range())),
                3..7 => Some(Request::RequestPut(self.put(false))),
                7 | 8 => Some(Request::RequestDeleteRange(self.delete())),
                _ if depth > 0 => Some(Request::RequestTxn(self.txn(depth - 1))),
                _ if self.dice.one_in(6) => None,
                _ => Some(Request::RequestPut(self.put(false))),
            };
            ops.push(RequestOp { request });
        }
        ops
    }

    /// Around the limit of 128 operations.
    fn crowded_txn(&mut self) -> TxnRequest {
        let count = self.dice.pick(&[127, 128, 129]);
        let read = RangeRequest { key: "a".into(), ..Default::default() };
        let op = RequestOp { request: Some(Request::RequestRange(read)) };
        let inner = TxnRequest { success: vec![op.clone()], ..Default::default() };
        let mut success = vec![op; count - 1];
        success.push(RequestOp { request: Some(Request::RequestTxn(inner)) });
        TxnRequest { success, ..Default::default() }
    }

    fn compact(&mut self) -> Op {
        let revision = match self.dice.below(8) {
            0 => CURRENT + self.dice.within(1, 3),
            1 => COMPACTED + self.dice.within(-1, 1),
            2 => self.dice.within(-2, 1),
            3 => CURRENT,
            _ => CURRENT - self.dice.within(0, 40),
        };
        // Always physical: if no key is live, etcd's hash includes what has not been removed yet.
        Op::Compact(CompactionRequest { revision, physical: true })
    }

    fn grant(&mut self, steps: &mut Vec<Op>) {
        if self.dice.one_in(6) {
            // A short lease must not expire in the middle of the run.
            let id = 50;
            let ttl = self.dice.within(-2, 2);
            steps.push(Op::Grant(LeaseGrantRequest { ttl, id }));
            steps.push(Op::Revoke(LeaseRevokeRequest { id }));
            return;
        }
        let ttl = match self.dice.below(10) {
            0 => 9_000_000_001,
            1 => 9_000_000_000,
            _ => self.dice.within(2_000, 5_000),
        };
        let id = match self.dice.below(4) {
            0 => 0,
            _ => self.lease(),
        };
        if id == 0 && ttl <= 9_000_000_000 {
            self.chosen += 1;
        }
        steps.push(Op::Grant(LeaseGrantRequest { ttl, id }));
    }

    fn time_to_live(&mut self) -> Op {
        Op::TimeToLive(LeaseTimeToLiveRequest { id: self.lease(), keys: self.dice.one_in(2) })
    }

    fn keep_alive(&mut self) -> Op {
        let count = 1 + self.dice.below(3);
        Op::KeepAlive((0..count).map(|_| self.lease()).collect())
    }

    fn watch(&mut self) -> Op {
        let stream = self.dice.pick(&[PRESENT_AND_PAST, PAST, FUTURE]);
        let (key, range_end) = self.span();
        let mut request = WatchCreateRequest { key, range_end, ..Default::default() };
        request.start_revision = match (stream, self.dice.below(8)) {
            (FUTURE, 0..4) if self.level >= (3, 7) => CURRENT + self.dice.within(1, 5),
            (FUTURE, _) => 0,
            (_, 0) => CURRENT,
            (_, 1..4) => CURRENT - self.dice.within(1, 30),
            (_, 4) => COMPACTED + self.dice.within(-2, 2),
            (_, 5) if self.dice.one_in(4) && self.level >= (3, 7) => -1,
            _ => 0,
        };
        if self.dice.one_in(4) {
            request.watch_id = self.dice.within(-1, 6);
        }
        request.prev_kv = self.dice.one_in(2);
        request.fragment = self.dice.one_in(4);
        request.progress_notify = self.dice.one_in(4);
        if self.dice.one_in(4) {
            request.filters = vec![self.dice.below(2) as i32];
            if self.dice.one_in(6) {
                request.filters.push(self.dice.below(3) as i32);
            }
        }
        Op::Watch { stream, request }
    }

    /// Raises an alarm, does a few steps under it, and disarms it.
    fn alarm(&mut self, steps: &mut Vec<Op>) {
        let request = |action, alarm, member_id| Op::Alarm(AlarmRequest { action, alarm, member_id });
        let alarm = self.dice.below(3) as i32;
        let member = self.dice.pick(&[MYSELF, MYSELF, 0, 4242]);
        steps.push(request(1, alarm, member));
        steps.push(request(0, self.dice.below(3) as i32, 0));
        for _ in 0..self.dice.below(8) {
            let step = match self.dice.below(8) {
                0 => Op::Range(self.range()),
                1 => Op::Delete(self.delete()),
                2 => Op::Txn(self.txn(1)),
                3 => Op::Status,
                4 => Op::Revoke(LeaseRevokeRequest { id: self.lease() }),
                5 => Op::Grant(LeaseGrantRequest { ttl: 3_000, id: self.dice.within(1, 6) }),
                _ => Op::Put(self.put(true)),
            };
            steps.push(step);
        }
        steps.push(request(2, self.dice.below(3) as i32, 77));
        steps.push(request(2, 1, member));
        steps.push(request(2, 2, member));
        steps.push(request(0, 0, 0));
    }

    fn hash_kv(&mut self) -> Op {
        let revision = match self.dice.below(4) {
            0 => self.revision(),
            // etcd remembers the hashes of the last ten compactions, and forgets them at a restart.
            1 | 2 => EARLIER + self.dice.within(0, 12),
            _ => 0,
        };
        Op::HashKv(HashKvRequest { revision })
    }
}

/// The end of the range of all keys with this prefix, as clients compute it.
fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end.into();
        }
    }
    Bytes::from_static(b"\0")
}
