//! The state of one session's watchers: what is queued for each, which of them are behind, what comes next.
//!
//! A watcher is live (events are queued for it as they are applied) or behind (it only has a cursor into history). In
//! both cases everything below the cursor or the first live event has been queued before, and nothing twice. Whoever
//! makes a watcher live also holds the hub's lock, so that no event passes in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Waker;

use smallvec::SmallVec;

use super::few::Few;
use super::index::GroupId;
use super::order::{Item, Order, Ready, WatchKey};
use super::run::{Budget, Interest, Run};
use super::seldom::Seldom;
use crate::model::{KeyRange, Refusal};

/// Most answers queued for one watcher.
const MAX_QUEUED: usize = 1024;
/// Most bytes of events queued for one watcher (one answer is always allowed, however large).
const MAX_QUEUED_BYTES: usize = 4 << 20;
/// A watcher that has not taken so many gives way first where there are very many queues.
const KEPT: usize = 4;
/// Answers that are ready are merged up to this many bytes of events.
const JOIN_BYTES: usize = 256 << 10;
/// Most revisions in one answer, as in etcd's catch-up.
pub(super) const MAX_REVISIONS: usize = 1000;
/// Most watchers of a session that request history at the same time.
const MAX_ASKING: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Live,
    /// Everything from `next` on must be read from history.
    Behind {
        next: i64,
    },
    Ended,
}

struct Watcher {
    tag: i64,
    interest: Arc<Interest>,
    group: GroupId,
    /// Its position among the members of its group; maintained by the hub.
    position: u32,
    /// Events below this revision are not wanted.
    start: i64,
    stage: Stage,
    queue: Few<Arc<Run>>,
    queued_bytes: u32,
    /// True while `ready` refers to the queue.
    listed: bool,
    /// It is behind and has not requested history yet.
    lags: bool,
}

struct Slot {
    generation: u32,
    watcher: Option<Watcher>,
}

/// A request for history.
pub(super) struct Ask {
    pub(super) key: WatchKey,
    pub(super) interest: Arc<Interest>,
    pub(super) next: i64,
}

/// A watcher's place in the hub's groups.
pub(super) struct Place {
    pub(super) group: GroupId,
    pub(super) position: u32,
}

/// See the module.
pub(super) struct Inbox {
    slots: Vec<Slot>,
    free: Seldom<u32>,
    order: Order,
    /// Watchers that are behind and have not requested history yet.
    lagging: u32,
    /// Where the search for them goes on.
    lagging_from: u32,
    waker: Option<Waker>,
    watchers: u32,
    behind: u32,
    /// An upper bound of the start revisions of all watchers.
    latest_start: i64,
    budget: Arc<Budget>,
}

