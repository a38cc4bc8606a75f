//! A delivery that is under way: who has not got it, and what comes after it.

use super::index::GroupId;
use super::run::size_of_event;
use crate::model::RevisionEvents;

/// Most revisions that wait for the end of a delivery.
const WAITING_REVISIONS: usize = 1000;
/// Most bytes of events that wait for the end of a delivery, roughly.
const WAITING_BYTES: usize = 4 << 20;

/// What is being delivered, and what comes after it.
#[derive(Default)]
pub(super) struct Delivery {
    /// The groups with watchers that have not got it, the last one first.
    pub(super) groups: Vec<GroupId>,
    /// The revisions after it.
    pub(super) waiting: Vec<RevisionEvents>,
    /// Their bytes, roughly.
    pub(super) waiting_bytes: usize,
}

impl Delivery {
    /// True if some watchers have not got everything.
    pub(super) fn is_under_way(&self) -> bool {
        !self.groups.is_empty()
    }

    /// True if too much waits.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_REVISIONS || self.waiting_bytes >= WAITING_BYTES
    }

    /// These revisions wait until it ends.
    pub(super) fn wait(&mut self, news: &[RevisionEvents]) {
        self.waiting_bytes += news.iter().flat_map(|news| &news.events).map(size_of_event).sum::<usize>();
        self.waiting.extend_from_slice(news);
    }
}
