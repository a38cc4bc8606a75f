//! The watch service: one stream, any number of watchers (etcd semantics section 7).
//!
//! The stream is one state machine, polled by the connection: it reads a request where one is there, else tells what
//! the hub has. Nothing is read ahead and nothing buffered beside what the hub bounds; a client that does not read
//! stops its own requests, too.

mod answer;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::Body;
use rand::RngExt;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::codec::{CompressionEncoding, EnabledCompressionEncodings};
use tonic::codegen::Service;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::api::proto::etcdserverpb as pb;
use crate::api::proto::etcdserverpb::watch_create_request::FilterType;
use crate::api::proto::etcdserverpb::watch_request::RequestUnion;
use crate::api::services::Services;
use crate::api::status;
use crate::model::{KeyRange, Refusal};
use crate::watch::{Item, Session, Want, WatchKey, WatchSpec};
use answer::{Answer, WatchCodec};

/// The id in answers that concern no watcher, or all.
const NO_WATCHER: i64 = -1;
/// Shortest interval between progress notifications.
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Requests that are served before the hub gets its turn.
const MAX_REQUESTS_IN_TURN: u32 = 32;

const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";

/// See the module.
#[derive(Clone)]
pub struct WatchService {
    services: Arc<Services>,
}

impl WatchService {
    /// The service on top of `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }

    /// Answers a call. `limit` is the largest request, in bytes.
    pub(super) async fn serve<B>(
        &self,
        request: http::Request<B>,
        limit: usize,
    ) -> http::Response<tonic::body::Body>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError> + Send + 'static,
    {
        let mut gzip = EnabledCompressionEncodings::default();
        gzip.enable(CompressionEncoding::Gzip);
        tonic::server::Grpc::new(WatchCodec)
            .apply_compression_config(gzip, gzip)
            .apply_max_message_size_config(Some(limit), None)
            .streaming(self.clone(), request)
            .await
    }
}

impl Service<Request<Streaming<pb::WatchRequest>>> for WatchService {
    type Response = Response<WatchStream<Streaming<pb::WatchRequest>>>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<pb::WatchRequest>>) -> Self::Future {
        ready(Ok(Response::new(WatchStream::new(self.services.clone(), request.into_inner()))))
    }
}

/// A watcher of this stream.
struct Watcher {
    key: WatchKey,
    fragment: bool,
    progress_notify: bool,
    /// No events since the last tick.
    quiet: bool,
}

/// The answers of one watch stream.
pub struct WatchStream<R> {
    services: Arc<Services>,
    session: Session,
    /// `None` once the client has said all it wanted.
    requests: Option<R>,
    watchers: HashMap<i64, Watcher>,
    next_id: i64,
    ready: VecDeque<Answer>,
    /// Runs once a watcher wants progress notifications.
    tick: Option<Pin<Box<Sleep>>>,
    interval: Duration,
    requests_in_turn: u32,
    failed: bool,
}