impl Inbox {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            slots: Vec::new(),
            free: Seldom::default(),
            order: Order::default(),
            lagging: 0,
            lagging_from: 0,
            waker: None,
            watchers: 0,
            behind: 0,
            latest_start: 0,
            budget,
        }
    }

    /// Adds a watcher that wants events from `start` on; `revision` is the current one.
    pub(super) fn add(
        &mut self,
        tag: i64,
        interest: Arc<Interest>,
        group: GroupId,
        start: i64,
        revision: i64,
    ) -> WatchKey {
        let stage = if start > revision { Stage::Live } else { Stage::Behind { next: start } };
        let watcher = Watcher {
            tag,
            interest,
            group,
            position: 0,
            start,
            stage,
            queue: Few::default(),
            queued_bytes: 0,
            listed: false,
            lags: stage != Stage::Live,
        };
        let index = self.free.pop_back().unwrap_or_else(|| {
            if self.slots.is_empty() {
                // Many sessions have one watcher only.
                self.slots.reserve_exact(1);
            }
            self.slots.push(Slot { generation: 0, watcher: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.watcher = Some(watcher);
        let key = WatchKey { index, generation: slot.generation };
        self.watchers += 1;
        self.latest_start = self.latest_start.max(start);
        if start != revision + 1 {
            // A progress answer that is queued would be read as if it covered this watcher, too.
            self.order.retain_marks(|ready| !matches!(ready, Ready::Progress(_)));
        }
        if stage != Stage::Live {
            self.behind += 1;
            self.lagging += 1;
        }
        key
    }

    fn watcher(&mut self, key: WatchKey) -> Option<&mut Watcher> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.watcher.as_mut() } else { None }
    }

    pub(super) fn tag(&self, key: WatchKey) -> Option<i64> {
        let slot = self.slots.get(key.index as usize)?;
        slot.watcher.as_ref().filter(|_| slot.generation == key.generation).map(|watcher| watcher.tag)
    }

    /// True if the watcher reads history.
    pub(super) fn is_behind(&self, key: WatchKey) -> bool {
        let slot = self.slots.get(key.index as usize);
        let watcher =
            slot.filter(|slot| slot.generation == key.generation).and_then(|slot| slot.watcher.as_ref());
        watcher.is_some_and(|watcher| matches!(watcher.stage, Stage::Behind { .. }))
    }

    /// Events that are queued for the watcher.
    pub(super) fn pending(&self, key: WatchKey) -> usize {
        let slot = self.slots.get(key.index as usize).filter(|slot| slot.generation == key.generation);
        let queue = slot.and_then(|slot| slot.watcher.as_ref()).map(|watcher| &watcher.queue);
        queue.map_or(0, |queue| queue.iter().map(|run| run.size()).sum())
    }

    /// The watchers that are live.
    pub(super) fn live_keys(&self) -> Vec<WatchKey> {
        let is_live = |slot: &Slot| slot.watcher.as_ref().is_some_and(|watcher| watcher.stage == Stage::Live);
        let live = (0u32..).zip(&self.slots).filter(|(_, slot)| is_live(slot));
        live.map(|(index, slot)| WatchKey { index, generation: slot.generation }).collect()
    }

    /// The place of a watcher that is live.
    pub(super) fn place_if_live(&self, key: WatchKey) -> Option<Place> {
        let slot = self.slots.get(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        let watcher = slot.watcher.as_ref().filter(|watcher| watcher.stage == Stage::Live)?;
        Some(Place { group: watcher.group, position: watcher.position })
    }

    pub(super) fn set_position(&mut self, key: WatchKey, position: u32) {
        if let Some(watcher) = self.watcher(key) {
            watcher.position = position;
        }
    }

    /// Removes a watcher, with everything queued for it.
    pub(super) fn remove(&mut self, key: WatchKey) -> Option<Place> {
        self.watcher(key)?;
        let slot = &mut self.slots[key.index as usize];
        let mut watcher = slot.watcher.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push_back(key.index);
        release(&self.budget, &mut watcher);
        self.watchers -= 1;
        if watcher.stage != Stage::Live {
            self.behind -= 1;
        }
        self.lagging -= u32::from(watcher.lags);
        // Entries of `ready` for this watcher are skipped when their turn comes.
        Some(Place { group: watcher.group, position: watcher.position })
    }

    /// The last watcher in the inbox; used to empty it.
    pub(super) fn last_key(&mut self) -> Option<WatchKey> {
        while let Some(slot) = self.slots.last() {
            if slot.watcher.is_some() {
                let index = (self.slots.len() - 1) as u32;
                return Some(WatchKey { index, generation: slot.generation });
            }
            self.slots.pop();
        }
        // The numbers in it refer to slots that no longer exist.
        self.free.clear();
        None
    }

    /// Queues live events. A watcher with too much in its queue falls behind instead. True if the session must be
    /// woken.
    pub(super) fn push(&mut self, key: WatchKey, run: &Arc<Run>) -> bool {
        let (exceeded, crowded) = (self.budget.is_exceeded(), self.budget.is_crowded());
        let Some(watcher) = self.watcher(key) else { return false };
        if watcher.stage != Stage::Live {
            return false;
        }
        let trimmed;
        let mut run = run;
        if run.first() < watcher.start {
            match run.from_revision(watcher.start) {
                None => return false,
                Some(rest) => trimmed = rest,
            }
            run = &trimmed;
        }
        let full = watcher.queue.len() >= MAX_QUEUED
            || (!watcher.queue.is_empty() && watcher.queued_bytes as usize + run.bytes() > MAX_QUEUED_BYTES);
        if full || exceeded || (crowded && watcher.queue.len() >= KEPT) {
            let first = run.first();
            return self.fall_behind(key, first);
        }
        watcher.queued_bytes = watcher.queued_bytes.saturating_add(counted(run.bytes()));
        watcher.queue.push_back(run.clone());
        let list = !std::mem::replace(&mut watcher.listed, true);
        self.budget.queue();
        if list {
            self.order.push(Ready::Queued(key));
        }
        list
    }

    /// Turns a live watcher into one with a cursor: at the first event queued for it, otherwise at `next`.
    pub(super) fn fall_behind(&mut self, key: WatchKey, next: i64) -> bool {
        let budget = self.budget.clone();
        let Some(watcher) = self.watcher(key) else { return false };
        if watcher.stage != Stage::Live {
            return false;
        }
        let had_queue = !watcher.queue.is_empty();
        let next = watcher.queue.front().map_or(next, |run| run.first()).max(watcher.start);
        release(&budget, watcher);
        watcher.stage = Stage::Behind { next };
        watcher.lags = true;
        let was_listed = watcher.listed;
        if was_listed
            && self.order.withdraw(key)
            && let Some(watcher) = self.watcher(key)
        {
            watcher.listed = false;
        }
        self.behind += 1;
        self.lagging += 1;
        if had_queue {
            // Events that a waiting progress answer counts as queued now come later.
            self.order.retain_marks(|ready| match ready {
                Ready::Progress(revision) => *revision < next,
                Ready::Notify(mark) => mark.0 != key || mark.1 < next,
                _ => true,
            });
        }
        true
    }

    /// As [`Inbox::fall_behind`], but only if the watcher wants events up to `revision`.
    pub(super) fn fall_behind_from(&mut self, key: WatchKey, next: i64, revision: i64) -> bool {
        match self.watcher(key) {
            Some(watcher) if watcher.start <= revision => self.fall_behind(key, next),
            _ => false,
        }
    }

    /// As [`Inbox::fall_behind`], but only if something is queued: frees its memory.
    pub(super) fn shed(&mut self, key: WatchKey) -> bool {
        match self.watcher(key) {
            Some(watcher) if !watcher.queue.is_empty() => self.fall_behind(key, 0),
            _ => false,
        }
    }

    /// Takes what history had for a watcher: `run`, which covers everything up to but not including `next`. `revision`
    /// is the store's. With `live` (the caller holds the hub's lock and `next` lies beyond the hub's revision) the
    /// watcher goes live. Returns whether it wants more, or is gone.
    pub(super) fn take_history(
        &mut self,
        key: WatchKey,
        run: Option<Arc<Run>>,
        next: i64,
        revision: i64,
        live: bool,
    ) -> Taken {
        let Some(watcher) = self.watcher(key) else { return Taken::Gone };
        if !matches!(watcher.stage, Stage::Behind { .. }) {
            return Taken::Gone;
        }
        watcher.stage = if live { Stage::Live } else { Stage::Behind { next } };
        watcher.lags = !live && run.is_some();
        if live {
            self.behind -= 1;
        }
        match run {
            Some(run) => {
                self.lagging += u32::from(!live);
                self.order.push(Ready::History(Box::new((key, run, revision))));
                Taken::Done
            }
            None if live => Taken::Done,
            None => Taken::More,
        }
    }

    /// Ends a watcher whose next revision has been compacted.
    pub(super) fn compacted(&mut self, key: WatchKey, compacted: i64) {
        let Some(watcher) = self.watcher(key) else { return };
        if watcher.stage != Stage::Ended {
            watcher.stage = Stage::Ended;
            self.order.push(Ready::Compacted(Box::new((key, compacted))));
        }
    }

    /// Ends the watchers whose ranges may not be read any more, and returns their tags. Nothing that is queued for them is
    /// sent.
    pub(super) fn deny(&mut self, permits: impl Fn(&KeyRange) -> bool) -> Vec<i64> {
        let (mut denied, mut tags) = (BTreeSet::new(), Vec::new());
        for (index, slot) in (0u32..).zip(&mut self.slots) {
            let Some(watcher) = &mut slot.watcher else { continue };
            if watcher.stage == Stage::Ended || permits(&watcher.interest.range) {
                continue;
            }
            if watcher.stage == Stage::Live {
                self.behind += 1;
            }
            watcher.stage = Stage::Ended;
            release(&self.budget, watcher);
            denied.insert(WatchKey { index, generation: slot.generation });
            tags.push(watcher.tag);
        }
        if !denied.is_empty() {
            self.order.forget(&denied);
            denied.into_iter().for_each(|key| self.order.push(Ready::Denied(key)));
        }
        tags
    }

    /// Ends the session.
    pub(super) fn fail(&mut self, refusal: Refusal) {
        self.order.push(Ready::Failed(Box::new(refusal)));
    }

    /// True if every watcher has received, or has queued, all events up to `revision`.
    fn is_synced(&mut self, revision: i64) -> bool {
        if self.watchers == 0 || self.behind > 0 {
            return false;
        }
        if self.latest_start > revision + 1 {
            let starts =
                self.slots.iter().filter_map(|slot| slot.watcher.as_ref()).map(|watcher| watcher.start);
            self.latest_start = starts.max().unwrap_or(0);
        }
        self.latest_start <= revision + 1
    }

    /// Queues a progress answer for the whole session if all its watchers are synced. The caller holds the hub's lock
    /// and `revision` is the hub's.
    pub(super) fn progress(&mut self, revision: i64) {
        if self.is_synced(revision) {
            self.order.push(Ready::Progress(revision));
        }
    }

    /// Queues a progress answer for one watcher, if it is synced. The caller holds the hub's lock.
    pub(super) fn notify(&mut self, key: WatchKey, revision: i64) {
        if let Some(watcher) = self.watcher(key)
            && watcher.stage == Stage::Live
            && watcher.start <= revision + 1
        {
            self.order.push(Ready::Notify(Box::new((key, revision))));
        }
    }

    /// True if progress answers were dropped because they came too late: [`Inbox::ask_again`] must then be called.
    pub(super) fn is_late(&self) -> bool {
        self.order.is_late()
    }

    /// Queues the dropped progress answers again. The caller holds the hub's lock.
    pub(super) fn ask_again(&mut self, revision: i64) {
        let late = self.order.take_late();
        if late.all {
            self.progress(revision);
        }
        late.keys.into_iter().for_each(|key| self.notify(key, revision));
    }

    /// Raises the revision shown to at least `revision`, for an answer outside the order, and returns it.
    pub(super) fn show(&mut self, revision: i64) -> i64 {
        self.order.show(revision)
    }

    /// The next item, or `None` if nothing is ready.
    pub(super) fn next(&mut self) -> Option<Item> {
        while let Some(ready) = self.order.pop() {
            let item = match ready {
                Ready::Queued(key) => self.next_queued(key),
                Ready::History(read) => {
                    let (key, run, revision) = *read;
                    self.tag(key).map(|tag| Item::Events {
                        tag,
                        header_revision: self.show(revision.max(run.last())),
                        runs: SmallVec::from_buf([run]),
                    })
                }
                Ready::Compacted(about) => {
                    let (key, revision) = *about;
                    let header_revision = self.show(0);
                    self.tag(key).map(|tag| Item::Compacted { tag, header_revision, revision })
                }
                Ready::Denied(key) => {
                    let header_revision = self.show(0);
                    self.tag(key).map(|tag| Item::Denied { tag, header_revision })
                }
                Ready::Notify(mark) => {
                    let (key, revision) = *mark;
                    self.tag(key).map(|tag| Item::Notify { tag, revision: self.show(revision) })
                }
                Ready::Progress(revision) => Some(Item::Progress { revision: self.show(revision) }),
                Ready::Failed(refusal) => Some(Item::Failed(*refusal)),
            };
            if item.is_some() {
                return item;
            }
        }
        None
    }

    fn next_queued(&mut self, key: WatchKey) -> Option<Item> {
        let budget = self.budget.clone();
        let mark = self.order.first_mark();
        let watcher = self.watcher(key)?;
        watcher.listed = false;
        let mut runs: SmallVec<[Arc<Run>; 1]> = SmallVec::new();
        let (mut bytes, mut revisions) = (0, 0);
        while let Some(run) = watcher.queue.front()
            && run.first() <= mark
        {
            bytes += run.bytes();
            revisions += run.revisions();
            if !runs.is_empty() && (bytes > JOIN_BYTES || revisions > MAX_REVISIONS) {
                break;
            }
            runs.extend(watcher.queue.pop_front());
        }
        let taken = counted(runs.iter().map(|run| run.bytes()).sum());
        watcher.queued_bytes = watcher.queued_bytes.saturating_sub(taken);
        budget.unqueue(runs.len());
        let tag = watcher.tag;
        if let Some(run) = watcher.queue.front() {
            watcher.listed = true;
            let first = run.first();
            self.order.go_on(key, first);
        }
        let header_revision = self.show(runs.last()?.last());
        Some(Item::Events { tag, header_revision, runs })
    }

    /// Nothing is ready: stores the waker and returns the requests of watchers that want history now.
    pub(super) fn park(&mut self, waker: &Waker) -> Vec<Ask> {
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
        let mut asks = Vec::new();
        for _ in 0..self.slots.len() {
            if self.lagging == 0 || asks.len() == MAX_ASKING {
                break;
            }
            let index = self.lagging_from as usize % self.slots.len();
            self.lagging_from = index as u32 + 1;
            let Some(slot) = self.slots.get_mut(index) else { break };
            let Some(watcher) = slot.watcher.as_mut().filter(|watcher| watcher.lags) else { continue };
            watcher.lags = false;
            self.lagging -= 1;
            if let Stage::Behind { next } = watcher.stage {
                let key = WatchKey { index: index as u32, generation: slot.generation };
                asks.push(Ask { key, interest: watcher.interest.clone(), next });
            }
        }
        asks
    }

    /// The stored waker, once.
    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

/// The result of delivering history to a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The watcher has ended in the meantime.
    Gone,
    /// Delivered, or the watcher went live.
    Done,
    /// Nothing found so far; read on.
    More,
}

/// A number of bytes as it is kept for each watcher: there may be very many of them.
fn counted(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn release(budget: &Budget, watcher: &mut Watcher) {
    budget.unqueue(watcher.queue.len());
    watcher.queue = Few::default();
    watcher.queued_bytes = 0;
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let budget = self.budget.clone();
        for watcher in self.slots.iter_mut().filter_map(|slot| slot.watcher.as_mut()) {
            release(&budget, watcher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Want;
    use super::super::run::{Part, Source};
    use super::*;

    #[test]
    fn a_watcher_fits_a_block_of_the_allocator() {
        assert!(size_of::<Slot>() <= 80, "{}", size_of::<Slot>());
    }

    #[test]
    fn all_that_are_behind_ask_in_turns() {
        let mut inbox = Inbox::new(Budget::new(1 << 20));
        let interest = Arc::new(Interest { range: KeyRange::all(), want: Want::default() });
        let count = MAX_ASKING + 10;
        let keys: Vec<_> = (0..count).map(|_| inbox.add(0, interest.clone(), 0, 1, 5)).collect();
        inbox.remove(keys[3]);
        let mut asked: Vec<u32> = Vec::new();
        let source = Source::owned(3, Vec::new(), &Budget::new(1 << 20));
        let run = || Run::new(SmallVec::from_buf([Part::new(source.clone(), &[])]), false);
        for some in [MAX_ASKING, 10, 0] {
            let asks = inbox.park(Waker::noop());
            assert_eq!(asks.len(), some);
            asked.extend(asks.iter().map(|ask| ask.key.index));
            if some == MAX_ASKING {
                // Whoever has read a page asks again after those that have not asked yet.
                assert_eq!(inbox.take_history(keys[0], Some(run()), 3, 5, false), Taken::Done);
            }
        }
        assert_eq!(asked, (0..count as u32).filter(|index| *index != 3).chain([0]).collect::<Vec<_>>());
        // One that has read a page, and one that has read everything.
        assert_eq!(inbox.take_history(keys[0], None, 4, 5, false), Taken::More);
        assert_eq!(inbox.take_history(keys[1], Some(run()), 4, 5, false), Taken::Done);
        assert_eq!(inbox.take_history(keys[2], Some(run()), 6, 5, true), Taken::Done);
        let asks = inbox.park(Waker::noop());
        assert_eq!(asks.iter().map(|ask| (ask.key.index, ask.next)).collect::<Vec<_>>(), [(1, 4)]);
    }
}
