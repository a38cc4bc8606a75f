//! The hub receives what was applied and passes it to the watchers that want it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::delivery::Delivery;
use super::groups::{Groups, Member, Work};
use super::inbox::Inbox;
use super::index::GroupId;
use super::order::WatchKey;
use super::run::{Budget, Interest, Part, Run, Source};
use super::shared::{Request, Shared};
use super::wake::{Queues, Wakes};
use super::{History, Want};
use crate::model::{KeyRange, Observer, RevisionEvents};

/// Most bytes of events in one run of live events.
const RUN_BYTES: usize = 256 << 10;
/// Most revisions in one run of live events.
const RUN_REVISIONS: usize = 1000;
/// How many watchers are checked per batch of events for queues to drop, while memory is short.
const SHED_STEP: usize = 256;
/// How many watchers are removed per hold of the lock.
const REMOVE_STEP: usize = 64;

/// The hub's limits.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes that all feeds together may hold, roughly; above, feeds that are not drained become cursors.
    pub memory: usize,
    /// Most bytes of events read from history at a time.
    pub page_bytes: usize,
    /// Most watchers that get their events while others wait for the hub; at least one.
    pub at_once: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { memory: 128 << 20, page_bytes: 1 << 20, at_once: 1024 }
    }
}

/// What a watcher is opened with.
#[derive(Clone, Debug)]
pub struct WatchSpec {
    /// A number that comes back with every item about the watcher.
    pub tag: i64,
    /// The keys; not an empty range.
    pub range: KeyRange,
    /// First revision wanted; 0 means from now on. Never negative.
    pub start_revision: i64,
    /// Which events are wanted, and with what.
    pub want: Want,
}

/// Figures of a hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubStats {
    /// Sessions open.
    pub sessions: usize,
    /// Watchers open.
    pub watchers: usize,
    /// Watchers among them that are behind and read history.
    pub behind: usize,
    /// Watchers among them that cost time whenever there is an event for them.
    pub live: usize,
    /// Events that are queued in feeds.
    pub pending: usize,
    /// Distinct interests watched.
    pub groups: usize,
    /// Bytes that feeds hold, roughly.
    pub held_bytes: usize,
}

/// Passes events to watchers. See the page of the module.
pub struct Hub {
    state: Mutex<State>,
    history: Arc<dyn History>,
    asks: Sender<Request>,
    /// Says that some watchers have not got their events.
    rest: Sender<()>,
    queues: Queues,
    budget: Arc<Budget>,
    sessions: AtomicUsize,
    pub(super) options: Options,
}

pub(super) struct State {
    /// The last revision that was delivered to inboxes, or is being delivered.
    pub(super) revision: i64,
    pub(super) groups: Groups,
    pub(super) delivery: Delivery,
    /// Where the last search for queues to drop ended.
    shed_cursor: usize,
}

impl Hub {
    /// A hub that puts requests for history into `asks`, and into `rest` that [`Hub::go_on`] must be called; see
    /// [`Hub::new`].
    pub(super) fn over(
        history: Arc<dyn History>,
        options: Options,
        asks: Sender<Request>,
        rest: Sender<()>,
    ) -> Self {
        let state = State {
            revision: history.revision(),
            groups: Groups::default(),
            delivery: Delivery::default(),
            shed_cursor: 0,
        };
        Self {
            state: Mutex::new(state),
            history,
            asks,
            rest,
            queues: Queues::default(),
            budget: Budget::new(options.memory),
            sessions: AtomicUsize::new(0),
            options,
        }
    }

