//! The recent events in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{KeyValue, RevisionEvents};

/// The events applied last, one batch per entry; older ones are read from the layers and from LMDB.
#[derive(Debug, Default)]
pub(in crate::store) struct Ring {
    batches: VecDeque<(Arc<Vec<RevisionEvents>>, usize)>,
    revisions: usize,
    bytes: usize,
}

impl Ring {
    /// Adds the events of an entry, and drops the oldest beyond the limits. If they lack something, all are read from the
    /// layers and from LMDB until there are later ones.
    pub fn push(&mut self, batch: Arc<Vec<RevisionEvents>>, max_revisions: usize, max_bytes: usize) {
        if batch.iter().any(|revision| revision.is_bare) {
            *self = Self::default();
            return;
        }
        let bytes = batch.iter().map(events_bytes).sum();
        self.revisions += batch.len();
        self.bytes += bytes;
        self.batches.push_back((batch, bytes));
        while self.revisions > max_revisions || self.bytes > max_bytes {
            let Some((batch, bytes)) = self.batches.pop_front() else { break };
            self.revisions -= batch.len();
            self.bytes -= bytes;
        }
    }

    /// The batches that hold revision `from` and all later ones; `None` if `from` is older than all of them (or newer).
    pub fn from(&self, from: i64) -> Option<Vec<Arc<Vec<RevisionEvents>>>> {
        let first = self.batches.front()?.0.first()?.revision;
        let last = self.batches.back()?.0.last()?.revision;
        if from < first || from > last {
            return None;
        }
        let skip =
            self.batches.partition_point(|(batch, _)| batch.last().is_none_or(|end| end.revision < from));
        Some(self.batches.iter().skip(skip).map(|(batch, _)| batch.clone()).collect())
    }
}

/// The approximate memory of a revision's events.
pub(in crate::store) fn events_bytes(revision: &RevisionEvents) -> usize {
    let kv_bytes = |kv: &KeyValue| kv.key.len() + kv.value.len();
    let bytes = |event: &crate::model::Event| {
        std::mem::size_of_val(event) + kv_bytes(&event.kv) + event.prev_kv.as_ref().map_or(0, kv_bytes)
    };
    revision.events.iter().map(bytes).sum::<usize>() + std::mem::size_of_val(revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LogPosition;

    #[test]
    fn the_ring_keeps_the_newest() {
        let mut ring = Ring::default();
        for revision in 2..10 {
            let events = RevisionEvents {
                revision,
                position: LogPosition::default(),
                events: Vec::new(),
                is_bare: false,
            };
            ring.push(Arc::new(vec![events]), 3, usize::MAX);
        }
        assert!(ring.from(6).is_none());
        assert_eq!(ring.from(8).map(|batches| batches.len()), Some(2));
        assert!(ring.from(10).is_none());
    }
}
