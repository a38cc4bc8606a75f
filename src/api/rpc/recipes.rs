//! Shared by the lock and election services: the recipes of etcd's `client/v3/concurrency`, in which everything is an
//! ordinary operation on keys, leases and watches. Refusals are sent as text only (see [`crate::api::status::plain`]).

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{convert, lease};
use crate::api::proto::etcdserverpb::ResponseHeader;
use crate::api::reads::{Freshness, Watching};
use crate::api::services::Services;
use crate::api::status::plain;
use crate::model::{
    Caller, Command, Compare, CompareOp, CompareTarget, Delete, EventKind, KeyRange, KeyValue, LeaseId, Op,
    OpReply, Put, RangeQuery, RangeResult, Refusal, Reply, RevisionBounds, Sort, SortTarget, Txn, prefix_end,
};
use crate::watch::{FeedItem, Want, WatchSpec};

/// Time to live of a lease that is granted for a caller without one, in seconds (etcd `concurrency.NewSession`).
const SESSION_TTL: i64 = 60;

/// An answer with its header.
pub(super) struct Answered<T> {
    pub(super) header: ResponseHeader,
    pub(super) value: T,
}

/// The recipes' steps, on behalf of a caller. A recipe may take long: each step asks what the caller may do then.
#[derive(Clone)]
pub(super) struct Recipes {
    pub(super) services: Arc<Services>,
    pub(super) caller: Caller,
}

/// Every key below `name/`.
pub(super) fn below(name: &[u8]) -> KeyRange {
    let start = Bytes::from([name, b"/"].concat());
    KeyRange { end: prefix_end(&start), start }
}

/// The key of a lease below `name/`: its id in hex, as Go prints it.
pub(super) fn key_of(name: &[u8], lease: LeaseId) -> Bytes {
    let sign = if lease < 0 { "-" } else { "" };
    let number = format!("{sign}{:x}", lease.unsigned_abs());
    Bytes::from([name, b"/", number.as_bytes()].concat())
}

/// The query of the oldest key in a range.
pub(super) fn oldest(range: KeyRange) -> RangeQuery {
    RangeQuery {
        limit: 1,
        sort: Sort { target: SortTarget::Create, descending: false, after_limit: false },
        ..RangeQuery::current(range)
    }
}

/// The guard that a key was created at a revision; 0 that it does not exist.
pub(super) fn created_at(key: &Bytes, revision: i64) -> Compare {
    Compare {
        range: KeyRange::single(key.clone()),
        op: CompareOp::Equal,
        target: CompareTarget::Create(revision),
    }
}

/// The operation that puts a key with a lease.
pub(super) fn put_op(key: &Bytes, value: Bytes, lease: LeaseId) -> Op {
    Op::Put(Put { key: key.clone(), value, lease, ..Put::default() })
}

/// The key-values that operation `index` of a transaction found.
pub(super) fn found(replies: &[OpReply], index: usize) -> &[KeyValue] {
    match replies.get(index) {
        Some(OpReply::Range(result)) => &result.kvs,
        _ => &[],
    }
}

impl Recipes {
    /// The lease to use: the caller's, or a new one without keepalives.
    pub(super) async fn session(&self, lease: LeaseId) -> Result<LeaseId, Refusal> {
        if lease != 0 {
            return Ok(lease);
        }
        let caller = self.services.store.renewed(&self.caller).map_err(plain)?;
        let granted = lease::granted(&self.services, caller, 0, SESSION_TTL).await;
        granted.map(|(id, _)| id).map_err(plain)
    }

    /// Runs a transaction: whether its guards held, and the answers.
    pub(super) async fn txn(&self, txn: Txn) -> Result<Answered<(bool, Vec<OpReply>)>, Refusal> {
        self.propose(Command::Txn(txn)).await.map_err(plain)
    }

    async fn propose(&self, command: Command) -> Result<Answered<(bool, Vec<OpReply>)>, Refusal> {
        self.services.check_quota(&command).await?;
        match self.services.propose(self.services.store.renewed(&self.caller)?, command).await? {
            Reply::Op(OpReply::Txn { revision, succeeded, replies }) => {
                Ok(Answered { header: self.services.header_at(revision), value: (succeeded, replies) })
            }
            other => Err(convert::unexpected(&other)),
        }
    }

    /// Deletes a key, if it exists.
    pub(super) async fn delete(&self, key: Bytes) -> Result<ResponseHeader, Refusal> {
        let delete = Delete { range: KeyRange::single(key), prev_kv: false };
        let caller = self.services.store.renewed(&self.caller).map_err(plain)?;
        match self.services.propose(caller, Command::Delete(delete)).await {
            Ok(Reply::Op(OpReply::Delete { revision, .. })) => Ok(self.services.header_at(revision)),
            Ok(other) => Err(plain(convert::unexpected(&other))),
            Err(refusal) => Err(plain(refusal)),
        }
    }

