//! The watch service: one stream, any number of watchers (etcd semantics section 7).
//!
//! The stream is one state machine, polled by the connection: it reads a request if there is one, otherwise it sends an
//! item from the hub. Nothing is read ahead, and only the hub's bounded queues are buffers; a client that does not read
//! stops its own requests, too.

mod answer;
mod watchers;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use rand::RngExt;
use tokio::time::{Instant, Sleep, sleep_until};

use super::traced::span;
use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::watch_create_request::FilterType;
use crate::api::proto::etcdserverpb::watch_request::RequestUnion;
use crate::api::reads::Watches;
use crate::api::services::Services;
use crate::api::status;
use crate::model::{Caller, KeyRange, Refusal};
use crate::watch::{Item, Want, WatchKey, WatchSpec};
pub use answer::{Answer, Events};
use watchers::Watchers;

/// The id in answers about no watcher, or about all.
const NO_WATCHER: i64 = -1;
/// Shortest interval between progress notifications.
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Requests that are served before the hub gets its turn.
const MAX_REQUESTS_IN_TURN: u32 = 32;

const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";

/// Serves a stream.
pub fn open<R>(services: &Arc<Services>, caller: Caller, requests: R) -> WatchStream<R>
where
    R: Stream<Item = Result<pb::WatchRequest, Refusal>> + Unpin,
{
    WatchStream::new(services.clone(), caller, requests)
}

/// A watcher of this stream.
struct Watcher {
    key: WatchKey,
    fragment: bool,
    progress_notify: bool,
    /// No events since the last tick.
    quiet: bool,
}

/// What most streams never need.
#[derive(Default)]
struct Aside {
    /// The rest of an answer that is sent in fragments.
    fragments: VecDeque<Answer>,
    /// Runs as soon as a watcher wants progress notifications.
    tick: Option<Pin<Box<Sleep>>>,
}

/// The answers of one watch stream.
pub struct WatchStream<R> {
    services: Arc<Services>,
    watches: Watches,
    /// `None` after the client's last request.
    requests: Option<R>,
    watchers: Watchers<Watcher>,
    next_id: i64,
    /// `None` for most: there may be very many streams.
    aside: Option<Box<Aside>>,
    requests_in_turn: u32,
    failed: bool,
}

