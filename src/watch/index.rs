//! Which groups of watchers want a key: a hash map for single keys and an interval treap for ranges.
//!
//! Many watchers share few ranges, so the index holds each range once, with the groups that watch it. Finding the
//! ranges around a key takes O(log n + found), whatever ranges clients choose: the treap's priorities come from a
//! random hasher, so that no order of requests makes it degenerate.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::model::{KeyRange, RangeEnd};

/// The number of a group in the hub's table.
pub(super) type GroupId = u32;

type Groups = SmallVec<[GroupId; 1]>;

/// "No node" in the treap.
const NIL: u32 = u32::MAX;

/// The index from keys to groups.
#[derive(Default)]
pub(super) struct Index {
    exact: HashMap<Bytes, Groups>,
    ranges: Treap,
}

impl Index {
    /// Adds a group under its range. Empty ranges match nothing and are not added.
    pub(super) fn insert(&mut self, range: &KeyRange, group: GroupId) {
        match range.as_single() {
            Some(key) => self.exact.entry(key.clone()).or_default().push(group),
            None if range.is_empty() => {}
            None => self.ranges.insert(range, group),
        }
    }

    /// Removes a group again.
    pub(super) fn remove(&mut self, range: &KeyRange, group: GroupId) {
        match range.as_single() {
            Some(key) => {
                if let Some(groups) = self.exact.get_mut(key) {
                    groups.retain(|other| *other != group);
                    if groups.is_empty() {
                        self.exact.remove(key);
                    }
                }
            }
            None => self.ranges.remove(range, group),
        }
    }

    /// Calls `found` with every group whose range holds `key`.
    pub(super) fn matching(&self, key: &[u8], mut found: impl FnMut(GroupId)) {
        if !self.exact.is_empty()
            && let Some(groups) = self.exact.get(key)
        {
            groups.iter().copied().for_each(&mut found);
        }
        self.ranges.stab(self.ranges.root, key, &mut found);
    }

    /// True if no group is indexed.
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.ranges.root == NIL
    }
}

/// One distinct range. `end` is `None` if the range is open.
struct Node {
    start: Bytes,
    end: Option<Bytes>,
    groups: Groups,
    priority: u64,
    left: u32,
    right: u32,
    /// The node with the furthest end in this subtree.
    furthest: u32,
}

/// A treap ordered by (start, end), each node knowing the furthest end below it.
struct Treap {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
    hasher: RandomState,
    counter: u64,
}

impl Default for Treap {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NIL, hasher: RandomState::new(), counter: 0 }
    }
}

/// Orders ends; the open end is the last.
fn compare_ends(a: &Option<Bytes>, b: &Option<Bytes>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(b),
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
    }
}

fn end_of(range: &KeyRange) -> Option<Bytes> {
    match &range.end {
        RangeEnd::Before(end) => Some(end.clone()),
        // Single keys are in the hash map and never get here.
        RangeEnd::Open | RangeEnd::Single => None,
    }
}

impl Treap {
    fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    fn order(&self, start: &Bytes, end: &Option<Bytes>, id: u32) -> Ordering {
        let node = self.node(id);
        start.cmp(&node.start).then_with(|| compare_ends(end, &node.end))
    }

    fn find(&self, start: &Bytes, end: &Option<Bytes>) -> u32 {
        let mut at = self.root;
        while at != NIL {
            at = match self.order(start, end, at) {
                Ordering::Equal => return at,
                Ordering::Less => self.node(at).left,
                Ordering::Greater => self.node(at).right,
            };
        }
        NIL
    }

    fn insert(&mut self, range: &KeyRange, group: GroupId) {
        let (start, end) = (range.start.clone(), end_of(range));
        let found = self.find(&start, &end);
        if found != NIL {
            self.node_mut(found).groups.push(group);
            return;
        }
        self.counter += 1;
        let priority = self.hasher.hash_one(self.counter);
        let mut groups = Groups::new();
        groups.push(group);
        let node = Node { start, end, groups, priority, left: NIL, right: NIL, furthest: NIL };
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.update(id);
        self.root = self.insert_below(self.root, id);
    }

    fn insert_below(&mut self, root: u32, id: u32) -> u32 {
        if root == NIL {
            return id;
        }
        let (start, end) = (self.node(id).start.clone(), self.node(id).end.clone());
        if self.node(id).priority > self.node(root).priority {
            let (left, right) = self.split(root, &start, &end);
            let node = self.node_mut(id);
            (node.left, node.right) = (left, right);
            self.update(id);
            return id;
        }
        if self.order(&start, &end, root) == Ordering::Less {
            let left = self.insert_below(self.node(root).left, id);
            self.node_mut(root).left = left;
        } else {
            let right = self.insert_below(self.node(root).right, id);
            self.node_mut(root).right = right;
        }
        self.update(root);
        root
    }

    /// Splits a subtree into the nodes before (start, end) and the nodes after.
    fn split(&mut self, root: u32, start: &Bytes, end: &Option<Bytes>) -> (u32, u32) {
        if root == NIL {
            return (NIL, NIL);
        }
        if self.order(start, end, root) == Ordering::Less {
            let (before, after) = self.split(self.node(root).left, start, end);
            self.node_mut(root).left = after;
            self.update(root);
            (before, root)
        } else {
            let (before, after) = self.split(self.node(root).right, start, end);
            self.node_mut(root).right = before;
            self.update(root);
            (root, after)
        }
    }

