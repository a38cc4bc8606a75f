//! The order of a session's items. Revisions only go forward: no item shows a lower revision than one before it.
//!
//! A progress answer is a mark in the order: events after its revision wait behind it. Events may be sent with a header
//! revision higher than their own; a progress answer may not, so a progress answer that comes too late is dropped and
//! requested anew.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;

use super::few::Few;
use super::run::Run;
use crate::model::Refusal;

/// An order with so few items is searched for what a watcher leaves in it.
const FEW: usize = 4;

/// Identifies a watcher within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchKey {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// An item for the client. `tag` is the number that the watcher was opened with.
#[derive(Debug)]
pub enum Item {
    /// Events of a watcher.
    Events {
        /// The watcher.
        tag: i64,
        /// The revision in the header of the answer: that of the last event if events come live, the store's if they
        /// come from history; never less than was shown before.
        header_revision: i64,
        /// The events; all revisions of a run come before those of the next.
        runs: SmallVec<[Arc<Run>; 1]>,
    },
    /// The watcher has ended: what it wants next has been compacted.
    Compacted {
        /// The watcher.
        tag: i64,
        /// The revision that the answer's header shows.
        header_revision: i64,
        /// The compacted revision.
        revision: i64,
    },
    /// The watcher has ended: its client may no longer read its range.
    Denied {
        /// The watcher.
        tag: i64,
        /// The revision that the answer's header shows.
        header_revision: i64,
    },
    /// Every event up to the revision has been sent, to all watchers.
    Progress {
        /// The revision.
        revision: i64,
    },
    /// Every event of the watcher up to the revision has been sent.
    Notify {
        /// The watcher.
        tag: i64,
        /// The revision.
        revision: i64,
    },
    /// History could not be read; the session is no longer usable.
    Failed(Refusal),
}

impl Item {
    /// The watcher it is about; `None` if it is about all.
    pub fn tag(&self) -> Option<i64> {
        match self {
            Item::Events { tag, .. }
            | Item::Compacted { tag, .. }
            | Item::Denied { tag, .. }
            | Item::Notify { tag, .. } => Some(*tag),
            Item::Progress { .. } | Item::Failed(_) => None,
        }
    }
}

/// Something that is ready to be sent. Small, because every session has room for one.
pub(super) enum Ready {
    /// The queue of a watcher.
    Queued(WatchKey),
    /// What history had for it, with the store's revision.
    History(Box<(WatchKey, Arc<Run>, i64)>),
    /// What it wants is compacted.
    Compacted(Box<(WatchKey, i64)>),
    /// Its range may no longer be read.
    Denied(WatchKey),
    /// A mark for all watchers.
    Progress(i64),
    /// A mark for one.
    Notify(Box<(WatchKey, i64)>),
    Failed(Box<Refusal>),
}

impl Ready {
    /// The watcher it is about.
    fn key(&self) -> Option<WatchKey> {
        match self {
            Ready::Queued(key) | Ready::Denied(key) => Some(*key),
            Ready::History(read) => Some(read.0),
            Ready::Compacted(about) | Ready::Notify(about) => Some(about.0),
            Ready::Progress(_) | Ready::Failed(_) => None,
        }
    }