impl<R> WatchStream<R>
where
    R: Stream<Item = Result<pb::WatchRequest, Refusal>> + Unpin,
{
    /// A stream that serves `requests`.
    pub fn new(services: Arc<Services>, caller: Caller, requests: R) -> Self {
        Self {
            watches: services.reads.watches(caller),
            services,
            requests: Some(requests),
            watchers: Watchers::default(),
            next_id: 0,
            aside: None,
            requests_in_turn: 0,
            failed: false,
        }
    }

    /// Serves requests as long as there are any, up to the first one that is answered.
    fn poll_requests(&mut self, context: &mut Context<'_>) -> Result<Option<Answer>, Refusal> {
        while self.requests_in_turn < MAX_REQUESTS_IN_TURN {
            let Some(requests) = self.requests.as_mut() else { break };
            match Pin::new(requests).poll_next(context) {
                Poll::Pending => break,
                // Half-closed: events are still sent.
                Poll::Ready(None) => self.requests = None,
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a watch stream broke");
                    // A message that is too long is reported; a client that is gone receives nothing anyway.
                    let too_long = matches!(error, Refusal::MessageTooLong(_));
                    return Err(if too_long { error } else { Refusal::WatchCanceled });
                }
                Poll::Ready(Some(Ok(request))) => {
                    self.requests_in_turn += 1;
                    let answer = match request.request_union {
                        Some(RequestUnion::CreateRequest(request)) => Some(self.create(request)),
                        Some(RequestUnion::CancelRequest(request)) => self.cancel(request.watch_id),
                        Some(RequestUnion::ProgressRequest(_)) => {
                            self.watches.request_progress();
                            None
                        }
                        None => None,
                    };
                    if answer.is_some() {
                        return Ok(answer);
                    }
                }
            }
        }
        Ok(None)
    }

    fn create(&mut self, request: pb::WatchCreateRequest) -> Answer {
        let _span = span(&self.services, &request);
        let range = range_of(request.key, request.range_end);
        if request.start_revision < 0 {
            return self.refuse(status::text(&Refusal::Compacted { compacted: 0 }).to_string());
        }
        if let Err(refusal) = self.watches.permit(&range) {
            return self.refuse(status::printed(&refusal));
        }
        let watch_id = match self.check(&range, request.watch_id) {
            Ok(watch_id) => watch_id,
            Err(reason) => return self.refuse(reason),
        };
        let mut want = Want { prev_kv: request.prev_kv, ..Want::default() };
        for filter in request.filters {
            match FilterType::try_from(filter) {
                Ok(FilterType::Noput) => want.no_put = true,
                Ok(FilterType::Nodelete) => want.no_delete = true,
                Err(_) => {}
            }
        }
        let start_revision = request.start_revision;
        let (key, revision) =
            match self.watches.open(WatchSpec { tag: watch_id, range, start_revision, want }) {
                Ok(opened) => opened,
                Err(refusal) => return self.refuse(status::printed(&refusal)),
            };
        let progress_notify = request.progress_notify;
        if progress_notify {
            let tick = &mut self.aside.get_or_insert_default().tick;
            tick.get_or_insert_with(|| Box::pin(sleep_until(next_tick(&self.services))));
        }
        let watcher = Watcher { key, fragment: request.fragment, progress_notify, quiet: true };
        self.watchers.insert(watch_id, watcher);
        Answer::Control(pb::WatchResponse {
            header: Some(self.services.header_at(revision)),
            watch_id,
            created: true,
            ..pb::WatchResponse::default()
        })
    }

    /// Answers that a watcher was not created.
    fn refuse(&self, reason: String) -> Answer {
        Answer::Control(pb::WatchResponse {
            header: Some(self.services.header_at(self.watches.show_revision())),
            watch_id: NO_WATCHER,
            created: true,
            canceled: true,
            cancel_reason: reason,
            ..pb::WatchResponse::default()
        })
    }

    /// The id for a watcher, or the reason why it is not created.
    fn check(&mut self, range: &KeyRange, watch_id: i64) -> Result<i64, String> {
        if range.is_empty() {
            return Err(EMPTY_RANGE.to_string());
        }
        if watch_id != 0 {
            let taken = self.watchers.contains(watch_id);
            return if taken { Err(DUPLICATE_ID.to_string()) } else { Ok(watch_id) };
        }
        while self.watchers.contains(self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    fn cancel(&mut self, watch_id: i64) -> Option<Answer> {
        let watcher = self.watchers.remove(watch_id)?;
        self.watches.close(watcher.key);
        Some(Answer::Control(pb::WatchResponse {
            header: Some(self.services.header_at(self.watches.show_revision())),
            watch_id,
            canceled: true,
            ..pb::WatchResponse::default()
        }))
    }

    /// Ends a watcher that the hub has ended; `why` says so to the client.
    fn end(&mut self, watch_id: i64, revision: i64, why: pb::WatchResponse) -> Answer {
        if let Some(watcher) = self.watchers.remove(watch_id) {
            self.watches.close(watcher.key);
        }
        let header = Some(self.services.header_at(revision));
        Answer::Control(pb::WatchResponse { header, watch_id, canceled: true, ..why })
    }

    /// Turns an item of the hub into an answer; `None` if its watcher has gone.
    fn tell(&mut self, item: Item) -> Result<Option<Answer>, Refusal> {
        Ok(Some(match item {
            Item::Events { tag, header_revision, runs } => {
                let header = self.services.header_at(header_revision);
                self.services.metrics.watch_events(runs.iter().map(|run| run.events().count() as u64).sum());
                let events = Events::Runs(runs);
                let answer = Answer::Events { header, watch_id: tag, fragment: false, events };
                let Some(watcher) = self.watchers.get_mut(tag) else { return Ok(None) };
                watcher.quiet = false;
                if watcher.fragment {
                    let parts = answer.split(self.services.settings().max_receive_bytes());
                    self.aside.get_or_insert_default().fragments = parts.into();
                    return Ok(self.next_fragment());
                }
                answer
            }
            Item::Compacted { tag, header_revision, revision } => {
                let why = pb::WatchResponse { compact_revision: revision, ..pb::WatchResponse::default() };
                self.end(tag, header_revision, why)
            }
            Item::Denied { tag, header_revision } => {
                let cancel_reason = status::printed(&Refusal::PermissionDenied);
                self.end(tag, header_revision, pb::WatchResponse { cancel_reason, ..Default::default() })
            }
            Item::Progress { revision } => self.progress(NO_WATCHER, revision),
            Item::Notify { tag, revision } => self.progress(tag, revision),
            Item::Failed(refusal) => return Err(refusal),
        }))
    }

    fn progress(&self, watch_id: i64, revision: i64) -> Answer {
        Answer::Control(pb::WatchResponse {
            header: Some(self.services.header_at(revision)),
            watch_id,
            ..pb::WatchResponse::default()
        })
    }

    /// An idle stream keeps no room for them.
    fn next_fragment(&mut self) -> Option<Answer> {
        let aside = self.aside.as_mut()?;
        let next = aside.fragments.pop_front();
        if next.is_none() {
            aside.fragments = VecDeque::new();
            if aside.tick.is_none() {
                self.aside = None;
            }
        }
        next
    }

    fn poll_tick(&mut self, context: &mut Context<'_>) {
        while let Some(tick) = self.aside.as_mut().and_then(|aside| aside.tick.as_mut())
            && tick.as_mut().poll(context).is_ready()
        {
            tick.as_mut().reset(next_tick(&self.services));
            let asking = self.watchers.iter_mut().filter(|watcher| watcher.progress_notify);
            let quiet: Vec<WatchKey> = asking
                .filter_map(|watcher| std::mem::replace(&mut watcher.quiet, true).then_some(watcher.key))
                .collect();
            self.watches.notify(quiet);
        }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer, Refusal>> {
        loop {
            if let Some(answer) = self.next_fragment() {
                return Poll::Ready(Ok(answer));
            }
            if let Some(answer) = self.poll_requests(context)? {
                return Poll::Ready(Ok(answer));
            }
            self.poll_tick(context);
            let was_full_turn = std::mem::take(&mut self.requests_in_turn) >= MAX_REQUESTS_IN_TURN;
            match self.watches.poll_next(context) {
                Poll::Ready(item) => {
                    if let Some(answer) = self.tell(item)? {
                        return Poll::Ready(Ok(answer));
                    }
                }
                Poll::Pending if was_full_turn => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// When the watchers of a stream are notified of progress next.
fn next_tick(services: &Services) -> Instant {
    let interval = services.settings().watch_progress_interval.max(MIN_PROGRESS_INTERVAL);
    // Streams that began at the same time should not be notified at the same time.
    Instant::now() + interval.mul_f64(rand::rng().random_range(1.0..1.1))
}

/// The keys of a create request: etcd treats an empty key as the first one.
fn range_of(key: Bytes, range_end: Bytes) -> KeyRange {
    let key = if key.is_empty() { Bytes::from_static(&[0]) } else { key };
    KeyRange::from_wire(key, range_end)
}

impl<R> Stream for WatchStream<R>
where
    R: Stream<Item = Result<pb::WatchRequest, Refusal>> + Unpin,
{
    type Item = Result<Answer, Refusal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let polled = self.poll_answer(context);
        self.failed = matches!(polled, Poll::Ready(Err(_)));
        polled.map(Some)
    }
}