    /// Joins two subtrees; all nodes of `before` come before all nodes of `after`.
    fn join(&mut self, before: u32, after: u32) -> u32 {
        if before == NIL {
            return after;
        }
        if after == NIL {
            return before;
        }
        if self.node(before).priority > self.node(after).priority {
            let right = self.join(self.node(before).right, after);
            self.node_mut(before).right = right;
            self.update(before);
            before
        } else {
            let left = self.join(before, self.node(after).left);
            self.node_mut(after).left = left;
            self.update(after);
            after
        }
    }

    fn remove(&mut self, range: &KeyRange, group: GroupId) {
        let (start, end) = (range.start.clone(), end_of(range));
        let found = self.find(&start, &end);
        if found == NIL {
            return;
        }
        let node = self.node_mut(found);
        node.groups.retain(|other| *other != group);
        if node.groups.is_empty() {
            self.root = self.remove_below(self.root, &start, &end);
            let node = self.node_mut(found);
            (node.start, node.end) = (Bytes::new(), None);
            self.free.push(found);
        }
    }

    fn remove_below(&mut self, root: u32, start: &Bytes, end: &Option<Bytes>) -> u32 {
        if root == NIL {
            return NIL;
        }
        match self.order(start, end, root) {
            Ordering::Equal => return self.join(self.node(root).left, self.node(root).right),
            Ordering::Less => {
                let left = self.remove_below(self.node(root).left, start, end);
                self.node_mut(root).left = left;
            }
            Ordering::Greater => {
                let right = self.remove_below(self.node(root).right, start, end);
                self.node_mut(root).right = right;
            }
        }
        self.update(root);
        root
    }

    fn update(&mut self, id: u32) {
        let mut furthest = id;
        for child in [self.node(id).left, self.node(id).right] {
            if child != NIL {
                let candidate = self.node(child).furthest;
                if compare_ends(&self.node(candidate).end, &self.node(furthest).end) == Ordering::Greater {
                    furthest = candidate;
                }
            }
        }
        self.node_mut(id).furthest = furthest;
    }

    fn stab(&self, root: u32, key: &[u8], found: &mut impl FnMut(GroupId)) {
        if root == NIL {
            return;
        }
        let node = self.node(root);
        let beyond = |end: &Option<Bytes>| end.as_ref().is_none_or(|end| key < end.as_ref());
        if !beyond(&self.node(node.furthest).end) {
            return;
        }
        self.stab(node.left, key, found);
        if node.start.as_ref() <= key {
            if beyond(&node.end) {
                node.groups.iter().copied().for_each(&mut *found);
            }
            self.stab(node.right, key, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn found(index: &Index, key: &[u8]) -> Vec<GroupId> {
        let mut groups = Vec::new();
        index.matching(key, |group| groups.push(group));
        groups.sort_unstable();
        groups
    }

    fn random_key(rng: &mut StdRng) -> Bytes {
        let length = rng.random_range(1..4);
        (0..length).map(|_| rng.random_range(b'a'..b'e')).collect::<Vec<u8>>().into()
    }

    fn random_range(rng: &mut StdRng) -> KeyRange {
        let start = random_key(rng);
        match rng.random_range(0..4) {
            0 => KeyRange::single(start),
            1 => KeyRange { start, end: RangeEnd::Open },
            2 => KeyRange { end: crate::model::prefix_end(&start), start },
            _ => KeyRange { start, end: RangeEnd::Before(random_key(rng)) },
        }
    }

    #[test]
    fn finds_what_a_scan_of_all_ranges_finds() {
        for seed in 0..20 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut index = Index::default();
            let mut plain: Vec<(KeyRange, GroupId)> = Vec::new();
            for group in 0..600 {
                if plain.len() > 150 || (rng.random_bool(0.3) && !plain.is_empty()) {
                    let (range, group) = plain.swap_remove(rng.random_range(0..plain.len()));
                    index.remove(&range, group);
                } else {
                    let range = random_range(&mut rng);
                    index.insert(&range, group);
                    plain.push((range, group));
                }
                let key = random_key(&mut rng);
                let mut expected: Vec<GroupId> =
                    plain.iter().filter(|(range, _)| range.contains(&key)).map(|(_, group)| *group).collect();
                expected.sort_unstable();
                assert_eq!(found(&index, &key), expected, "seed {seed}, key {key:?}");
            }
            for (range, group) in plain {
                index.remove(&range, group);
            }
            assert!(index.is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn ranges_in_order_do_not_make_it_deep() {
        let mut index = Index::default();
        for group in 0..20_000u32 {
            let start = Bytes::from(group.to_be_bytes().to_vec());
            index.insert(&KeyRange { start, end: RangeEnd::Before(Bytes::from_static(&[0xff; 5])) }, group);
        }
        fn depth(treap: &Treap, at: u32) -> usize {
            if at == NIL {
                0
            } else {
                1 + depth(treap, treap.node(at).left).max(depth(treap, treap.node(at).right))
            }
        }
        assert!(depth(&index.ranges, index.ranges.root) < 100);
        assert_eq!(found(&index, &5u32.to_be_bytes()), (0..=5).collect::<Vec<_>>());
    }
}