impl<R> WatchStream<R>
where
    R: Stream<Item = Result<pb::WatchRequest, Status>> + Unpin,
{
    /// A stream that serves `requests`.
    pub fn new(services: Arc<Services>, requests: R) -> Self {
        let interval = services.settings().watch_progress_interval.max(MIN_PROGRESS_INTERVAL);
        // Streams that began together are not to be notified together.
        let jitter = interval.mul_f64(rand::rng().random_range(0.0..0.1));
        Self {
            session: services.hub.session(),
            services,
            requests: Some(requests),
            watchers: HashMap::new(),
            next_id: 0,
            ready: VecDeque::new(),
            tick: None,
            interval: interval + jitter,
            requests_in_turn: 0,
            failed: false,
        }
    }

    /// Serves requests as long as they are there and ask for no answer.
    fn poll_requests(&mut self, context: &mut Context<'_>) -> Result<(), Status> {
        while self.ready.is_empty() && self.requests_in_turn < MAX_REQUESTS_IN_TURN {
            let Some(requests) = self.requests.as_mut() else { return Ok(()) };
            match Pin::new(requests).poll_next(context) {
                Poll::Pending => return Ok(()),
                // Half-closed: what is watched goes on being told.
                Poll::Ready(None) => self.requests = None,
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a watch stream broke");
                    // What is too long is said; whoever has gone hears nothing anyway.
                    let too_long = matches!(error.code(), Code::OutOfRange | Code::ResourceExhausted);
                    return Err(if too_long { error } else { status::watch_canceled() });
                }
                Poll::Ready(Some(Ok(request))) => {
                    self.requests_in_turn += 1;
                    match request.request_union {
                        Some(RequestUnion::CreateRequest(request)) => self.create(request),
                        Some(RequestUnion::CancelRequest(request)) => self.cancel(request.watch_id),
                        Some(RequestUnion::ProgressRequest(_)) => self.session.request_progress(),
                        None => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, request: pb::WatchCreateRequest) {
        let range = range_of(request.key, request.range_end);
        let watch_id = match self.check(&range, request.start_revision, request.watch_id) {
            Ok(watch_id) => watch_id,
            Err(reason) => {
                self.ready.push_back(Answer::Control(pb::WatchResponse {
                    header: Some(self.services.header_at(self.session.show_revision())),
                    watch_id: NO_WATCHER,
                    created: true,
                    canceled: true,
                    cancel_reason: reason,
                    ..pb::WatchResponse::default()
                }));
                return;
            }
        };
        let mut want = Want { prev_kv: request.prev_kv, ..Want::default() };
        for filter in request.filters {
            match FilterType::try_from(filter) {
                Ok(FilterType::Noput) => want.no_put = true,
                Ok(FilterType::Nodelete) => want.no_delete = true,
                Err(_) => {}
            }
        }
        let (key, revision) = self.session.open(WatchSpec {
            tag: watch_id,
            range,
            start_revision: request.start_revision,
            want,
        });
        let progress_notify = request.progress_notify;
        if progress_notify && self.tick.is_none() {
            self.tick = Some(Box::pin(sleep_until(Instant::now() + self.interval)));
        }
        let watcher = Watcher { key, fragment: request.fragment, progress_notify, quiet: true };
        self.watchers.insert(watch_id, watcher);
        self.ready.push_back(Answer::Control(pb::WatchResponse {
            header: Some(self.services.header_at(revision)),
            watch_id,
            created: true,
            ..pb::WatchResponse::default()
        }));
    }

    /// The id a watcher gets, or the reason why it is none.
    fn check(&mut self, range: &KeyRange, start_revision: i64, watch_id: i64) -> Result<i64, String> {
        if start_revision < 0 {
            return Err(status::text(&Refusal::Compacted { compacted: 0 }).into_owned());
        }
        if range.is_empty() {
            return Err(EMPTY_RANGE.to_string());
        }
        if watch_id != 0 {
            let taken = self.watchers.contains_key(&watch_id);
            return if taken { Err(DUPLICATE_ID.to_string()) } else { Ok(watch_id) };
        }
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    fn cancel(&mut self, watch_id: i64) {
        if let Some(watcher) = self.watchers.remove(&watch_id) {
            self.session.close(watcher.key);
            self.ready.push_back(Answer::Control(pb::WatchResponse {
                header: Some(self.services.header_at(self.session.show_revision())),
                watch_id,
                canceled: true,
                ..pb::WatchResponse::default()
            }));
        }
    }

    /// Makes answers of what the hub tells.
    fn tell(&mut self, item: Item) -> Result<(), Status> {
        match item {
            Item::Events { tag, header_revision, runs } => {
                let header = self.services.header_at(header_revision);
                let answer = Answer::events(header, tag, &runs);
                self.services.metrics.watch_events(runs.iter().map(|run| run.events().count() as u64).sum());
                let Some(watcher) = self.watchers.get_mut(&tag) else { return Ok(()) };
                watcher.quiet = false;
                if watcher.fragment {
                    let limit = self.services.settings().max_receive_bytes();
                    self.ready.extend(answer.split(&runs, limit));
                } else {
                    self.ready.push_back(answer);
                }
            }
            Item::Compacted { tag, header_revision, revision } => {
                if let Some(watcher) = self.watchers.remove(&tag) {
                    self.session.close(watcher.key);
                }
                self.ready.push_back(Answer::Control(pb::WatchResponse {
                    header: Some(self.services.header_at(header_revision)),
                    watch_id: tag,
                    canceled: true,
                    compact_revision: revision,
                    ..pb::WatchResponse::default()
                }));
            }
            Item::Progress { revision } => self.tell_progress(NO_WATCHER, revision),
            Item::Notify { tag, revision } => self.tell_progress(tag, revision),
            Item::Failed(refusal) => return Err(refusal.into()),
        }
        Ok(())
    }

    fn tell_progress(&mut self, watch_id: i64, revision: i64) {
        self.ready.push_back(Answer::Control(pb::WatchResponse {
            header: Some(self.services.header_at(revision)),
            watch_id,
            ..pb::WatchResponse::default()
        }));
    }

    fn poll_tick(&mut self, context: &mut Context<'_>) {
        while let Some(tick) = self.tick.as_mut()
            && tick.as_mut().poll(context).is_ready()
        {
            tick.as_mut().reset(Instant::now() + self.interval);
            let asking = self.watchers.values_mut().filter(|watcher| watcher.progress_notify);
            let quiet: Vec<WatchKey> = asking
                .filter_map(|watcher| std::mem::replace(&mut watcher.quiet, true).then_some(watcher.key))
                .collect();
            self.session.notify(quiet);
        }
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<Answer, Status>> {
        loop {
            if let Some(answer) = self.ready.pop_front() {
                return Poll::Ready(Ok(answer));
            }
            self.poll_requests(context)?;
            if !self.ready.is_empty() {
                continue;
            }
            self.poll_tick(context);
            let was_full_turn = std::mem::take(&mut self.requests_in_turn) >= MAX_REQUESTS_IN_TURN;
            match self.session.poll_next(context) {
                Poll::Ready(item) => self.tell(item)?,
                Poll::Pending if was_full_turn => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// The keys that a create request means: etcd reads an empty key as the first one.
fn range_of(key: Bytes, range_end: Bytes) -> KeyRange {
    let key = if key.is_empty() { Bytes::from_static(&[0]) } else { key };
    KeyRange::from_wire(key, range_end)
}

impl<R> Stream for WatchStream<R>
where
    R: Stream<Item = Result<pb::WatchRequest, Status>> + Unpin,
{
    type Item = Result<Answer, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let polled = self.poll_answer(context);
        self.failed = matches!(polled, Poll::Ready(Err(_)));
        polled.map(Some)
    }
}
