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
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.0.as_ref()?.front()
    }

    pub(super) fn push_back(&mut self, item: T) {
        self.0.get_or_insert_default().push_back(item);
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        self.take(VecDeque::pop_front)
    }

    pub(super) fn pop_back(&mut self) -> Option<T> {
        self.take(VecDeque::pop_back)
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.take(|items| {
            items.retain(keep);
            None::<T>
        });
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Takes something out; nothing stays of an empty queue.
    fn take<R>(&mut self, take: impl FnOnce(&mut VecDeque<T>) -> Option<R>) -> Option<R> {
        let items = self.0.as_mut()?;
        let taken = take(items);
        if items.is_empty() {
            self.0 = None;
        }
        taken
    }
}

impl<T> FromIterator<T> for Seldom<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let items: VecDeque<T> = items.into_iter().collect();
        Self((!items.is_empty()).then(|| Box::new(items)))
    }
}

impl<T> IntoIterator for Seldom<T> {
    type Item = T;
    type IntoIter = std::collections::vec_deque::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(|items| *items).unwrap_or_default().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_of_an_empty_queue() {
        assert_eq!(size_of::<Seldom<u64>>(), size_of::<usize>());
        let mut queue: Seldom<u8> = [1, 2, 3].into_iter().collect();
        queue.push_back(4);
        assert_eq!(queue.front(), Some(&1));
        assert_eq!((queue.pop_front(), queue.pop_back(), queue.pop_back()), (Some(1), Some(4), Some(3)));
        assert!(!queue.is_empty() && queue.0.is_some());
        queue.retain(|item| *item != 2);
        assert!(queue.is_empty() && queue.0.is_none());
        assert!(std::iter::empty().collect::<Seldom<u8>>().is_empty());
        queue.push_back(7);
        assert_eq!((queue.pop_back(), queue.pop_back()), (Some(7), None));
        assert!(queue.is_empty());
        [8, 9].into_iter().for_each(|item| queue.push_back(item));
        assert_eq!(queue.into_iter().collect::<Vec<_>>(), [8, 9]);
    }
}
