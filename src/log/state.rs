//! The log in memory: the place of every live entry, the latest entries themselves, the vote.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::model::LogPosition;

use super::{Entry, LogError, Vote};

/// The place of an entry's item on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's sequence number.
    pub segment: u64,
    /// Offset of the item in it.
    pub offset: u64,
    /// Bytes of the item, header included.
    pub length: u32,
}

/// What is known about a live entry.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The term and the leader of its position.
    pub term: u64,
    /// See `term`.
    pub leader: u64,
    /// Its approximate size in bytes.
    pub weight: u32,
    /// Distinguishes entries that had the same index one after the other.
    pub ticket: u64,
    /// Its place on disk, once it is written.
    pub place: Option<Place>,
}

/// True for the same position. A term has one leader, so the leader's id need not be known.
fn is_same(one: LogPosition, other: LogPosition) -> bool {
    (one.term, one.index) == (other.term, other.index)
}

/// The log for its users: appended entries are in it before they are on disk.
#[derive(Debug, Default)]
pub struct State {
    /// The last vote saved.
    pub vote: Option<Vote>,
    /// The last position purged.
    pub purged: Option<LogPosition>,
    /// The last position known to be committed.
    pub committed: Option<LogPosition>,
    first: u64,
    slots: VecDeque<Slot>,
    /// The last entries, down to the oldest one kept.
    cache: VecDeque<Entry>,
    cached_bytes: usize,
    tickets: u64,
}

/// The steps of a read.
#[derive(Debug, Default)]
pub struct Lookup {
    /// Read these from disk first: index and place.
    pub stored: Vec<(u64, Place)>,
    /// Then take these.
    pub cached: Vec<Entry>,
}

