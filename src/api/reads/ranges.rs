//! Ranges and read-only transactions.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use super::handle::{Freshness, Reads};
use super::permission::{Sight, permit};
use crate::api::jobs::{Job, Jobs};
use crate::auth::Need;
use crate::model::{
    Caller, Command, Held, KeyRange, Op, OpReply, RangeEnd, RangeQuery, RangeResult, Refusal, Txn,
};
use crate::store::{Store, UsersEpoch, may_return_much};

/// Most keys that are read on the connection's own thread, which serves others, too. A longer range is read on a thread
/// for blocking work.
const READ_HERE: i64 = 128;

/// Most bytes of keys and values that are read there.
const BYTES_HERE: usize = 512 << 10;

/// Most operations of a read-only transaction that is run there.
const OPS_HERE: usize = 32;

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
        let caller = &*self.fresh_for(caller, freshness).await?;
        let permitted = permit(&self.store, caller, Sight::Range(&query.range))?;
        let result = read(&self.store, &self.jobs, query).await?;
        self.store.confirm(caller, permitted)?;
        Ok(result)
    }

    /// Runs a read-only transaction.
    ///
    /// # Errors
    /// As of [`Reads::range`].
    pub async fn txn(&self, caller: &Caller, txn: Txn, freshness: Freshness) -> Result<OpReply, Refusal> {
        let caller = &*self.fresh_for(caller, freshness).await?;
        let permitted = permit(&self.store, caller, Sight::Txn(&txn))?;
        let reply = self.read_txn(txn).await?;
        self.store.confirm(caller, permitted)?;
        Ok(reply)
    }

    /// Returns when this member's state is recent enough, with the caller as it counts then: as in etcd a token that was
    /// valid when the call came is not outdated by the changes that this member had to catch up with.
    ///
    /// # Errors
    /// As of [`Reads::fresh`] and [`Store::renewed`].
    pub(super) async fn fresh_for<'c>(
        &self,
        caller: &'c Caller,
        freshness: Freshness,
    ) -> Result<Cow<'c, Caller>, Refusal> {
        let before = self.store.users_epoch();
        let was_current = before.is_enabled() && self.store.users().is_current(caller);
        self.fresh(freshness).await?;
        if was_current && self.store.users_epoch() != before {
            return Ok(Cow::Owned(self.store.renewed(caller)?));
        }
        Ok(Cow::Borrowed(caller))
    }

    /// Takes the memory for what a writing command returns, before it is proposed.
    ///
    /// # Errors
    /// [`Refusal::AnswersUnread`], [`Refusal::MessageTooLong`].
    pub async fn room_for(&self, command: Command) -> Result<(Command, Option<Held>), Refusal> {
        if !may_return_much(&command) {
            return Ok((command, None));
        }
        let (store, answers) = (self.store.clone(), self.store.answers().clone());
        let measure = move || {
            let bytes = store.measure(&command, store.answers().largest())?;
            Ok::<_, Refusal>((command, bytes))
        };
        let (command, bytes) = self.jobs.run(Job::Read, measure).await?;
        answers.admit(bytes)?;
        Ok((command, Some(answers.take(bytes)?)))
    }

    async fn read_txn(&self, txn: Txn) -> Result<OpReply, Refusal> {
        let is_quick = |op: &Op| matches!(op, Op::Range(query) if query.range.as_single().is_some());
        let few = txn.success.len().max(txn.failure.len()) <= OPS_HERE;
        if few
            && txn.success.iter().chain(&txn.failure).all(is_quick)
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
        let caller = &*self.fresh_for(caller, freshness).await?;
        let permitted = permit(&self.store, caller, Sight::Range(&query.range))?;
        let (store, jobs, whole) = (self.store.clone(), self.jobs.clone(), query.range.clone());
        Ok(Pages { store, jobs, caller: caller.clone(), permitted, query, whole })
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
    let first = RangeQuery { limit, keys_only, count_only: false, ..query.clone() };
    let mut part = store.page(&first, BYTES_HERE)?;
    if part.more {
        // The keys beyond it would still have to be counted, and perhaps read.
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
    caller: Caller,
    /// When the caller's permission was checked.
    permitted: UsersEpoch,
    /// The rest.
    query: RangeQuery,
    /// The requested range.
    whole: KeyRange,
}

impl Pages {
    /// The next page of at most `limit` keys and about `bytes` bytes, read on this thread.
    ///
    /// # Errors
    /// [`Refusal::Compacted`], [`Refusal::FutureRevision`]; [`Refusal::PermissionDenied`] as soon as the caller has lost
    /// its permission.
    pub fn next(&mut self, limit: i64, bytes: usize) -> Result<RangeResult, Refusal> {
        self.query.limit = limit;
        let page = self.store.page(&self.query, bytes)?;
        self.confirm()?;
        if self.query.revision <= 0 {
            self.query.revision = page.revision;
        }
        if let Some(last) = page.kvs.last() {
            let end = std::mem::replace(&mut self.query.range.end, RangeEnd::Open);
            self.query.range = KeyRange { start: successor(&last.key), end };
        }
        Ok(page)
    }

    /// Checks again what the caller may do now, if users have changed.
    fn confirm(&mut self) -> Result<(), Refusal> {
        let epoch = self.store.users_epoch();
        if epoch != self.permitted {
            self.store.check_now(&self.caller, Need::Read(&self.whole))?;
            self.permitted = epoch;
        }
        Ok(())
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
