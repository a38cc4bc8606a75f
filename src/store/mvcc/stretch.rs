//! A stretch of history that a compaction works through in the order of keys.
//!
//! Changes that follow each other in `history` belong to keys all over `old`: removed in that order, each version
//! would cost a page of its own, which is copied, written and flushed. Sorted by keys, the versions of a stretch share
//! pages of `old` within a transaction, and the rows of `history`, which are removed in their own order, share theirs.
//!
//! The position in a stretch is in memory only. A restart begins with the same stretch again: removing finds nothing
//! where it was before. So that a process that ends again and again gets on all the same, its first stretch is one that a
//! transaction works through, and those after it become longer.

use std::collections::HashSet;
use std::ops::{Bound, Range};
use std::sync::{Arc, Weak};

use heed::RoTxn;

use super::disk::damaged;
use super::records::{ChangeKind, decode_history};
use super::revision::Revision;
use crate::store::StoreError;
use crate::store::lmdb::Tables;
use crate::store::tables::Id;

/// Bytes of keys in a stretch, at most approximately.
const BYTES: usize = 4 << 20;

/// Changes of a stretch for each that a transaction may visit. So many transactions write a page of `history` again,
/// and so much more often do versions share a page of `old`.
const TRANSACTIONS: usize = 10;

/// How much longer a stretch may be than the one before.
const GROWS: usize = 4;

/// So many changes one transaction works through in any case: each changes a page of `old` and two of `history` at most.
const FIRST: usize = Pages::MOST / 3;

/// Changes in a page of `history`, if their keys are short.
const PART: usize = 64;

/// Revisions before a stretch that are counted as a page: fewer than there usually are, since one may have many changes.
const BEFORE: i64 = 8;

/// A change that may make a version superfluous.
pub(in crate::store) struct Change<'s> {
    pub at: Revision,
    pub kind: ChangeKind,
    pub key: &'s [u8],
}

struct Entry {
    at: Revision,
    kind: ChangeKind,
    /// In the bytes of all keys.
    key: Range<usize>,
}

/// See the module.
pub(in crate::store) struct Stretch {
    /// The environment it was read from.
    tables: Weak<Tables>,
    /// Where it begins: the durable position as long as it is not done.
    from: (i64, u32),
    /// The compaction it was read for.
    target: i64,
    /// The most changes it may have.
    most: usize,
    /// Where the next one begins; `None` if this one reaches the target.
    end: Option<Revision>,
    /// Where parts of `history` begin that fill about a page.
    parts: Vec<Revision>,
    keys: Vec<u8>,
    /// By key, then by revision.
    entries: Vec<Entry>,
    done: usize,
}

/// The changes of the next stretch, at most, after one of so many, of which one transaction visits `batch`.
pub(super) fn next_most(before: Option<usize>, batch: usize) -> usize {
    let batch = batch.max(1);
    let next = before.map_or(FIRST.min(batch), |before| before.saturating_mul(GROWS));
    next.min(batch.saturating_mul(TRANSACTIONS))
}

impl Stretch {
    /// The changes from `from` on, up to revision `target`, at most so many. A put that created its key makes nothing
    /// superfluous and is left out.
    pub fn read(
        tables: &Arc<Tables>,
        txn: &RoTxn<'_>,
        from: (i64, u32),
        target: i64,
        most: usize,
    ) -> Result<Self, StoreError> {
        let read = StoreError::lmdb("reading history");
        let first = Revision { main: from.0, sub: from.1 }.to_bytes();
        let last = Revision::last_of(target).to_bytes();
        let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
        let (mut keys, mut entries, mut parts, mut end) = (Vec::new(), Vec::new(), Vec::new(), None);
        for (number, row) in tables[Id::History].range(txn, &range).map_err(&read)?.enumerate() {
            let (at, change) = row.map_err(&read)?;
            let at = Revision::from_bytes(at).ok_or_else(|| damaged("history"))?;
            if number % PART == 0 {
                parts.push(at);
            }
            if entries.len() >= most || number >= 2 * most || keys.len() > BYTES {
                end = Some(at);
                break;
            }
            let (kind, key) = decode_history(change).ok_or_else(|| damaged("history"))?;
            if kind == ChangeKind::Create {
                continue;
            }
            let begin = keys.len();
            keys.extend_from_slice(key);
            entries.push(Entry { at, kind, key: begin..keys.len() });
        }
        entries.sort_unstable_by(|a, b| {
            let key = |entry: &Entry| &keys[entry.key.clone()];
            key(a).cmp(key(b)).then(a.at.cmp(&b.at))
        });
        Ok(Self { tables: Arc::downgrade(tables), from, target, most, end, parts, keys, entries, done: 0 })
    }

    /// True if it is the one at this position, and not done.
    pub fn is_at(&self, tables: &Arc<Tables>, from: (i64, u32), target: i64) -> bool {
        let is_there = self.tables.as_ptr() == Arc::as_ptr(tables) && self.from == from;
        is_there && self.target == target && self.next().is_some()
    }

    /// The most changes it may have.
    pub fn most(&self) -> usize {
        self.most
    }

    /// It is done: only what the next one needs stays of it.
    pub fn finish(&mut self) {
        (self.parts, self.keys, self.entries) = Default::default();
    }

    /// The change to look at.
    pub fn next(&self) -> Option<Change<'_>> {
        let Entry { at, kind, key } = self.entries.get(self.done)?;
        Some(Change { at: *at, kind: *kind, key: &self.keys[key.clone()] })
    }

    /// That change is done.
    pub fn advance(&mut self) {
        self.done += 1;
    }

    /// The page of `history` that has the change at this revision, approximately.
    fn page(&self, at: Revision) -> Page {
        match self.parts.partition_point(|begin| *begin <= at) {
            0 => Page::Before(at.main / BEFORE),
            part => Page::Within(part),
        }
    }

    /// Where the next stretch begins, or `None` if this one reaches the target; for one that is done.
    pub fn end(&self) -> Option<Revision> {
        self.end
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Page {
    Before(i64),
    Within(usize),
}

/// How many pages a transaction changes, approximately.
#[derive(Default)]
pub(super) struct Pages {
    keys: usize,
    history: HashSet<Page>,
}

impl Pages {
    /// Pages that one transaction changes, at most approximately. They are in memory until it is committed, and what
    /// others flush to the same disk waits for them.
    const MOST: usize = 2048;

    /// Versions are removed from `old`: the first of another key.
    pub fn key(&mut self) {
        self.keys += 1;
    }

    /// The changes at these revisions are removed from `history`.
    pub fn changes(&mut self, stretch: &Stretch, changes: &[Revision]) {
        self.history.extend(changes.iter().map(|at| stretch.page(*at)));
    }

    /// True if the transaction should end.
    pub fn are_enough(&self) -> bool {
        self.keys + self.history.len() >= Self::MOST
    }
}
