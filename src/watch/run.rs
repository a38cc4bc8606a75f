//! Events on their way to watchers: shared, counted, encoded once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::model::{Event, EventKind, KeyRange, KeyValue, RevisionEvents};

/// Which events a watcher wants, and with what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Want {
    /// Each event with the state before it.
    pub prev_kv: bool,
    /// No puts.
    pub no_put: bool,
    /// No deletions.
    pub no_delete: bool,
}

impl Want {
    /// True if events of this kind are wanted.
    pub fn admits(self, kind: EventKind) -> bool {
        match kind {
            EventKind::Put => !self.no_put,
            EventKind::Delete => !self.no_delete,
        }
    }
}

/// Watchers with the same interest are served together: a range and which of its events are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Interest {
    pub(super) range: KeyRange,
    pub(super) want: Want,
}

impl Interest {
    pub(super) fn admits(&self, event: &Event) -> bool {
        self.want.admits(event.kind) && self.range.contains(&event.kv.key)
    }
}

/// Bytes that a queued answer counts in the hub's budget, in addition to its events.
const QUEUED_COST: usize = 64;
/// Queues are crowded if all together they have taken this part of the budget, whatever is queued.
const CROWDED: usize = 8;

/// Bytes that all feeds of a hub hold together.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    /// Answers that are queued.
    queued: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), queued: AtomicUsize::new(0), limit })
    }

    pub(super) fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// An answer was queued.
    pub(super) fn queue(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.add(QUEUED_COST);
    }

    /// So many are not queued any more.
    pub(super) fn unqueue(&self, answers: usize) {
        self.queued.fetch_sub(answers, Ordering::Relaxed);
        self.sub(QUEUED_COST * answers);
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > self.limit / CROWDED / QUEUED_COST
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.used() > self.limit
    }
}

/// The events of one revision, shared by all watchers that get some of them.
#[derive(Debug)]
pub(super) struct Source {
    revision: i64,
    events: Vec<Event>,
    is_bare: bool,
    bytes: usize,
    budget: Arc<Budget>,
}

/// Approximate memory of one event in addition to its key and values.
const EVENT_OVERHEAD: usize = 200;

fn size_of_kv(kv: &KeyValue) -> usize {
    kv.key.len() + kv.value.len()
}

/// The approximate memory of an event.
pub(super) fn size_of_event(event: &Event) -> usize {
    EVENT_OVERHEAD + size_of_kv(&event.kv) + event.prev_kv.as_ref().map_or(0, size_of_kv)
}

impl Source {
    pub(super) fn new(revision: &RevisionEvents, budget: &Arc<Budget>) -> Arc<Self> {
        Self::of(revision.revision, revision.events.clone(), revision.is_bare, budget)
    }

    pub(super) fn owned(revision: i64, events: Vec<Event>, budget: &Arc<Budget>) -> Arc<Self> {
        Self::of(revision, events, false, budget)
    }

    fn of(revision: i64, mut events: Vec<Event>, is_bare: bool, budget: &Arc<Budget>) -> Arc<Self> {
        // Most revisions have one event, and vectors begin with room for four.
        events.shrink_to_fit();
        let bytes = events.iter().map(size_of_event).sum();
        budget.add(bytes);
        Arc::new(Self { revision, events, is_bare, bytes, budget: budget.clone() })
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// True if it has exactly these events.
    pub(super) fn has(&self, events: &[Event]) -> bool {
        !self.is_bare && self.events == events
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.budget.sub(self.bytes);
    }
}

/// Those events of one revision that an [`Interest`] admits.
#[derive(Clone, Debug)]
pub(super) struct Part {
    source: Arc<Source>,
    /// Indices into the source; `None` means all.
    picks: Option<Box<[u32]>>,
}

impl Part {
    /// The part that consists of `picks` (ascending indices, not empty).
    pub(super) fn new(source: Arc<Source>, picks: &[u32]) -> Self {
        let picks = (picks.len() < source.events.len()).then(|| picks.into());
        Self { source, picks }
    }

    /// What `interest` admits of a source, if anything.
    pub(super) fn select(source: &Arc<Source>, interest: &Interest) -> Option<Self> {
        let admitted = |event: &Event| interest.admits(event);
        let picks: SmallVec<[u32; 16]> = (0u32..)
            .zip(&source.events)
            .filter_map(|(index, event)| admitted(event).then_some(index))
            .collect();
        (!picks.is_empty()).then(|| Self::new(source.clone(), &picks))
    }

    pub(super) fn revision(&self) -> i64 {
        self.source.revision
    }

    /// See [`RevisionEvents::is_bare`].
    pub(super) fn is_bare(&self) -> bool {
        self.source.is_bare
    }

    pub(super) fn bytes(&self) -> usize {
        self.source.bytes
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        let all = self.picks.is_none().then(|| self.source.events.iter());
        let some = self
            .picks
            .iter()
            .flat_map(|picks| picks.iter().map(|index| &self.source.events[*index as usize]));
        all.into_iter().flatten().chain(some)
    }
}

/// Events of one or more revisions for all watchers of one interest: the content of one answer. Never empty; whole
/// revisions only.
#[derive(Debug)]
pub struct Run {
    parts: SmallVec<[Part; 1]>,
    prev_kv: bool,
    bytes: usize,
    encoded: OnceLock<Bytes>,
}

impl Run {
    pub(super) fn new(parts: SmallVec<[Part; 1]>, prev_kv: bool) -> Arc<Self> {
        debug_assert!(!parts.is_empty(), "a run holds at least one revision");
        let bytes = parts.iter().map(Part::bytes).sum();
        Arc::new(Self { parts, prev_kv, bytes, encoded: OnceLock::new() })
    }

    /// How many events it holds.
    pub(super) fn size(&self) -> usize {
        self.parts.iter().map(|part| part.events().count()).sum()
    }

    /// The first revision in it.
    pub fn first(&self) -> i64 {
        self.parts.first().map_or(0, Part::revision)
    }

    /// The last revision in it.
    pub fn last(&self) -> i64 {
        self.parts.last().map_or(0, Part::revision)
    }

    /// The number of revisions in it.
    pub fn revisions(&self) -> usize {
        self.parts.len()
    }

    /// Approximate number of bytes that it keeps in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if events carry the state before.
    pub fn prev_kv(&self) -> bool {
        self.prev_kv
    }

    /// Its events in order. Ignore their `prev_kv` unless [`Run::prev_kv`] holds.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.parts.iter().flat_map(Part::events)
    }

    /// The events in the encoding of `encode`: computed once and then shared, so every caller must encode alike.
    pub fn encoded(&self, encode: impl FnOnce(&Run) -> Bytes) -> &Bytes {
        self.encoded.get_or_init(|| {
            let bytes = encode(self);
            if let Some(part) = self.parts.first() {
                part.source.budget.add(bytes.len());
            }
            bytes
        })
    }

    /// The same without revisions below `start`; `None` if nothing remains.
    pub(super) fn from_revision(self: &Arc<Self>, start: i64) -> Option<Arc<Self>> {
        if self.first() >= start {
            return Some(self.clone());
        }
        let parts: SmallVec<[Part; 1]> =
            self.parts.iter().filter(|part| part.revision() >= start).cloned().collect();
        (!parts.is_empty()).then(|| Self::new(parts, self.prev_kv))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let (Some(bytes), Some(part)) = (self.encoded.get(), self.parts.first()) {
            part.source.budget.sub(bytes.len());
        }
    }
}
