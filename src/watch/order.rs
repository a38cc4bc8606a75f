//! The order of a session's items, in which time only goes forward: no item shows a lower revision than one before it.
//!
//! A progress answer is a mark in the order: events after its revision wait behind it. Events may be told at a higher
//! revision than their own; a progress answer may not, so that one that comes too late is asked for anew.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::run::Run;
use crate::model::Refusal;

/// Names a watcher within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchKey {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// What a session has to tell. `tag` is the number that the watcher was opened with.
#[derive(Debug)]
pub enum Item {
    /// Events of a watcher.
    Events {
        /// The watcher.
        tag: i64,
        /// The revision that the answer's header shows: that of the last event where events come live, the
        /// store's where they come from history, and never less than was shown before.
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
    /// Every event up to the revision has been told, to all watchers.
    Progress {
        /// The revision.
        revision: i64,
    },
    /// Every event of the watcher up to the revision has been told.
    Notify {
        /// The watcher.
        tag: i64,
        /// The revision.
        revision: i64,
    },
    /// History could not be read; the session is of no use any more.
    Failed(Refusal),
}

/// What is ready to be told.
pub(super) enum Ready {
    /// What is queued for a watcher.
    Queued(WatchKey),
    /// What history had for it, with the store's revision.
    History(WatchKey, Arc<Run>, i64),
    /// What it wants is compacted.
    Compacted(WatchKey, i64),
    /// A mark for all watchers.
    Progress(i64),
    /// A mark for one.
    Notify(WatchKey, i64),
    Failed(Refusal),
}

impl Ready {
    /// The revision of a progress answer.
    fn mark(&self) -> Option<i64> {
        match self {
            Ready::Progress(revision) | Ready::Notify(_, revision) => Some(*revision),
            _ => None,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Order {
    ready: VecDeque<Ready>,
    /// The revisions of the marks in `ready`.
    marks: VecDeque<i64>,
    /// Watchers whose next events wait for the first mark.
    deferred: VecDeque<WatchKey>,
    /// The highest revision shown so far.
    shown: i64,
    late: Late,
}

/// Marks that came too late.
#[derive(Default)]
pub(super) struct Late {
    /// One for all watchers.
    pub(super) all: bool,
    /// Those for these.
    pub(super) keys: Vec<WatchKey>,
}

impl Order {
    /// Adds at the end. A mark is left out if it comes too late already, or if the same stands there.
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
            self.marks.push_back(revision);
        }
        self.ready.push_back(ready);
    }

    /// More is queued for a watcher, events from `first` on: told next, or behind the first mark if that is before them.
    pub(super) fn go_on(&mut self, key: WatchKey, first: i64) {
        if first > self.first_mark() {
            self.deferred.push_back(key);
        } else {
            self.ready.push_front(Ready::Queued(key));
        }
    }

    /// The revision of the first mark: no later event may be told before it.
    pub(super) fn first_mark(&self) -> i64 {
        self.marks.front().copied().unwrap_or(i64::MAX)
    }

    /// Takes out what comes next.
    pub(super) fn pop(&mut self) -> Option<Ready> {
        loop {
            let ready = self.ready.pop_front()?;
            let Some(revision) = ready.mark() else { return Some(ready) };
            self.marks.pop_front();
            self.pass_mark();
            if revision >= self.shown {
                return Some(ready);
            }
            match ready {
                Ready::Notify(key, _) => self.late.keys.push(key),
                _ => self.late.all = true,
            }
        }
    }

    /// Keeps only some of the marks.
    pub(super) fn retain_marks(&mut self, keep: impl Fn(&Ready) -> bool) {
        if self.marks.is_empty() {
            return;
        }
        self.ready.retain(|ready| ready.mark().is_none() || keep(ready));
        self.marks = self.ready.iter().filter_map(Ready::mark).collect();
        self.pass_mark();
    }

    /// Lets those on who waited for the first mark, before anything else.
    fn pass_mark(&mut self) {
        while let Some(key) = self.deferred.pop_back() {
            self.ready.push_front(Ready::Queued(key));
        }
    }

    /// Shows at least `revision`: what is shown then.
    pub(super) fn show(&mut self, revision: i64) -> i64 {
        self.shown = self.shown.max(revision);
        self.shown
    }

    /// True if marks came too late.
    pub(super) fn is_late(&self) -> bool {
        self.late.all || !self.late.keys.is_empty()
    }

    /// The marks that came too late, once.
    pub(super) fn take_late(&mut self) -> Late {
        std::mem::take(&mut self.late)
    }
}
