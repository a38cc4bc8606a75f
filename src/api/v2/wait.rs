//! The body of an answer to `wait=true`: it comes when something happens.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::json;
use crate::api::gate::leash::Leash;
use crate::api::unsent::Share;
use crate::watch::TreeFeed;

/// Lines of events. It ends with the first one, or when the server stops, or when its client reads too little.
pub struct Waiting {
    feed: TreeFeed,
    stream: bool,
    share: Arc<Share>,
    /// Ready when it must end.
    leash: Leash,
    ended: bool,
}

impl Waiting {
    /// The events of `feed`, with `stream` more than one.
    pub fn new(feed: TreeFeed, stream: bool, share: Arc<Share>, leash: Leash) -> Self {
        Self { feed, stream, share, leash, ended: false }
    }

    /// The next line; `None` at the end.
    pub fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ended || Pin::new(&mut self.leash).poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        // What is not sent yet counts: a client that does not read loses its place among those who wait.
        if self.share.poll_room(context).is_pending() {
            return Poll::Pending;
        }
        let Poll::Ready(event) = self.feed.poll_next(context) else { return Poll::Pending };
        // Without room for it the waiting ends: each of many clients could leave the same large event unread.
        let line =
            event.and_then(|event| json::line(&self.share, |out| json::event(&event, false, out)).ok());
        self.ended = !self.stream || line.is_none();
        Poll::Ready(line)
    }
}