    /// The revision of a progress answer.
    fn mark(&self) -> Option<i64> {
        match self {
            Ready::Progress(revision) => Some(*revision),
            Ready::Notify(mark) => Some(mark.1),
            _ => None,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Order {
    ready: Few<Ready>,
    /// The highest revision shown so far.
    shown: i64,
    /// `None` if there is nothing in it.
    aside: Option<Box<Aside>>,
}

/// What most sessions never need: there may be very many of them.
#[derive(Default)]
struct Aside {
    /// The revisions of the marks in `ready`.
    marks: VecDeque<i64>,
    /// Watchers whose next events wait for the first mark.
    deferred: VecDeque<WatchKey>,
    late: Late,
}

/// Marks that were dropped because they came too late.
#[derive(Default)]
pub(super) struct Late {
    /// True if a mark for all watchers is among them.
    pub(super) all: bool,
    /// The watchers whose own marks are among them.
    pub(super) keys: Vec<WatchKey>,
}

impl Late {
    fn is_any(&self) -> bool {
        self.all || !self.keys.is_empty()
    }
}

impl Order {
    /// Adds at the end. A mark is not added if it is too late already, or if the same mark is queued.
    pub(super) fn push(&mut self, ready: Ready) {
        if let Some(revision) = ready.mark() {
            let last = self
                .ready
                .back()
                .filter(|last| matches!((last, &ready), (Ready::Progress(_), Ready::Progress(_))));
            let stands = last.and_then(Ready::mark) == Some(revision);
            if revision < self.shown || stands {
                return;
            }
            self.aside.get_or_insert_default().marks.push_back(revision);
        }
        self.ready.push_back(ready);
    }

    /// Nothing is queued for a watcher any more; true if its entry is gone, too.
    pub(super) fn withdraw(&mut self, key: WatchKey) -> bool {
        let before = self.ready.len();
        if before > FEW {
            return false;
        }
        self.ready.retain(|ready| !matches!(ready, Ready::Queued(queued) if *queued == key));
        self.ready.len() < before
    }

    /// More events are queued for a watcher, from revision `first` on: they come next, or behind the first mark if that
    /// is before them.
    pub(super) fn go_on(&mut self, key: WatchKey, first: i64) {
        if first > self.first_mark() {
            self.aside.get_or_insert_default().deferred.push_back(key);
        } else {
            self.ready.push_front(Ready::Queued(key));
        }
    }

    /// The revision of the first mark: no later event may be sent before it.
    pub(super) fn first_mark(&self) -> i64 {
        self.aside.as_ref().and_then(|aside| aside.marks.front().copied()).unwrap_or(i64::MAX)
    }

    /// Removes and returns what comes next.
    pub(super) fn pop(&mut self) -> Option<Ready> {
        loop {
            let ready = self.ready.pop_front()?;
            let Some(revision) = ready.mark() else { return Some(ready) };
            if let Some(aside) = &mut self.aside {
                aside.marks.pop_front();
            }
            self.pass_mark();
            if revision >= self.shown {
                return Some(ready);
            }
            let late = &mut self.aside.get_or_insert_default().late;
            match ready {
                Ready::Notify(mark) => late.keys.push(mark.0),
                _ => late.all = true,
            }
        }
    }

    /// Keeps only some of the marks.
    pub(super) fn retain_marks(&mut self, keep: impl Fn(&Ready) -> bool) {
        let Some(aside) = self.aside.as_mut().filter(|aside| !aside.marks.is_empty()) else { return };
        self.ready.retain(|ready| ready.mark().is_none() || keep(ready));
        aside.marks = self.ready.iter().filter_map(Ready::mark).collect();
        self.pass_mark();
    }

    /// Drops everything about these watchers.
    pub(super) fn forget(&mut self, gone: &BTreeSet<WatchKey>) {
        let stays = |key: WatchKey| !gone.contains(&key);
        self.ready.retain(|ready| ready.key().is_none_or(stays));
        if let Some(aside) = &mut self.aside {
            aside.deferred.retain(|key| stays(*key));
            aside.late.keys.retain(|key| stays(*key));
            aside.marks = self.ready.iter().filter_map(Ready::mark).collect();
        }
        self.pass_mark();
    }

    /// Lets the watchers continue that waited for the first mark, before anything else.
    fn pass_mark(&mut self) {
        let Some(aside) = &mut self.aside else { return };
        while let Some(key) = aside.deferred.pop_back() {
            self.ready.push_front(Ready::Queued(key));
        }
        if aside.marks.is_empty() && !aside.late.is_any() {
            self.aside = None;
        }
    }

    /// Raises the revision shown to at least `revision` and returns it.
    pub(super) fn show(&mut self, revision: i64) -> i64 {
        self.shown = self.shown.max(revision);
        self.shown
    }

    /// True if marks were dropped because they came too late.
    pub(super) fn is_late(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.late.is_any())
    }

    /// The dropped marks, once.
    pub(super) fn take_late(&mut self) -> Late {
        let Some(aside) = &mut self.aside else { return Late::default() };
        let late = std::mem::take(&mut aside.late);
        if aside.marks.is_empty() && aside.deferred.is_empty() {
            self.aside = None;
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_room_for_an_item() {
        assert_eq!((size_of::<Ready>(), size_of::<Order>()), (16, 40));
    }

    #[test]
    fn a_watcher_that_falls_behind_leaves_nothing_in_a_short_order() {
        let key = |index| WatchKey { index, generation: 0 };
        let mut order = Order::default();
        order.push(Ready::Queued(key(1)));
        order.push(Ready::Compacted(Box::new((key(2), 7))));
        order.push(Ready::Queued(key(3)));
        assert!(order.withdraw(key(1)) && !order.withdraw(key(1)) && !order.withdraw(key(2)));
        assert_eq!(order.ready.len(), 2);
        (4..9).for_each(|index| order.push(Ready::Queued(key(index))));
        assert!(!order.withdraw(key(3)), "a long one is not searched");
        let left = std::iter::from_fn(|| order.pop()).map(|ready| ready.key().map(|key| key.index));
        assert_eq!(left.collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8].map(Some));
    }
}
