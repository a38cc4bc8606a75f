//! What is checked of a request before it is proposed or read (etcd semantics sections 2, 3 and 5): these refusals do
//! not depend on the state. The order of the checks is etcd's, which clients can see.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::model::{Delete, KeyRange, Op, Put, RangeQuery, Refusal, Txn};

/// Checks a range query.
///
/// # Errors
/// [`Refusal::EmptyKey`].
pub fn check_range(query: &RangeQuery) -> Result<(), Refusal> {
    check_key(&query.range.start)
}

/// Checks a put.
///
/// # Errors
/// [`Refusal::EmptyKey`], [`Refusal::ValueProvided`], [`Refusal::LeaseProvided`].
pub fn check_put(put: &Put) -> Result<(), Refusal> {
    check_key(&put.key)?;
    if put.ignore_value && !put.value.is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
}

/// Checks a deletion.
///
/// # Errors
/// [`Refusal::EmptyKey`].
pub fn check_delete(delete: &Delete) -> Result<(), Refusal> {
    check_key(&delete.range.start)
}

/// Checks a transaction: sizes and single operations first, then that no key is changed twice.
///
/// # Errors
/// Those of the operations, [`Refusal::TooManyOps`] and [`Refusal::DuplicateKey`].
pub fn check_txn(txn: &Txn, max_ops: usize) -> Result<(), Refusal> {
    check_txn_ops(txn, max_ops)?;
    changes(&txn.success)?;
    changes(&txn.failure)?;
    Ok(())
}

fn check_key(key: &Bytes) -> Result<(), Refusal> {
    if key.is_empty() { Err(Refusal::EmptyKey) } else { Ok(()) }
}

fn check_txn_ops(txn: &Txn, max_ops: usize) -> Result<(), Refusal> {
    let ops = txn.compares.len().max(txn.success.len()).max(txn.failure.len());
    let left = max_ops.checked_sub(ops).ok_or(Refusal::TooManyOps)?;
    for compare in &txn.compares {
        check_key(&compare.range.start)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            Op::Range(query) => check_range(query)?,
            Op::Put(put) => check_put(put)?,
            Op::Delete(delete) => check_delete(delete)?,
            Op::Txn(nested) => check_txn_ops(nested, left)?,
        }
    }
    Ok(())
}

/// The keys that a list of operations may put and the ranges it may delete.
struct Changes<'t> {
    puts: BTreeSet<&'t [u8]>,
    deletes: Vec<&'t KeyRange>,
}

impl<'t> Changes<'t> {
    fn add(&mut self, key: &'t [u8], may_repeat: bool) -> Result<(), Refusal> {
        let repeated = !self.puts.insert(key) && !may_repeat;
        if repeated || self.deletes.iter().any(|range| range.contains(key)) {
            return Err(Refusal::DuplicateKey);
        }
        Ok(())
    }
}

/// Collects what the list changes; refuses a key that is put twice, or put and deleted. Both branches of a nested
/// transaction may put the same key, since only one runs.
fn changes(ops: &[Op]) -> Result<Changes<'_>, Refusal> {
    let mut all = Changes { puts: BTreeSet::new(), deletes: Vec::new() };
    for op in ops {
        if let Op::Delete(delete) = op {
            all.deletes.push(&delete.range);
        }
    }
    for op in ops {
        let Op::Txn(nested) = op else { continue };
        let success = changes(&nested.success)?;
        let failure = changes(&nested.failure)?;
        for key in &success.puts {
            all.add(key, false)?;
        }
        for key in &failure.puts {
            all.add(key, success.puts.contains(key))?;
        }
        all.deletes.extend(success.deletes);
        all.deletes.extend(failure.deletes);
    }
    for op in ops {
        if let Op::Put(put) = op {
            all.add(&put.key, false)?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RangeEnd;

    fn put(key: &'static str) -> Op {
        Op::Put(Put { key: Bytes::from_static(key.as_bytes()), ..Put::default() })
    }

    fn delete(key: &'static str, end: &'static str) -> Op {
        let range = KeyRange { start: key.into(), end: RangeEnd::Before(end.into()) };
        Op::Delete(Delete { range, prev_kv: false })
    }

    fn txn(success: Vec<Op>, failure: Vec<Op>) -> Txn {
        Txn { compares: Vec::new(), success, failure }
    }

    #[test]
    fn a_key_is_changed_once_in_a_list() {
        let check = |ops| check_txn(&txn(ops, Vec::new()), 128);
        assert_eq!(check(vec![put("a"), put("b")]), Ok(()));
        assert_eq!(check(vec![put("a"), put("a")]), Err(Refusal::DuplicateKey));
        assert_eq!(check(vec![put("b"), delete("a", "c")]), Err(Refusal::DuplicateKey));
        assert_eq!(check(vec![delete("a", "c"), delete("a", "d")]), Ok(()));
        let both = |key| Op::Txn(txn(vec![put(key)], vec![put(key)]));
        assert_eq!(check(vec![both("a")]), Ok(()));
        assert_eq!(check(vec![both("a"), put("a")]), Err(Refusal::DuplicateKey));
        assert_eq!(check(vec![both("a"), both("a")]), Err(Refusal::DuplicateKey));
        assert_eq!(check(vec![both("a"), delete("a", "b")]), Err(Refusal::DuplicateKey));
        let deleting = Op::Txn(txn(vec![delete("a", "b")], Vec::new()));
        assert_eq!(check(vec![deleting, put("a")]), Err(Refusal::DuplicateKey));
        assert_eq!(check_txn(&txn(vec![put("a")], vec![put("a")]), 128), Ok(()));
    }

    #[test]
    fn operations_are_counted_with_those_inside() {
        let nested = |inner: usize| Op::Txn(txn((0..inner).map(|_| delete("a", "b")).collect(), Vec::new()));
        assert_eq!(check_txn(&txn(vec![nested(2)], Vec::new()), 3), Ok(()));
        assert_eq!(check_txn(&txn(vec![nested(3)], Vec::new()), 3), Err(Refusal::TooManyOps));
        assert_eq!(check_txn(&txn(vec![put("")], Vec::new()), 3), Err(Refusal::EmptyKey));
    }

    #[test]
    fn what_is_ignored_must_not_be_given() {
        let key = Bytes::from_static(b"k");
        let value = Put { key: key.clone(), value: key.clone(), ignore_value: true, ..Put::default() };
        assert_eq!(check_put(&value), Err(Refusal::ValueProvided));
        let lease = Put { key, lease: 1, ignore_lease: true, ..Put::default() };
        assert_eq!(check_put(&lease), Err(Refusal::LeaseProvided));
    }
}
