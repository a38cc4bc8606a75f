//! Transactions (etcd semantics section 5): first all compares, including nested ones, against the state before; then
//! checks of the operations that will run; then these operations, in order, each with the effects of those before it.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::{Applying, Stop, unhindered};
use crate::model::{
    Compare, CompareOp, CompareTarget, KeyRange, KeyValue, Op, OpReply, RangeQuery, RangeResult, Refusal, Txn,
};
use crate::store::core::Reader;
use crate::store::figures::Work;
use crate::store::mvcc::range;
use crate::store::mvcc::read::{Hold, ScanError};
use crate::store::mvcc::revision::Revision;

/// Transactions nested deeper are refused: no client needs them, and the limit bounds the stack.
const MAX_DEPTH: usize = 32;

/// The branch of each transaction, in the order in which they are reached.
type Path = VecDeque<bool>;

impl Applying<'_> {
    /// Runs a transaction.
    pub(super) fn txn(&mut self, txn: &Txn) -> Result<OpReply, Stop> {
        check_depth(txn, 0)?;
        let at = self.here();
        let mut path = Path::new();
        let mut compares = 0;
        choose(&mut self.reader, Hold::Whole, txn, at, &mut path, &mut compares).map_err(held)?;
        self.figures.worked(Work { ranges: compares, ..Work::default() });
        self.check_ops(txn, &mut path.clone())?;
        self.run_ops(txn, &mut path)
    }

    fn check_ops(&self, txn: &Txn, path: &mut Path) -> Result<(), Stop> {
        for op in branch(txn, path.pop_front()) {
            match op {
                Op::Range(query) => check_revision(query, self.revision, self.compacted)?,
                Op::Put(put) => self.check_put(put)?,
                Op::Delete(_) => {}
                Op::Txn(nested) => self.check_ops(nested, path)?,
            }
        }
        Ok(())
    }

    fn run_ops(&mut self, txn: &Txn, path: &mut Path) -> Result<OpReply, Stop> {
        let succeeded = path.pop_front();
        let ops = branch(txn, succeeded);
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push(match op {
                Op::Range(query) => OpReply::Range(self.range_inside(query)?),
                Op::Put(put) => self.put(put)?,
                Op::Delete(delete) => self.delete(delete)?,
                Op::Txn(nested) => self.run_ops(nested, path)?,
            });
        }
        Ok(OpReply::Txn { revision: self.now(), succeeded: succeeded == Some(true), replies })
    }

    fn range_inside(&mut self, query: &RangeQuery) -> Result<RangeResult, Stop> {
        self.work.ranges += 1;
        let at = if query.revision > 0 { Revision::last_of(query.revision) } else { self.here() };
        let now = self.now();
        range::run(&mut self.reader, Hold::Whole, query, at, now).map_err(held)
    }
}

/// Runs a read-only transaction at the current revision of `reader`; adds to `compares` how many it evaluated.
pub(in crate::store) fn run_read_only(
    reader: &mut Reader<'_>,
    hold: Hold,
    txn: &Txn,
    compares: &mut u64,
) -> Result<OpReply, ReadStop> {
    let now = reader.revision;
    let compacted = reader.compacted;
    let at = Revision::last_of(now);
    let mut path = Path::new();
    choose(reader, hold, txn, at, &mut path, compares)?;
    let succeeded = path.pop_front();
    let ops = branch(txn, succeeded);
    let mut queries = Vec::with_capacity(ops.len());
    for op in ops {
        let Op::Range(query) = op else {
            return Err(Refusal::Internal("a writing transaction must go through the log".into()).into());
        };
        check_revision(query, now, compacted)?;
        queries.push(query);
    }
    let mut replies = Vec::with_capacity(queries.len());
    for query in queries {
        let at = if query.revision > 0 { Revision::last_of(query.revision) } else { at };
        replies.push(OpReply::Range(range::run(reader, hold, query, at, now)?));
    }
    Ok(OpReply::Txn { revision: now, succeeded: succeeded == Some(true), replies })
}

