//! All keys of a range at one revision, page by page.

use super::client::Client;
use super::failure::Failure;
use super::keys::ZERO;
use crate::api::proto::etcdserverpb::{RangeRequest, RangeResponse};
use crate::client::text;

/// Keys of the first page, and the most of a later one.
const FIRST: i64 = 100;
const MOST: i64 = 5000;
/// A page with fewer bytes is followed by a longer one, and one with more by a shorter one: pages stay at some megabytes,
/// with small values and with large ones.
const FEW: usize = 1 << 20;
const MANY: usize = 8 << 20;

/// What is left to be read.
pub(super) struct Pages {
    request: RangeRequest,
    ended: bool,
}

impl Pages {
    /// Ascending keys of a request without limit, filters and order.
    pub(super) fn new(request: RangeRequest) -> Self {
        Self { request: RangeRequest { limit: FIRST, ..request }, ended: false }
    }

    /// The next page; the last one has no more behind it, and none comes after it.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn next(&mut self, client: &mut Client<'_>) -> Result<Option<RangeResponse>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let request = self.request.clone();
        let page = client.ask(async |to| to.kv.range(request.clone()).await).await;
        let page = page.map_err(|status| Failure::error(text(&status)))?;
        if self.request.revision == 0 {
            self.request.revision = page.header.map_or(0, |header| header.revision);
        }
        let bytes: usize = page.kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
        match bytes {
            ..FEW => self.request.limit = MOST.min(self.request.limit * 2),
            MANY.. => self.request.limit = 1.max(self.request.limit / 4),
            _ => {}
        }
        match page.kvs.last() {
            Some(last) if page.more => self.request.key = [last.key.as_ref(), ZERO].concat().into(),
            _ => self.ended = true,
        }
        Ok(Some(page))
    }
}
