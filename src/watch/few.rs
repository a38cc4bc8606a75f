//! Queues of one item at most times: there may be very many of them, and one item needs no memory beside the queue.

use super::seldom::Seldom;

/// See the module.
pub(super) struct Few<T> {
    /// `None` if the queue is empty.
    first: Option<T>,
    rest: Seldom<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, rest: Seldom::default() }
    }
}

impl<T> Few<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.rest.iter())
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.rest.back().or(self.first.as_ref())
    }

    pub(super) fn push_back(&mut self, item: T) {
        match self.first {
            None => self.first = Some(item),
            Some(_) => self.rest.push_back(item),
        }
    }

    pub(super) fn push_front(&mut self, item: T) {
        if let Some(second) = self.first.replace(item) {
            self.rest.push_front(second);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let taken = self.first.take();
        self.first = self.rest.pop_front();
        taken
    }

    /// Keeps only some of the items.
    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.rest.retain(&keep);
        if self.first.as_ref().is_some_and(|first| !keep(first)) {
            self.first = self.rest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn it_is_a_queue() {
        let (mut few, mut expected) = (Few::default(), VecDeque::new());
        for step in 0_u32..2000 {
            match step.wrapping_mul(2_654_435_761) >> 29 {
                0 | 1 => {
                    few.push_back(step);
                    expected.push_back(step);
                }
                2 => {
                    few.push_front(step);
                    expected.push_front(step);
                }
                3 => {
                    few.retain(|item| item % 3 != step % 3);
                    expected.retain(|item| item % 3 != step % 3);
                }
                _ => assert_eq!(few.pop_front(), expected.pop_front()),
            }
            assert!(few.iter().eq(&expected), "after {step} steps");
            assert_eq!((few.front(), few.back()), (expected.front(), expected.back()));
            assert_eq!((few.len(), few.is_empty()), (expected.len(), expected.is_empty()));
        }
    }

    #[test]
    fn one_item_needs_no_memory_beside_it() {
        let mut few = Few::default();
        assert_eq!(size_of_val(&few), size_of::<Option<Box<u8>>>() + size_of::<usize>());
        few.push_back(Box::new(1));
        assert!(few.rest.is_unused());
        few.push_back(Box::new(2));
        assert!(!few.rest.is_unused());
        few.pop_front();
        assert!(few.rest.is_unused());
    }
}
