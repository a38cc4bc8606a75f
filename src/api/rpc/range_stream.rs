//! `RangeStream`: a range in chunks, all read at one revision, with memory for one chunk. Joined they are the answer to
//! `Range`; a range in another order than key order is therefore read as a whole, as there.

use std::iter::Peekable;
use std::pin::Pin;
use std::sync::Arc;
use std::vec;

use futures_util::{Stream, stream};
use prost::Message;

use super::convert;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::range_request::SortOrder;
use crate::api::proto::mvccpb::KeyValue;
use crate::api::reads::{Freshness, Limited, Pages};
use crate::api::services::Services;
use crate::model::{Caller, Refusal};

/// The messages of the answer.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Refusal>> + Send>>;

/// Most keys in the first chunk; each later one may have twice as many. All are limited by their size in bytes, too.
const FIRST_LIMIT: i64 = 10;

/// `RangeStream`.
pub async fn open(
    services: &Arc<Services>,
    caller: Caller,
    request: pb::RangeRequest,
) -> Result<Chunks, Refusal> {
    let place = services.reads.range_stream()?;
    let freshness = Freshness::of(request.serializable);
    let ordered = request.sort_order != i32::from(SortOrder::None);
    let query = convert::range(request)?;
    // An explicit order is refused, as in etcd; without one every target is accepted.
    if ordered && !query.sort.is_key_order() {
        return Err(Refusal::NotSupported("RangeStream does not support custom sort orders".into()));
    }
    if !query.bounds.is_unbounded() {
        return Err(Refusal::NotSupported("RangeStream does not support revision filters".into()));
    }
    if query.sort.is_key_order() && !query.count_only {
        let wanted = (query.limit > 0).then_some(query.limit);
        let pages = services.reads.pages(&caller, query, freshness).await?;
        let cursor = Cursor::new(services.clone(), pages, wanted);
        let chunks = stream::try_unfold(cursor, |mut cursor| async move {
            Ok(cursor.next().await?.map(|message| (message, cursor)))
        });
        return Ok(Box::pin(Limited::new(Box::pin(chunks), place)));
    }
    let result = services.reads.range(&caller, query, freshness).await?;
    let header = services.header_at(result.revision);
    let whole = convert::range_response(result, Some(header));
    let size = services.settings().max_request_bytes / 2;
    Ok(Box::pin(Limited::new(stream::iter(Pieces::new(whole, size).map(Ok)), place)))
}

/// An answer in pieces of about this size in bytes. The last one has the header, `more` and `count`.
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

/// A stream in the order of keys.
struct Cursor {
    services: Arc<Services>,
    pages: Pages,
    /// Keys that remain up to the limit; `None` for no limit.
    wanted: Option<i64>,
    /// Most keys in the next chunk.
    chunk: i64,
    /// Keys sent so far.
    sent: i64,
    /// The store's revision in the first chunk.
    revision: Option<i64>,
    done: bool,
}

impl Cursor {
    fn new(services: Arc<Services>, pages: Pages, wanted: Option<i64>) -> Self {
        Self { services, pages, wanted, chunk: FIRST_LIMIT, sent: 0, revision: None, done: false }
    }

    async fn next(&mut self) -> Result<Option<pb::RangeStreamResponse>, Refusal> {
        if self.done {
            return Ok(None);
        }
        if self.sent > 0 {
            // Other requests on this thread get their turn.
            tokio::task::yield_now().await;
        }
        let keys = self.wanted.map_or(self.chunk, |wanted| wanted.min(self.chunk));
        let result = self.pages.next(keys, self.services.settings().max_request_bytes / 2)?;
        let keys = result.kvs.len() as i64;
        let last = !result.more || self.wanted == Some(keys);
        let more = result.more;
        self.sent += keys;
        if let Some(wanted) = &mut self.wanted {
            *wanted -= keys;
        }
        let revision = *self.revision.get_or_insert(result.revision);
        let mut response = convert::range_response(result, None);
        response.more = false;
        response.count = 0;
        if last {
            self.done = true;
            response.header = Some(self.services.header_at(revision));
            response.more = more;
            response.count = if more { self.pages.count().await? } else { self.sent };
        } else {
            self.chunk = self.chunk.saturating_mul(2);
        }
        Ok(Some(message(response)))
    }
}

fn message(response: pb::RangeResponse) -> pb::RangeStreamResponse {
    pb::RangeStreamResponse { range_response: Some(response) }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::super::stories::lone_leader;
    use super::*;
    use crate::api::services::{Settings, Stopper};
    use crate::model::{Command, KeyRange, Put};

    /// All messages of a stream, joined.
    async fn streamed(
        services: &Arc<Services>,
        request: pb::RangeRequest,
    ) -> Result<(pb::RangeResponse, usize), Refusal> {
        let pieces: Vec<_> = open(services, Caller::Anonymous, request).await?.try_collect().await?;
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
            services.propose(Caller::Anonymous, Command::Put(put)).await.expect("a put");
        }
        let range = KeyRange::single("k11");
        let delete = Command::Delete(crate::model::Delete { range, prev_kv: false });
        services.propose(Caller::Anonymous, delete).await.expect("a deletion");
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
                let range = services.reads.range(&Caller::Anonymous, query, Freshness::Serializable);
                let range = range.await.expect("an answer");
                let header = services.header_at(range.revision);
                let range = convert::range_response(range, Some(header));
                match streamed(&services, request.clone()).await {
                    Ok((pieces, count)) => {
                        assert_eq!(pieces, range, "{request:?}");
                        assert!(count > 1 || max_request_bytes > 200 || range.kvs.len() < 5, "{request:?}");
                        streams += 1;
                    }
                    Err(refusal) => {
                        assert!(matches!(refusal, Refusal::NotSupported(_)), "{request:?}: {refusal}");
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
            let text = "RangeStream does not support revision filters";
            assert_eq!(refused, Refusal::NotSupported(text.into()));
        }
    }
}
