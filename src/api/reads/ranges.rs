//! Ranges and read-only transactions.

use bytes::{BufMut, Bytes, BytesMut};

use super::handle::{Freshness, Reads};
use super::permission::{Sight, permit};
use crate::api::jobs::{Job, Jobs};
use crate::model::{Caller, KeyRange, Op, OpReply, RangeEnd, RangeQuery, RangeResult, Refusal, Txn};
use crate::store::Store;

/// Most keys that are read on the connection's own thread, which serves others, too. A longer range is read on a thread
/// for blocking work.
const READ_HERE: i64 = 128;

impl Reads {
    /// Reads a range.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`]; [`Refusal::Compacted`], [`Refusal::FutureRevision`]; those of the read index.
    pub async fn range(
        &self,
        caller: &Caller,
        query: RangeQuery,
        freshness: Freshness,
    ) -> Result<RangeResult, Refusal> {
        permit(caller, Sight::Range(&query.range))?;
        self.fresh(freshness).await?;
        read(&self.store, &self.jobs, query).await
    }

    /// Runs a read-only transaction.
    ///
    /// # Errors
    /// As of [`Reads::range`].
    pub async fn txn(&self, caller: &Caller, txn: Txn, freshness: Freshness) -> Result<OpReply, Refusal> {
        permit(caller, Sight::Txn(&txn))?;
        self.fresh(freshness).await?;
        let is_quick = |op: &Op| matches!(op, Op::Range(query) if query.range.as_single().is_some());
        if txn.success.iter().chain(&txn.failure).all(is_quick)
            && txn.compares.iter().all(|compare| compare.range.as_single().is_some())
        {
            return self.store.read_txn(&txn);
        }
        let store = self.store.clone();
        self.jobs.run(Job::Read, move || store.read_txn(&txn)).await
    }

    /// Begins to read a range in key order, page by page.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`]; those of the read index.
    pub async fn pages(
        &self,
        caller: &Caller,
        query: RangeQuery,
        freshness: Freshness,
    ) -> Result<Pages, Refusal> {
        permit(caller, Sight::Range(&query.range))?;
        self.fresh(freshness).await?;
        let whole = query.range.clone();
        Ok(Pages { store: self.store.clone(), jobs: self.jobs.clone(), query, whole })
    }
}

async fn read(store: &Store, jobs: &Jobs, query: RangeQuery) -> Result<RangeResult, Refusal> {
    if let Some(result) = read_here(store, &query)? {
        return Ok(result);
    }
    let store = store.clone();
    jobs.run(Job::Read, move || store.range(&query)).await
}

/// The answer, if few keys have to be read for it.
fn read_here(store: &Store, query: &RangeQuery) -> Result<Option<RangeResult>, Refusal> {
    if query.range.as_single().is_some() {
        return store.range(query).map(Some);
    }
    if !query.sort.is_key_order() || !query.bounds.is_unbounded() {
        return Ok(None);
    }
    let limit = if query.limit > 0 { query.limit.min(READ_HERE) } else { READ_HERE };
    let keys_only = query.keys_only || query.count_only;
    let mut part = store.page(&RangeQuery { limit, keys_only, count_only: false, ..query.clone() })?;
    if part.more {
        // The keys beyond the limit would still have to be counted.
        return Ok(None);
    }
    if query.count_only {
        part.kvs.clear();
    }
    Ok(Some(part))
}

/// A range that is read page by page, all at one revision.
pub struct Pages {
    store: Store,
    jobs: Jobs,
    /// The rest.
    query: RangeQuery,
    /// The requested range.
    whole: KeyRange,
}

impl Pages {
    /// The next page of at most `limit` keys, read on this thread.
    ///
    /// # Errors
    /// [`Refusal::Compacted`], [`Refusal::FutureRevision`].
    pub fn next(&mut self, limit: i64) -> Result<RangeResult, Refusal> {
        self.query.limit = limit;
        let page = self.store.page(&self.query)?;
        if self.query.revision <= 0 {
            self.query.revision = page.revision;
        }
        if let Some(last) = page.kvs.last() {
            let end = std::mem::replace(&mut self.query.range.end, RangeEnd::Open);
            self.query.range = KeyRange { start: successor(&last.key), end };
        }
        Ok(page)
    }

    /// The number of keys in the whole range, at the revision of the pages. Counting visits all keys: not on this
    /// thread.
    ///
    /// # Errors
    /// [`Refusal::Compacted`] if that revision was compacted in the meantime.
    pub async fn count(&self) -> Result<i64, Refusal> {
        let all = RangeQuery::current(self.whole.clone());
        let query = RangeQuery { revision: self.query.revision, count_only: true, ..all };
        Ok(read(&self.store, &self.jobs, query).await?.count)
    }
}

/// The very next key.
fn successor(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put(key);
    next.put_u8(0);
    next.freeze()
}
