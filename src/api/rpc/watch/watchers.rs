//! The watchers of a stream by their ids. Most streams of a client that opens very many have one watcher each, which
//! needs no table.

use std::collections::HashMap;

/// See the module.
pub(super) struct Watchers<T> {
    one: Option<(i64, T)>,
    #[expect(clippy::box_collection, reason = "an empty one is one word, not six")]
    others: Option<Box<HashMap<i64, T>>>,
}

impl<T> Default for Watchers<T> {
    fn default() -> Self {
        Self { one: None, others: None }
    }
}

impl<T> Watchers<T> {
    /// True if there is one with that id.
    pub(super) fn contains(&self, id: i64) -> bool {
        self.one.as_ref().is_some_and(|(one, _)| *one == id)
            || self.others.as_ref().is_some_and(|others| others.contains_key(&id))
    }

    /// Adds one, whose id is not taken.
    pub(super) fn insert(&mut self, id: i64, watcher: T) {
        debug_assert!(!self.contains(id), "the id of another watcher");
        match &self.one {
            None => self.one = Some((id, watcher)),
            Some(_) => drop(self.others.get_or_insert_default().insert(id, watcher)),
        }
    }

    /// Removes one.
    pub(super) fn remove(&mut self, id: i64) -> Option<T> {
        if let Some((_, watcher)) = self.one.take_if(|(one, _)| *one == id) {
            return Some(watcher);
        }
        let others = self.others.as_mut()?;
        let watcher = others.remove(&id);
        if others.is_empty() {
            self.others = None;
        }
        watcher
    }

    /// The one with that id.
    pub(super) fn get_mut(&mut self, id: i64) -> Option<&mut T> {
        match &mut self.one {
            Some((one, watcher)) if *one == id => Some(watcher),
            _ => self.others.as_mut()?.get_mut(&id),
        }
    }

    /// All of them, in no order.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let others = self.others.iter_mut().flat_map(|others| others.values_mut());
        self.one.iter_mut().map(|(_, watcher)| watcher).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_under_its_id_in_whatever_order_they_come_and_go() {
        let mut watchers = Watchers::default();
        [7, 3, 5].into_iter().for_each(|id| watchers.insert(id, id * 10));
        assert!([7, 3, 5].into_iter().all(|id| watchers.contains(id)) && !watchers.contains(0));
        assert_eq!(watchers.remove(7), Some(70));
        assert_eq!(watchers.remove(7), None);
        assert_eq!(watchers.get_mut(3), Some(&mut 30));
        assert_eq!(watchers.get_mut(7), None);
        watchers.insert(9, 90);
        let mut all: Vec<i64> = watchers.iter_mut().map(|watcher| *watcher).collect();
        all.sort_unstable();
        assert_eq!(all, [30, 50, 90]);
        assert_eq!([3, 5, 9].map(|id| watchers.remove(id)), [Some(30), Some(50), Some(90)]);
        assert_eq!(watchers.iter_mut().count(), 0);
        assert!(watchers.others.is_none(), "an empty table");
    }
}
