//! The watch streams of one server: every watcher's events in order; the guarantees of the stream are checked as events
//! arrive. Each server may batch events differently; their order and content must not differ.

use super::answer::{Answer, Names};
use crate::harness::PATIENCE;
use kvd::api::proto::etcdserverpb::watch_client::WatchClient;
use kvd::api::proto::etcdserverpb::watch_request::RequestUnion;
use kvd::api::proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use kvd::api::proto::mvccpb::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tonic::transport::Channel;

/// What each watcher saw, by stream and watch id.
type Stories = BTreeMap<(usize, i64), Vec<Seen>>;

/// A stream for watchers that start now or in the past. Progress requests on it say whether all have caught up.
pub const PRESENT_AND_PAST: usize = 0;
/// Another one.
pub const PAST: usize = 1;
/// A stream for watchers that start now or in the future: with a future one it reports no progress.
pub const FUTURE: usize = 2;
/// A stream for watchers whose start is compacted. etcd keeps a watcher that it cancelled for compaction in its stream:
/// its id stays taken, and the stream reports no progress any more.
pub const TOO_LATE: usize = 3;
/// How many streams a run has.
pub const STREAMS: usize = 4;

/// One thing a watcher saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Created { revision: i64, watch_id: i64 },
    Refused { revision: i64, watch_id: i64, reason: String, compacted: i64 },
    Event(Event),
    Canceled { revision: i64, reason: String, compacted: i64 },
}

/// All watch streams to one server.
pub struct Watches {
    client: WatchClient<Channel>,
    names: Arc<Mutex<Names>>,
    streams: [Option<Stream>; STREAMS],
}

struct Stream {
    requests: mpsc::UnboundedSender<WatchRequest>,
    log: Arc<Mutex<Log>>,
    /// A watcher of the past may not have caught up yet.
    catching_up: bool,
}

/// Everything received from a stream.
#[derive(Default)]
struct Log {
    watchers: BTreeMap<i64, Vec<Seen>>,
    live: BTreeSet<i64>,
    answers: Vec<Seen>,
    progress: Vec<i64>,
    promised: BTreeMap<i64, i64>,
    last: BTreeMap<i64, i64>,
    fragment_open: bool,
    /// The highest revision in a header so far.
    shown: i64,
    /// Headers whose revision went back, as etcd's sometimes do.
    turned_back: Vec<String>,
    broken: Vec<String>,
}

impl Watches {
    /// No stream is open yet.
    pub fn new(client: WatchClient<Channel>, names: Arc<Mutex<Names>>) -> Watches {
        Watches { client, names, streams: [const { None }; STREAMS] }
    }

    fn stream(&mut self, index: usize) -> &mut Stream {
        let (client, names) = (&self.client, &self.names);
        self.streams[index].get_or_insert_with(|| Stream::open(client.clone(), names.clone()))
    }

    /// Creates a watcher and waits for the server's answer.
    pub async fn create(&mut self, index: usize, request: WatchCreateRequest) -> Answer {
        let past = request.start_revision > 0 && index != FUTURE;
        let stream = self.stream(index);
        stream.catching_up |= past;
        let before = stream.log.lock().expect("no panic while held").answers.len();
        stream.send(RequestUnion::CreateRequest(request));
        stream.answer(before).await
    }

    /// Cancels a watcher; the server answers only if the watcher exists.
    pub async fn cancel(&mut self, index: usize, watch_id: i64) -> Answer {
        let stream = self.stream(index);
        let (lives, before) = {
            let log = stream.log.lock().expect("no panic while held");
            (log.live.contains(&watch_id), log.answers.len())
        };
        stream.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id }));
        if lives { stream.answer(before).await } else { Answer::Done }
    }

    /// Waits until every watcher of the past has caught up with `revision`. The server reports that by answering a
    /// request for progress; a stream whose last watcher was cancelled reports nothing.
    pub async fn settle(&mut self, revision: i64) -> Result<(), String> {
        for stream in self.streams.iter_mut().flatten().filter(|stream| stream.catching_up) {
            stream.progress(revision).await?;
            stream.catching_up = false;
        }
        Ok(())
    }

    /// The first place at which revisions went back on a stream: kvd's never do.
    pub fn turned_back(&self) -> Option<String> {
        self.streams
            .iter()
            .flatten()
            .find_map(|stream| stream.log.lock().expect("no panic while held").turned_back.first().cloned())
    }

    /// The events of all watchers, and the guarantees that were broken.
    pub fn stories(&self) -> (Stories, Vec<String>) {
        let mut stories = BTreeMap::new();
        let mut broken = Vec::new();
        for (index, stream) in self.streams.iter().enumerate() {
            let Some(stream) = stream else { continue };
            let log = stream.log.lock().expect("no panic while held");
            for (watch_id, story) in &log.watchers {
                stories.insert((index, *watch_id), story.clone());
            }
            broken.extend(log.broken.iter().map(|promise| format!("stream {index}: {promise}")));
        }
        (stories, broken)
    }
}

