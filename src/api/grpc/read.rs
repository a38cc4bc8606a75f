//! Reading: what is quick on the connection's own thread, what takes long elsewhere.

use crate::api::jobs::Job;
use crate::api::services::Services;
use crate::model::{Op, OpReply, RangeQuery, RangeResult, Refusal, SortTarget, Txn};
use crate::store::Store;

/// Most keys that are read on the connection's own thread, which serves others, too. A longer range goes to a thread
/// where it may take its time.
const READ_HERE: i64 = 128;

/// Reads a range as etcd 3.7 answers it: keys without values come without their leases, unless they were sorted by
/// value.
pub(super) async fn range(services: &Services, query: RangeQuery) -> Result<RangeResult, Refusal> {
    let store = &services.store;
    let leaseless = query.keys_only && query.sort.target != SortTarget::Value;
    let mut result = match range_here(store, &query)? {
        Some(result) => result,
        None => {
            let store = store.clone();
            services.jobs.run(Job::Read, move || store.range(&query)).await?
        }
    };
    if leaseless {
        for kv in &mut result.kvs {
            kv.lease = 0;
        }
    }
    Ok(result)
}

/// The answer, where it takes few keys to find it.
fn range_here(store: &Store, query: &RangeQuery) -> Result<Option<RangeResult>, Refusal> {
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
        // What is beyond must be counted at least.
        return Ok(None);
    }
    if query.count_only {
        part.kvs.clear();
    }
    Ok(Some(part))
}

/// Runs a transaction that only reads.
pub(super) async fn txn(services: &Services, txn: Txn) -> Result<OpReply, Refusal> {
    let store = &services.store;
    let is_quick = |op: &Op| matches!(op, Op::Range(query) if query.range.as_single().is_some());
    if txn.success.iter().chain(&txn.failure).all(is_quick)
        && txn.compares.iter().all(|compare| compare.range.as_single().is_some())
    {
        return store.read_txn(&txn);
    }
    let store = store.clone();
    services.jobs.run(Job::Read, move || store.read_txn(&txn)).await
}