/// Why a read-only transaction stops.
#[derive(Debug)]
pub(in crate::store) enum ReadStop {
    Refused(Refusal),
    Scan(ScanError),
}

impl From<Refusal> for ReadStop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ScanError> for ReadStop {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

fn held(error: ScanError) -> Stop {
    Stop::Failed(unhindered(error))
}

pub(super) fn check_depth(txn: &Txn, depth: usize) -> Result<(), Refusal> {
    if depth > MAX_DEPTH {
        return Err(Refusal::NestedTooDeep);
    }
    for op in txn.success.iter().chain(&txn.failure) {
        if let Op::Txn(nested) = op {
            check_depth(nested, depth + 1)?;
        }
    }
    Ok(())
}

fn branch(txn: &Txn, succeeded: Option<bool>) -> &[Op] {
    if succeeded == Some(true) { &txn.success } else { &txn.failure }
}

/// The revision of a range inside a transaction. As in etcd, zero means the current one and skips the check, while a
/// negative one is checked like any other: -1 passes as long as nothing was compacted.
fn check_revision(query: &RangeQuery, current: i64, compacted: i64) -> Result<(), Refusal> {
    match query.revision {
        0 => Ok(()),
        revision if revision > current => Err(Refusal::FutureRevision),
        revision if revision < compacted => Err(Refusal::Compacted { compacted }),
        _ => Ok(()),
    }
}

/// Evaluates the compares of `txn` and of those nested in the branches that will be taken.
fn choose(
    reader: &mut Reader<'_>,
    hold: Hold,
    txn: &Txn,
    at: Revision,
    path: &mut Path,
    compares: &mut u64,
) -> Result<(), ScanError> {
    let mut succeeded = true;
    for compare in &txn.compares {
        *compares += 1;
        if !holds(reader, hold, compare, at)? {
            succeeded = false;
            break;
        }
    }
    path.push_back(succeeded);
    for op in branch(txn, Some(succeeded)) {
        if let Op::Txn(nested) = op {
            choose(reader, hold, nested, at, path, compares)?;
        }
    }
    Ok(())
}

fn holds(reader: &mut Reader<'_>, hold: Hold, compare: &Compare, at: Revision) -> Result<bool, ScanError> {
    if let Some(key) = compare.range.as_single() {
        let version = reader.get(key, at)?;
        let kv = version.and_then(|version| version.to_kv(key.clone()));
        return Ok(kv.map_or_else(|| holds_for_nothing(compare), |kv| holds_for(compare, &kv)));
    }
    let kvs = all(reader, hold, &compare.range, at)?;
    if kvs.is_empty() {
        return Ok(holds_for_nothing(compare));
    }
    Ok(kvs.iter().all(|kv| holds_for(compare, kv)))
}

fn all(
    reader: &mut Reader<'_>,
    hold: Hold,
    range: &KeyRange,
    at: Revision,
) -> Result<Vec<KeyValue>, ScanError> {
    Ok(range::run(reader, hold, &RangeQuery::current(range.clone()), at, at.main)?.kvs)
}

/// There is no key in the range: a compare of the value is always false, all other attributes count as zero.
fn holds_for_nothing(compare: &Compare) -> bool {
    !matches!(compare.target, CompareTarget::Value(_)) && holds_for(compare, &KeyValue::default())
}

fn holds_for(compare: &Compare, kv: &KeyValue) -> bool {
    let order = match &compare.target {
        CompareTarget::Version(version) => kv.version.cmp(version),
        CompareTarget::Create(revision) => kv.create_revision.cmp(revision),
        CompareTarget::Mod(revision) => kv.mod_revision.cmp(revision),
        CompareTarget::Value(value) => kv.value.cmp(value),
        CompareTarget::Lease(lease) => kv.lease.cmp(lease),
        CompareTarget::Unknown => Ordering::Equal,
    };
    match compare.op {
        CompareOp::Equal => order == Ordering::Equal,
        CompareOp::NotEqual => order != Ordering::Equal,
        CompareOp::Greater => order == Ordering::Greater,
        CompareOp::Less => order == Ordering::Less,
        CompareOp::Unknown => true,
    }
}
