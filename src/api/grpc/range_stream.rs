//! `RangeStream`: a range in chunks, all read at one revision, in memory of the size of a chunk. Put together they are the
//! answer to `Range`; one that is not in the order of keys is therefore read whole, as there.

use std::iter::Peekable;
use std::pin::Pin;
use std::sync::Arc;
use std::vec;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream;
use prost::Message;
use tonic::Status;

use super::limited::{Limited, Place};
use super::{convert, read};
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::range_request::SortOrder;
use crate::api::proto::mvccpb::KeyValue;
use crate::api::services::Services;
use crate::model::{KeyRange, RangeEnd, RangeQuery, RangeResult, Refusal};

/// The messages of the answer.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

/// Keys in the first chunk; from there the size of the chunks, in bytes, decides.
const FIRST_LIMIT: i64 = 10;

/// Begins a stream.
pub async fn open(
    services: Arc<Services>,
    request: pb::RangeRequest,
    place: Place,
) -> Result<Chunks, Status> {
    let serializable = request.serializable;
    let ordered = request.sort_order != i32::from(SortOrder::None);
    let query = convert::range(request)?;
    // An order that is asked for is refused as by etcd; with none, every target is let through.
    if ordered && !query.sort.is_key_order() {
        return Err(Status::unimplemented("RangeStream does not support custom sort orders"));
    }
    if !query.bounds.is_unbounded() {
        return Err(Status::unimplemented("RangeStream does not support revision filters"));
    }
    if !serializable {
        services.read_index().await?;
    }
    if query.sort.is_key_order() && !query.count_only {
        let chunks = stream::try_unfold(Cursor::new(services, query), |mut cursor| async move {
            Ok(cursor.next().await?.map(|message| (message, cursor)))
        });
        return Ok(Box::pin(Limited::new(Box::pin(chunks), place)));
    }
    let result = read::range(&services, query).await?;
    let header = services.header_at(result.revision);
    let whole = convert::range_response(result, Some(header));
    let size = services.settings().max_request_bytes / 2;
    Ok(Box::pin(Limited::new(stream::iter(Pieces::new(whole, size).map(Ok)), place)))
}

/// An answer in pieces of about a size in bytes. The last one has the header, `more` and `count`.
struct Pieces {
    kvs: Peekable<vec::IntoIter<KeyValue>>,
    last: Option<pb::RangeResponse>,
    size: usize,
}

impl Pieces {
    fn new(mut whole: pb::RangeResponse, size: usize) -> Self {
        let kvs = std::mem::take(&mut whole.kvs).into_iter().peekable();
        Self { kvs, last: Some(whole), size }
    }
}

impl Iterator for Pieces {
    type Item = pb::RangeStreamResponse;

    fn next(&mut self) -> Option<Self::Item> {
        self.last.as_ref()?;
        let (mut kvs, mut size) = (Vec::new(), 0);
        while (kvs.is_empty() || size < self.size)
            && let Some(kv) = self.kvs.next()
        {
            size += kv.encoded_len();
            kvs.push(kv);
        }
        let response = match self.kvs.peek() {
            Some(_) => pb::RangeResponse { kvs, ..pb::RangeResponse::default() },
            None => pb::RangeResponse { kvs, ..self.last.take()? },
        };
        Some(message(response))
    }
}

/// Where a stream in the order of keys stands.
struct Cursor {
    services: Arc<Services>,
    query: RangeQuery,
    /// The range asked for.
    whole: KeyRange,
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
    fn new(services: Arc<Services>, query: RangeQuery) -> Self {
        let wanted = (query.limit > 0).then_some(query.limit);
        let whole = query.range.clone();
        Self { services, query, whole, wanted, chunk: FIRST_LIMIT, sent: 0, revision: None, done: false }
    }

