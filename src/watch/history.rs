//! Catching up: one thread reads history in pages, in turns, for all watchers that are behind.
//!
//! Watchers that are about equally far behind share a page, so that a thousand watchers that come back after a restart
//! cost one read. A session asks again only when its client has taken what it got; so the amount read is bounded, and a
//! client that does not read costs nothing.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use smallvec::SmallVec;

use super::History;
use super::hub::{Hub, Options};
use super::inbox::{Inbox, MAX_REVISIONS, Taken};
use super::run::{Interest, Part, Run, Source};
use super::shared::Request;
use super::wake::Wakes;
use crate::model::{KeyRange, Planted, Refusal, RevisionEvents, is_planted};
use crate::store::Wanted;

/// How long to wait if the store lacks the resources for a read.
const SHORTAGE: Duration = Duration::from_millis(50);
/// Most watchers served in one round.
const MAX_ROUND: usize = 512;

impl Hub {
    /// A hub over a store's history, with threads for catching up and for delivery to very many watchers that end with
    /// it. Create it before anything more is applied, and make it the store's observer.
    pub fn new(history: Arc<dyn History>, options: Options) -> Arc<Self> {
        let (asks, requests) = channel();
        let (rest, left) = channel();
        let hub = Arc::new(Self::over(history, options, asks, rest));
        hub.start_delivery(left);
        let weak = Arc::downgrade(&hub);
        let thread = thread::Builder::new().name("kvd-watch-history".to_string());
        if let Err(error) = thread.spawn(move || run(&weak, &requests)) {
            tracing::error!(%error, "cannot start the thread that reads history for watchers; they cannot catch up");
        }
        hub
    }
}

/// The thread: serves requests until the hub is gone.
fn run(hub: &Weak<Hub>, requests: &Receiver<Request>) {
    let mut waiting: Vec<Request> = Vec::new();
    let mut known = Known::default();
    loop {
        if waiting.is_empty() {
            match requests.recv() {
                Ok(request) => waiting.push(request),
                Err(_) => return,
            }
        }
        while waiting.len() < MAX_ROUND
            && let Ok(request) = requests.try_recv()
        {
            waiting.push(request);
        }
        let Some(hub) = hub.upgrade() else { return };
        waiting = round(&hub, waiting, &mut known);
    }
}

/// What was read and is still held by sessions: whoever reads the same later shares it. So a hundred thousand watchers
/// whose clients do not read hold every event once, not once for each round.
#[derive(Default)]
struct Known(BTreeMap<i64, Weak<Source>>);

impl Known {
    fn source(&mut self, read: RevisionEvents, hub: &Hub) -> Arc<Source> {
        let known = self.0.get(&read.revision).and_then(Weak::upgrade);
        known.filter(|known| known.has(&read.events)).unwrap_or_else(|| {
            let source = Source::owned(read.revision, read.events, hub.budget());
            self.0.insert(read.revision, Arc::downgrade(&source));
            source
        })
    }

    /// Forgets what nobody holds any more.
    fn forget(&mut self) {
        self.0.retain(|_, source| source.strong_count() > 0);
    }
}

/// Reads and delivers one page, and wakes the sessions that it concerns; returns the requests that still wait.
fn round(hub: &Hub, waiting: Vec<Request>, known: &mut Known) -> Vec<Request> {
    let mut wakes = Wakes::default();
    let rest = page(hub, waiting, known, &mut wakes);
    known.forget();
    wakes.fire();
    rest
}

/// One page: serves the watchers that are furthest behind, and returns the requests that still wait.
fn page(hub: &Hub, mut waiting: Vec<Request>, known: &mut Known, wakes: &mut Wakes) -> Vec<Request> {
    waiting.sort_by_key(|request| request.next);
    let Some(from) = waiting.first().map(|request| request.next) else { return waiting };
    let to = hub.revision();
    if from > to {
        // The revisions are applied, but not delivered yet, or not even known here: these watchers count as synced.
        let settled = |request| settle(hub, request, None, to + 1, to, wakes);
        return waiting.into_iter().filter_map(settled).collect();
    }
    let range = common_range(&waiting);
    let prev_kv = waiting.iter().any(|request| request.interest.want.prev_kv);
    let max_bytes = hub.options.page_bytes;
    let wanted = Wanted { range: &range, from, to, max_revisions: MAX_REVISIONS, max_bytes, prev_kv };
    let read = hub.history().events(&wanted);
    // If a compaction ran during the read, the result may have gaps.
    let compacted = hub.history().compacted_revision();
    match read {
        Ok((revisions, next)) if from >= compacted && next > from => {
            let revisions = without_compacted(revisions, compacted).into_iter();
            let sources: Vec<_> = revisions.map(|read| known.source(read, hub)).collect();
            serve(hub, waiting, (sources, next, to), wakes)
        }
        Ok(_) if from < compacted => cut(waiting, compacted, wakes),
        Ok((_, next)) => {
            let error = format!("history from {from} to {to} leads to {next}");
            fail(waiting, &Refusal::Internal(error), wakes);
            Vec::new()
        }
        Err(Refusal::Compacted { compacted: reported }) => {
            cut(waiting, compacted.max(reported).max(from + 1), wakes)
        }
        Err(Refusal::TooManyRequests) => {
            thread::sleep(SHORTAGE);
            waiting
        }
        Err(refusal) => {
            fail(waiting, &refusal, wakes);
            Vec::new()
        }
    }
}

