//! The rule that a transaction changes no key twice, exactly as in etcd (etcd `v3rpc/key.go`, `checkIntervals`),
//! including its quirks: deletions in one nested transaction conflict with puts in later ones but not in earlier ones,
//! and a deletion without an end conflicts with nothing. (After such a deletion a put that keeps the value finds none:
//! etcd 3.7.3 then ends with an index out of range, kvd puts an empty value.)

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;

use crate::model::{KeyRange, Op, RangeEnd, Refusal, Txn};

/// Refuses a transaction that puts a key twice, or puts into a range that it also deletes, in one of its branches.
pub fn check(txn: &Txn) -> Result<(), Refusal> {
    check_branch(&txn.success)?;
    check_branch(&txn.failure)
}

fn check_branch(ops: &[Op]) -> Result<(), Refusal> {
    // The usual branch has at most one operation, which cannot conflict.
    match ops {
        [] | [Op::Range(_) | Op::Put(_) | Op::Delete(_)] => Ok(()),
        _ => Changes::of(ops).map(drop),
    }
}

/// The keys that a list of operations puts and deletes, including nested ones.
#[derive(Default)]
struct Changes<'a> {
    puts: HashSet<&'a [u8]>,
    deletes: Deletes<'a>,
}

/// Keys that are deleted. A request may have tens of thousands of deletions and of puts: none is compared with each other
/// one.
#[derive(Default)]
struct Deletes<'a> {
    keys: HashSet<&'a [u8]>,
    /// Start and end of ranges that neither overlap nor touch.
    ranges: BTreeMap<&'a [u8], &'a [u8]>,
}

impl<'a> Deletes<'a> {
    fn add(&mut self, range: &'a KeyRange) {
        match &range.end {
            RangeEnd::Single => _ = self.keys.insert(&range.start),
            RangeEnd::Before(end) => self.add_range(&range.start, end),
            RangeEnd::Open => {}
        }
    }

    fn add_range(&mut self, mut start: &'a [u8], mut end: &'a [u8]) {
        if end <= start {
            return;
        }
        // Those that overlap or touch begin at `end` at the latest, and all from the first of them on do.
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back().filter(|(_, to)| **to >= start) {
            self.ranges.remove(from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
    }

    fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        other.ranges.into_iter().for_each(|(start, end)| self.add_range(start, end));
    }

    fn contains(&self, key: &[u8]) -> bool {
        let until = (Bound::Unbounded, Bound::Included(key));
        let last = || self.ranges.range::<[u8], _>(until).next_back();
        self.keys.contains(key) || last().is_some_and(|(_, end)| key < *end)
    }
}

impl<'a> Changes<'a> {
    fn of(ops: &'a [Op]) -> Result<Self, Refusal> {
        let mut changes = Self::default();
        for op in ops {
            if let Op::Delete(delete) = op {
                changes.deletes.add(&delete.range);
            }
        }
        for op in ops {
            if let Op::Txn(txn) = op {
                changes.add_nested(txn)?;
            }
        }
        for op in ops {
            if let Op::Put(put) = op {
                changes.refuse_deleted(&put.key)?;
                if !changes.puts.insert(&put.key) {
                    return Err(Refusal::DuplicateKey);
                }
            }
        }
        Ok(changes)
    }

    /// Both branches of a nested transaction may put the same key, since only one of them runs.
    fn add_nested(&mut self, txn: &'a Txn) -> Result<(), Refusal> {
        let success = Self::of(&txn.success)?;
        let failure = Self::of(&txn.failure)?;
        for key in success.puts.union(&failure.puts) {
            self.refuse_deleted(key)?;
            if !self.puts.insert(key) {
                return Err(Refusal::DuplicateKey);
            }
        }
        self.deletes.extend(success.deletes);
        self.deletes.extend(failure.deletes);
        Ok(())
    }