impl Stream {
    fn open(mut client: WatchClient<Channel>, names: Arc<Mutex<Names>>) -> Stream {
        let (requests, receiver) = mpsc::unbounded_channel();
        let log = Arc::new(Mutex::new(Log::default()));
        let written = log.clone();
        tokio::spawn(async move {
            let requests = tokio_stream::wrappers::UnboundedReceiverStream::new(receiver);
            let end = async {
                let mut answers = client.watch(requests).await?.into_inner();
                while let Some(answer) = answers.message().await? {
                    let names = names.lock().expect("no panic while held");
                    written.lock().expect("no panic while held").note(answer, &names);
                }
                Ok::<(), tonic::Status>(())
            };
            let end = end.await;
            written.lock().expect("no panic while held").broken.push(format!("the stream ended: {end:?}"));
        });
        Stream { requests, log, catching_up: false }
    }

    fn send(&self, request: RequestUnion) {
        // A stream that has ended has an entry for that in its record.
        let _ = self.requests.send(WatchRequest { request_union: Some(request) });
    }

    async fn answer(&self, before: usize) -> Answer {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(seen) = self.log.lock().expect("no panic while held").answers.get(before) {
                return Answer::Watch(seen.clone());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Answer::Nothing
    }

    async fn progress(&self, revision: i64) -> Result<(), String> {
        let start = Instant::now();
        let before = self.log.lock().expect("no panic while held").progress.len();
        while start.elapsed() < PATIENCE {
            self.send(RequestUnion::ProgressRequest(WatchProgressRequest {}));
            tokio::time::sleep(Duration::from_millis(15)).await;
            let log = self.log.lock().expect("no panic while held");
            if log.live.is_empty() || log.progress[before..].iter().any(|progress| *progress >= revision) {
                return Ok(());
            }
        }
        Err(format!("no progress to revision {revision} on a watch stream"))
    }
}

impl Log {
    fn note(&mut self, answer: WatchResponse, names: &Names) {
        let watch_id = answer.watch_id;
        let revision = answer.header.map_or(-1, |header| header.revision);
        if revision < self.shown {
            self.turned_back.push(format!("revision {revision} in a header after {}", self.shown));
        }
        self.shown = self.shown.max(revision);
        if answer.created {
            self.note_created(answer, revision);
        } else if answer.canceled {
            self.note_canceled(answer, revision);
        } else if answer.events.is_empty() {
            self.note_progress(watch_id, revision);
        } else {
            self.note_events(answer, revision, names);
        }
    }

    fn note_created(&mut self, answer: WatchResponse, revision: i64) {
        let watch_id = answer.watch_id;
        let seen = if answer.canceled {
            let (reason, compacted) = (answer.cancel_reason, answer.compact_revision);
            Seen::Refused { revision, watch_id, reason, compacted }
        } else {
            self.live.insert(watch_id);
            self.last.remove(&watch_id);
            self.promised.remove(&watch_id);
            Seen::Created { revision, watch_id }
        };
        self.answers.push(seen.clone());
        self.watchers.entry(watch_id).or_default().push(seen);
    }

    fn note_canceled(&mut self, answer: WatchResponse, revision: i64) {
        let (reason, compacted) = (answer.cancel_reason, answer.compact_revision);
        // If a compaction ended a watcher, etcd's header shows no revision.
        let revision = if compacted == 0 { revision } else { 0 };
        let seen = Seen::Canceled { revision, reason, compacted };
        self.live.remove(&answer.watch_id);
        if compacted == 0 {
            self.answers.push(seen.clone());
        }
        self.watchers.entry(answer.watch_id).or_default().push(seen);
    }

    fn note_progress(&mut self, watch_id: i64, revision: i64) {
        if watch_id != -1 {
            return;
        }
        self.progress.push(revision);
        for live in &self.live {
            self.promised.insert(*live, revision);
        }
    }

    fn note_events(&mut self, answer: WatchResponse, header: i64, names: &Names) {
        let watch_id = answer.watch_id;
        if !self.live.contains(&watch_id) {
            self.broken.push(format!("events for {watch_id}, which does not live"));
        }
        let continued = self.fragment_open;
        self.fragment_open = answer.fragment;
        let first = answer.events.first().and_then(|event| event.kv.as_ref()).map_or(0, |kv| kv.mod_revision);
        if !continued && self.last.get(&watch_id).is_some_and(|last| *last >= first) {
            self.broken.push(format!("watcher {watch_id}: revision {first} again or split"));
        }
        for mut event in answer.events {
            let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            if revision > header {
                self.broken.push(format!("watcher {watch_id}: event {revision} under header {header}"));
            }
            if self.promised.get(&watch_id).is_some_and(|promised| *promised >= revision) {
                self.broken.push(format!("watcher {watch_id}: event {revision} after progress past it"));
            }
            let last = self.last.entry(watch_id).or_default();
            if *last > revision {
                self.broken.push(format!("watcher {watch_id}: revision {revision} after {last}"));
            }
            *last = revision;
            event.kv.iter_mut().chain(&mut event.prev_kv).for_each(|kv| names.kv(kv));
            self.watchers.entry(watch_id).or_default().push(Seen::Event(event));
        }
    }
}