impl State {
    /// The index of the oldest entry, or of the next one if there is none.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The index the next entry gets.
    pub fn next(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// The last entry's position, or the purged one if there is no entry.
    pub fn last(&self) -> Option<LogPosition> {
        match self.slots.back() {
            Some(slot) => Some(self.position(slot, self.next() - 1)),
            None => self.purged,
        }
    }

    fn position(&self, slot: &Slot, index: u64) -> LogPosition {
        LogPosition { term: slot.term, leader: slot.leader, index }
    }

    /// True if the entry with this position is among the entries, or was purged.
    pub fn holds(&self, place: LogPosition) -> bool {
        match place.index.checked_sub(self.first) {
            Some(at) => self
                .slots
                .get(at as usize)
                .is_some_and(|slot| is_same(self.position(slot, place.index), place)),
            None => self.purged.is_some_and(|purged| purged.index > place.index || is_same(purged, place)),
        }
    }

    /// True if the entries up to this index are on disk, or were purged. Entries are written in their order.
    pub fn is_written(&self, upto: u64) -> bool {
        match upto.checked_sub(self.first) {
            Some(at) => self.slots.get(at as usize).is_some_and(|slot| slot.place.is_some()),
            None => true,
        }
    }

    /// The indexes of the entries that are not on disk. Entries are written in their order.
    pub fn unwritten(&self) -> Option<RangeInclusive<u64>> {
        let written = self.slots.partition_point(|slot| slot.place.is_some()) as u64;
        (written < self.slots.len() as u64).then(|| self.first + written..=self.next() - 1)
    }

    /// The place of an entry, if the log holds it and it is written.
    pub fn place_of(&self, index: u64) -> Option<Place> {
        self.slots.get(usize::try_from(index.checked_sub(self.first)?).ok()?)?.place
    }

    /// The position with this index; `None` if the log does not hold it any more, or not yet. The last purged one is
    /// known.
    pub fn position_at(&self, index: u64) -> Option<LogPosition> {
        match index.checked_sub(self.first).and_then(|at| self.slots.get(usize::try_from(at).ok()?)) {
            Some(slot) => Some(self.position(slot, index)),
            None => self.purged.filter(|purged| purged.index == index),
        }
    }

    /// Adds an entry at the end and gives it a ticket. An empty log accepts any index after the purged one.
    ///
    /// # Errors
    /// [`LogError::OutOfOrder`] if it does not follow.
    pub fn append(&mut self, entry: Entry, place: Option<Place>) -> Result<u64, LogError> {
        let index = entry.position.index;
        if self.slots.is_empty() && index >= self.first {
            self.first = index;
        }
        if index != self.next() {
            return Err(LogError::OutOfOrder { index, next: self.next() });
        }
        self.tickets += 1;
        let weight = entry.payload.weight();
        self.slots.push_back(Slot {
            term: entry.position.term,
            leader: entry.position.leader,
            weight: u32::try_from(weight).unwrap_or(u32::MAX),
            ticket: self.tickets,
            place,
        });
        self.cache.push_back(entry);
        self.cached_bytes += weight;
        Ok(self.tickets)
    }

    /// Records the place of an entry, if it is still the one with that ticket.
    pub fn written(&mut self, index: u64, ticket: u64, place: Place) {
        let Some(at) = index.checked_sub(self.first) else { return };
        if let Some(slot) = self.slots.get_mut(at as usize).filter(|slot| slot.ticket == ticket) {
            slot.place = Some(place);
        }
    }

    /// The first index from which the payloads of all entries to the end have at most `bytes`.
    pub fn first_within(&self, bytes: usize) -> u64 {
        let mut left = bytes;
        let mut first = self.next();
        for slot in self.slots.iter().rev() {
            match left.checked_sub(slot.weight as usize) {
                Some(rest) => left = rest,
                None => break,
            }
            first -= 1;
        }
        first
    }

    /// Bytes of the payloads of all entries after the position.
    pub fn weight_after(&self, position: Option<LogPosition>) -> u64 {
        let passed = position.map_or(0, |position| (position.index + 1).saturating_sub(self.first));
        self.slots.iter().skip(passed as usize).map(|slot| u64::from(slot.weight)).sum()
    }

    /// Removes cached entries, oldest first, until the cache is within `limit` bytes. Entries that are not written yet
    /// stay.
    pub fn shrink_cache(&mut self, limit: usize) {
        while self.cached_bytes > limit {
            let at = self.slots.len() - self.cache.len();
            if self.slots.get(at).is_none_or(|slot| slot.place.is_none()) {
                return;
            }
            self.uncache_front();
        }
    }

    fn uncache_front(&mut self) {
        if let Some(entry) = self.cache.pop_front() {
            self.cached_bytes -= entry.payload.weight();
        }
    }

    /// Removes the entries after `last`.
    pub fn truncate_after(&mut self, last: Option<LogPosition>) {
        let keep = last.map_or(0, |last| last.index + 1);
        while self.next() > keep && self.slots.pop_back().is_some() {
            if let Some(entry) = self.cache.pop_back() {
                self.cached_bytes -= entry.payload.weight();
            }
        }
        if self.slots.is_empty() {
            // During recovery, an entry may come after others that were purged together with their segment.
            self.first = self.purged.map_or(0, |purged| purged.index + 1);
        }
    }

    /// Removes the entries up to and including `upto`, which may be beyond the end, and all entries if they contradict
    /// it. A position below the last purge is ignored.
    pub fn purge(&mut self, upto: LogPosition) {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        let held = self.position_at(upto.index);
        if held.is_some_and(|held| !is_same(held, upto)) {
            // The purged position is committed, so the contradicting entries are not; only their truncation had not
            // been written yet.
            self.truncate_after(self.purged);
        }
        self.purged = Some(upto);
        while self.first <= upto.index && self.slots.pop_front().is_some() {
            self.first += 1;
            if self.cache.len() > self.slots.len() {
                self.uncache_front();
            }
        }
        self.first = self.first.max(upto.index + 1);
    }

    /// Finds the entries `from..to`, as many as fit into `max_bytes`, but at least one if the range is not empty.
    ///
    /// # Errors
    /// [`LogError::NotFound`] if the range goes beyond what the log holds.
    pub fn lookup(&self, from: u64, to: u64, max_bytes: usize) -> Result<Lookup, LogError> {
        let (first, next) = (self.first, self.next());
        if from >= to {
            return Ok(Lookup::default());
        }
        if from < first || to > next {
            return Err(LogError::NotFound { from, to, first, next });
        }
        let cached_from = next - self.cache.len() as u64;
        let mut found = Lookup::default();
        let mut bytes = 0;
        for index in from..to {
            let slot = &self.slots[(index - first) as usize];
            bytes += slot.weight as usize;
            if bytes > max_bytes && index > from {
                break;
            }
            if index >= cached_from {
                found.cached.push(self.cache[(index - cached_from) as usize].clone());
            } else if let Some(place) = slot.place {
                found.stored.push((index, place));
            } else {
                return Err(LogError::NotFound { from, to, first, next });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::Payload;
    use crate::model::{Caller, Command, Proposal, Put, Stamp};

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition { term, leader: 1, index }
    }

    fn filled(entries: &[(u64, u64)]) -> State {
        let mut state = State::default();
        for (term, index) in entries {
            state.append(Entry { position: at(*term, *index), payload: Payload::Blank }, None).unwrap();
        }
        state
    }

    #[test]
    fn what_was_truncated_or_purged_is_gone() {
        let mut state = filled(&[(1, 0), (1, 1), (2, 2), (2, 3)]);
        state.truncate_after(Some(at(1, 1)));
        assert_eq!((state.first(), state.next(), state.last()), (0, 2, Some(at(1, 1))));
        state.purge(at(1, 0));
        assert_eq!((state.first(), state.next()), (1, 2));
        assert!(state.holds(at(1, 0)) && state.holds(at(1, 1)), "purged, and there");
        assert!(!state.holds(at(2, 0)) && !state.holds(at(2, 1)) && !state.holds(at(2, 2)));
        assert!(matches!(state.lookup(0, 1, 100), Err(LogError::NotFound { first: 1, next: 2, .. })));
        state.purge(at(3, 9));
        assert_eq!((state.first(), state.next(), state.last()), (10, 10, Some(at(3, 9))));
        assert!(state.append(Entry { position: at(3, 9), payload: Payload::Blank }, None).is_err());
        state.truncate_after(None);
        assert_eq!(state.next(), 10);
    }

    #[test]
    fn a_place_is_the_same_whoever_is_named_as_its_leader() {
        let unnamed = |place: LogPosition| LogPosition { leader: 0, ..place };
        let mut state = filled(&[(1, 0), (1, 1), (2, 2), (2, 3)]);
        assert!(state.holds(unnamed(at(2, 2))) && !state.holds(unnamed(at(1, 2))));
        state.purge(unnamed(at(1, 1)));
        assert_eq!((state.first(), state.next()), (2, 4), "what follows is kept");
        assert!(state.holds(at(1, 1)));
        state.purge(at(3, 2));
        assert_eq!(
            (state.first(), state.next(), state.last()),
            (3, 3, Some(at(3, 2))),
            "it contradicts the rest"
        );
    }

    #[test]
    fn the_weight_after_a_position_is_that_of_the_later_entries() {
        let mut state = State::default();
        assert_eq!(state.weight_after(None), 0);
        let mut weights = Vec::new();
        for (index, size) in [(5, 100), (6, 2000), (7, 30)] {
            let put = Put { value: vec![0; size].into(), ..Put::default() };
            let command = Command::Put(put);
            let group = vec![Proposal { stamp: Stamp::at(1), caller: Caller::Anonymous, command }];
            let payload = Payload::Group(Arc::new(group.into()));
            weights.push(payload.weight() as u64);
            state.append(Entry { position: at(1, index), payload }, None).unwrap();
        }
        assert!(weights[1] > 2000, "{weights:?}");
        assert_eq!(state.weight_after(None), weights.iter().sum::<u64>());
        assert_eq!(state.weight_after(Some(at(1, 3))), weights.iter().sum::<u64>(), "before the first one");
        assert_eq!(state.weight_after(Some(at(1, 5))), weights[1] + weights[2]);
        assert_eq!(state.weight_after(Some(at(1, 7))), 0);
        assert_eq!(state.weight_after(Some(at(1, 9))), 0, "beyond the end");
        state.purge(at(1, 6));
        assert_eq!(state.weight_after(None), weights[2]);
        assert_eq!(state.weight_after(Some(at(1, 6))), weights[2]);
    }

    #[test]
    fn the_cache_keeps_what_is_not_written() {
        let mut state = filled(&[(1, 0), (1, 1), (1, 2)]);
        state.shrink_cache(0);
        assert_eq!(state.lookup(0, 3, 1000).unwrap().cached.len(), 3);
        let place = Place { segment: 1, offset: 4096, length: 10 };
        state.written(0, 1, place);
        state.written(1, 99, place);
        state.shrink_cache(0);
        let found = state.lookup(0, 3, 1000).unwrap();
        assert_eq!((found.stored, found.cached.len()), (vec![(0, place)], 2));
    }
}