    /// Begins a session; [`Hub::close_all`] ends it.
    pub(super) fn begin(&self) -> Arc<Shared> {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        let inbox = Mutex::new(Inbox::new(self.budget.clone()));
        Arc::new(Shared { inbox, queue: self.queues.here() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The last revision that was delivered to watchers, or is being delivered.
    pub fn revision(&self) -> i64 {
        self.state.lock().revision
    }

    /// Figures for metrics.
    pub fn stats(&self) -> HubStats {
        let state = self.state.lock();
        HubStats {
            sessions: self.sessions.load(Ordering::Relaxed),
            watchers: state.groups.members(),
            behind: state
                .groups
                .every_member()
                .filter(|member| member.shared.inbox.lock().is_behind(member.key))
                .count(),
            pending: state
                .groups
                .every_member()
                .map(|member| member.shared.inbox.lock().pending(member.key))
                .sum(),
            live: state.groups.live(),
            groups: state.groups.len(),
            held_bytes: self.budget.used(),
        }
    }

    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(super) fn history(&self) -> &dyn History {
        self.history.as_ref()
    }

    /// Opens a watcher; returns its key and the current revision.
    pub(super) fn open(&self, shared: &Arc<Shared>, spec: WatchSpec) -> (WatchKey, i64) {
        // The store may be one step ahead of what was delivered; whoever has read there must not get it again as news.
        let current = self.history.revision();
        let start = if spec.start_revision > 0 { spec.start_revision } else { current + 1 };
        let interest = Arc::new(Interest { range: compact(&spec.range), want: spec.want });
        let mut state = self.state.lock();
        let revision = state.revision;
        let (group, interest) = state.groups.get_or_insert(interest);
        let (key, shown) = {
            let mut inbox = shared.inbox.lock();
            let key = inbox.add(spec.tag, interest, group, start, revision);
            (key, inbox.show(current.max(revision)))
        };
        state.groups.join(group, Member { shared: shared.clone(), key });
        (key, shown)
    }

    /// Closes a watcher.
    pub(super) fn close(&self, shared: &Arc<Shared>, key: WatchKey) {
        let mut state = self.state.lock();
        let removed = shared.inbox.lock().remove(key);
        if let Some(removed) = removed {
            state.groups.leave(removed.group, removed.position);
        }
    }

    /// Closes all watchers of a session that ends.
    pub(super) fn close_all(&self, shared: &Arc<Shared>) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
        loop {
            let mut state = self.state.lock();
            for _ in 0..REMOVE_STEP {
                let mut inbox = shared.inbox.lock();
                let Some(key) = inbox.last_key() else { return };
                let removed = inbox.remove(key);
                // Leaving moves another member, and its new position is written to its inbox: so this inbox must not be
                // locked.
                drop(inbox);
                if let Some(removed) = removed {
                    state.groups.leave(removed.group, removed.position);
                }
            }
        }
    }

    /// See [`super::Session::show_revision`].
    pub(super) fn show_revision(&self, shared: &Shared) -> i64 {
        let current = self.history.revision();
        shared.inbox.lock().show(current)
    }

    /// Runs `f` on an inbox that has all events up to the revision, which it gets too, while no new one can be
    /// delivered.
    pub(super) fn with_inbox<R>(&self, shared: &Shared, f: impl FnOnce(&mut Inbox, i64) -> R) -> R {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        state.deliver_now(shared, &mut wakes);
        let result = f(&mut shared.inbox.lock(), state.revision);
        drop(state);
        wakes.fire();
        result
    }

    /// As [`Hub::with_inbox`], for a watcher that may go live.
    pub(super) fn with_reader<R>(
        &self,
        shared: &Shared,
        key: WatchKey,
        f: impl FnOnce(&mut Inbox, i64) -> R,
    ) -> R {
        let mut state = self.state.lock();
        let mut inbox = shared.inbox.lock();
        let was_behind = inbox.is_behind(key);
        let result = f(&mut inbox, state.revision);
        let place = inbox.place_if_live(key).filter(|_| was_behind);
        drop(inbox);
        if let Some(place) = place {
            state.groups.revive(place.group, place.position);
        }
        result
    }

    /// Sends requests to the thread that reads history.
    pub(super) fn ask(&self, requests: impl Iterator<Item = Request>) {
        for request in requests {
            // Fails only if the thread has ended, and it ends with the hub.
            let _ = self.asks.send(request);
        }
    }
}

/// A copy that does not keep the whole request in memory.
fn compact(range: &KeyRange) -> KeyRange {
    use crate::model::RangeEnd;
    use bytes::Bytes;
    let end = match &range.end {
        RangeEnd::Before(end) => RangeEnd::Before(Bytes::copy_from_slice(end)),
        other => other.clone(),
    };
    KeyRange { start: Bytes::copy_from_slice(&range.start), end }
}

impl State {
    /// Notes for every group which events of a revision it wants.
    pub(super) fn collect(&mut self, events: &RevisionEvents, budget: &Arc<Budget>) {
        for (index, event) in (0u32..).zip(&events.events) {
            self.groups.pick(index, event);
        }
        let mut source: Option<Arc<Source>> = None;
        self.groups.finish_revision(|picks| {
            let source = source.get_or_insert_with(|| Source::new(events, budget));
            Part::new(source.clone(), picks)
        });
    }

    /// Makes what was collected for a group ready to be delivered.
    pub(super) fn prepare(&mut self, group: GroupId) {
        let (parts, prev_kv) = self.groups.take_parts(group);
        let work = match parts.first() {
            Some(first) if prev_kv && parts.iter().any(Part::is_bare) => Work::History(first.revision()),
            _ => Work::Runs(runs(parts, prev_kv)),
        };
        self.groups.begin(group, work);
    }

    /// Queues what is being delivered to a group with at most so many of its members; see [`Groups::deliver`].
    pub(super) fn deliver(&mut self, group: GroupId, most: usize, wakes: &mut Wakes) -> (usize, bool) {
        let revision = self.revision;
        self.groups.deliver(group, most, |member, work| pass(member, work, revision, wakes))
    }

    /// Queues what is being delivered with a session's watchers, before their turn.
    fn deliver_now(&mut self, shared: &Shared, wakes: &mut Wakes) {
        if !self.delivery.is_under_way() {
            return;
        }
        let revision = self.revision;
        let keys = shared.inbox.lock().live_keys();
        for key in keys {
            // Those before it may have moved it.
            let place = shared.inbox.lock().place_if_live(key);
            if let Some(place) = place {
                let deliver = |member: &Member, work: &Work| pass(member, work, revision, wakes);
                self.groups.deliver_to(place.group, place.position, deliver);
            }
        }
    }

    /// Makes every live watcher read from `next` on in history.
    pub(super) fn all_behind(&mut self, next: i64, wakes: &mut Wakes) {
        let revision = self.revision;
        for member in self.groups.every_member() {
            wake_if(member, wakes, |inbox| inbox.fall_behind_from(member.key, next, revision));
        }
    }

    /// Wakes every session, also those for which there is nothing.
    fn all_awake(&mut self, wakes: &mut Wakes) {
        for member in self.groups.every_member() {
            wake_if(member, wakes, |_| true);
        }
    }

    /// Memory is short: drops some queues that are not being drained.
    pub(super) fn shed(&mut self, wakes: &mut Wakes) {
        let mut looked = 0;
        let cursor = self.shed_cursor;
        for member in self.groups.every_member().skip(cursor).take(SHED_STEP) {
            looked += 1;
            wake_if(member, wakes, |inbox| inbox.shed(member.key));
        }
        self.shed_cursor = if looked < SHED_STEP { 0 } else { cursor + looked };
    }
}

/// Queues what is being delivered with a watcher. True if it is live after it.
fn pass(member: &Member, work: &Work, revision: i64, wakes: &mut Wakes) -> bool {
    wake_if(member, wakes, |inbox| match work {
        Work::Runs(runs) => {
            let mut is_woken = false;
            for run in runs {
                is_woken |= inbox.push(member.key, run);
            }
            is_woken
        }
        Work::History(next) => inbox.fall_behind_from(member.key, *next, revision),
    })
}

/// True if the watcher is live after it.
fn wake_if(member: &Member, wakes: &mut Wakes, f: impl FnOnce(&mut Inbox) -> bool) -> bool {
    let mut inbox = member.shared.inbox.lock();
    if f(&mut inbox)
        && let Some(waker) = inbox.take_waker()
    {
        wakes.push(waker, member.shared.queue.as_ref());
    }
    inbox.place_if_live(member.key).is_some()
}

/// Cuts parts into runs of bounded size.
fn runs(parts: SmallVec<[Part; 1]>, prev_kv: bool) -> SmallVec<[Arc<Run>; 1]> {
    let mut runs = SmallVec::new();
    if parts.len() == 1 {
        runs.push(Run::new(parts, prev_kv));
        return runs;
    }
    let mut current: SmallVec<[Part; 1]> = SmallVec::new();
    let mut bytes = 0;
    for part in parts {
        if !current.is_empty() && (bytes + part.bytes() > RUN_BYTES || current.len() >= RUN_REVISIONS) {
            runs.push(Run::new(std::mem::take(&mut current), prev_kv));
            bytes = 0;
        }
        bytes += part.bytes();
        current.push(part);
    }
    if !current.is_empty() {
        runs.push(Run::new(current, prev_kv));
    }
    runs
}

/// The hub does not observe compactions: a watcher that reads history finds one there, and for all others everything
/// they want is queued.
impl Observer for Hub {
    fn on_events(&self, revisions: &[RevisionEvents]) {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        let was_under_way = state.delivery.is_under_way();
        state.publish(revisions, &self.budget, &mut wakes);
        if !was_under_way
            && state.go_on(self.options.at_once, &self.budget, &mut wakes)
            && self.rest.send(()).is_err()
        {
            state.finish(&self.budget, &mut wakes);
        }
        drop(state);
        wakes.fire();
    }

    fn on_restored(&self, revision: i64) {
        let mut wakes = Wakes::default();
        {
            let mut state = self.state.lock();
            state.finish(&self.budget, &mut wakes);
            let known = state.revision;
            if revision > known {
                state.revision = revision;
                state.all_behind(known + 1, &mut wakes);
            }
            state.all_awake(&mut wakes);
        }
        wakes.fire();
    }

    /// A watcher's range may no longer be one that its client may read; whoever polls the session checks that.
    fn on_users(&self) {
        let mut wakes = Wakes::default();
        self.state.lock().all_awake(&mut wakes);
        wakes.fire();
    }
}