    async fn next(&mut self) -> Result<Option<pb::RangeStreamResponse>, Status> {
        if self.done {
            return Ok(None);
        }
        if self.sent > 0 {
            // A long stream shares its thread with short requests.
            tokio::task::yield_now().await;
        }
        self.query.limit = self.wanted.map_or(self.chunk, |wanted| wanted.min(self.chunk));
        let result = self.services.store.page(&self.query)?;
        let last = !result.more || self.wanted == Some(result.kvs.len() as i64);
        let more = result.more;
        self.advance(&result);
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
        read::range(&self.services, query).await
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

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::super::limited::Places;
    use super::super::stories::lone_leader;
    use super::*;
    use crate::api::services::{Settings, Stopper};
    use crate::model::{Caller, Command, Put};

    /// All messages of a stream, put together.
    async fn streamed(
        services: &Arc<Services>,
        request: pb::RangeRequest,
    ) -> Result<(pb::RangeResponse, usize), Status> {
        let place = Places::new(1).take()?;
        let pieces: Vec<_> = open(services.clone(), request, place).await?.try_collect().await?;
        let count = pieces.len();
        let mut whole = pb::RangeResponse::default();
        for piece in pieces {
            let piece = piece.range_response.unwrap_or_default();
            assert!(whole.header.is_none(), "a piece after the one with the header");
            assert!(piece.header.is_some() || (!piece.more && piece.count == 0), "{piece:?}");
            let kvs = [std::mem::take(&mut whole.kvs), piece.kvs.clone()].concat();
            whole = pb::RangeResponse { kvs, ..piece };
        }
        Ok((whole, count))
    }

    /// Thirty keys, some more than once, and one deleted.
    async fn filled() -> (Arc<Services>, Stopper, tempfile::TempDir) {
        let (services, stopper, dir) = lone_leader().await;
        for number in (0..30).chain([3, 7, 3, 29]) {
            let value = format!("{}", (number * 7 + services.store.revision()) % 11);
            let put = Put { key: format!("k{number:02}").into(), value: value.into(), ..Put::default() };
            services.node.propose(Caller::Anonymous, Command::Put(put)).await.expect("a put");
        }
        let range = KeyRange::single("k11");
        let delete = Command::Delete(crate::model::Delete { range, prev_kv: false });
        services.node.propose(Caller::Anonymous, delete).await.expect("a deletion");
        (services, stopper, dir)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_pieces_of_every_request_are_the_answer_to_range() {
        let (services, _stopper, _dir) = filled().await;
        let mut set = Settings::clone(&services.settings());
        let mut streams = 0;
        for max_request_bytes in [1_500_000, 200] {
            set.max_request_bytes = max_request_bytes;
            services.set_settings(set.clone());
            for choice in 0..2 * 2 * 2 * 3 * 5 * 4 * 3 {
                let mut rest = choice;
                let mut pick = |count: i64| {
                    let picked = rest % count;
                    rest /= count;
                    picked
                };
                let request = pb::RangeRequest {
                    key: "k".into(),
                    range_end: "l".into(),
                    serializable: pick(2) == 1,
                    keys_only: pick(2) == 1,
                    count_only: pick(2) == 1,
                    sort_order: pick(3) as i32,
                    sort_target: pick(5) as i32,
                    limit: [0, 1, 12, 29][pick(4) as usize],
                    revision: [0, 20, 33][pick(3) as usize],
                    ..pb::RangeRequest::default()
                };
                let query = convert::range(request.clone()).expect("a range");
                let range = read::range(&services, query).await.expect("an answer");
                let header = services.header_at(range.revision);
                let range = convert::range_response(range, Some(header));
                match streamed(&services, request.clone()).await {
                    Ok((pieces, count)) => {
                        assert_eq!(pieces, range, "{request:?}");
                        assert!(count > 1 || max_request_bytes > 200 || range.kvs.len() < 5, "{request:?}");
                        streams += 1;
                    }
                    Err(status) => {
                        assert_eq!(status.code(), tonic::Code::Unimplemented, "{request:?}");
                        assert!(
                            request.sort_order != 0 && (request.sort_order, request.sort_target) != (1, 0)
                        );
                    }
                }
            }
        }
        assert_eq!(streams, 2 * (2 * 2 * 2 * 4 * 3) * (5 + 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn filters_by_revision_are_refused_as_by_etcd() {
        let (services, _stopper, _dir) = filled().await;
        for filter in 0..4 {
            let mut request =
                pb::RangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
            let bounds = [
                &mut request.min_mod_revision,
                &mut request.max_mod_revision,
                &mut request.min_create_revision,
                &mut request.max_create_revision,
            ];
            *bounds.into_iter().nth(filter).expect("a bound") = 5;
            let refused = streamed(&services, request).await.expect_err("refused");
            assert_eq!(refused.message(), "RangeStream does not support revision filters");
        }
    }
}
