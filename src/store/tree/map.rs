//! An ordered map that is never changed in place: a change makes a new map, which shares all but a few branches with the
//! old one. Copying it is free, so a reader holds the map of its moment.
//!
//! It is a balanced tree after Adelson-Velsky and Landis: the heights of two siblings differ by one at most.

use std::cmp::Ordering;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Map<K, V>(Option<Arc<Branch<K, V>>>);

#[derive(Debug)]
struct Branch<K, V> {
    key: K,
    value: V,
    left: Map<K, V>,
    right: Map<K, V>,
    height: u8,
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let mut here = self;
        while let Some(branch) = &here.0 {
            here = match key.cmp(&branch.key) {
                Ordering::Less => &branch.left,
                Ordering::Greater => &branch.right,
                Ordering::Equal => return Some(&branch.value),
            };
        }
        None
    }

    /// With a key set to a value.
    pub fn with(&self, key: K, value: V) -> Self {
        let Some(branch) = &self.0 else { return Self::branch(Self(None), key, value, Self(None)) };
        let Branch { left, right, .. } = &**branch;
        match key.cmp(&branch.key) {
            Ordering::Less => branch.between(left.with(key, value), right.clone()),
            Ordering::Greater => branch.between(left.clone(), right.with(key, value)),
            Ordering::Equal => Self::branch(left.clone(), key, value, right.clone()),
        }
    }

    /// Without a key.
    pub fn without(&self, key: &K) -> Self {
        let Some(branch) = &self.0 else { return Self(None) };
        let Branch { left, right, .. } = &**branch;
        match key.cmp(&branch.key) {
            Ordering::Less => branch.between(left.without(key), right.clone()),
            Ordering::Greater => branch.between(left.clone(), right.without(key)),
            Ordering::Equal => match right.first() {
                None => left.clone(),
                Some((key, value)) => {
                    Self::balanced(left.clone(), key.clone(), value.clone(), right.without(key))
                }
            },
        }
    }

    /// Without the keys from the first one for which `is_from` holds to the first one for which `is_after` does; both must
    /// hold for all after one for which they do. It takes as long as one key's removal, however many there are.
    pub fn without_range(&self, is_from: impl Fn(&K) -> bool, is_after: impl Fn(&K) -> bool) -> Self {
        let (before, _) = self.split(&is_from);
        let (_, after) = self.split(&is_after);
        match after.first() {
            None => before,
            Some((key, value)) => Self::joined(before, key.clone(), value.clone(), after.without(key)),
        }
    }

    /// The keys before the first one for which `is_from` holds, and the others.
    fn split(&self, is_from: &impl Fn(&K) -> bool) -> (Self, Self) {
        let Some(branch) = &self.0 else { return Default::default() };
        let Branch { key, value, left, right, .. } = &**branch;
        if is_from(key) {
            let (before, from) = left.split(is_from);
            (before, Self::joined(from, key.clone(), value.clone(), right.clone()))
        } else {
            let (before, from) = right.split(is_from);
            (Self::joined(left.clone(), key.clone(), value.clone(), before), from)
        }
    }

    /// A key between two sides of any heights.
    fn joined(left: Self, key: K, value: V, right: Self) -> Self {
        match (&left.0, &right.0) {
            (Some(top), _) if left.height() > right.height() + 1 => {
                top.between(top.left.clone(), Self::joined(top.right.clone(), key, value, right))
            }
            (_, Some(top)) if right.height() > left.height() + 1 => {
                top.between(Self::joined(left, key, value, top.left.clone()), top.right.clone())
            }
            _ => Self::branch(left, key, value, right),
        }
    }

    /// The smallest key with its value.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.from(|_| true).next()
    }

    /// Ascending from the first key for which `is_from` holds; it must hold for all after one for which it does.
    pub fn from(&self, is_from: impl Fn(&K) -> bool) -> Iter<'_, K, V> {
        let mut iter = Iter(Vec::new());
        let mut here = self;
        while let Some(branch) = &here.0 {
            here = if is_from(&branch.key) {
                iter.0.push(branch);
                &branch.left
            } else {
                &branch.right
            };
        }
        iter
    }

    fn height(&self) -> u8 {
        self.0.as_ref().map_or(0, |branch| branch.height)
    }

    fn branch(left: Self, key: K, value: V, right: Self) -> Self {
        let height = 1 + left.height().max(right.height());
        Self(Some(Arc::new(Branch { key, value, left, right, height })))
    }

    /// A branch whose two sides differ in height by two at most.
    fn balanced(left: Self, key: K, value: V, right: Self) -> Self {
        if left.height() > right.height() + 1
            && let Some(top) = &left.0
        {
            let Branch { left: far, right: near, .. } = &**top;
            return match &near.0 {
                Some(middle) if near.height() > far.height() => middle.between_unbalanced(
                    top.between_unbalanced(far.clone(), middle.left.clone()),
                    Self::branch(middle.right.clone(), key, value, right),
                ),
                _ => top.between_unbalanced(far.clone(), Self::branch(near.clone(), key, value, right)),
            };
        }
        if right.height() > left.height() + 1
            && let Some(top) = &right.0
        {
            let Branch { left: near, right: far, .. } = &**top;
            return match &near.0 {
                Some(middle) if near.height() > far.height() => middle.between_unbalanced(
                    Self::branch(left, key, value, middle.left.clone()),
                    top.between_unbalanced(middle.right.clone(), far.clone()),
                ),
                _ => top.between_unbalanced(Self::branch(left, key, value, near.clone()), far.clone()),
            };
        }
        Self::branch(left, key, value, right)
    }
}

