//! The rule that a transaction changes no key twice, exactly as in etcd (etcd `v3rpc/key.go`, `checkIntervals`),
//! including its quirks: deletions in one nested transaction conflict with puts in later ones but not in earlier ones,
//! and a deletion without an end conflicts with nothing. (After such a deletion a put that keeps the value finds none:
//! etcd 3.7.3 then ends with an index out of range, kvd puts an empty value.)

use std::collections::HashSet;

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
    deletes: Vec<&'a KeyRange>,
}

impl<'a> Changes<'a> {
    fn of(ops: &'a [Op]) -> Result<Self, Refusal> {
        let mut changes = Self::default();
        for op in ops {
            if let Op::Delete(delete) = op
                && delete.range.end != RangeEnd::Open
            {
                changes.deletes.push(&delete.range);
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
        if self.deletes.iter().any(|range| range.contains(key)) {
            return Err(Refusal::DuplicateKey);
        }
        Ok(())
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
