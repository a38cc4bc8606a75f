//! Queues that most sessions never use: there may be very many sessions, and without content such a queue is one word.

use std::collections::VecDeque;

/// See the module. Its memory is freed as soon as it is empty.
#[expect(clippy::box_collection, reason = "an empty one is one word, not four")]
pub(super) struct Seldom<T>(Option<Box<VecDeque<T>>>);

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Seldom<T> {
    pub(super) fn push_back(&mut self, item: T) {
        // Most have one watcher, and then this is all that it needs.
        self.0.get_or_insert_with(|| Box::new(VecDeque::with_capacity(1))).push_back(item);
    }

    pub(super) fn push_front(&mut self, item: T) {
        self.0.get_or_insert_with(|| Box::new(VecDeque::with_capacity(1))).push_front(item);
    }

    pub(super) fn pop_back(&mut self) -> Option<T> {
        let taken = self.0.as_mut()?.pop_back();
        self.free_if_empty();
        taken
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let taken = self.0.as_mut()?.pop_front();
        self.free_if_empty();
        taken
    }

    /// Keeps only some of the items.
    pub(super) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        if let Some(items) = &mut self.0 {
            items.retain(keep);
            self.free_if_empty();
        }
    }

    fn free_if_empty(&mut self) {
        self.0.take_if(|items| items.is_empty());
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.0.as_ref()?.back()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|items| items.iter())
    }

    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |items| items.len())
    }

    /// True if it has no memory beside it.
    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_of_an_empty_queue() {
        assert_eq!(size_of::<Seldom<u64>>(), size_of::<usize>());
        let mut queue = Seldom::default();
        [1, 2, 3, 4].into_iter().for_each(|item| queue.push_back(item));
        assert_eq!((queue.pop_back(), queue.pop_back()), (Some(4), Some(3)));
        assert!(queue.0.is_some());
        assert_eq!((queue.pop_back(), queue.pop_back(), queue.pop_back()), (Some(2), Some(1), None));
        assert!(queue.0.is_none());
        queue.push_back(7);
        queue.clear();
        assert_eq!(queue.pop_back(), None);
    }
}