impl<K: Ord + Clone, V: Clone> Branch<K, V> {
    /// Its key and value between other sides.
    fn between(&self, left: Map<K, V>, right: Map<K, V>) -> Map<K, V> {
        Map::balanced(left, self.key.clone(), self.value.clone(), right)
    }

    fn between_unbalanced(&self, left: Map<K, V>, right: Map<K, V>) -> Map<K, V> {
        Map::branch(left, self.key.clone(), self.value.clone(), right)
    }
}

/// The branches that are not visited yet, the next one last.
pub struct Iter<'m, K, V>(Vec<&'m Branch<K, V>>);

impl<'m, K, V> Iterator for Iter<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        let branch = self.0.pop()?;
        let mut here = &branch.right;
        while let Some(below) = &here.0 {
            self.0.push(below);
            here = &below.left;
        }
        Some((&branch.key, &branch.value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Checks the order and the balance, and returns the height.
    fn checked(map: &Map<u32, u32>) -> u8 {
        let Some(branch) = &map.0 else { return 0 };
        let (left, right) = (checked(&branch.left), checked(&branch.right));
        assert!(left.abs_diff(right) <= 1, "{left} and {right}");
        assert_eq!(branch.height, 1 + left.max(right));
        branch.height
    }

    #[test]
    fn it_is_a_map_and_stays_balanced_and_old_copies_stay_as_they_are() {
        let (mut map, mut model) = (Map::default(), BTreeMap::new());
        let mut number = 1u32;
        let mut copies = Vec::new();
        for step in 0..4000u32 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = (number >> 16) % 500;
            if number & 0x300 == 0 || step > 3000 {
                map = map.without(&key);
                model.remove(&key);
            } else {
                map = map.with(key, step);
                model.insert(key, step);
            }
            checked(&map);
            assert_eq!(map.get(&key), model.get(&key));
            if step % 400 == 0 {
                copies.push((map.clone(), model.clone()));
            }
        }
        for (map, model) in &copies {
            assert!(map.from(|_| true).eq(model));
            for from in [0, 7, 250, 499, 600] {
                assert!(map.from(|key| *key >= from).eq(model.range(from..)), "from {from}");
            }
            assert_eq!(map.first(), model.first_key_value());
        }
        for (map, model) in &copies {
            for (from, to) in [(0, 500), (0, 1), (7, 250), (250, 250), (499, 600), (600, 700), (100, 101)] {
                let left = map.without_range(|key| *key >= from, |key| *key >= to);
                checked(&left);
                assert!(
                    left.from(|_| true).eq(model.range(..from).chain(model.range(to..))),
                    "{from} to {to}"
                );
            }
        }
        let ascending = (0..5000).fold(Map::default(), |map, key| map.with(key, 0));
        assert!(checked(&ascending) < 16);
        for (from, to) in [(1, 4999), (0, 4990), (10, 5000), (2000, 2001)] {
            checked(&ascending.without_range(|key| *key >= from, |key| *key >= to));
        }
    }
}