    /// Reads linearizably.
    pub(super) async fn read(&self, query: RangeQuery) -> Result<Answered<Vec<KeyValue>>, Refusal> {
        let caller = self.services.store.renewed(&self.caller).map_err(plain)?;
        let read = self.services.reads.range(&caller, query, Freshness::Linearizable).await;
        let RangeResult { revision, kvs, .. } = read.map_err(plain)?;
        Ok(Answered { header: self.services.header_at(revision), value: kvs })
    }

    /// Watches a range from `revision` on.
    pub(super) fn watch(&self, range: KeyRange, revision: i64) -> Result<Watching, Refusal> {
        let spec = WatchSpec { tag: 0, range, start_revision: revision, want: Want::default() };
        self.services.reads.watch(&self.caller, spec).map_err(plain)
    }

    /// Waits until every key of `range` that was created up to `max_create` is gone: the youngest of them first, so
    /// that each one waits for its predecessor only.
    pub(super) async fn wait_deleted(&self, range: KeyRange, max_create: i64) -> Result<(), Refusal> {
        loop {
            let query = RangeQuery {
                limit: 1,
                sort: Sort { target: SortTarget::Create, descending: true, after_limit: false },
                bounds: RevisionBounds { max_create, ..RevisionBounds::default() },
                ..RangeQuery::current(range.clone())
            };
            let last = self.read(query).await?;
            let Some(kv) = last.value.into_iter().next() else { return Ok(()) };
            self.wait_delete(kv.key, last.header.revision).await?;
        }
    }

    async fn wait_delete(&self, key: Bytes, revision: i64) -> Result<(), Refusal> {
        let mut feed = self.watch(KeyRange::single(key), revision)?;
        loop {
            let item = tokio::select! {
                biased;
                // Nobody gets a lock by the events of a state that is wrong.
                () = self.services.taken_out() => return Err(plain(Refusal::Corrupt)),
                item = feed.next() => item,
            };
            match item {
                FeedItem::Events { runs, .. } => {
                    let mut events = runs.iter().flat_map(|run| run.events());
                    if events.any(|event| event.kind == EventKind::Delete) {
                        return Ok(());
                    }
                }
                FeedItem::Compacted(compacted) => {
                    return Err(plain(Refusal::Compacted { compacted }));
                }
                FeedItem::Denied => return Err(plain(self.why_denied())),
                FeedItem::Failed(refusal) => return Err(plain(refusal)),
                FeedItem::Progress(_) => {}
            }
        }
    }

    /// Why the caller may not go on: as in etcd, a client whose token ended is told so, for it can log in again.
    fn why_denied(&self) -> Refusal {
        self.services.store.renewed(&self.caller).err().unwrap_or(Refusal::PermissionDenied)
    }

    /// Deletes `key` when dropped, unless [`Guard::keep`] is called: the caller went away while it waited, or may not wait any
    /// more. The server does that by itself: a caller without rights would hold up all who wait behind it, for as long
    /// as its lease lives.
    pub(super) fn guard(&self, key: Bytes, created: i64) -> Guard {
        let recipes = Self { services: self.services.clone(), caller: Caller::System };
        Guard { recipes, key: Some(key), created, runtime: Handle::try_current().ok() }
    }
}

/// See [`Recipes::guard`].
pub(super) struct Guard {
    recipes: Recipes,
    key: Option<Bytes>,
    created: i64,
    runtime: Option<Handle>,
}

impl Guard {
    /// The key stays.
    pub(super) fn keep(mut self) {
        self.key = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (Some(key), Some(runtime)) = (self.key.take(), self.runtime.take()) else { return };
        let recipes = self.recipes.clone();
        let txn = Txn {
            compares: vec![created_at(&key, self.created)],
            success: vec![Op::Delete(Delete { range: KeyRange::single(key), prev_kv: false })],
            failure: Vec::new(),
        };
        runtime.spawn(async move {
            if let Err(refusal) = recipes.txn(txn).await {
                tracing::debug!(%refusal, "the key of a caller that went away stays until its lease runs out");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_leases_in_hex() {
        assert_eq!(key_of(b"lock", 0x694d_81b5_75b3), Bytes::from_static(b"lock/694d81b575b3"));
        assert_eq!(key_of(b"", -255), Bytes::from_static(b"/-ff"));
        assert_eq!(below(b"a").start, Bytes::from_static(b"a/"));
    }
}
