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

    pub(super) fn pop_back(&mut self) -> Option<T> {
        let items = self.0.as_mut()?;
        let taken = items.pop_back();
        if items.is_empty() {
            self.0 = None;
        }
        taken
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