/// The range that all requests share, otherwise everything.
fn common_range(waiting: &[Request]) -> KeyRange {
    match waiting {
        [first, rest @ ..] if rest.iter().all(|other| other.interest.range == first.interest.range) => {
            first.interest.range.clone()
        }
        _ => KeyRange::all(),
    }
}

/// Removes `prev_kv` from events up to the compacted revision, as etcd does, whether or not the store still has it.
fn without_compacted(mut revisions: Vec<RevisionEvents>, compacted: i64) -> Vec<RevisionEvents> {
    for events in revisions.iter_mut().take_while(|events| events.revision <= compacted) {
        events.events.iter_mut().for_each(|event| event.prev_kv = None);
    }
    revisions
}

/// Gives each watcher its events of a page: what was read, where to read on, and up to where it was to go. Returns the
/// requests that wait for the next page.
fn serve(
    hub: &Hub,
    waiting: Vec<Request>,
    (sources, next, to): (Vec<Arc<Source>>, i64, i64),
    wakes: &mut Wakes,
) -> Vec<Request> {
    let mut rest = Vec::new();
    let mut last: Option<(i64, Arc<Interest>, Option<Arc<Run>>)> = None;
    for request in waiting {
        if request.next >= next {
            rest.push(request);
            continue;
        }
        let run = match &last {
            Some((from, interest, run)) if *from == request.next && *interest == request.interest => {
                run.clone()
            }
            _ => select(&sources, request.next, &request.interest),
        };
        last = Some((request.next, request.interest.clone(), run.clone()));
        rest.extend(settle(hub, request, run, next, to, wakes));
    }
    rest
}

fn select(sources: &[Arc<Source>], from: i64, interest: &Interest) -> Option<Arc<Run>> {
    let from = from + i64::from(is_planted(Planted::SkippedRevisions));
    let wanted = &sources[sources.partition_point(|source| source.revision() < from)..];
    let parts: SmallVec<[Part; 1]> =
        wanted.iter().filter_map(|source| Part::select(source, interest)).collect();
    (!parts.is_empty()).then(|| Run::new(parts, interest.want.prev_kv))
}

/// Delivers what was found, which covers everything below `next`, and makes the watcher live if that is all there is.
/// Returns the request if it has to read on.
fn settle(
    hub: &Hub,
    request: Request,
    run: Option<Arc<Run>>,
    next: i64,
    to: i64,
    wakes: &mut Wakes,
) -> Option<Request> {
    let shared = request.shared.upgrade()?;
    let next = next.max(request.next);
    let take = |inbox: &mut Inbox, live: bool| {
        let taken = inbox.take_history(request.key, run, next, to, live);
        let waker = if taken == Taken::More { None } else { inbox.take_waker() };
        (taken, waker)
    };
    let (taken, waker) = if next > to {
        // Under the hub's lock no event can be delivered between the check of its revision and the change to live.
        hub.with_reader(&shared, request.key, |inbox, revision| take(inbox, next > revision))
    } else {
        take(&mut shared.inbox.lock(), false)
    };
    if let Some(waker) = waker {
        wakes.push(waker, shared.queue.as_ref());
    }
    (taken == Taken::More).then_some(Request { next, ..request })
}

/// Ends the watchers whose next revision is compacted.
fn cut(waiting: Vec<Request>, compacted: i64, wakes: &mut Wakes) -> Vec<Request> {
    let mut rest = Vec::new();
    for request in waiting {
        if request.next >= compacted {
            rest.push(request);
            continue;
        }
        let Some(shared) = request.shared.upgrade() else { continue };
        let waker = {
            let mut inbox = shared.inbox.lock();
            inbox.compacted(request.key, compacted);
            inbox.take_waker()
        };
        if let Some(waker) = waker {
            wakes.push(waker, shared.queue.as_ref());
        }
    }
    rest
}

fn fail(waiting: Vec<Request>, refusal: &Refusal, wakes: &mut Wakes) {
    tracing::error!(%refusal, watchers = waiting.len(), "history cannot be read; watch streams are ended");
    for request in waiting {
        let Some(shared) = request.shared.upgrade() else { continue };
        let waker = {
            let mut inbox = shared.inbox.lock();
            inbox.fail(refusal.clone());
            inbox.take_waker()
        };
        if let Some(waker) = waker {
            wakes.push(waker, shared.queue.as_ref());
        }
    }
}
