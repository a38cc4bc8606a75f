//! How large the answer to a writing command will be, by the state before it: its ranges are read by every member while it
//! is applied, when nothing can be refused any more.

use super::Store;
use super::mvcc::range::owned_len;
use super::mvcc::read::{Found, Hold, ScanError, Step, scan};
use super::mvcc::revision::Revision;
use crate::model::{Command, KeyRange, Op, RangeQuery, Refusal, Txn};

/// Keys that a command may return without being measured: a request that names few keys costs no look at them.
const FEW: usize = 8;

/// True if a command may return much.
pub fn may_return_much(command: &Command) -> bool {
    match command {
        Command::Delete(delete) => delete.prev_kv && delete.range.as_single().is_none(),
        Command::Txn(txn) => keys(txn) > FEW,
        _ => false,
    }
}

/// The keys that a transaction returns at most; [`usize::MAX`] for any number.
fn keys(txn: &Txn) -> usize {
    let of = |range: &KeyRange| if range.as_single().is_some() { 1 } else { usize::MAX };
    let op = |op: &Op| match op {
        Op::Range(query) if query.count_only => 0,
        Op::Range(query) => of(&query.range),
        Op::Put(put) => usize::from(put.prev_kv),
        Op::Delete(delete) if delete.prev_kv => of(&delete.range),
        Op::Delete(_) => 0,
        Op::Txn(nested) => keys(nested),
    };
    let branch = |ops: &[Op]| ops.iter().map(op).fold(0, usize::saturating_add);
    branch(&txn.success).max(branch(&txn.failure))
}

impl Store {
    /// The bytes of all keys and values that a command would return at present, or a little more than `most`.
    ///
    /// # Errors
    /// Internal errors only.
    pub fn measure(&self, command: &Command, most: usize) -> Result<usize, Refusal> {
        match command {
            Command::Delete(delete) if delete.prev_kv => {
                self.size_of(&RangeQuery::current(delete.range.clone()), most)
            }
            Command::Txn(txn) => self.size_of_txn(txn, most),
            _ => Ok(0),
        }
    }

    fn size_of_txn(&self, txn: &Txn, most: usize) -> Result<usize, Refusal> {
        let mut largest = 0;
        for branch in [&txn.success, &txn.failure] {
            let mut size = 0usize;
            for op in branch {
                let left = most.saturating_sub(size);
                size = size.saturating_add(match op {
                    Op::Range(query) if query.count_only => 0,
                    Op::Range(query) => self.size_of(query, left)?,
                    Op::Put(put) if put.prev_kv => {
                        self.size_of(&RangeQuery::current(KeyRange::single(put.key.clone())), left)?
                    }
                    Op::Delete(delete) if delete.prev_kv => {
                        self.size_of(&RangeQuery::current(delete.range.clone()), left)?
                    }
                    Op::Put(_) | Op::Delete(_) => 0,
                    Op::Txn(nested) => self.size_of_txn(nested, left)?,
                });
                if size > most {
                    return Ok(size);
                }
            }
            largest = largest.max(size);
        }
        Ok(largest)
    }

    /// A range that will be refused has no size.
    fn size_of(&self, query: &RangeQuery, most: usize) -> Result<usize, Refusal> {
        let limited = query.sort.is_key_order() && query.bounds.is_unbounded();
        let limit = usize::try_from(query.limit).ok().filter(|limit| limited && *limit > 0);
        let (mut size, mut count) = (0usize, 0usize);
        let mut add = |found: Found<'_>| {
            let (key, value) = match found {
                Found::Head(key, _, live) => (key.len(), live.value.len() as u64),
                Found::Disk(key, _, live) => (key.len(), owned_len(live.value)),
            };
            let value = if query.keys_only { 0 } else { usize::try_from(value).unwrap_or(usize::MAX) };
            size = size.saturating_add(key).saturating_add(value);
            count += 1;
            let done = size > most || limit.is_some_and(|limit| count >= limit);
            Ok(if done { Step::Stop } else { Step::Go })
        };
        let mut reader = match self.reader_at(query.revision) {
            Ok(reader) => reader,
            Err(Refusal::Compacted { .. } | Refusal::FutureRevision) => return Ok(0),
            Err(refusal) => return Err(refusal),
        };
        let at = if query.revision > 0 { query.revision } else { reader.revision };
        match scan(&mut reader, Hold::Chunk, &query.range, Revision::last_of(at), &mut add) {
            Ok(()) | Err(ScanError::Overtaken) => Ok(size),
            Err(error) => Err(self.read_error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Delete, Put};

    fn range(range: KeyRange) -> Op {
        Op::Range(RangeQuery::current(range))
    }

    fn txn(success: Vec<Op>, failure: Vec<Op>) -> Txn {
        Txn { compares: Vec::new(), success, failure }
    }

    #[test]
    fn only_what_may_return_much_is_measured() {
        let single = || range(KeyRange::single("k"));
        let much = |success, failure| may_return_much(&Command::Txn(txn(success, failure)));
        let delete = |range, prev_kv| Delete { range, prev_kv };
        assert!(!much(vec![single(); FEW], vec![single(); FEW]), "one branch runs");
        assert!(much(vec![single(); FEW + 1], Vec::new()));
        assert!(much(Vec::new(), vec![range(KeyRange::all())]));
        assert!(much(vec![Op::Txn(txn(vec![range(KeyRange::all())], Vec::new()))], Vec::new()));
        let count = RangeQuery { count_only: true, ..RangeQuery::current(KeyRange::all()) };
        assert!(!much(vec![Op::Range(count)], vec![Op::Delete(delete(KeyRange::all(), false))]));
        let put = Op::Put(Put { key: "k".into(), prev_kv: true, ..Put::default() });
        assert!(much(vec![put; FEW + 1], Vec::new()));
        assert!(may_return_much(&Command::Delete(delete(KeyRange::all(), true))));
        assert!(!may_return_much(&Command::Delete(delete(KeyRange::all(), false))));
        assert!(!may_return_much(&Command::Delete(delete(KeyRange::single("k"), true))));
    }
}
