//! `RangeStream`: a range in chunks, all read at one revision, in memory of the size of a chunk.

use std::pin::Pin;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream;
use prost::Message;
use tonic::Status;

use super::convert;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::range_request::SortOrder;
use crate::api::services::Services;
use crate::model::{KeyRange, RangeEnd, RangeQuery, RangeResult, Refusal, Sort, SortTarget};

/// The messages of the answer.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

/// Keys in the first chunk; from there the size of the chunks, in bytes, decides.
const FIRST_LIMIT: i64 = 10;

/// Begins a stream.
pub async fn open(services: Arc<Services>, request: pb::RangeRequest) -> Result<Chunks, Status> {
    let serializable = request.serializable;
    let unsorted = request.sort_order == i32::from(SortOrder::None);
    let mut query = convert::range(request)?;
    let target = query.sort.target;
    if unsorted {
        // "None" is let through with any target; then etcd sorts within each chunk.
        query.sort = Sort::default();
    }
    if !query.sort.is_key_order() {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    if !query.bounds.is_unbounded() {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    if !serializable {
        services.read_index().await?;
    }
    let state = Cursor::new(services, query, target);
    Ok(Box::pin(stream::try_unfold(state, |mut cursor| async move {
        match cursor.next().await? {
            Some(message) => Ok(Some((message, cursor))),
            None => Ok(None),
        }
    })))
}

/// Where a stream stands.
struct Cursor {
    services: Arc<Services>,
    query: RangeQuery,
    /// The range asked for.
    whole: KeyRange,
    /// What each chunk is sorted by.
    target: SortTarget,
    /// Keys still wanted in all; `None` for no limit.
    wanted: Option<i64>,
    /// Keys in the next chunk.
    chunk: i64,
    /// Keys sent so far.
    sent: i64,
    /// The store's revision as the first chunk told it.
    revision: Option<i64>,
    done: bool,
}

impl Cursor {
    fn new(services: Arc<Services>, query: RangeQuery, target: SortTarget) -> Self {
        let wanted = (query.limit > 0).then_some(query.limit);
        let whole = query.range.clone();
        Self {
            services,
            query,
            whole,
            target,
            wanted,
            chunk: FIRST_LIMIT,
            sent: 0,
            revision: None,
            done: false,
        }
    }

    async fn next(&mut self) -> Result<Option<pb::RangeStreamResponse>, Status> {
        if self.done {
            return Ok(None);
        }
        if self.query.count_only {
            self.done = true;
            let query = self.query.clone();
            let result = self.count(query).await?;
            let header = self.services.header_at(result.revision);
            return Ok(Some(message(convert::range_response(result, Some(header)))));
        }
        if self.sent > 0 {
            // A long stream shares its thread with short requests.
            tokio::task::yield_now().await;
        }
        self.query.limit = self.wanted.map_or(self.chunk, |wanted| wanted.min(self.chunk));
        let mut result = self.services.store.page(&self.query)?;
        let last = !result.more || self.wanted == Some(result.kvs.len() as i64);
        let more = result.more;
        self.advance(&result);
        match self.target {
            SortTarget::Key => {}
            SortTarget::Version => result.kvs.sort_by_key(|kv| kv.version),
            SortTarget::Create => result.kvs.sort_by_key(|kv| kv.create_revision),
            SortTarget::Mod => result.kvs.sort_by_key(|kv| kv.mod_revision),
            SortTarget::Value => result.kvs.sort_by(|a, b| a.value.cmp(&b.value)),
        }
        if self.query.keys_only && self.target != SortTarget::Value {
            result.kvs.iter_mut().for_each(|kv| kv.lease = 0);
        }
        let revision = *self.revision.get_or_insert(result.revision);
        let mut response = convert::range_response(result, None);
        response.more = false;
        response.count = 0;
        if last {
            self.done = true;
            response.header = Some(self.services.header_at(revision));
            response.more = more;
            response.count = if more {
                let range = self.whole.clone();
                let at = self.query.revision;
                self.count(RangeQuery { revision: at, count_only: true, ..RangeQuery::current(range) })
                    .await?
                    .count
            } else {
                self.sent
            };
        } else {
            self.adapt(response.encoded_len());
        }
        Ok(Some(message(response)))
    }

    /// Counting goes through all keys: not on this thread.
    async fn count(&self, query: RangeQuery) -> Result<RangeResult, Refusal> {
        let store = self.services.store.clone();
        super::blocking(move || Ok::<_, Refusal>(store.range(&query))).await?
    }

    /// Goes on after the last key of a chunk, at the revision of the first.
    fn advance(&mut self, result: &RangeResult) {
        self.sent += result.kvs.len() as i64;
        if let Some(wanted) = &mut self.wanted {
            *wanted -= result.kvs.len() as i64;
        }
        if self.query.revision <= 0 {
            self.query.revision = result.revision;
        }
        if let Some(last) = result.kvs.last() {
            let end = std::mem::replace(&mut self.query.range.end, RangeEnd::Open);
            self.query.range = KeyRange { start: successor(&last.key), end };
        }
    }

    /// Keeps chunks near half of the request limit.
    fn adapt(&mut self, size: usize) {
        let target = self.services.settings().max_request_bytes / 2;
        if size < target {
            self.chunk = self.chunk.saturating_mul(2);
        } else if size > target.saturating_mul(2) {
            self.chunk = (self.chunk / 2).max(1);
        }
    }
}

fn message(response: pb::RangeResponse) -> pb::RangeStreamResponse {
    pb::RangeStreamResponse { range_response: Some(response) }
}

/// The very next key.
fn successor(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put(key);
    next.put_u8(0);
    next.freeze()
}