    fn refuse_deleted(&self, key: &[u8]) -> Result<(), Refusal> {
        if self.deletes.contains(key) { Err(Refusal::DuplicateKey) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Delete, Put, RangeQuery};

    fn put(key: &'static str) -> Op {
        Op::Put(Put { key: key.into(), ..Put::default() })
    }

    fn delete(key: &'static str, end: &'static str) -> Op {
        Op::Delete(Delete { range: KeyRange::from_wire(key.into(), end.into()), prev_kv: false })
    }

    fn get(key: &'static str) -> Op {
        Op::Range(RangeQuery::current(KeyRange::single(key)))
    }

    fn nested(success: Vec<Op>, failure: Vec<Op>) -> Op {
        Op::Txn(Txn { compares: vec![], success, failure })
    }

    #[track_caller]
    fn fits(ops: Vec<Op>) {
        assert_eq!(check(&Txn { success: ops, ..Txn::default() }), Ok(()));
    }

    #[track_caller]
    fn clashes(ops: Vec<Op>) {
        assert_eq!(check(&Txn { success: ops.clone(), ..Txn::default() }), Err(Refusal::DuplicateKey));
        assert_eq!(check(&Txn { failure: ops, ..Txn::default() }), Err(Refusal::DuplicateKey));
    }

    #[test]
    fn deletions_that_are_kept_together_are_the_same_keys() {
        let keys: Vec<String> = ('a'..='h').flat_map(|c| [c.to_string(), format!("{c}c")]).collect();
        // A short generator (xorshift64) with a fixed beginning.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut hits = 0;
        for _ in 0..2000 {
            let range = |start: usize, end: usize| KeyRange {
                start: keys[start].clone().into(),
                end: if end == start { RangeEnd::Single } else { RangeEnd::Before(keys[end].clone().into()) },
            };
            let ranges: Vec<KeyRange> =
                (0..next(6)).map(|_| range(next(keys.len()), next(keys.len()))).collect();
            let (first, second) = ranges.split_at(ranges.len() / 2);
            let mut deletes = Deletes::default();
            first.iter().for_each(|range| deletes.add(range));
            let mut others = Deletes::default();
            second.iter().for_each(|range| others.add(range));
            deletes.extend(others);
            for key in &keys {
                let one_by_one = ranges.iter().any(|range| range.contains(key.as_bytes()));
                assert_eq!(deletes.contains(key.as_bytes()), one_by_one, "{key} in {ranges:?}");
                hits += usize::from(one_by_one);
            }
        }
        assert!(hits > 1000, "{hits}");
    }

    #[test]
    fn one_level() {
        fits(vec![put("a"), put("b"), get("a"), delete("c", "")]);
        fits(vec![delete("a", "c"), delete("b", "d"), put("d")]);
        clashes(vec![put("a"), put("a")]);
        clashes(vec![put("b"), delete("a", "c")]);
        clashes(vec![delete("a", ""), put("a")]);
    }

    #[test]
    fn the_branches_are_apart() {
        let txn = Txn { compares: vec![], success: vec![put("a")], failure: vec![put("a")] };
        assert_eq!(check(&txn), Ok(()));
    }

    #[test]
    fn nested_branches_may_put_the_same_key_but_not_one_of_outside() {
        fits(vec![nested(vec![put("a")], vec![put("a")])]);
        clashes(vec![nested(vec![put("a")], vec![]), put("a")]);
        clashes(vec![nested(vec![put("a")], vec![]), nested(vec![], vec![put("a")])]);
        clashes(vec![delete("a", "b"), nested(vec![nested(vec![put("a")], vec![])], vec![])]);
        clashes(vec![nested(vec![delete("a", "b")], vec![]), put("a")]);
        clashes(vec![nested(vec![put("a"), put("a")], vec![])]);
    }

    #[test]
    fn what_etcd_does_not_see() {
        fits(vec![delete("a", "\0"), put("b")]);
        fits(vec![nested(vec![put("a")], vec![]), nested(vec![delete("a", "")], vec![])]);
        clashes(vec![nested(vec![delete("a", "")], vec![]), nested(vec![put("a")], vec![])]);
    }
}
