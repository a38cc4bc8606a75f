//! Watchers are grouped by their interest, so that a thousand watchers of one prefix cost one match.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::index::{GroupId, Index};
use super::order::WatchKey;
use super::run::{Interest, Part};
use super::shared::Shared;
use crate::model::Event;

/// One watcher of a group.
pub(super) struct Member {
    pub(super) shared: Arc<Shared>,
    pub(super) key: WatchKey,
}

struct Group {
    interest: Arc<Interest>,
    members: Vec<Member>,
    /// Events of the current revision that the group wants, by index.
    picks: SmallVec<[u32; 8]>,
    /// Parts of the current batch that the group wants.
    parts: SmallVec<[Part; 1]>,
}

/// All groups, with the index to find them.
#[derive(Default)]
pub(super) struct Groups {
    slots: Vec<Option<Group>>,
    free: Vec<GroupId>,
    by_interest: HashMap<Arc<Interest>, GroupId>,
    index: Index,
    members: usize,
    /// Groups with picks of the current revision.
    picked: Vec<GroupId>,
    /// Groups with parts of the current batch.
    touched: Vec<GroupId>,
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.by_interest.len()
    }

    pub(super) fn members(&self) -> usize {
        self.members
    }

    /// The group of an interest, and the interest as the group shares it. A new group must be joined at once, or it stays
    /// for ever.
    pub(super) fn get_or_insert(&mut self, interest: Arc<Interest>) -> (GroupId, Arc<Interest>) {
        if let Some((shared, group)) = self.by_interest.get_key_value(&interest) {
            return (*group, shared.clone());
        }
        let group = Group {
            interest: interest.clone(),
            members: Vec::new(),
            picks: SmallVec::new(),
            parts: SmallVec::new(),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(group);
                id
            }
            None => {
                self.slots.push(Some(group));
                (self.slots.len() - 1) as GroupId
            }
        };
        self.index.insert(&interest.range, id);
        self.by_interest.insert(interest.clone(), id);
        (id, interest)
    }

    /// Adds a member and returns its position.
    pub(super) fn join(&mut self, id: GroupId, member: Member) -> u32 {
        let Some(group) = self.slots[id as usize].as_mut() else { return 0 };
        group.members.push(member);
        self.members += 1;
        (group.members.len() - 1) as u32
    }

    /// Removes a member, and the group with its last member. No inbox may be locked: the member that moves into the gap
    /// gets its new position written to its inbox.
    pub(super) fn leave(&mut self, id: GroupId, position: u32) {
        let Some(group) = self.slots[id as usize].as_mut() else { return };
        group.members.swap_remove(position as usize);
        self.members -= 1;
        if let Some(moved) = group.members.get(position as usize) {
            moved.shared.inbox.lock().set_position(moved.key, position);
        }
        if group.members.is_empty() {
            self.index.remove(&group.interest.range, id);
            self.by_interest.remove(&group.interest);
            self.slots[id as usize] = None;
            self.free.push(id);
        }
    }

    /// Notes event `index` of the current revision with every group that wants it.
    pub(super) fn pick(&mut self, index: u32, event: &Event) {
        let (slots, picked) = (&mut self.slots, &mut self.picked);
        self.index.matching(&event.kv.key, |id| {
            if let Some(group) = slots[id as usize].as_mut()
                && group.interest.want.admits(event.kind)
            {
                if group.picks.is_empty() {
                    picked.push(id);
                }
                group.picks.push(index);
            }
        });
    }

    /// Ends a revision: `part` turns a group's picks into what its watchers get.
    pub(super) fn finish_revision(&mut self, mut part: impl FnMut(&[u32]) -> Part) {
        for id in self.picked.drain(..) {
            if let Some(group) = self.slots[id as usize].as_mut() {
                if group.parts.is_empty() {
                    self.touched.push(id);
                }
                group.parts.push(part(&group.picks));
                group.picks.clear();
            }
        }
    }

    /// The groups that the current batch concerns.
    pub(super) fn take_touched(&mut self) -> Vec<GroupId> {
        std::mem::take(&mut self.touched)
    }

    /// What was collected for a group, whether it wants `prev_kv`, and its members.
    pub(super) fn take_parts(&mut self, id: GroupId) -> (SmallVec<[Part; 1]>, bool, &[Member]) {
        match self.slots[id as usize].as_mut() {
            Some(group) => (std::mem::take(&mut group.parts), group.interest.want.prev_kv, &group.members),
            None => (SmallVec::new(), false, &[]),
        }
    }

    /// Every member of every group.
    pub(super) fn every_member(&self) -> impl Iterator<Item = &Member> {
        self.slots.iter().flatten().flat_map(|group| &group.members)
    }
}
